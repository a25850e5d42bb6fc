"""What the terminal says of its background, asked before the screen opens.

The question goes out before Textual is imported and the answer is read after it, so that it
costs no time. Whatever else was typed meanwhile is kept for the screen.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import contextmanager, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

QUESTION = b"\x1b]11;?\x1b\\"
ANSWER = re.compile(rb"\x1b\]11;rgba?:([0-9a-fA-F/]+)(?:\x07|\x1b\\)")
# The beginning of an answer whose rest has not come yet.
BEGUN = re.compile(rb"\x1b(?:\](?:1(?:1(?:;[0-9a-zA-Z:/]{0,40}\x1b?)?)?)?)?\Z")
# Terminals that print what they do not understand.
DEAF = ("", "dumb", "linux", "cons25", "emacs")


class Background:
    """Finds the answer among what comes from the keyboard; `dark` is None until then."""

    def __init__(self) -> None:
        self.dark: bool | None = None
        self.expected = False
        self.mode_before: list[Any] | None = None
        self._typed = b""
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Take the answer out of what was read, and return the keys."""
        data = self._held + data
        self._held = b""
        found = ANSWER.search(data)
        if found is None:
            begun = BEGUN.search(data)
            # A lone Esc is a key, and held back only while the answer may be under way.
            if begun is not None and (len(begun[0]) > 1 or self.expected):
                self._held = begun[0]
                data = data[: begun.start()]
            return data
        dark = is_dark(found[1].decode())
        self.dark = self.dark if dark is None else dark
        return data[: found.start()] + self.feed(data[found.end() :])

    def release(self) -> bytes:
        """Give back what looked like the beginning of an answer, and was none."""
        held, self._held = self._held, b""
        self.expected = self.expected and not held
        return held

    def read_waiting(self) -> None:
        """Take in what has come so far, without waiting for more."""
        import select

        if self.mode_before is not None and select.select([sys.stdin], [], [], 0)[0]:
            self._typed += self.feed(os.read(sys.stdin.fileno(), 4096))

    def take_typed(self) -> bytes:
        """Hand over, once, the keys that came before the screen was there."""
        typed, self._typed = self._typed, b""
        return typed


def is_dark(colour: str) -> bool | None:
    """Say whether `rrrr/gggg/bbbb` is dark; None when it is no colour."""
    parts = colour.split("/")[:3]
    if len(parts) < 3 or not all(parts):
        return None
    red, green, blue = (int(part, 16) / (16 ** len(part) - 1) for part in parts)
    return 0.299 * red + 0.587 * green + 0.114 * blue < 0.5


def hinted_dark(environ: Mapping[str, str]) -> bool:
    """Take the background from COLORFGBG, which some terminals set; dark when it is not there."""
    number = environ.get("COLORFGBG", "").rpartition(";")[2]
    return number not in ("7", "15")


@contextmanager
def asked_background(*, wanted: bool) -> Iterator[Background]:
    """Ask the terminal for its background; the answer is neither echoed nor lost."""
    background = Background()
    if not wanted or os.environ.get("TERM", "") in DEAF or not sys.stdin.isatty():
        yield background
        return
    import termios

    keyboard = sys.stdin.fileno()
    try:
        before = termios.tcgetattr(keyboard)
        quiet = termios.tcgetattr(keyboard)
        quiet[0] &= ~termios.ICRNL
        quiet[3] &= ~(termios.ECHO | termios.ICANON)
        termios.tcsetattr(keyboard, termios.TCSANOW, quiet)
    except termios.error:
        yield background
        return
    background.mode_before = before
    try:
        background.expected = True
        os.write(sys.stdout.fileno(), QUESTION)
        yield background
    finally:
        # The terminal may be gone by now. An answer that is still to come is not for the shell.
        with suppress(termios.error):
            termios.tcsetattr(keyboard, termios.TCSANOW, before)
            termios.tcflush(keyboard, termios.TCIFLUSH)
