"""A walk through every screen of the program, with lessons that were recorded.

The lessons are those of the practice model, taken from its journal: a line holds what it wrote,
the correction, the retry and the result. Whatever the clock or chance would change is held.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from continualcode_tui.app import lesson_words, metrics_series
from continualcode_tui.app.controllers import sessions as sessions_controller
from continualcode_tui.app.controllers import turn
from continualcode_tui.app.screens import desk
from continualcode_tui.app.screens import sessions as sessions_screen
from continualcode_tui.app.screens.call import CallScreen
from continualcode_tui.app.screens.chat import ChatScreen
from continualcode_tui.app.screens.confirm import ConfirmScreen
from continualcode_tui.app.screens.desk import DecisionDesk
from continualcode_tui.app.screens.help import HelpScreen
from continualcode_tui.app.screens.lessons import LessonsScreen
from continualcode_tui.app.screens.metrics import MetricsScreen
from continualcode_tui.app.screens.rewind import RestoreScreen, RewindScreen
from continualcode_tui.app.screens.secret import SecretPanel, SecretScreen
from continualcode_tui.app.screens.sessions import SessionsScreen
from continualcode_tui.app.screens.settings import SettingsScreen, ValueScreen
from continualcode_tui.app.screens.welcome import WelcomeScreen
from continualcode_tui.app.settings import load_settings
from continualcode_tui.widgets import arming
from continualcode_tui.widgets.arguments_editor import ArgumentsEditor
from continualcode_tui.widgets.composer import Composer
from continualcode_tui.widgets.conversation import Conversation
from continualcode_tui.widgets.correction_box import CorrectionBox
from continualcode_tui.widgets.history_search import HistorySearch
from continualcode_tui.widgets.stages import LessonStages
from rich.segment import Segments
from textual.command import CommandPalette
from textual.screen import Screen
from textual.scrollbar import ScrollBarRender
from typing_extensions import override

from ..controllers.support import Stage, call
from ..workspace.test_repository import git
from .test_screen import Driver

WHEN, WHERE = "2026-01-02 03:04", "/home/you/scratch"
RECORDED = Path(__file__).with_name("recorded_lessons.jsonl")
LONG = "explain to me how the adapter is saved, and which files belong to a snapshot of it"
CLEAN_UP = "cd build\nrm -rf ./* \x1b[2K\ngit status --porcelain | wc -l"
TOKEN = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7cF0hL3oR6"
WRONG = call("edit_lines", path="test_calc.py", start_line=90, end_line=95, content="pass")


def hold_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold the clock and the names that the screens show."""
    for module in (lesson_words, sessions_screen, sessions_controller):
        monkeypatch.setattr(module, "when", lambda _: WHEN)
    monkeypatch.setattr(turn, "time", SimpleNamespace(monotonic=lambda: 0.0))
    monkeypatch.setattr(metrics_series, "_clock", lambda _: "03:04:05")
    show = desk.call_preview
    monkeypatch.setattr(
        desk, "call_preview",
        lambda *of: replace(shown := show(*of), folder=shown.folder and WHERE),
    )  # fmt: skip
    numbers = count(1)
    name = SimpleNamespace(uuid4=lambda: SimpleNamespace(hex=f"{next(numbers):032x}"))
    monkeypatch.setattr(turn, "uuid", name)
    monkeypatch.setattr(LessonStages, "_tick", lambda _: None)
    # The tour types and decides faster than a person could.
    monkeypatch.setattr(arming, "AFTER_TEXT", 0.0)
    monkeypatch.setattr(arming, "AFTER_ANY", 0.0)


def recorded() -> list[dict[str, Any]]:
    return [json.loads(line) for line in RECORDED.read_text(encoding="utf-8").splitlines()]


