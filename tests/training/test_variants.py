"""Requests made from the corrected one: other names, and the other way."""

from __future__ import annotations

import json
import re

import pytest
from continualcode_tui.training.protocol import ChatMessage, ToolCall
from continualcode_tui.training.teacher import render_call
from continualcode_tui.training.variants import (
    Change,
    asking_otherwise,
    call_of,
    change,
    names_in,
    renamings,
    settled_words,
)
from hypothesis import given
from hypothesis import strategies as st


def bash(command: str) -> str:
    return render_call(ToolCall(name="bash", arguments={"command": command}))


def tool(name: str, **arguments: object) -> str:
    return render_call(ToolCall(name=name, arguments=arguments))


def asked(text: str, *before: ChatMessage) -> tuple[ChatMessage, ...]:
    return (*before, ChatMessage(role="user", content=text))


@pytest.mark.parametrize(
    ("denied", "wanted", "changed"),
    [
        (bash("npm install left-pad"), bash("pnpm add left-pad"), ("npm install", "pnpm add")),
        (bash("rm a.txt"), bash("rm -f a.txt"), ("rm", "rm -f")),
        (bash("pytest tests"), bash("python -m pytest tests"), ("pytest", "python -m pytest")),
        (bash("git log --oneline"), bash("git log"), ("log --oneline", "log")),
        (
            tool("read", path="src/a.py"),
            tool("read", path="lib/a.py"),
            ("src/a.py", "lib/a.py"),
        ),
    ],
)
def test_a_change_is_the_words_that_differ(denied, wanted, changed):
    assert change(denied, wanted) == Change(*changed)


def test_another_tool_is_named_and_a_shell_by_its_command():
    found = change(tool("glob", pattern="*.py"), bash("find . -name '*.py'"))
    assert found == Change("glob", "find", tool=True, shell=True)
    back = change(bash("find . -name '*.py'"), tool("glob", pattern="*.py"))
    assert back == Change("find", "glob", tool=True, shell=False)


@pytest.mark.parametrize(
    ("denied", "wanted"),
    [
        ("no call at all", bash("ls")),
        (bash("ls"), "no call either"),
        (bash("ls"), bash("ls")),
        (tool("edit_lines", start_line=1), tool("edit_lines", start_line=2)),
        (bash("a b c d e f g h"), bash("i j k l m n o p")),
        ("{not json}", "{}"),
    ],
)
def test_nothing_is_said_where_no_few_words_say_it(denied, wanted):
    assert change(denied, wanted) is None


def test_the_other_way_is_asked_for_in_the_users_words_and_the_programs():
    messages = asked("install left-pad.")
    changed = Change("npm install", "pnpm add")
    texts = [m[-1].content for m in asking_otherwise(messages, "please PNPM ADD it", changed)]
    assert texts[0] == "install left-pad, please npm install it"
    assert "install left-pad, with npm install, not pnpm add" in texts
    assert len(texts) == len(set(texts))
    assert all("npm install" in text for text in texts)


def test_a_correction_that_names_both_ways_is_turned_around():
    changed = Change("grep", "rg")
    (first, *_) = asking_otherwise(asked("find it"), "never use grep; use rg", changed)
    assert first[-1].content == "find it, never use rg; use grep"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [("ruff", "uv run ruff", "without uv run"), ("git log -3", "git log", "with -3")],
)
def test_where_words_were_only_added_or_left_out_these_are_what_is_asked_for(old, new, words):
    texts = [m[-1].content for m in asking_otherwise(asked("go"), "no", Change(old, new))]
    assert f"go, {words}" in texts


def test_the_wish_goes_to_the_last_thing_that_the_user_said():
    messages = (
        *asked("fix it"),
        ChatMessage(role="assistant", content="reading"),
        ChatMessage(role="tool", content="text"),
    )
    for changed in asking_otherwise(messages, "", Change("a", "b")):
        assert [m.role for m in changed] == [m.role for m in messages]
        assert changed[0].content.startswith("fix it, ")
        assert changed[1:] == messages[1:]


def test_names_are_those_that_the_request_hands_on():
    request = asked("please run tests/test_parser.py with sherlock and watson")
    answers = (bash("pytest tests/test_parser.py -k watson"),)
    assert names_in(request, answers, ()) == ["tests/test_parser.py", "watson"]
    assert names_in(request, answers, ("ask Watson",)) == ["tests/test_parser.py"]


def test_words_of_the_program_and_of_the_language_are_no_names():
    assert names_in(asked("commit src/main.py"), (bash("git commit src/main.py"),), ()) == []


def test_the_same_name_is_called_the_same_everywhere():
    messages = (
        ChatMessage(role="system", content="Files:\nsrc/zebra_maker.py"),
        ChatMessage(role="user", content="show src/zebra_maker.py"),
        ChatMessage(
            role="assistant",
            tool_calls=(ToolCall(name="read", arguments={"path": ["src/zebra_maker.py", 3]}),),
        ),
    )
    (first, second, *_) = renamings(messages, (bash("cat src/zebra_maker.py"),), ())
    changed = first.messages(messages)
    name = changed[1].content.removeprefix("show ")
    assert re.fullmatch(r"src/[a-z]+_[a-z]+\.py", name)
    assert name != "src/zebra_maker.py"
    assert changed[0].content == f"Files:\n{name}"
    assert changed[2].tool_calls[0].arguments == {"path": [name, 3]}
    assert first.text(bash("cat src/zebra_maker.py")) == bash(f"cat {name}")
    assert second.messages(messages) != changed


def test_a_request_without_names_has_no_renaming():
    assert renamings(asked("what changed?"), (bash("git diff"),), ()) == []


words = st.text("abcdefghij", min_size=3, max_size=8)


@given(words, words, words)
def test_renaming_touches_nothing_but_the_names(name, left, right):
    messages = asked(f"open {name}.py")
    for renaming in renamings(messages, (bash(f"cat {name}.py"),), ()):
        other = renaming.text(f"{name}.py")
        assert other.endswith(".py")
        text = f"{left}{name}.py {name}.pyx {right} {name}.py"
        kept = renaming.text(text)
        assert kept == f"{left}{name}.py {name}.pyx {right} {other}"


texts = st.text(max_size=30)


@given(texts, texts, texts)
def test_any_text_has_its_variants_or_none(request, correction, command):
    denied, wanted = bash(command), bash(f"{command} {correction}")
    assert call_of(denied) == ToolCall(name="bash", arguments={"command": command})
    found = change(denied, wanted)
    messages = asked(request)
    if found is not None:
        assert found.old != found.new
        for changed in asking_otherwise(messages, correction, found):
            assert changed[-1].content != request
    fixed = settled_words(found) if found else []
    for renaming in renamings(messages, (denied, wanted), (correction, *fixed)):
        changed = renaming.text(denied)
        assert json.loads(changed.split("\n")[1])["name"] == "bash"
