"""Textual's driver, made to listen for the terminal's answer about its background.

Textual would take that answer for keys. It may come at any time, over a slow line long after the
screen has opened, so it is taken out where the bytes are read; what is left goes to ``keyboard``.
"""

from __future__ import annotations

import io
import os
import selectors
import signal
import sys
from codecs import getincrementaldecoder
from contextlib import suppress
from typing import Any, TextIO, cast

from textual.app import App
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message

from .keyboard import Keyboard
from .terminal import Background


class BackgroundKnown(Message):
    """The terminal said what its background is."""

    def __init__(self, *, dark: bool) -> None:
        super().__init__()
        self.dark = dark


class LastingFile:
    """The terminal as a file; what is written to it once it is closed is dropped.

    Else the thread that writes would end, and everybody who waits for it would wait for ever.
    It has a buffer of its own: the standard streams have none where PYTHONUNBUFFERED is set, and
    then lose the rest of what they write when a signal comes between.
    """

    def __init__(self, file: TextIO) -> None:
        handle = io.FileIO(file.fileno(), "w", closefd=False)
        self._file = io.TextIOWrapper(
            io.BufferedWriter(handle), encoding=file.encoding, errors=file.errors
        )

    def write(self, text: str) -> int:
        """Write what can be written."""
        with suppress(OSError):
            self._file.write(text)
        return len(text)

    def flush(self) -> None:
        """Pass on what can be passed on."""
        with suppress(OSError):
            self._file.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def read_terminal(terminal: int) -> bytes:
    """Read what was typed; nothing means that the terminal was closed."""
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""


def listening_driver(background: Background) -> type[Driver]:
    """Make a driver that goes on where the first reading of the keyboard ended."""

    class ListeningDriver(LinuxDriver):
        def __init__(self, app: App[Any], **options: Any) -> None:
            super().__init__(app, **options)
            # Textual paints on standard error, which may be going to a file.
            if sys.__stderr__ is None or not sys.__stderr__.isatty():
                self._file = sys.__stdout__
            self._file = cast(TextIO, LastingFile(cast(TextIO, self._file)))

        def start_application_mode(self) -> None:
            super().start_application_mode()
            # The mode that the terminal gets back is the one before it was asked.
            if background.mode_before is not None:
                self.attrs_before = background.mode_before

        def _get_terminal_size(self) -> tuple[int, int]:
            # COLUMNS and LINES, which Textual prefers, do not follow a window that is resized.
            try:
                size = os.get_terminal_size(self.fileno)
            except OSError:
                return super()._get_terminal_size()
            return size if all(size) else super()._get_terminal_size()

        def run_input_thread(self) -> None:
            keyboard = Keyboard(debug=self._debug)
            decode = getincrementaldecoder("utf-8")(errors="replace").decode

            def press(data: bytes) -> None:
                for message in keyboard.feed(decode(data)):
                    self.process_message(message)

            # The one kind of selector that reads a terminal on every system.
            with selectors.SelectSelector() as selector:
                selector.register(self.fileno, selectors.EVENT_READ)
                press(background.take_typed())
                while not self.exit_event.is_set():
                    if selector.select(0.1):
                        data = read_terminal(self.fileno)
                        if not data:
                            self._app.call_later(self._app.exit, 128 + signal.SIGHUP)
                            return
                        known = background.dark
                        press(background.feed(data))
                        if background.dark is not None and background.dark != known:
                            self.process_message(BackgroundKnown(dark=background.dark))
                    else:
                        press(background.release())
                    for message in keyboard.tick():
                        self.process_message(message)

    return ListeningDriver