async def prepare(stage: Stage) -> None:
    """Fill a repository, hold one conversation there, and write the script of the next."""
    git(stage.folder, "init", "-q", "-b", "main")
    git(stage.folder, "add", "-A")
    git(stage.folder, "commit", "-qm", "start")
    stage.write_script(completions=["Each snapshot is a folder of its own."])
    session = stage.session()
    assert await session.start()
    await session.submit(LONG)
    await session.close()
    stage.script.with_suffix(".state").unlink()
    overwrite, install, test = recorded()
    stage.write_script(
        completions=[
            call("read", path="test_calc.py"),
            "The test expects the wrong sum.\n" + overwrite["completion"],
            "I write the test anew.\n" + overwrite["completion"],
            "The test expects **4** now:\n\n```python\nassert add(2, 2) == 4\n```",
            install["completion"],
            test["completion"],
            call("bash", command=CLEAN_UP),
            WRONG,
        ],
        lessons=[
            {"hang": "step"},
            *({"retry": each["retry"], "result": each["result"]} for each in (overwrite, install)),
            {
                "outcome": "in_context_only",
                "reason": "The retry did the same again; the correction stays in the conversation.",
                "retry": test["completion"],
                "result": {k: v for k, v in test["result"].items() if k != "reason"},
            },
        ],
        loaded={"kl_budget": 0.05, "model_name": "practice", "device": "cpu"},
    )


class Track(ScrollBarRender):
    """A scroll bar without its thumb: where that is depends on what was in view before."""

    @classmethod
    @override
    def render_bar(
        cls,
        size: int = 25,
        virtual_size: float = 0,
        window_size: float = 0,
        position: float = 0,
        **more: Any,
    ) -> Segments:
        return super().render_bar(size, 0, 0, 0, **more)


