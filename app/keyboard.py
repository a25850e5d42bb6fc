"""What a terminal sends, as Textual's messages; nothing that it sends can end the program.

Textual's parser raises on some sequences, the release of a key among them, takes every size that
it is told for true, takes an escape sequence inside a paste for keys, and reads a paste
character by character.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Generator, Iterable, Iterator

from textual._xterm_parser import XTermParser
from textual.events import Paste, Resize
from textual.message import Message

LARGEST = 4_000
"""The columns and rows beyond which a size is no terminal's."""
MOST_PASTED = 4_000_000
"""The characters of a paste that are kept; no box takes as many."""
PASTE_BEGINS, PASTE_ENDS = "\x1b[200~", "\x1b[201~"

# Each escape sequence is a piece of its own, so that a bad one takes nothing else with it.
_PIECES = re.compile(r"\x1b?[^\x1b]+|\x1b")

_log = logging.getLogger(__name__)


class Keyboard:
    """Reads text as it comes, in pieces of any length."""

    def __init__(self, *, debug: bool = False) -> None:
        self._debug = debug
        self._parser = XTermParser(debug)
        self._tail = ""
        self._held = ""
        self._pasted: list[str] | None = None
        self._room = MOST_PASTED

    def feed(self, text: str) -> Iterator[Message]:
        """Take what was read and give what it means so far."""
        while text:
            if self._pasted is None:
                text = yield from self._to_paste(text)
            else:
                text = yield from self._through_paste(text)

    def tick(self) -> Iterator[Message]:
        """Give what waited for more that did not come."""
        yield from self._safely(self._parser.tick)

    def _to_paste(self, text: str) -> Generator[Message, None, str]:
        """Read keys up to where a paste begins, and return what is in it."""
        known = len(self._tail)
        before, start, rest = (self._tail + text).partition(PASTE_BEGINS)
        for piece in _PIECES.findall(before[known:]):
            yield from self._safely(lambda piece=piece: self._parser.feed(piece))
        self._tail = "" if start else before[1 - len(PASTE_BEGINS) :]
        if start:
            if len(before) >= known:
                # An escape ends whatever sequence has begun.
                yield from self._safely(lambda: self._parser.feed("\x1b"))
            self._renew()
            self._pasted, self._room = [], MOST_PASTED
        return rest

    def _through_paste(self, text: str) -> Generator[Message, None, str]:
        """Keep what is pasted; return what comes behind it."""
        assert self._pasted is not None
        pasted, end, rest = (self._held + text).partition(PASTE_ENDS)
        size = 0 if end else _begun(pasted, PASTE_ENDS)
        pasted, self._held = pasted[: len(pasted) - size], pasted[len(pasted) - size :]
        self._pasted.append(pasted[: self._room])
        self._room -= min(len(pasted), self._room)
        if end:
            whole, self._pasted = "".join(self._pasted).replace("\x00", ""), None
            if whole:
                yield Paste(whole)
        return rest

    def _safely(self, read: Callable[[], Iterable[Message]]) -> list[Message]:
        found: list[Message] = []
        try:
            for message in read():
                if not isinstance(message, Resize) or _is_size(message):
                    found.append(message)
        except Exception as error:
            _log.warning("a sequence of the terminal was not understood: %r", error)
            self._renew()
        return found

    def _renew(self) -> None:
        """Go on with a parser that waits for nothing and knows what this one knew."""
        before, self._parser = self._parser, XTermParser(self._debug)
        for name in ("last_x", "last_y", "mouse_pixels", "terminal_size", "terminal_pixel_size"):
            setattr(self._parser, name, getattr(before, name))


def _begun(text: str, mark: str) -> int:
    """Say how many characters at the end of a text may be the beginning of a mark."""
    sizes = range(len(mark) - 1, 0, -1)
    return next((size for size in sizes if text.endswith(mark[:size])), 0)


def _is_size(message: Resize) -> bool:
    return all(0 < each <= LARGEST for each in message.size)
