"""The command palette offers what could be typed after a slash."""

from __future__ import annotations

from continualcode_tui.app.screens.metrics import MetricsScreen
from textual.command import CommandPalette

from ..controllers.support import Stage
from .test_screen import running, stage

__all__ = ["stage"]


async def test_a_few_letters_find_a_command_and_a_theme(stage: Stage):
    async with running(stage) as at:
        await at.pilot.press("ctrl+p")
        await at.until(lambda: isinstance(at.app.screen, CommandPalette), "the palette")
        await at.until(lambda: "/lessons" in at.text(), "the commands")
        await at.type("metr")
        await at.until(lambda: "/metrics" in at.text(), "the command")
        await at.pilot.press("enter")
        await at.until(lambda: isinstance(at.app.screen, MetricsScreen), "/metrics")
        await at.pilot.press("escape")
        dark = at.app.theme
        await at.pilot.press("ctrl+p")
        await at.until(lambda: isinstance(at.app.screen, CommandPalette), "the palette")
        await at.type("theme light")
        await at.until(lambda: "continual-light" in at.text(), "the theme")
        await at.pilot.press("enter")
        await at.until(lambda: at.app.theme != dark, "another theme")


async def test_what_needs_words_goes_into_the_prompt(stage: Stage):
    async with running(stage) as at:
        await at.pilot.press("ctrl+p")
        await at.until(lambda: isinstance(at.app.screen, CommandPalette), "the palette")
        await at.type("save")
        await at.until(lambda: "/save" in at.text(), "the command")
        await at.pilot.press("escape")
        at.chat.write("/note ")
        await at.until(lambda: "/note" in at.text(), "the prompt")
