"""A unified diff in one widget: rows come from ``diff_rows``, only visible lines are painted."""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import accumulate
from typing import ClassVar

from rich.segment import Segment
from textual import work
from textual.content import Content, Span
from textual.geometry import Size
from textual.highlight import highlight
from textual.selection import Selection
from textual.strip import Strip
from textual.style import Style
from textual.widget import Widget
from typing_extensions import override

from ..themes.syntax import SyntaxTheme
from .cells import cut_points
from .diff_rows import Diff, Row, make_diff, split_lines
from .painting import TextRow, component_style, paint, selectable, selected_text, wrapped
from .sanitise import HARMLESS, mark_of, visible

Colours = tuple[list[Content], list[Content]]

SIGNS = {"added": "+", "removed": "-", "context": " ", "fold": " "}
TAB = 4
# Pygments reads about 200 kB a second: beyond the first figure it does so in a thread, and
# beyond the second it is spared the work.
LONGEST_AT_ONCE = 20_000
LONGEST_HIGHLIGHTED = 300_000
ENDING_MARKS = {"\r\n": "⟨CR⟩⟨LF⟩", "\n": "⟨LF⟩", "\r": "⟨CR⟩"}


class DiffView(Widget):
    """What a call would do to one file.

    ``before`` and ``after`` are whole texts, None where the file does not exist. Long lines
    wrap, so that everything that would be written can be seen; put it into a VerticalScroll.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "diff--added",
        "diff--added-changed",
        "diff--added-sign",
        "diff--context",
        "diff--fold",
        "diff--number",
        "diff--removed",
        "diff--removed-changed",
        "diff--removed-sign",
        "diff--summary",
    }

    DEFAULT_CSS = """
    DiffView {
        width: 1fr;
        height: auto;
        & > .diff--context { color: $foreground; }
        & > .diff--added { background: $diff-added-background; color: $foreground; }
        & > .diff--removed { background: $diff-removed-background; color: $foreground; }
        & > .diff--added-changed { background: $diff-added-strong; text-style: bold; }
        & > .diff--removed-changed { background: $diff-removed-strong; text-style: bold; }
        & > .diff--added-sign { color: $diff-added-sign; text-style: bold; }
        & > .diff--removed-sign { color: $diff-removed-sign; text-style: bold; }
        & > .diff--number { color: $quiet; }
        & > .diff--fold { color: $quiet; text-style: italic; }
        & > .diff--summary { color: $quiet; }
    }
    """

    def __init__(
        self,
        before: str | None,
        after: str | None,
        path: str = "",
        *,
        context: int = 3,
        show_summary: bool = True,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._around = context
        self._show_summary = show_summary
        self._layout_width = -1
        self._starts: list[int] = []
        self._heights = 0
        self._strips: dict[int, list[Strip]] = {}
        self._set(before, after, path)

    @property
    def diff(self) -> Diff:
        """The rows that are shown."""
        return self._diff

    @property
    def summary(self) -> str:
        """What changes, in a few words; a change without effect is said too."""
        return self._diff.summary

    def show(self, before: str | None, after: str | None, path: str | None = None) -> None:
        """Show another diff, keeping the path unless one is given."""
        self._set(before, after, self._path if path is None else path)
        self._layout_width = -1
        self.refresh(layout=True)

    def notify_style_update(self) -> None:
        """Forget painted lines when the theme changes."""
        super().notify_style_update()
        self._strips.clear()

    @override
    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Give the number of lines at a width."""
        self._lay_out(width)
        return max(1, self._heights)

    def render_line(self, y: int) -> Strip:
        """Paint one line, from the cache where it has been painted before."""
        return selectable(self, self._line(y), y)

    @override
    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Give the selected text without line numbers and signs."""
        rows = [TextRow(self._diff.summary)] if self._show_summary else []
        room = max(1, self._layout_width - self._gutter)
        for row in self._rows:
            if row.kind == "fold":
                rows.append(TextRow(_folded(row), self._digits - 1))
            else:
                text = self._shown(row)
                rows += wrapped(text, cut_points(text, room), self._gutter)
        return selected_text(rows, selection)

    def _line(self, y: int) -> Strip:
        width = self.size.width
        self._lay_out(width)
        if y >= self._heights:
            return Strip.blank(width, self.rich_style)
        if self._show_summary:
            if y == 0:
                return self._summary_line(width)
            y -= 1
        index = bisect_right(self._starts, y) - 1
        if index not in self._strips:
            self._strips[index] = self._paint(self._rows[index], width)
        return self._strips[index][y - self._starts[index]]

    def _set(self, before: str | None, after: str | None, path: str) -> None:
        self._path = path
        self._before, self._after = before, after
        self._diff = make_diff(before, after, self._around)
        self._rows = self._diff.rows
        numbers = [number for row in self._rows for number in (row.old, row.new) if number]
        self._digits = len(str(max(numbers, default=1)))
        self._gutter = 2 * self._digits + 4
        self._mark_endings = any(row.ending_changed for row in self._rows)
        self._colours: Colours | None = None

    def _lay_out(self, width: int) -> None:
        if width == self._layout_width:
            return
        self._layout_width = width
        self._strips.clear()
        room = max(1, width - self._gutter)
        heights = [len(cut_points(self._shown(row), room)) for row in self._rows]
        self._starts = [0, *accumulate(heights)]
        self._heights = self._starts.pop() + self._show_summary

    def _shown(self, row: Row) -> str:
        return _display(row)[0] + self._ending(row)

    def _ending(self, row: Row) -> str:
        if row.kind == "fold":
            return ""
        if row.ending == "":
            return " ⟵ no newline at the end"
        return ENDING_MARKS[row.ending] if row.ending_changed and self._mark_endings else ""

    def _style(self, *names: str) -> Style:
        style = self.visual_style
        for name in names:
            style += component_style(self, f"diff--{name}")
        return style

    def _summary_line(self, width: int) -> Strip:
        text = Content(visible(self._diff.summary)).truncate(width, ellipsis=True)
        return paint(self, text, self._style("summary"), width)

    def _paint(self, row: Row, width: int) -> list[Strip]:
        if row.kind == "fold":
            text = Content(" " * (self._digits - 1) + _folded(row)).truncate(width, ellipsis=True)
            return [paint(self, text, self._style("fold"), width)]
        base = self._style(row.kind)
        body = self._coloured(row)
        starts = cut_points(body.plain, max(1, width - self._gutter))
        pieces = body.divide(starts[1:]) if len(starts) > 1 else [body]
        digits = self._digits
        numbers = f"{row.old or '':>{digits}} {row.new or '':>{digits}} "
        number_style = self._style(row.kind, "number")
        sign_style = base if row.kind == "context" else self._style(row.kind, f"{row.kind}-sign")
        strips: list[Strip] = []
        for i, piece in enumerate(pieces):
            gutter = [
                Segment(numbers if i == 0 else " " * len(numbers), number_style.rich_style),
                Segment(f"{SIGNS[row.kind] if i == 0 else ' '} ", sign_style.rich_style),
            ]
            strips.append(paint(self, piece, base, width, gutter))
        return strips

    def _coloured(self, row: Row) -> Content:
        """Give a row's text with syntax colours and its changed characters marked."""
        text, offsets = _display(row)
        old, new = self._highlighted()
        lines, number = (old, row.old) if row.kind == "removed" else (new, row.new)
        spans: list[Span] = []
        if number is not None and number <= len(lines):
            spans = [span for span in lines[number - 1].spans if span.style != "$text"]
        shown = Content(text, spans=spans)
        mark = Style.null()
        if row.kind in ("added", "removed"):
            mark = component_style(self, f"diff--{row.kind}-changed")
        for start, end in row.changed:
            if offsets is None:
                shown = shown.stylize(mark, start, end)
            else:
                shown = shown.stylize(mark, offsets[start], offsets[end])
        ending = self._ending(row)
        if ending:
            style = mark if row.ending_changed else component_style(self, "diff--fold")
            shown = shown.append_text(ending, style)
        return shown

    def _highlighted(self) -> Colours:
        """Give the coloured lines of both sides; those of long files come a little later."""
        if self._colours is None:
            before, after = self._before or "", self._after or ""
            if len(before) + len(after) <= LONGEST_AT_ONCE:
                self._colours = (_highlight(before, self._path), _highlight(after, self._path))
            else:
                self._colours = ([], [])
                self._highlight_in_thread(before, after, self._path)
        return self._colours

    @work(thread=True, group="highlight", exit_on_error=False, description="colour a diff")
    def _highlight_in_thread(self, before: str, after: str, path: str) -> None:
        colours = (_highlight(before, path), _highlight(after, path))
        self.app.call_from_thread(self._take_colours, before, after, colours)

    def _take_colours(self, before: str, after: str, colours: Colours) -> None:
        if (before, after) == (self._before or "", self._after or ""):
            self._colours = colours
            self._strips.clear()
            self.refresh()


