"""The prompt in the program: queue, history, files and the user's own commands."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest
from continualcode_tui.app.screens.chat import ChatScreen
from continualcode_tui.app.screens.desk import DecisionDesk
from continualcode_tui.app.settings import load_settings
from continualcode_tui.app.tui import ContinualCode
from continualcode_tui.widgets.history_search import HistorySearch
from continualcode_tui.widgets.prompt import Prompt, PromptArea
from continualcode_tui.widgets.queue_list import QueueList

from ..controllers.support import Stage
from .test_screen import WRITE, Driver, changed, running


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@pytest.fixture
def repository(stage: Stage) -> None:
    subprocess.run(["git", "init", "-q"], cwd=stage.folder, check=True)


def asked(stage: Stage) -> list[str]:
    """The user's newest words in each request to the model."""
    return [
        [each["content"] for each in request["messages"] if each["role"] == "user"][-1]
        for request in stage.requests("sample")
    ]


async def until_asked(at: Driver, stage: Stage, *wanted: str) -> None:
    await at.until(lambda: asked(stage)[-len(wanted) :] == list(wanted), "the requests")


async def test_what_is_written_meanwhile_is_sent_one_after_the_other(stage: Stage) -> None:
    stage.write_script(completions=[WRITE, "One.", "Two.", "Three."])
    async with running(stage) as at:
        await at.ask("first")
        await at.proposal()
        await at.ask("second")
        await at.ask("third")
        await at.until(lambda: "2 third" in at.text(), "the queue")
        assert "1 second" in at.text()
        await at.ask("/note and a command runs at once")
        await at.until(lambda: at.chat.session.notes, "the note")
        assert at.chat.query_one(DecisionDesk).panel is not None
        await at.pilot.press("tab")
        desk = at.chat.query_one(DecisionDesk)
        await at.until(lambda: desk.panel is not None and desk.panel.has_focus, "the focus")
        await at.settled()
        await at.proposal()
        await at.pilot.press("y")
        await at.until(lambda: "Three." in at.text(), "the last answer")
        assert not at.chat.query_one(QueueList).display
    assert asked(stage) == ["first", "first", "second", "third"]


@pytest.mark.slow
async def test_what_is_written_while_the_model_loads_is_sent_when_it_is_ready(
    stage: Stage,
) -> None:
    stage.write_script(completions=["One."], load=[{"seconds": 2}])
    loaded = load_settings(stage.arguments(), environ={})
    app = ContinualCode(loaded, stage.folder)
    async with app.run_test(size=(100, 40)) as pilot:
        at = Driver(app, pilot)
        await at.until(
            lambda: isinstance(app.screen, ChatScreen) and app.screen.query(PromptArea), "the chat"
        )
        assert at.chat.session.loaded is None
        await at.ask("first")
        await at.until(lambda: "One." in at.text(), "the answer")
        await at.chat.session.close()


async def test_escape_holds_the_queue_until_enter(stage: Stage) -> None:
    stage.write_script(completions=[WRITE, "One.", "Two.", "Three."])
    async with running(stage) as at:
        await at.ask("first")
        await at.proposal()
        await at.ask("second")
        await at.ask("third")
        # The first goes back to the call, the second stops the agent.
        await at.pilot.press("escape", "escape")
        await at.until(lambda: at.chat.phase == "ready", "ready")
        await at.until(lambda: "Enter sends them" in at.text(), "the held queue")
        await at.ask("something else")
        await at.until(lambda: "One." in at.text(), "its answer")
        assert "held" in at.text()
        assert asked(stage) == ["first", "something else"]
        await at.pilot.press("up")
        assert at.chat.query_one(Prompt).text == "third"
        await at.pilot.press("ctrl+u", "enter")
        await at.until(lambda: "Two." in at.text(), "the answer to the second")
        await at.until(lambda: at.chat.phase == "ready", "ready")
    assert asked(stage) == ["first", "something else", "second"]


@pytest.mark.slow
async def test_an_engine_that_fails_does_not_eat_the_queue(stage: Stage) -> None:
    stage.write_script(
        completions=[WRITE, "One."], sample=[{}, {"failure": "unavailable"}]
    )  # fmt: skip
    async with running(stage) as at:
        await at.ask("first")
        await at.proposal()
        await at.ask("second")
        await at.pilot.press("tab")
        await at.proposal()
        await at.pilot.press("y")
        await at.until(lambda: "Enter sends them" in at.text(), "the held queue")
        await at.pilot.press("enter")
        await until_asked(at, stage, "second")


