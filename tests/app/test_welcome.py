"""The first run explains the program and starts with one key; later runs are quieter."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from continualcode_tui.app.opening import Opening
from continualcode_tui.app.screens.chat import ChatScreen
from continualcode_tui.app.screens.welcome import EmptyPage, WelcomeScreen
from continualcode_tui.app.settings import load_settings
from continualcode_tui.app.tui import ContinualCode
from continualcode_tui.app.welcome_words import example_request
from continualcode_tui.widgets.conversation import Conversation
from continualcode_tui.widgets.file_index import FileIndex
from continualcode_tui.widgets.prompt import Prompt

from ..controllers.support import Stage
from .test_screen import Driver, running, stage

__all__ = ["stage"]

Picture = Callable[..., bool]
WELCOME = "a coding agent that learns from you"
LOCAL = "continualcode-tui engine=local model_name=FOLDER"
HINT = "every key and command"
WORDS = (
    "The agent proposes one tool call at a time", "runs no command before you approve", LOCAL,
    "continualcode-tui engine=tinker", "TINKER_API_KEY", "approve", "deny", "edit", "Enter",
)  # fmt: skip


def words(at: Driver) -> str:
    """The screen's words without its line breaks."""
    return " ".join(at.text().split())


def mark(stage: Stage) -> Path:
    return stage.data / "welcomed"


@pytest.fixture
def repository(stage: Stage) -> None:
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=stage.folder, check=True)


@pytest.mark.parametrize("size", [(60, 18), (80, 24), (120, 40)])
async def test_the_first_run_explains_itself_in_one_screen(
    stage: Stage, repository: None, size: tuple[int, int]
) -> None:
    async with running(stage, size=size) as at:
        await at.until(lambda: WELCOME in at.text(), "the welcome")
        assert all(word in words(at) for word in WORDS), at.text()
        assert "● practice" in at.text()
        assert not at.chat.query_one(EmptyPage).max_scroll_y
        assert at.chat.query_one(Prompt).has_focus_within


async def test_one_key_begins_and_the_welcome_does_not_come_again(
    stage: Stage, repository: None
) -> None:
    stage.write_script(completions=["They pass."])
    async with running(stage) as at:
        prompt = at.chat.query_one(Prompt)
        await at.until(lambda: prompt.files is not None, "the files")
        await at.pilot.press("enter")
        assert prompt.text == "run the tests"
        await at.until(lambda: "sends what is written" in at.text(), "what Enter does now")
        assert not stage.requests("sample")
        assert not mark(stage).exists()
        await at.pilot.press("enter")
        await at.until(lambda: "They pass." in at.text(), "the answer")
        assert WELCOME not in at.text()
        await at.until(mark(stage).exists, "the mark")
        assert stat.S_IMODE(mark(stage).stat().st_mode) == 0o600
        await at.ask("/clear")
        await at.until(lambda: HINT in at.text(), "the quiet page")
        assert WELCOME not in at.text()
    (request,) = stage.requests("sample")
    assert request["messages"][-1]["content"] == "run the tests"
    async with running(stage) as at:
        await at.until(lambda: HINT in at.text(), "the quiet page")
        assert WELCOME not in at.text()
        await at.pilot.press("enter")
        assert not at.chat.query_one(Prompt).text


async def test_what_is_typed_is_sent_and_a_command_does_not_end_the_welcome_for_good(
    stage: Stage, repository: None
) -> None:
    stage.write_script(completions=["Yes."])
    async with running(stage) as at:
        await at.ask("/help")
        await at.until(lambda: not isinstance(at.app.screen, ChatScreen), "help")
        await at.pilot.press("escape")
        await at.until(lambda: WELCOME in at.text(), "the welcome again")
        await at.ask("/adapter")
        await at.until(lambda: WELCOME not in at.text(), "its answer")
    assert not mark(stage).exists()
    async with running(stage) as at:
        await at.until(lambda: WELCOME in at.text(), "the welcome")
        await at.type("is it?")
        await at.pilot.press("enter")
        await at.until(lambda: "Yes." in at.text(), "the answer")
        assert at.chat.query_one(Conversation).display
        await at.until(mark(stage).exists, "the mark")


