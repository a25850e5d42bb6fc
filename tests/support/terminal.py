"""A program on a real pseudo-terminal, its screen kept by pyte."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import pexpect
import pyte

KEYS = {
    "enter": "\r", "escape": "\x1b", "tab": "\t", "backspace": "\x7f",
    "up": "\x1b[A", "down": "\x1b[B", "home": "\x1b[H", "end": "\x1b[F",
    "pageup": "\x1b[5~", "pagedown": "\x1b[6~", "ctrl+end": "\x1b[1;5F", "f1": "\x1bOP",
}  # fmt: skip


def _take_signals() -> None:
    """Take the signals of a terminal, also where the tests run in the background without them."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Terminal:
    """Run a program on a pty, type at it and read its screen."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        columns: int = 100,
        rows: int = 32,
    ) -> None:
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        environment.update(env or {})
        self.raw = bytearray()
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.process = pexpect.spawn(
            command[0],
            list(command[1:]),
            cwd=str(cwd),
            env=environment,  # pyright: ignore[reportArgumentType]
            dimensions=(rows, columns),
            timeout=5,
            preexec_fn=_take_signals,
        )
        self.process.delaybeforesend = None

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.close(force=True)

    def read(self, seconds: float = 0.05) -> None:
        """Take in what the program wrote within ``seconds``."""
        try:
            data = self.process.read_nonblocking(65536, timeout=seconds)
        except (pexpect.TIMEOUT, pexpect.EOF):
            return
        self.raw += data
        self._stream.feed(data)

    @property
    def text(self) -> str:
        """The screen as text, one line a row."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    def wait(
        self, condition: str | Callable[[str], bool], seconds: float = 30, what: str = ""
    ) -> str:
        """Read until the screen holds a text or meets a condition; return the screen."""
        test = (lambda text: condition in text) if isinstance(condition, str) else condition
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.read()
            if test(self.text):
                return self.text
        wanted = what or repr(condition)
        raise AssertionError(f"not seen in {seconds} s: {wanted}\n{self.text}")

    def type(self, text: str, *, pause: float = 0.01) -> None:
        """Type a text, key by key."""
        for key in text:
            self.process.send(key)
            time.sleep(pause)

    def press(self, key: str) -> None:
        """Press one key: a character, or the name of another key."""
        if key.startswith("ctrl+") and len(key) == 6:
            self.process.send(chr(ord(key[-1]) & 0x1F))
        else:
            self.process.send(KEYS.get(key, key))

    def paste(self, text: str) -> None:
        """Paste a text as a terminal does, whatever is in it."""
        self.process.send(f"\x1b[200~{text}\x1b[201~")

    def resize(self, columns: int, rows: int) -> None:
        """Give the program another screen."""
        self.screen.resize(rows, columns)
        self.process.setwinsize(rows, columns)

    def settle(self, seconds: float = 0.4) -> str:
        """Read until nothing new came for a moment; return the screen."""
        before = -1
        while before != len(self.raw):
            before = len(self.raw)
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                self.read(0.05)
        return self.text
