"""Rows of text in blocks that say less where there is less room, so that all of them are seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from textual.content import Content
from textual.geometry import Size
from textual.reactive import reactive
from textual.widget import Widget
from typing_extensions import override

from .sanitise import content, visible

GAP = 2
NARROWEST = 10


@dataclass(frozen=True, slots=True)
class Row:
    """A head, its words beside it, and a line below them that keeps to one line if it can.

    ``short`` is said in place of ``words`` where room is scarce; where it is empty the row is
    left out there. A row that can be ``spared`` is the first to go when even that is too much.
    """

    words: str
    short: str | None = None
    head: str = ""
    below: str = ""
    below_style: str = "$primary"
    style: str = ""
    head_style: str = "bold"
    spared: bool = False


Block = tuple[Row, ...]


class _Form(NamedTuple):
    """One of the ways to say the same: how briefly, and with free lines or without."""

    brief: bool
    apart: bool
    bare: bool

    def words(self, row: Row) -> str:
        """What the row says; empty where it is left out."""
        if row.spared and self.bare:
            return ""
        return row.short if self.brief and row.short is not None else row.words


FORMS = (
    _Form(False, True, False),
    _Form(True, True, False),
    _Form(True, False, False),
    _Form(True, False, True),
)


class FittedText(Widget):
    """Takes the fullest form that its container has the height for.

    First in full with a free line between the blocks, then in short, then without free lines,
    at last without what can be spared.
    """

    DEFAULT_CSS = """
    FittedText { height: auto; width: 100%; }
    """

    blocks: reactive[tuple[Block, ...]] = reactive((), layout=True)

    @override
    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Give the number of lines at a width, with the container's height as the room."""
        return len(self._fitting(width, container.height))

    def render(self) -> Content:
        """Give the form that the height was given for."""
        return Content("\n").join(self._fitting(*self.size))

    def _fitting(self, width: int, height: int) -> list[Content]:
        lines: list[Content] = []
        for form in FORMS:
            lines = list(self._lines(form, width))
            if len(lines) <= height:
                break
        return lines

    def _lines(self, form: _Form, width: int) -> Iterator[Content]:
        heads = [len(visible(row.head)) for block in self.blocks for row in block if row.head]
        column = max(heads, default=0) + GAP
        longest = max((len(row.below) for block in self.blocks for row in block), default=0)
        below = max(0, min(column, width - longest))
        first = True
        for block in self.blocks:
            rows = [(row, form.words(row)) for row in block if form.words(row)]
            if rows and form.apart and not first:
                yield Content("")
            for row, words in rows:
                first = False
                yield from _beside(row, words, width, column)
                yield from _below(row, width, below)


def _beside(row: Row, words: str, width: int, column: int) -> Iterator[Content]:
    indent = column if row.head else 0
    head = f"{visible(row.head):<{indent}}"
    for line in content(words, row.style).wrap(max(NARROWEST, width - indent)):
        yield Content.assemble((head, row.head_style), line)
        head = " " * indent


def _below(row: Row, width: int, indent: int) -> Iterator[Content]:
    if row.below:
        for line in content(row.below, row.below_style).wrap(max(NARROWEST, width - indent)):
            yield Content.assemble(" " * indent, line)
