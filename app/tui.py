"""The Textual App: it opens the chat screen, binds keys and ends cleanly; nothing else."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Event, Key, Paste
from textual.widgets import Static
from typing_extensions import override

from ..themes.names import AUTO
from ..themes.palettes import ThemedApp
from ..widgets.sanitise import content, visible
from .cli import USAGE, complain
from .early import SettingsError
from .lull import Lull, collect_in_lulls
from .opening import NEW, Opening
from .terminal import Background, hinted_dark

if TYPE_CHECKING:
    from textual.command import Provider
    from textual.dom import DOMNode
    from textual.driver import Driver

    from ..widgets.composer import EditorRequested
    from .driver import BackgroundKnown
    from .settings import Settings

QUIT_WINDOW = 2.0
"""Seconds within which a second ctrl+c leaves the program."""


def _commands() -> type[Provider]:
    """What the command palette offers, imported when it is opened."""
    from .palette import CommandProvider

    return CommandProvider


class ContinualCode(ThemedApp):
    """The program's screen."""

    TITLE = "continualcode-tui"
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {_commands}
    CSS = "#splash { width: 100%; height: 100%; content-align: center middle; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "ctrl+c",
            "interrupt_or_quit",
            "Copy the selection; twice: leave",
            show=False,
            priority=True,
            id="quit",
        ),
        Binding("f1", "help", "This page", show=False, id="help"),
    ]

    def __init__(
        self,
        settings: Settings | Callable[[], Settings],
        folder: Path,
        *,
        theme: str = AUTO,
        terminal_dark: bool = True,
        driver: type[Driver] | None = None,
        opening: Opening = NEW,
    ) -> None:
        """Settings that are yet to be read are read after the first paint."""
        super().__init__(theme=theme, terminal_dark=terminal_dark, driver=driver)
        self.opening = opening
        self.folder = folder
        self.complaint = ""
        self.crash: BaseException | None = None
        self._settings = settings
        self._asked_to_quit = 0.0
        self._keymap_in_use: dict[str, str] = {}
        self._clashes: set[str] = set()
        self._typed_early: str | None = ""
        self._lull = Lull(self)

    def compose(self) -> ComposeResult:
        """Paint one line at once; everything else is imported after it."""
        line = f"continualcode-tui · {self.folder.name} · starting"
        yield Static(content(line), id="splash")

    def on_mount(self) -> None:
        """Wait for the first paint before anything heavy is imported."""
        self._leave_cleanly_on_signals()
        self.call_after_refresh(self._open_chat)

    async def _open_chat(self) -> None:
        try:
            settings = await asyncio.to_thread(self._prepare)
        except SettingsError as error:
            self.complaint = str(error)
            self.exit(USAGE)
            return
        from .screens.chat import ChatScreen

        self.use_theme(settings.theme)
        chat = ChatScreen(settings, self.folder, self._lull, self.opening)
        await self.push_screen(chat)
        typed, self._typed_early = self._typed_early, None
        chat.take_typed(typed or "")
        if not gc.isenabled():
            # What was imported stays; the collector need not look at it again and again.
            gc.freeze()
            gc.enable()
            collect_in_lulls(self._lull, self.set_interval)

    def _prepare(self) -> Settings:
        """Read the settings and import the chat, while the screen stays answerable."""
        settings = self._settings() if callable(self._settings) else self._settings
        import_module(".screens.chat", __package__)
        return settings

    @override
    async def on_event(self, event: Event) -> None:
        """Note every key, whoever takes it."""
        if isinstance(event, Key | Paste):
            self._lull.note_key()
        await super().on_event(event)

    def on_key(self, event: Key) -> None:
        """Keep what is typed before there is a prompt."""
        if self._typed_early is not None and event.is_printable:
            self._typed_early += event.character or ""

    def on_paste(self, event: Paste) -> None:
        """Keep what is pasted before there is a prompt."""
        if self._typed_early is not None:
            self._typed_early += event.text

    def on_background_known(self, message: BackgroundKnown) -> None:
        """The terminal's answer came when the screen was open already."""
        self.set_terminal_dark(message.dark)

    def _leave_cleanly_on_signals(self) -> None:
        """Restore the terminal when the program is told to end from outside."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
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

    def on_editor_requested(self, message: EditorRequested) -> None:
        """Give the terminal to the user's editor, and the text back to where it came from."""
        message.stop()
        self.run_worker(
            self._edit_outside(message), group="editor", exclusive=True, exit_on_error=True,
            description="write in the user's editor",
        )  # fmt: skip

    async def _edit_outside(self, message: EditorRequested) -> None:
        from .external_editor import EditorFailed, edit

        try:
            text = await edit(self, message.text, message.suffix, os.environ)
        except EditorFailed as failure:
            self.notify(visible(str(failure)), severity="warning", markup=False)
            return
        if message.area.is_attached:
            message.area.put(text)

    @override
    def get_key_display(self, binding: Binding) -> str:
        """Write a key in a footer as it is written everywhere else."""
        from .keys import shown

        return binding.key_display or shown(binding.key)

    def action_help(self) -> None:
        """Show the keys and commands."""
        from .screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self._keymap_in_use))

    @override
    def _fatal_error(self) -> None:
        """End the program; what went wrong is written down without the values of variables.

        Textual would print them all, and with them whatever the conversation holds.
        """
        self.crash = sys.exception() or self._exception
        self._close_messages_no_wait()

    def use_keymap(self, keymap: dict[str, str]) -> None:
        """Take the user's keys for the bindings with these ids."""
        self._keymap_in_use = keymap
        self.set_keymap(keymap)

    @override
    def handle_bindings_clash(self, clashed_bindings: set[Binding], node: DOMNode) -> None:
        """Say once that a key of the keymap takes another one's place."""
        names = ", ".join(sorted(binding.id or binding.action for binding in clashed_bindings))
        if names not in self._clashes:
            self._clashes.add(names)
            words = f"keymap: {visible(names)} has lost its key to another."
            self.notify(words, markup=False)

    async def action_leave(self) -> None:
        """Close the session, then the program."""
        from .screens.chat import ChatScreen

        for screen in self.screen_stack:
            if isinstance(screen, ChatScreen):
                screen.set_phase("leaving")
                await screen.session.close()
        self.exit(0)


def run(arguments: Sequence[str], theme: str, background: Background, opening: Opening) -> int:
    """Run the program in the present folder and return its exit status."""
    background.read_waiting()
    dark = hinted_dark(os.environ) if background.dark is None else background.dark
    app = ContinualCode(
        partial(_load, arguments),
        Path.cwd(),
        theme=theme,
        terminal_dark=dark,
        driver=_driver(background),
        opening=opening,
    )
    status = app.run()
    if app.crash is not None:
        raise app.crash
    if app.complaint:
        complain(app.complaint)
    # A fault in the program gives no status of its own, but a code.
    return status if isinstance(status, int) else app.return_code or 0


def _load(arguments: Sequence[str]) -> Settings:
    from .settings import load_settings

    return load_settings(arguments)


def _driver(background: Background) -> type[Driver] | None:
    """Listen for the terminal's answer, unless another driver is wanted."""
    if os.environ.get("TEXTUAL_DRIVER"):
        return None
    from .driver import listening_driver

    return listening_driver(background)
