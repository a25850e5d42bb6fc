"""How tokens are broken into lines: after newlines, and where a line is full."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from rich.cells import cell_len

from .cells import cut_points
from .heatmap_scale import INSTEAD, NEWLINE
from .sanitise import Shown, visible


class Piece(NamedTuple):
    """A part of a token on one line; ``wanted`` marks the teacher's token beside the student's."""

    token: int
    text: Shown
    start: int
    width: int
    wanted: bool = False

    @property
    def glyphs(self) -> Shown:
        """What is painted: the text, which is in its visible form."""
        return self.text


Line = list[Piece]


def token_text(text: str) -> Shown:
    """Give a token as it is shown; newlines stay visible and break the line."""
    if text.isascii() and text.isprintable():
        return Shown(text)
    marked = visible(text.replace("\t", "→"), keep="\n")
    return Shown(marked.replace("\n", f"{NEWLINE}\n"))


def wanted_text(text: str) -> Shown:
    """Give a teacher's token as it is shown after the student's; it never breaks the line."""
    return Shown(INSTEAD + (token_text(text).replace("\n", "") or "∅"))


def lay_out(
    texts: Iterable[Shown], width: int, wanted: Mapping[int, Shown] | None = None
) -> list[Line]:
    """Break tokens into lines of a width; ``wanted`` are texts that follow a token.

    They stand before its newline, so that they are read together.
    """
    layout = _Layout(width)
    for token, text in enumerate(texts):
        if not wanted or token not in wanted:
            layout.put(token, text)
            continue
        before, newline, after = text.partition("\n")
        layout.put(token, Shown(before))
        layout.put(token, wanted[token], wanted=True)
        layout.put(token, Shown(newline + after))
    return layout.lines


class _Layout:
    """The lines so far, and how full the last one is."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.lines: list[Line] = [[]]
        self.used = 0

    def put(self, token: int, text: Shown, *, wanted: bool = False) -> None:
        """Append a text, which may hold newlines."""
        for number, part in enumerate(text.split("\n") if "\n" in text else (text,)):
            if number:
                self._new_line()
            size = len(part) if part.isascii() else cell_len(part)
            if self.used and self.used + size > self.width:
                self._new_line()
            if size > self.width:
                self._cut(token, part, wanted)
            elif part:
                self.lines[-1].append(Piece(token, Shown(part), self.used, size, wanted))
                self.used += size

    def _cut(self, token: int, part: str, wanted: bool) -> None:
        """Append a text that is wider than a line."""
        starts = cut_points(part, self.width)
        for start, end in zip(starts, [*starts[1:], len(part)], strict=True):
            if self.used:
                self._new_line()
            cut = part[start:end]
            self.used = cell_len(cut)
            self.lines[-1].append(Piece(token, Shown(cut), 0, self.used, wanted))

    def _new_line(self) -> None:
        self.lines.append([])
        self.used = 0
