"""Rows of a name and its words, which wrap beside the name and not below it."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.geometry import Size
from textual.reactive import reactive
from textual.widget import Widget
from typing_extensions import override

from .sanitise import content, visible

Rows = tuple[tuple[str, str], ...]
GAP = 2
NARROWEST = 10


class FactList(Widget):
    """Names in a quiet column, their words beside them."""

    DEFAULT_CSS = """
    FactList { height: auto; }
    """

    rows: reactive[Rows] = reactive((), layout=True)

    def show(self, rows: Sequence[tuple[str, str]]) -> None:
        """Show other rows."""
        self.rows = tuple(rows)

    @override
    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Give the number of lines at a width."""
        return len(self._lines(width))

    def render(self) -> Content:
        """Give the rows as wide as there is room."""
        return Content("\n").join(self._lines(self.size.width))

    def _lines(self, width: int) -> list[Content]:
        column = max((len(name) for name, _ in self.rows), default=0) + GAP
        lines: list[Content] = []
        for name, text in self.rows:
            words = content(text.strip()).wrap(max(NARROWEST, width - column))
            for number, line in enumerate(words):
                head = visible(name, keep="") if number == 0 else ""
                lines.append(Content.assemble((f"{head:<{column}}", "$quiet"), line))
        return lines
