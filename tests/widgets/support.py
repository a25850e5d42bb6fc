"""Tiny apps for the tests of widgets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from continualcode_tui.themes.palettes import DARK, ThemedApp
from textual.app import ComposeResult
from textual.message import Message
from textual.pilot import Pilot
from textual.widget import Widget

HOSTILE = "[/] [red]x[/red] [b +\x1b[2J\x9b31m\x00\u202eabc\u200b\udcff ⟨ESC⟩ [@click=app.quit]y[/]"


class Stage(ThemedApp):
    """An app that holds the widgets it is given and keeps the messages they post."""

    def __init__(self, *widgets: Widget, focus: type[Widget] | None = None, theme: str = DARK):
        super().__init__(theme=theme)
        self._widgets = widgets
        self._focus_first = focus
        self.posted: list[Message] = []

    def compose(self) -> ComposeResult:
        yield from self._widgets

    def on_mount(self) -> None:
        if self._focus_first is not None:
            self.query(self._focus_first).first().focus()

    async def _on_message(self, message: Message) -> None:
        own = type(message).__module__.startswith("continualcode_tui")
        if own and not any(message is each for each in self.posted):
            self.posted.append(message)
        await super()._on_message(message)

    def of(self, kind: type[Message]) -> list[Message]:
        return [message for message in self.posted if isinstance(message, kind)]


def screen_text(app: ThemedApp) -> str:
    """Give the text of the screen as it goes to the terminal."""
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips)


async def settled(pilot: Pilot[object], rounds: int = 2) -> None:
    """Wait until what is shown has stayed the same for some rounds of the message loops."""
    before, same = "", 0
    while same < rounds:
        await pilot.pause()
        after = screen_text(cast(ThemedApp, pilot.app))
        before, same = after, same + 1 if after == before else 0
        await asyncio.sleep(0.01)


async def until(condition: Callable[[], object], pilot: Pilot[object], seconds: float = 10) -> None:
    """Wait until something is so."""
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        await asyncio.sleep(0.01)
        await pilot.pause()
    raise AssertionError("it did not happen")