async def test_what_the_program_says_by_itself_stands_above_the_welcome(stage: Stage) -> None:
    async with running(stage, size=(80, 24)) as at:
        await at.until(lambda: "is not a git repository" in words(at), "the notice")
        assert all(word in words(at) for word in WORDS), at.text()
        await at.ask("/adapter")
        await at.until(lambda: "engine=local" not in at.text(), "the conversation")
        assert "is not a git repository" in words(at)


async def test_without_an_engine_the_way_out_is_shown_and_no_example_is_offered(
    stage: Stage, repository: None
) -> None:
    stage.write_script(load=[{"failure": "bad_model", "message": "There is no folder nowhere."}])
    app = ContinualCode(load_settings(stage.arguments(), environ={}), stage.folder)
    async with app.run_test(size=(80, 24)) as pilot:
        at = Driver(app, pilot)
        await at.until(lambda: "The engine did not start" in at.text(), "the last line")
        assert "There is no folder nowhere." in at.text()
        assert LOCAL in at.text()
        await pilot.press("enter")
        assert not at.chat.query_one(Prompt).text
        await at.chat.session.close()


async def test_a_resumed_session_shows_no_welcome(stage: Stage, repository: None) -> None:
    stage.write_script(completions=["Yes."])
    async with running(stage) as at:
        await at.ask("is it?")
        await at.until(lambda: "Yes." in at.text(), "the answer")
        assert at.chat.session.sessions is not None
        identifier = at.chat.session.sessions.current
    mark(stage).unlink(missing_ok=True)
    settings = load_settings(stage.arguments(), environ={})
    app = ContinualCode(settings, stage.folder, opening=Opening(resume=identifier))
    async with app.run_test(size=(100, 40)) as pilot:
        at = Driver(app, pilot)
        await at.until(
            lambda: isinstance(app.screen, ChatScreen) and app.screen.query(EmptyPage), "the chat"
        )
        assert not at.chat.query_one(EmptyPage).display
        await at.until(lambda: "Yes." in at.text(), "the conversation")
        assert WELCOME not in at.text()
        await at.ready()
        await at.chat.session.close()


async def test_the_welcome_can_be_asked_for_again(stage: Stage, repository: None) -> None:
    stage.data.mkdir()
    mark(stage).touch()
    async with running(stage, "enable_training=false", size=(80, 24)) as at:
        await at.ask("/welcome")
        await at.until(lambda: isinstance(at.app.screen, WelcomeScreen), "the page")
        await at.until(lambda: WELCOME in at.text(), "its words")
        assert "is not learned (enable_training=false)" in words(at)
        assert "lesson" not in words(at).partition("Three engines")[0]
        await at.pilot.press("escape")
        await at.until(lambda: HINT in at.text(), "back")


async def test_the_engine_in_use_is_marked(stage: Stage, repository: None) -> None:
    async with running(stage, "engine=local", "model_name=models/mine") as at:
        await at.until(lambda: "● local" in at.text(), "the mark")
        assert "In use, with models/mine." in words(at)
        assert "continualcode-tui engine=practice" in at.text()
        assert LOCAL not in at.text()


async def test_a_mark_that_cannot_be_written_stops_nothing(stage: Stage, repository: None) -> None:
    stage.write_script(completions=["Yes."])
    async with running(stage) as at:
        mark(stage).mkdir()
        await at.ask("is it?")
        await at.until(lambda: "Yes." in at.text(), "the answer")
        await at.until(lambda: at.chat.phase == "ready", "ready")


@pytest.mark.parametrize(
    ("files", "git", "engine", "request_wanted"),
    [
        (["src/calc.py", "tests/calc.py"], True, "practice", "run the tests"),
        (["pkg/calc_test.go"], False, "local", "run the tests"),
        (["latest.txt", "contest.py"], True, "practice", "show the last commits"),
        ([], True, "tinker", "show the last commits"),
        (None, False, "practice", "run the tests"),
        (["notes.md"], False, "local", "say in a few words what is in this folder"),
    ],
)
def test_the_example_fits_the_repository(
    files: list[str] | None, git: bool, engine: str, request_wanted: str
) -> None:
    index = None if files is None else FileIndex(files)
    assert example_request(engine, index, git=git) == request_wanted  # pyright: ignore[reportArgumentType]
