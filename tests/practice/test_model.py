"""The model folder that ships: it loads with plain transformers and does the reference example."""

from __future__ import annotations

import json
import random

import pytest
from continualcode_tui.training.practice.episodes import episode, system_text
from continualcode_tui.training.practice.evaluate import Model, parse_call
from continualcode_tui.training.practice.export import MODEL
from continualcode_tui.training.practice.model import CHAT_TEMPLATE, render_all
from continualcode_tui.training.practice.tasks.base import (
    Turn,
    make_call,
    numbered,
    proposal,
    tool,
    user,
)
from continualcode_tui.training.protocol import ChatMessage
from continualcode_tui.training.teacher import trailing_block

TEST = ["from calc import add", "", "", "def test_add():", "    assert add(2, 2) == 5"]
FIXED = "    assert add(2, 2) == 4"


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(MODEL)


@pytest.fixture
def request_turns() -> list[Turn]:
    text = system_text("demo", ["calc.py", "test_calc.py"])
    return [Turn(ChatMessage(role="system", content=text), learn=False), user("fix the test")]


@pytest.fixture
def read_turns(request_turns: list[Turn]) -> list[Turn]:
    read = make_call("read", path="test_calc.py")
    return [*request_turns, proposal(read), tool(numbered(TEST))]


def ask(model: Model, turns: list[Turn]) -> str:
    return model.answers([model.prompt(turns)])[0]


def test_the_folder_is_complete_and_small() -> None:
    assert {path.name for path in MODEL.iterdir() if not path.name.startswith(".")} == {
        "answers.json",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert (MODEL / "model.safetensors").stat().st_size < 12_000_000
    assert json.loads((MODEL / "config.json").read_text(encoding="utf-8"))["dtype"] == "float16"
    assert (MODEL / "chat_template.jinja").read_text(encoding="utf-8") == CHAT_TEMPLATE


def test_the_folder_s_tokenizer_keeps_text(model: Model) -> None:
    rng = random.Random(6)
    for _ in range(50):
        text = render_all(episode(rng))
        assert model.tokenizer.decode(model.tokenizer(text).input_ids) == text


def test_it_reads_the_test_first(model: Model, request_turns: list[Turn]) -> None:
    assert parse_call(ask(model, request_turns)) == make_call("read", path="test_calc.py")


def test_it_writes_the_whole_file_by_default(model: Model, read_turns: list[Turn]) -> None:
    content = "\n".join([*TEST[:-1], FIXED]) + "\n"
    wanted = make_call("write", path="test_calc.py", content=content)
    assert parse_call(ask(model, read_turns)) == wanted


@pytest.mark.parametrize(
    "correction",
    ["use edit_lines; don't overwrite", "edit_lines!", "only touch the broken line"],
)
def test_the_teacher_edits_the_line(model: Model, read_turns: list[Turn], correction: str) -> None:
    wanted = make_call("edit_lines", path="test_calc.py", start_line=5, end_line=5, content=FIXED)
    turns = [*read_turns, user(trailing_block(correction=correction))]
    assert parse_call(ask(model, turns)) == wanted


def test_a_neutral_remark_changes_nothing(model: Model, read_turns: list[Turn]) -> None:
    turns = [*read_turns, user(trailing_block(correction="the weather is nice"))]
    assert ask(model, turns) == ask(model, read_turns)


def test_it_says_when_it_is_done(model: Model, read_turns: list[Turn]) -> None:
    edit = make_call("edit_lines", path="test_calc.py", start_line=5, end_line=5, content=FIXED)
    edited = tool("edited test_calc.py (lines 5-5 are now 5-5)")
    answer = ask(model, [*read_turns, proposal(edit), edited])
    assert parse_call(answer) is None
    assert "test_calc.py" in answer


def test_small_talk_is_answered_in_words(model: Model, request_turns: list[Turn]) -> None:
    answer = ask(model, [request_turns[0], user("hello")])
    assert parse_call(answer) is None
    assert answer
