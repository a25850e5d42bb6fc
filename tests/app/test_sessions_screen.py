"""Resuming, searching, renaming and deleting sessions, driven by keys, on the fake worker."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from continualcode_tui.app.agent.proposal import Approve, Deny
from continualcode_tui.app.controllers.sessions import choose
from continualcode_tui.app.opening import Opening
from continualcode_tui.app.screens.chat import ChatScreen
from continualcode_tui.app.screens.confirm import ConfirmScreen
from continualcode_tui.app.screens.sessions import SessionsScreen
from continualcode_tui.app.settings import load_settings
from continualcode_tui.app.store.sessions import SessionFacts
from continualcode_tui.app.tui import ContinualCode
from continualcode_tui.widgets.prompt import Prompt

from ..controllers.support import Stage
from .test_screen import EDIT, WRITE, Driver, running


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    stage = Stage(tmp_path)
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=stage.folder, check=True)
    return stage


async def hold(stage: Stage, request: str, *more: str) -> None:
    """Hold a conversation and leave."""
    session = stage.session()
    assert await session.start()
    for text in (request, *more):
        await session.submit(text)
    await session.close()


@asynccontextmanager
async def sessions(stage: Stage, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Driver]:
    """The list, after three conversations."""
    stage.write_script(completions=["Done."] * 9)
    for text in ("fix the first test", "rename [b]add[/b]", "write the docs"):
        await hold(stage, text)
    async with running(stage, size=size) as at:
        await at.ask("/sessions")
        await at.until(lambda: isinstance(at.app.screen, SessionsScreen), "/sessions")
        await at.until(lambda: "write the docs" in at.text(), "the list")
        yield at


def saved(stage: Stage) -> list[str]:
    return sorted(path.suffix for path in stage.data.glob("sessions/*/*"))


async def test_a_resumed_session_looks_as_it_did(stage: Stage) -> None:
    stage.write_script(
        completions=["I rewrite it.\n" + WRITE, "All [b]done[/b]."],
        lessons=[{"outcome": "learned", "retry": EDIT}],
    )
    stage.decisions = [Deny("use edit_lines"), Approve()]
    await hold(stage, "fix the test")
    (facts,) = choose_all(stage)
    loaded = load_settings(stage.arguments("arm_delay=0.05"), environ={})
    app = ContinualCode(loaded, stage.folder, opening=Opening(resume=facts.id))
    async with app.run_test(size=(100, 50)) as pilot:
        at = Driver(app, pilot)
        await at.ready()
        words = (
            "fix the test", "I rewrite it.", "write test_calc.py  denied: use edit_lines",
            "Learned", "opens the heatmap", "edit_lines test_calc.py", "approved",
            "edited test_calc.py", "All [b]done[/b].", "Resumed “fix the test”",
        )  # fmt: skip
        await at.until(lambda: all(each in at.text() for each in words), "the conversation")
        places = [at.text().index(each) for each in words]
        assert places == sorted(places), at.text()
        assert at.chat.context_used
        await at.ask("and now?")
        await at.until(lambda: len(stage.requests("sample")) == 3, "another turn")
        sent = stage.requests("sample")[-1]["messages"]
        assert [message["role"] for message in sent][-2:] == ["assistant", "user"]
        await at.until(lambda: at.chat.phase == "ready", "ready")
        await at.chat.session.close()
    (again,) = choose_all(stage)
    assert (again.id, again.title) == (facts.id, "fix the test")
    assert again.messages > facts.messages


def choose_all(stage: Stage) -> list[SessionFacts]:
    from continualcode_tui.app.store.sessions import list_sessions

    return [facts for folder in stage.data.glob("sessions/*") for facts in list_sessions(folder)]


@pytest.mark.parametrize("size", [(60, 18), pytest.param((120, 40), marks=pytest.mark.slow)])
async def test_the_list_says_when_what_how_much_and_who(
    stage: Stage, size: tuple[int, int]
) -> None:
    async with sessions(stage, size) as at:
        text = at.text()
        assert text.index("write the docs") < text.index("rename [b]add[/b]")
        assert text.index("rename [b]add[/b]") < text.index("fix the first test")
        assert "2 messages" in text
        assert "resume" in text


async def test_typing_searches_and_enter_resumes(stage: Stage) -> None:
    async with sessions(stage) as at:
        await at.type("first fix")
        await at.until(lambda: "write the docs" not in at.text(), "the search")
        await at.pilot.press("enter")
        await at.until(lambda: isinstance(at.app.screen, ChatScreen), "the conversation")
        await at.until(lambda: "Resumed “fix the first test”" in at.text(), "the session")
        assert at.chat.query_one(Prompt).has_focus_within
        await at.ask("/sessions")
        await at.until(lambda: "open now" in at.text(), "the mark of the open one")


@pytest.mark.slow
async def test_a_search_that_finds_nothing_says_so_and_escape_ends_it(stage: Stage) -> None:
    async with sessions(stage) as at:
        await at.type("/nowhere")
        await at.until(lambda: "No session has these words." in at.text(), "the words")
        await at.pilot.press("enter", "escape")
        await at.until(lambda: "write the docs" in at.text(), "the list")
        await at.pilot.press("escape")
        await at.until(lambda: isinstance(at.app.screen, ChatScreen), "the conversation")


async def test_a_session_is_renamed(stage: Stage) -> None:
    async with sessions(stage) as at:
        await at.pilot.press("down", "r", "end", "ctrl+u")
        await at.type("better")
        await at.pilot.press("enter")
        await at.until(lambda: "better" in at.text() and "add[/b]" not in at.text(), "the name")
    assert "better" in [facts.title for facts in choose_all(stage)]


async def test_a_session_is_deleted_after_one_question(stage: Stage) -> None:
    async with sessions(stage) as at:
        await at.pilot.press("d")
        await at.until(lambda: isinstance(at.app.screen, ConfirmScreen), "the question")
        await at.pilot.press("n")
        await at.until(lambda: isinstance(at.app.screen, SessionsScreen), "the list")
        assert len(saved(stage)) == 6
        await at.pilot.press("d", "y")
        await at.until(lambda: "write the docs" not in at.text(), "the list without it")
    assert len(saved(stage)) == 4


async def test_nothing_is_resumed_while_the_agent_works(stage: Stage) -> None:
    stage.write_script(completions=["Done."])
    await hold(stage, "the first")
    stage.write_script(completions=[WRITE])
    async with running(stage) as at:
        await at.ask("the second")
        await at.proposal()
        at.chat.show("sessions")
        await at.until(lambda: "the first" in at.text(), "the list")
        await at.pilot.press("down", "enter")
        await at.until(lambda: "stop it with Esc first" in at.text(), "the words")
        await at.pilot.press("escape")
        await at.until(lambda: isinstance(at.app.screen, ChatScreen), "the conversation")
        assert at.chat.phase == "waiting"


async def test_compact_says_what_it_saves_and_the_screen_keeps_all(stage: Stage) -> None:
    stage.write_script(completions=["word " * 40] * 12)
    async with running(stage, size=(100, 50)) as at:
        await at.ask("/compact")
        await at.until(lambda: "nothing to shorten" in at.text(), "that there is nothing")
        for number in range(10):
            await at.chat.session.submit(f"request {number}")
        await at.until(lambda: at.chat.phase == "ready" and at.chat.context_used, "ready")
        before = at.chat.context_used
        await at.ask("/compact")
        await at.until(lambda: "tokens fewer" in at.text(), "what it saved")
        assert at.chat.context_used < before
        await at.chat.session.submit("go on")
        sent = stage.requests("sample")[-1]["messages"]
        assert "asked: request 2" in sent[0]["content"]
        assert next(m["content"] for m in sent if m["role"] == "user") == "request 4"


@pytest.mark.slow
async def test_resume_without_an_id_lists_the_sessions(stage: Stage) -> None:
    stage.write_script(completions=["Done."])
    await hold(stage, "the first")
    loaded = load_settings(stage.arguments(), environ={})
    app = ContinualCode(loaded, stage.folder, opening=Opening(choose=True))
    async with app.run_test(size=(80, 24)) as pilot:
        at = Driver(app, pilot)
        await at.until(lambda: isinstance(app.screen, SessionsScreen), "the list")
        await at.until(lambda: "the first" in at.text(), "the session")
        await at.pilot.press("enter")
        await at.until(lambda: "Resumed “the first”" in at.text(), "the session")
        await at.chat.session.close()


async def test_the_command_line_finds_a_session_or_says_why_not(stage: Stage) -> None:
    found = choose(stage.data, stage.folder, None)
    assert isinstance(found, str)
    assert "no session of" in found
    stage.write_script(completions=["Done."] * 2)
    await hold(stage, "the first")
    await hold(stage, "the second")
    newest, oldest = sorted(choose_all(stage), key=lambda each: -each.saved)
    assert choose(stage.data, stage.folder, None) == newest
    assert choose(stage.data, stage.folder, oldest.id) == oldest
    for wrong in ("nonsense", "../" + oldest.id, "20"):
        assert "--resume without an id lists them" in str(choose(stage.data, stage.folder, wrong))


def test_an_unknown_id_is_said_before_the_screen_opens(stage: Stage) -> None:
    parent, child = os.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "continualcode_tui.app", "--resume", "x1", f"data_dir={stage.data}"],
        cwd=stage.folder, stdin=child, stdout=child, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    os.close(parent)
    os.close(child)
    assert done.returncode == 2
    assert "there is no session 'x1' in this repository" in done.stderr
