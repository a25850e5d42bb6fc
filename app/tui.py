"""The Textual App: it opens the chat screen, binds keys and ends cleanly; nothing else."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from ..themes.palettes import DARK, THEMES, ThemedApp
from .cli import USAGE
from .opening import NEW, Opening

if TYPE_CHECKING:
    from .settings import Settings

QUIT_WINDOW = 2.0
"""Seconds within which a second ctrl+c leaves the program."""


class ContinualCode(ThemedApp):
    """The program's screen."""

    TITLE = "continualcode-tui"
    ENABLE_COMMAND_PALETTE = False
    CSS = "#splash { width: 100%; height: 100%; content-align: center middle; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "interrupt_or_quit", "quit", show=False, priority=True, id="quit"),
        Binding("f1", "help", "help", show=False, id="help"),
    ]

    def __init__(self, settings: Settings, folder: Path, opening: Opening = NEW) -> None:
        super().__init__(theme=settings.theme or DARK)
        self.settings = settings
        self.opening = opening
        self.folder = folder
        self._asked_to_quit = 0.0

    def compose(self) -> ComposeResult:
        """Paint one line at once; everything else is imported after it."""
        line = f"continualcode-tui · {self.folder.name} · starting"
        yield Static(line, id="splash", markup=False)

    def on_mount(self) -> None:
        """Wait for the first paint before anything heavy is imported."""
        self._leave_cleanly_on_signals()
        self.call_after_refresh(self._open_chat)

    async def _open_chat(self) -> None:
        from .screens.chat import ChatScreen

        await self.push_screen(ChatScreen(self.settings, self.folder, self.opening))

    def _leave_cleanly_on_signals(self) -> None:
        """Restore the terminal when the program is told to end from outside."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.exit, 128 + number)

    async def action_interrupt_or_quit(self) -> None:
        """Copy the selection, else ask once more, else leave."""
        selection = self.screen.get_selected_text()
        if selection:
            self.copy_to_clipboard(selection)
            self.screen.clear_selection()
            return
        now = asyncio.get_running_loop().time()
        if now - self._asked_to_quit < QUIT_WINDOW:
            await self.action_leave()
            return
        self._asked_to_quit = now
        self.notify("Press ctrl+c again to leave.", timeout=QUIT_WINDOW, markup=False)

    def action_help(self) -> None:
        """Show the keys and commands."""
        from .screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen())

    async def action_leave(self) -> None:
        """Close the session, then the program."""
        from .screens.chat import ChatScreen

        for screen in self.screen_stack:
            if isinstance(screen, ChatScreen):
                screen.set_phase("leaving")
                await screen.session.close()
        self.exit(0)


def run(settings: Settings, opening: Opening = NEW) -> int:
    """Run the program in the present folder and return its exit status."""
    names = [theme.name for theme in THEMES]
    if settings.theme is not None and settings.theme not in names:
        sys.stderr.write(
            f"continualcode-tui: there is no theme {settings.theme!r}; use {' or '.join(names)}.\n"
        )
        return USAGE
    status = ContinualCode(settings, Path.cwd(), opening).run()
    return status if isinstance(status, int) else 0