class Tour:
    """Goes from one screen to the next; each name that it yields is that of what is seen."""

    def __init__(self, at: Driver) -> None:
        self.at = at
        at.chat.query_one(Conversation).vertical_scrollbar.renderer = Track

    async def press(self, *keys: str) -> None:
        await self.at.pilot.press(*keys)

    async def screen(self, kind: type[Screen[Any]]) -> None:
        await self.at.until(lambda: isinstance(self.at.app.screen, kind), kind.__name__)

    async def back(self) -> None:
        await self.press("escape")
        await self.screen(ChatScreen)

    async def palette(self) -> None:
        await self.press("ctrl+p")
        await self.screen(CommandPalette)
        await self.at.until(lambda: "/clear" in self.at.text(), "the palette")

    async def take_colours(self) -> None:
        """Open anew what keeps the theme that it was opened in."""
        if isinstance(self.at.app.screen, CommandPalette):
            await self.back()
            await self.palette()

    async def open(self, command: str, kind: type[Screen[Any]]) -> None:
        await self.at.ask(command)
        await self.screen(kind)

    async def write_correction(self, text: str) -> None:
        await self.press("n")
        await self.at.box(CorrectionBox)
        self.at.chat.query_one(CorrectionBox).query_one(Composer).put(text)

    async def read_on(self) -> None:
        """Bring the end of a call into view; one that was not read is not approved at once."""
        panel = self.at.chat.query_one(DecisionDesk).panel
        while panel is not None and not panel.seen:
            await self.press("space")
            await self.at.proposal()

    async def stop(self) -> None:
        """Stop the agent at a call, and come to rest."""
        await self.press("escape")
        await self.at.until(lambda: self.at.chat.phase == "ready", "rest")

    async def everything(self) -> AsyncIterator[str]:
        """Every screen in turn."""
        for part in (self.a_call, self.its_boxes, self.lessons_learned, self.other_calls,
                     self.figures, self.lists, self.dialogues):  # fmt: skip
            async for name in part():
                yield name

    async def a_call(self) -> AsyncIterator[str]:
        at = self.at
        yield "start"
        await at.ask("fix the test")
        await at.proposal()
        yield "proposal"
        await self.press("f")
        await self.screen(CallScreen)
        yield "call"
        await self.back()
        await at.proposal()
        await self.press("a")
        await at.until(lambda: "without asking" in at.text(), "the pattern")
        yield "always"
        await self.press("escape")
        await at.ask("then run the tests")
        await at.until(lambda: "then run the tests" in at.text(), "the queue")
        yield "queue"
        await self.press("up", "ctrl+u", "tab")
        await at.pilot.pause()  # the prompt tells the call of its keys

    async def its_boxes(self) -> AsyncIterator[str]:
        at = self.at
        await at.proposal()
        await self.press("e")
        await at.box(ArgumentsEditor)
        yield "editor"
        await self.press("escape")
        await at.until(lambda: not at.chat.query(ArgumentsEditor), "the call")
        await at.proposal()
        await self.write_correction("use edit_lines")
        yield "correction"
        await self.press("enter")
        await at.until(lambda: at.chat.query_one(LessonStages).stage == "step", "a step")
        yield "learning"
        await self.press("escape")
        await at.until(lambda: at.chat.phase == "ready", "rest")
        yield "cancelled"

    async def lessons_learned(self) -> AsyncIterator[str]:
        at = self.at
        await at.ask("fix the test")
        await at.proposal()
        await self.write_correction(recorded()[0]["correction"])
        await self.press("enter")
        await at.until(lambda: at.chat.lessons == 1, "the lesson")
        await at.proposal()
        yield "lesson"
        await self.read_on()
        await self.press("y")
        await at.until(lambda: at.chat.phase == "ready", "rest")
        yield "rest"
        await at.ask("install the npm package zod")
        await at.proposal()
        await self.write_correction(recorded()[1]["correction"])
        await self.press("enter")
        await at.until(lambda: at.chat.lessons == 2, "the lesson")
        await at.proposal()
        yield "command"
        await self.stop()

    async def other_calls(self) -> AsyncIterator[str]:
        at = self.at
        await at.ask("run the tests")
        await at.proposal()
        await self.write_correction(recorded()[2]["correction"])
        await self.press("enter")
        await at.until(lambda: at.chat.session.lessons()[-1].standing == "in_context_only", "it")
        await at.proposal()
        yield "long-command"
        await self.stop()
        await at.ask("make the last line shorter")
        await at.proposal()
        yield "problem"
        await self.stop()
        await at.type("/le")
        await at.until(lambda: "/lessons" in at.text(), "the completions")
        yield "completions"
        await self.press("escape", "ctrl+u", "ctrl+r")
        await at.until(lambda: at.chat.query_one(HistorySearch).searching, "the history")
        yield "history"
        await self.press("escape")

    async def figures(self) -> AsyncIterator[str]:
        at = self.at
        await self.open("/metrics", MetricsScreen)
        await at.until(lambda: "Loss" in at.text(), "the charts")
        yield "charts"
        await self.press("comma")
        await at.until(lambda: "its step" in at.text(), "the crosshair")
        yield "crosshair"
        await self.press("f")
        await at.until(lambda: "objective" in at.text(), "the figures")
        yield "figures"
        await self.back()

    async def lists(self) -> AsyncIterator[str]:
        at = self.at
        await self.open("/lessons", LessonsScreen)
        await at.until(lambda: "use pnpm" in at.text(), "the list")
        yield "lessons"
        await self.press("down", "enter")
        await at.until(lambda: "standing" in at.text(), "the lesson")
        yield "lesson-detail"
        await self.press("pagedown")
        yield "lesson-detail-below"
        await self.press("escape")
        await at.until(lambda: not at.app.screen.has_class("-showing"), "the list")
        await self.press("down", "f")
        await self.screen(ConfirmScreen)
        yield "forget"
        await self.press("n")
        await self.screen(LessonsScreen)
        await self.back()
        await self.open("/rewind", RewindScreen)
        yield "rewind"
        await self.press("down", "down", "down", "enter")
        await self.screen(RestoreScreen)
        yield "restore"
        await self.back()
        await self.open("/sessions", SessionsScreen)
        await at.until(lambda: "open now" in at.text(), "the sessions")
        yield "sessions"
        await self.press("down", "r")
        yield "rename"
        await self.press("escape", "d")
        await self.screen(ConfirmScreen)
        yield "delete"
        await self.press("n")
        await self.screen(SessionsScreen)
        await self.back()

    async def dialogues(self) -> AsyncIterator[str]:
        at = self.at
        at.chat.settings = load_settings(
            ["engine=practice", "theme=dark", "data_dir=/home/you/.local/share/continualcode-tui"],
            environ={},
        )
        await self.open("/settings", SettingsScreen)
        await at.until(lambda: "engine" in at.text(), "the settings")
        yield "settings"
        await self.press("enter")
        await self.screen(ValueScreen)
        yield "setting"
        await self.press("escape")
        await self.screen(SettingsScreen)
        await self.back()
        await self.open("/welcome", WelcomeScreen)
        yield "welcome"
        await self.back()
        await self.press("f1")
        await self.screen(HelpScreen)
        yield "help"
        await self.back()
        await self.palette()
        yield "palette"
        await self.back()
        await at.ask(f"deploy with {TOKEN}")
        await self.screen(SecretScreen)
        await at.until(lambda: at.app.screen.query_one(SecretPanel).armed, "its keys")
        yield "secret"
