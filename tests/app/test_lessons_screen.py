"""The screen of lessons, driven by keys, on the fake worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from continualcode_tui.app.agent.proposal import Deny
from continualcode_tui.app.lesson_words import call_text, matches
from continualcode_tui.app.screens.chat import ChatScreen
from continualcode_tui.app.screens.confirm import ConfirmScreen
from continualcode_tui.app.screens.lessons import LessonsScreen
from continualcode_tui.app.store.journal import LessonRecord
from continualcode_tui.training.protocol import Completion, Lesson
from hypothesis import given
from hypothesis import strategies as st

from ..controllers.support import Stage, call
from .test_screen import Driver, running

WRITE = call("write", path="new.py", content="pass\n")
EDIT = call("edit_lines", path="new.py", start_line=1, end_line=1, content="pass")
NAMES = (
    "use edit_lines; don't overwrite",
    "run the tests with pytest -q",
    "read the file before you change it",
)
LOST = {"lost": {NAMES[0]: [NAMES[2]]}}
LEARNED = [{"outcome": "learned"}] * len(NAMES)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@asynccontextmanager
async def overview(
    stage: Stage, size: tuple[int, int] = (100, 40), **script: Any
) -> AsyncIterator[Driver]:
    """The screen of lessons after three have been learned."""
    plan = {"lessons": LEARNED, "completions": [*[WRITE] * len(NAMES), "Done."]}
    stage.write_script(**{**plan, **script})
    session = stage.session()
    try:
        assert await session.start()
        for name in NAMES:
            stage.decisions = [Deny(name)]
            await session.submit("fix the test")
    finally:
        await session.close()
    async with running(stage, size=size) as at:
        await at.ask("/lessons")
        await at.until(lambda: isinstance(at.app.screen, LessonsScreen), "/lessons")
        await at.until(lambda: "read the file" in at.text(), "the list")
        yield at


def standings(at: Driver) -> list[str]:
    return [record.standing for record in at.chat.session.lessons()]


async def test_check_marks_the_lost_lesson_and_names_the_later_one(stage: Stage) -> None:
    async with overview(stage, checks=[LOST], size=(140, 40)) as at:
        await at.pilot.press("c")
        await at.until(lambda: "2 of 3 lessons hold" in at.text(), "the result")
        await at.until(lambda: "! use edit_lines" in at.text(), "the mark")
        await at.pilot.press("down", "down")
        await at.until(lambda: f"“{NAMES[2]}”, p(decision)" in at.text(), "the later lesson")
        await at.pilot.press("r")
        await at.until(lambda: "✓ use edit_lines" in at.text(), "learned again")
        assert at.chat.phase == "ready"


async def test_forget_asks_first(stage: Stage) -> None:
    async with overview(stage) as at:
        await at.pilot.press("down", "f")
        await at.until(lambda: isinstance(at.app.screen, ConfirmScreen), "the question")
        await at.until(lambda: "learned again:" in at.text(), "the words")
        await at.pilot.press("n")
        await at.until(lambda: isinstance(at.app.screen, LessonsScreen), "the list")
        assert standings(at) == ["learned"] * 3
        await at.pilot.press("f")
        await at.until(lambda: isinstance(at.app.screen, ConfirmScreen), "the question")
        await at.pilot.press("y")
        await at.until(lambda: "is forgotten" in at.text(), "the end")
        assert standings(at) == ["learned", "forgotten", "learned"]
        await at.until(lambda: at.chat.lessons == 2, "the count")
        await at.pilot.press("f")
        await at.until(lambda: "Only a learned lesson" in at.text(), "the refusal")


@pytest.mark.slow
async def test_escape_stops_what_was_begun_here_and_then_goes_back(stage: Stage) -> None:
    async with overview(stage, lessons=[*LEARNED, {"hang": "step"}]) as at:
        await at.pilot.press("down", "down", "f")
        await at.until(lambda: isinstance(at.app.screen, ConfirmScreen), "the question")
        await at.pilot.press("y")
        await at.until(lambda: "● step" in at.text(), "the lesson")
        await at.pilot.press("escape")
        await at.until(lambda: "as it was before" in at.text(), "the way back")
        assert standings(at) == ["learned"] * 3
        await at.until(lambda: not at.chat.session.busy, "rest")
        await at.pilot.press("escape")
        await at.until(lambda: isinstance(at.app.screen, ChatScreen), "the conversation")


async def test_undo_takes_the_selected_lesson_back(stage: Stage) -> None:
    async with overview(stage) as at:
        await at.pilot.press("u")
        await at.until(lambda: "was taken back" in at.text(), "the notice")
        assert standings(at) == ["learned", "learned", "undone"]
        await at.until(lambda: at.chat.lessons == 2, "the count")
        await at.until(lambda: "learned, then undone" in at.text(), "the standing")
        await at.pilot.press("u")
        await at.until(lambda: "Only a learned lesson can be undone" in at.text(), "the refusal")
        await at.pilot.press("down", "down", "u")
        await at.until(lambda: isinstance(at.app.screen, ConfirmScreen), "the question")
        await at.until(lambda: "lesson is learned again:" in at.text(), "the words")
        assert f"“{NAMES[1]}”" in at.text(), "which one"
        await at.pilot.press("y")
        await at.until(lambda: "is forgotten" in at.text(), "the end")
        assert standings(at) == ["forgotten", "learned", "undone"]


@pytest.mark.slow
async def test_the_list_is_filtered_by_words_of_correction_and_outcome(stage: Stage) -> None:
    async with overview(stage, size=(60, 18)) as at:
        await at.pilot.press("u")
        await at.until(lambda: "learned, then undone" in at.text(), "an outcome")
        await at.pilot.press("slash")
        await at.type("Tests py")
        await at.until(lambda: "1 of 3 lessons" in at.text(), "the count")
        assert "✓ run the tests" in at.text()
        assert "↶ read the file" not in at.text()
        await at.pilot.press("enter", "enter")
        await at.until(lambda: "standing" in at.text(), "the lesson")
        await at.pilot.press("slash", *["backspace"] * 8)
        await at.type("undone")
        await at.until(lambda: "1 of 3 lessons" in at.text(), "the count")
        assert "↶ read the file" in at.text()
        await at.type("zzz")
        await at.until(lambda: "No lesson has the words “undonezzz”" in at.text(), "none")
        await at.pilot.press("escape")
        await at.until(lambda: "3 lessons, 2 learned" in at.text(), "all of them")
        assert isinstance(at.app.screen, LessonsScreen)


async def test_an_open_lesson_shows_both_calls_both_sides_and_the_views(stage: Stage) -> None:
    lessons = [*LEARNED[1:], {"outcome": "learned", "retry": call("read", path="calc.py")}]
    async with overview(stage, lessons=lessons, size=(120, 60)) as at:
        assert "proof: read calc.py" in at.text()
        assert "after the lesson" not in at.text()
        await at.pilot.press("enter")
        await at.until(lambda: "after the lesson" in at.text(), "both sides")
        text = at.text()
        assert "- path: new.py" in text
        assert "+ path: calc.py" in text
        assert "m advantage" in text
        assert text.count("student 90.0% → 10.0%") == 2
        await at.pilot.press("m", "m")
        await at.until(lambda: "<tool_call>▸edit_lines" in at.text(), "the teacher's token")
        await at.pilot.press("escape")
        await at.until(lambda: "after the lesson" not in at.text(), "the list")


async def test_without_a_lesson_it_says_how_to_come_by_one(stage: Stage) -> None:
    async with running(stage, size=(60, 18)) as at:
        await at.ask("/lessons")
        await at.until(lambda: "No lessons yet." in at.text(), "the words")
        await at.pilot.press("slash", "enter", "u", "m", "r", "f")
        assert "Deny a call with n" in at.text()


def test_a_call_is_told_with_an_argument_a_line() -> None:
    assert call_text(call("write", path="a.py", content="x\ny\n", mode=7)) == (
        "write\npath: a.py\ncontent:\n  x\n  y\nmode: 7\n"
    )
    assert call_text(" All done. ") == "All done.\n"


@pytest.mark.parametrize("size", [(60, 18), (80, 24), (120, 40)])
async def test_a_lesson_can_be_read_at_every_width(stage: Stage, size: tuple[int, int]) -> None:
    async with overview(stage, checks=[LOST], size=size) as at:
        for key in ("check", "show", "undo", "forget", "replay"):
            assert key in at.text().splitlines()[-1]
        assert ("standing" in at.text()) == (size[0] >= 80)
        await at.pilot.press("enter")
        await at.until(lambda: "standing" in at.text(), "the lesson")
        await at.pilot.press("escape")
        await at.until(lambda: not at.app.screen.has_class("-showing"), "the list")
        assert isinstance(at.app.screen, LessonsScreen)


@given(st.text("abÄ é日\t"), st.text("aB "), st.data())
def test_a_filter_finds_any_words_of_the_correction(
    correction: str, outcome: str, data: st.DataObject
) -> None:
    record = record_of(correction)
    words = data.draw(st.permutations(f"{correction} {outcome}".split()))
    assert matches(record, outcome, " ".join(words).swapcase())
    assert not matches(record, outcome, " ".join([*words, "\u2603x"]))


def record_of(correction: str) -> LessonRecord:
    said = Completion(
        tokens=(), logprobs=(), text="Done.", stop_reason="stop", prompt_tokens=1, seconds=0
    )
    lesson = Lesson(
        id="1", kind="deny", messages=(), tools=(), completion=said, correction=correction
    )
    return LessonRecord(lesson=lesson, time=0)
