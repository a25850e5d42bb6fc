"""Going back to an earlier request, driven by keys, on the fake worker."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from continualcode_tui.app.screens.chat import ChatScreen
from continualcode_tui.app.screens.confirm import ConfirmScreen
from continualcode_tui.app.screens.rewind import RestoreScreen, RewindScreen
from continualcode_tui.widgets.prompt import Prompt

from ..controllers.support import TEST, Stage, call
from ..workspace.test_repository import git
from .test_screen import WRITE, Driver, running

MAKE = call("bash", command="echo new > made.py; rm calc.py")


@pytest.fixture(
    params=[
        pytest.param(True, id="git"),
        pytest.param(False, id="plain", marks=pytest.mark.slow),
    ]
)
def stage(tmp_path: Path, request: pytest.FixtureRequest) -> Stage:
    stage = Stage(tmp_path)
    if request.param:
        subprocess.run(["git", "init", "-q", "-b", "main"], cwd=stage.folder, check=True)
        git(stage.folder, "add", "-A")
        git(stage.folder, "commit", "-qm", "start")
    return stage


async def approve(at: Driver, request: str) -> None:
    await at.ask(request)
    await at.proposal()
    await at.pilot.press("y")
    await at.until(lambda: at.chat.phase == "ready", "ready")


async def go_back(at: Driver, *keys: str) -> None:
    await at.ask("/rewind")
    await at.until(lambda: isinstance(at.app.screen, RewindScreen), "the requests")
    await at.pilot.press(*keys, "enter")


async def home(at: Driver) -> None:
    await at.until(lambda: isinstance(at.app.screen, ChatScreen), "the conversation")
    await at.until(lambda: "Went back to before this request" in at.text(), "the words")
    await at.until(lambda: at.chat.phase == "ready", "ready")


async def test_conversation_and_files_go_back(stage: Stage) -> None:
    stage.write_script(completions=["Hello.", WRITE, "Done.", MAKE, "Done.", "Again."])
    before = {path.name: path.read_bytes() for path in stage.folder.glob("*.py")}
    async with running(stage, size=(80, 24)) as at:
        await at.chat.session.submit("say hello")
        await approve(at, "fix the test")
        await approve(at, "make a file")
        assert "== 4" in (stage.folder / "test_calc.py").read_text()
        await go_back(at, "down")
        await at.until(lambda: isinstance(at.app.screen, RestoreScreen), "the files")
        assert "test_calc.py" in at.text()
        in_git = (stage.folder / ".git").exists()
        assert ("made.py" in at.text()) == in_git  # outside git only what a tool names is known
        await at.pilot.press("f")
        await home(at)
        after = {path.name: path.read_bytes() for path in stage.folder.glob("*.py")}
        if in_git:
            assert after == before
            assert git(stage.folder, "status", "--porcelain") == ""
        assert after["test_calc.py"] == before["test_calc.py"]
        assert at.chat.query_one(Prompt).text == "fix the test"
        assert "make a file" not in at.text()
        assert "Hello." in at.text()
        await at.ask("something else")
        await at.until(lambda: "Again." in at.text(), "the next answer")
    sent = stage.requests("sample")[-1]["messages"]
    assert [m["content"] for m in sent if m["role"] == "user"] == ["say hello", "something else"]


async def test_what_the_user_changed_needs_a_yes(stage: Stage) -> None:
    stage.write_script(completions=[WRITE, "Done."])
    mine = stage.folder / "test_calc.py"
    async with running(stage, size=(80, 30)) as at:
        await approve(at, "fix the test")
        mine.write_text("mine\n")
        await go_back(at)
        await at.until(lambda: "You changed these since" in at.text(), "the warning")
        await at.pilot.press("f")
        assert isinstance(at.app.screen, RestoreScreen)
        await at.pilot.press("a")
        await at.until(lambda: isinstance(at.app.screen, ConfirmScreen), "the question")
        await at.pilot.press("n")
        await at.until(lambda: isinstance(at.app.screen, ChatScreen), "the conversation")
        assert mine.read_text() == "mine\n"
        await go_back(at)
        await at.until(lambda: isinstance(at.app.screen, RestoreScreen), "the files")
        await at.pilot.press("a")
        await at.until(lambda: isinstance(at.app.screen, ConfirmScreen), "the question")
        await at.pilot.press("y")
        await home(at)
    assert mine.read_text() == TEST


@pytest.mark.slow
async def test_the_conversation_alone_goes_back(stage: Stage) -> None:
    stage.write_script(completions=[WRITE, "Done."])
    async with running(stage, size=(80, 24)) as at:
        await approve(at, "fix the test")
        await go_back(at)
        await at.until(lambda: isinstance(at.app.screen, RestoreScreen), "the files")
        await at.pilot.press("c")
        await home(at)
        assert "the files are as they are" in " ".join(at.text().split())
        await at.ask("/rewind")
        await at.until(lambda: "no request to go back to" in at.text(), "the words")
    assert "== 4" in (stage.folder / "test_calc.py").read_text()


@pytest.mark.slow
async def test_a_rewound_session_is_resumed_as_it_is(stage: Stage) -> None:
    stage.write_script(completions=["One.", "Two.", WRITE, "Done."])
    async with running(stage) as at:
        await at.chat.session.submit("first")
        await at.chat.session.submit("second")
        await go_back(at)
        await home(at)
        await approve(at, "third")
        identifier = at.chat.session.sessions.current if at.chat.session.sessions else ""
    session = stage.session()
    assert await session.start(identifier)
    assert session.sessions is not None
    assert session.sessions.requests() == ("first", "third")
    kinds = [(each.kind, getattr(each, "text", "")) for each in session.sessions.records]
    assert ("user", "first") in kinds
    assert ("user", "second") not in kinds
    assert session.sessions.plan(1).write == ("test_calc.py",)
    await session.close()