def _highlight(text: str, path: str) -> list[Content]:
    """Give the lines of a text as they are shown, with syntax colours."""
    if not text or len(text) > LONGEST_HIGHLIGHTED:
        return []
    shown = "\n".join(_expand(line.text, False)[0] for line in split_lines(text))
    return highlight(shown, path=path or None, theme=SyntaxTheme).split("\n", allow_blank=True)


def _folded(row: Row) -> str:
    return f"⋯ {row.hidden} unchanged lines"


def _display(row: Row) -> tuple[str, list[int] | None]:
    return _expand(row.text, row.kind in ("added", "removed"))


TRAILING = re.compile(r" +\Z")


def _expand(text: str, mark_spaces: bool) -> tuple[str, list[int] | None]:
    """Give a line as it is shown and, where that moved characters, each one's new offset.

    Tabs are spaces up to the next tab stop. On changed rows tabs are arrows and spaces at the
    end are dots, so that a change of white space can be seen; lengths stay the same.
    """
    if HARMLESS.fullmatch(text):
        if mark_spaces and text.endswith(" "):
            text = TRAILING.sub(lambda spaces: "·" * len(spaces.group()), text)
        return text, None
    shown: list[str] = []
    offsets = [0]
    for character in text:
        if character == "\t":
            size = TAB - offsets[-1] % TAB
            mark = "→" + " " * (size - 1) if mark_spaces else " " * size
        else:
            mark = mark_of(character)
        shown.append(mark)
        offsets.append(offsets[-1] + len(mark))
    return "".join(shown), offsets
