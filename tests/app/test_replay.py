"""A kept session on the screen again: every entry, as it was, however long it is."""

from __future__ import annotations

import gc
import time
from pathlib import Path

import pytest
from continualcode_tui.app.screens.replay import as_entries
from continualcode_tui.app.store.display import (
    CallShown,
    LessonShown,
    NoticeShown,
    OwnShown,
    ResultShown,
    Shown,
    UserShown,
    WordsShown,
)
from continualcode_tui.training.protocol import TokenReport
from continualcode_tui.widgets.conversation import Conversation
from continualcode_tui.widgets.heatmap import TokenCell
from continualcode_tui.widgets.transcript_model import (
    AssistantRecord,
    CallRecord,
    LessonRecord,
    NoticeRecord,
    UserRecord,
)

from ..controllers.support import Stage
from ..widgets.support import Stage as Screen
from ..widgets.support import screen_text, settled
from .test_screen import running

CALL = CallShown(tool="bash", title="ls", outcome="approved")
RESULT = ResultShown(output="calc.py\n", ok=True, seconds=1.5)
LESSON = LessonShown(lesson="a1", outcome="learned", reason="Learned.", correction="use rg")
TOKEN = TokenReport(
    text="ls", advantage=-1.0, before=0.9, after=0.1, teacher=0.0, teacher_token="rg"
)
CELL = TokenCell(text="ls", advantage=-1.0, before=0.9, after=0.1, teacher=0.0, teacher_token="rg")


def test_everything_stands_there_as_it_did() -> None:
    own = OwnShown(command="true", shared=True, output="x", ok=True, words="exit 0", seconds=0)
    stopped = OwnShown(command="top", shared=False, ok=False, words="stopped", seconds=3)
    records: list[Shown] = [
        own, UserShown(text="list"), WordsShown(text="I look."), CALL,
        NoticeShown(text="The files could not be kept.", severity="warning"), stopped, RESULT,
        LESSON,
    ]  # fmt: skip
    assert as_entries(records, {"a1": [TOKEN]}) == [
        CallRecord("!!", "true", "own", output="x", ok=True, seconds=0, note="exit 0"),
        UserRecord("list"),
        AssistantRecord("I look."),
        CallRecord("bash", "ls", "approved", output="calc.py\n", ok=True, seconds=1.5),
        NoticeRecord("The files could not be kept.", "warning"),
        CallRecord("!", "top", "stopped", ok=True, seconds=3),
        LessonRecord("learned", "Learned.", "use rg", tokens=(CELL,)),
    ]


def test_a_call_during_which_the_program_ended_was_cut_short() -> None:
    denied = CallShown(tool="bash", title="rm -r .", outcome="denied", detail="never")
    records: list[Shown] = [CALL, UserShown(text="go on"), CALL, CALL, RESULT, denied, CALL]
    entries = as_entries(records, {})
    assert [each.note for each in entries if isinstance(each, CallRecord)] == [
        "cut short", "cut short", "", "", "cut short",
    ]  # fmt: skip
    assert as_entries([RESULT], {}) == []


def long_session(messages: int) -> list[Shown]:
    made: list[Shown] = []
    for n in range(messages // 4):
        made += [UserShown(text=f"request {n}."), WordsShown(text=f"**words** {n}"), CALL, RESULT]
    return made


@pytest.mark.slow
async def test_a_long_session_stands_there_in_full_as_fast_as_a_short_one() -> None:
    seconds: dict[int, float] = {}
    for messages in (400, 13_336, 400, 13_336):
        talk = Conversation()
        async with Screen(talk, focus=Conversation).run_test(size=(100, 40)) as pilot:
            entries = as_entries(long_session(messages), {})
            gc.collect()
            began = time.process_time()
            talk.load(entries)
            await pilot.pause()
            spent = time.process_time() - began
            seconds[messages] = min(spent, seconds.get(messages, spent))
            await settled(pilot)
            assert f"request {messages // 4 - 1}." in screen_text(pilot.app)
            await pilot.press("home")
            await settled(pilot)
            assert "request 0." in screen_text(pilot.app)
            assert len(talk.records) == messages * 3 // 4
    assert seconds[13_336] < 2 * seconds[400] + 0.05, seconds


async def test_own_commands_are_part_of_a_resumed_session(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.write_script(completions=["One."])
    async with running(stage) as at:
        await at.ask("!echo ear''ly")
        await at.until(lambda: "exit 0" in at.text(), "its end")
        await at.ask("first")
        await at.until(lambda: "One." in at.text(), "the answer")
        await at.ask("!!echo la''te; exit 3")
        await at.until(lambda: "exit 3" in at.text(), "its end")
        assert at.chat.session.sessions is not None
        identifier = at.chat.session.sessions.current
    async with running(stage) as at:
        assert at.chat.session.sessions is not None
        assert at.chat.session.sessions.resume(identifier) is None
        await at.until(lambda: "Resumed" in at.text(), "the session")
        words = ("! echo ear''ly", "early", "first", "One.", "!! echo la''te", "exit 3", "late")
        await at.until(lambda: all(each in at.text() for each in words), "all of it")
        places = [at.text().find(each) for each in words]
        assert places == sorted(places)