async def test_an_own_command_runs_while_a_call_waits_and_the_model_does_not_see_it(
    stage: Stage,
) -> None:
    stage.write_script(completions=[WRITE, "One."])
    async with running(stage) as at:
        await at.ask("first")
        await at.proposal()
        await at.ask("!echo o''wn; exit 4")
        await at.until(lambda: "exit 4" in at.text(), "its end")
        assert "own" in at.text()
        assert at.chat.phase == "waiting"
        await at.ask("!sleep 60")
        await at.until(lambda: at.chat.phase == "running", "the second command")
        await at.pilot.press("escape")
        await at.until(lambda: "stopped" in at.text(), "its end")
        assert at.chat.query_one(DecisionDesk).panel is not None
        assert at.chat.phase == "waiting"
        await at.pilot.press("tab")
        await at.proposal()
        await at.pilot.press("y")
        await at.until(lambda: "One." in at.text(), "the answer")
        assert changed(stage)
    assert "own" not in str(stage.requests("sample"))
    assert not stage.requests("learn")


async def test_with_two_marks_its_output_goes_with_the_next_request(stage: Stage) -> None:
    stage.write_script(completions=["One.", "Two."])
    async with running(stage) as at:
        await at.ask("!!echo dropped")
        await at.until(lambda: "with your next request: echo dropped" in at.text(), "the line")
        await at.ask("!!")
        await at.until(lambda: "next request:" not in at.text(), "the line gone")
        await at.ask("!!echo sh''ared")
        await at.until(lambda: "next request:" in at.text(), "the line")
        await at.ask("what is it?")
        await at.until(lambda: "One." in at.text(), "the answer")
        assert "next request:" not in at.text()
        await at.ask("and now?")
        await at.until(lambda: "Two." in at.text(), "the second answer")
    first = "I ran a command myself:\n$ echo sh''ared\nshared\n[exit 0]\n\nwhat is it?"
    assert asked(stage) == [first, "and now?"]


@pytest.mark.slow
async def test_a_command_that_cannot_run_now_stays_in_the_prompt(stage: Stage) -> None:
    stage.write_script(completions=["One."], sample=[{"hang": True}])
    async with running(stage) as at:
        await at.ask("first")
        await at.until(lambda: at.chat.phase == "thinking", "thinking")
        await at.ask("!ls")
        await at.until(lambda: "when it rests or a call waits" in at.text(), "the words")
        assert at.chat.query_one(Prompt).text == "!ls"
        await at.pilot.press("escape")
        await at.until(lambda: at.chat.phase == "ready", "ready")


@pytest.mark.slow
async def test_what_was_written_is_found_the_next_time(stage: Stage) -> None:
    stage.write_script(completions=["One."])
    async with running(stage) as at:
        await at.ask("rename the function")
        await at.ask("/theme")
        await at.until(lambda: "One." in at.text(), "the answer")
    (kept,) = (stage.data / "history").iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    async with running(stage) as at:
        prompt = at.chat.query_one(Prompt)
        await at.pilot.press("up", "up")
        assert prompt.text == "rename the function"
        await at.pilot.press("ctrl+u", *"draft", "ctrl+r")
        await at.box(HistorySearch)
        await at.type("rnm")
        await at.pilot.press("enter")
        await at.until(lambda: prompt.text == "rename the function", "the text")
        assert prompt.has_focus_within


async def test_files_that_git_ignores_are_not_offered_and_new_ones_are(
    stage: Stage, repository: None
) -> None:
    (stage.folder / ".gitignore").write_text("*.log\n")
    (stage.folder / "calc.log").write_text("")
    async with running(stage) as at:
        await at.until(lambda: at.chat.query_one(Prompt).files, "the files")
        await at.type("@calc")
        await at.until(lambda: "test_calc.py" in at.text(), "the files")
        assert "calc.log" not in at.text()
        (stage.folder / "calc_new.py").write_text("")
        await at.pilot.press("escape", "ctrl+u")
        await at.ask("!true")
        await at.until(lambda: "exit 0" in at.text(), "the end of the command")
        await at.type("@calcn")
        await at.until(lambda: "calc_new.py" in at.text(), "the new file")
        await at.pilot.press("tab")
        assert at.chat.query_one(Prompt).text == "@calc_new.py "
