"""A diff in one widget, unified or in two columns; only visible lines are painted."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import ClassVar, Literal

from textual import events, work
from textual.content import Content
from textual.geometry import Size
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget
from typing_extensions import override

from .diff_painting import SIGN_WIDTH, Colours, RowPainter, highlight_lines
from .diff_rows import Diff, folded, make_diff
from .painting import TextRow, selectable, selected_text
from .sanitise import visible
from .split_diff import Pair, paint_split, paired, split_height

DiffMode = Literal["automatic", "unified", "split"]

# The width of a diff in a panel of 120 columns, less its border, padding and scrollbar.
SPLIT_FROM = 115
# Beyond this many characters Pygments reads in a thread.
LONGEST_AT_ONCE = 20_000


class DiffView(Widget):
    """What a call would do to one file.

    ``before`` and ``after`` are whole texts, None where the file does not exist. Long lines
    wrap, so that everything that would be written can be seen; put it into a VerticalScroll.
    ``mode`` is how it is laid out: automatic means split where there is room and there are two
    sides to compare.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "diff--absent",
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
        & > .diff--added-changed {
            background: $diff-added-strong; text-style: $diff-changed-style;
        }
        & > .diff--removed-changed {
            background: $diff-removed-strong; text-style: $diff-changed-style;
        }
        & > .diff--added-sign { color: $diff-added-sign; text-style: bold; }
        & > .diff--removed-sign { color: $diff-removed-sign; text-style: bold; }
        & > .diff--number { color: $quiet; }
        & > .diff--fold { color: $quiet; text-style: italic; }
        & > .diff--absent { background: $surface; }
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
        mode: DiffMode = "automatic",
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._around = context
        self._show_summary = show_summary
        self._mode: DiffMode = mode
        self._layout_width = -1
        self._blocks: list[Pair] = []
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

    @property
    def mode(self) -> DiffMode:
        """How the diff is laid out, as it was asked for."""
        return self._mode

    @property
    def split(self) -> bool:
        """Whether the diff is in two columns now."""
        return self._is_split(self.size.width)

    @property
    def folds(self) -> bool:
        """Whether unchanged lines are folded, or would be if they were not opened."""
        return any(row.kind == "fold" for row in self._diff.rows)

    def show(self, before: str | None, after: str | None, path: str | None = None) -> None:
        """Show another diff, keeping the path unless one is given."""
        self._set(before, after, self._path if path is None else path)
        self._lay_out_again()

    def first_change(self, line: int = 0) -> int:
        """On which line of the widget the first change lies, from a new line number on."""
        changes = [
            (start + self._show_summary, row.new or row.old or 0)
            for start, pair in zip(self._starts, self._blocks, strict=True)
            if (row := pair.right or pair.left) is not None and row.kind in ("added", "removed")
        ]
        later = [y for y, number in changes if number >= line]
        return next(iter(later or [y for y, _ in changes]), 0)

    def next_mode(self) -> DiffMode:
        """Go on to the layout that is not shown, then to the one that is, then to automatic."""
        plain: list[DiffMode] = ["unified", "split"]
        if self._automatically_split(self.size.width):
            plain.reverse()
        cycle: list[DiffMode] = ["automatic", plain[1], plain[0]]
        self._mode = cycle[(cycle.index(self._mode) + 1) % 3]
        self._lay_out_again()
        return self._mode

    def open_or_fold(self) -> None:
        """Open every fold, or fold again where all are open."""
        folds = {row.old for row in self._diff.rows if row.kind == "fold"}
        self._opened = set() if folds <= self._opened else folds
        self._lay_out_again()

    def notify_style_update(self) -> None:
        """Forget painted lines when the theme changes."""
        super().notify_style_update()
        self._strips.clear()

    @override
    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Give the number of lines at a width."""
        self._lay_out(width)
        return max(1, self._heights)

    def on_click(self, event: events.Click) -> None:
        """Open the fold that was clicked."""
        offset = event.get_content_offset(self)
        at = self._block_at(offset.y) if offset is not None else None
        row = self._blocks[at].left if at is not None else None
        if row is not None and row.kind == "fold":
            event.stop()
            self._opened.add(row.old)
            self._lay_out_again()

    def render_line(self, y: int) -> Strip:
        """Paint one line, from the cache where it has been painted before."""
        return selectable(self, self._line(y), y)

    @override
    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Give the selected text; where it lies in one column, without line numbers and signs."""
        width = self.size.width
        self._lay_out(width)
        rows = [TextRow(self._diff.summary)] if self._show_summary else []
        gutter = 2 * self._digits + 2 + SIGN_WIDTH
        for pair in self._blocks:
            if self._is_split(width) or pair.left is None or _is_fold(pair):
                rows += [TextRow(strip.text.rstrip()) for strip in self._paint(pair, width)]
            else:
                rows += self._painter.rows(pair.left, gutter, width - gutter)
        return selected_text(rows, selection)

    def _line(self, y: int) -> Strip:
        width = self.size.width
        self._lay_out(width)
        if self._show_summary and y == 0:
            return self._summary_line(width)
        index = self._block_at(y)
        if index is None:
            return Strip.blank(width, self.rich_style)
        if index not in self._strips:
            self._highlight()
            self._strips[index] = self._paint(self._blocks[index], width)
        return self._strips[index][y - self._show_summary - self._starts[index]]

    # --- laying out -------------------------------------------------------------------

    def _set(self, before: str | None, after: str | None, path: str) -> None:
        self._path = path
        self._before, self._after = before, after
        self._diff = make_diff(before, after, self._around)
        self._opened: set[int | None] = set()
        whole = self._diff.whole
        numbers = [number for row in whole for number in (row.old, row.new) if number]
        self._digits = len(str(max(numbers, default=1)))
        self._painter = RowPainter(self, mark_endings=any(row.ending_changed for row in whole))
        self._colours: Colours | None = None

    def _lay_out_again(self) -> None:
        self._layout_width = -1
        self.refresh(layout=True)

    def _is_split(self, width: int) -> bool:
        return self._mode == "split" or (
            self._mode == "automatic" and self._automatically_split(width)
        )

    def _automatically_split(self, width: int) -> bool:
        return width >= SPLIT_FROM and bool(self._before) and bool(self._after)

    def _lay_out(self, width: int) -> None:
        if width == self._layout_width:
            return
        self._layout_width = width
        self._strips.clear()
        rows = self._diff.rows
        if self._opened:
            rows = tuple(folded(self._diff.whole, self._around, self._opened))
        if self._is_split(width):
            self._blocks = list(paired(rows))
            heights = [
                1 if _is_fold(pair) else split_height(self._painter, pair, self._digits, width)
                for pair in self._blocks
            ]
        else:
            room = width - 2 * self._digits - 2 - SIGN_WIDTH
            self._blocks = [Pair(row, None) for row in rows]
            heights = [1 if row.kind == "fold" else self._painter.height(row, room) for row in rows]
        self._starts = [0, *accumulate(heights)]
        self._heights = self._starts.pop() + self._show_summary

    def _block_at(self, y: int) -> int | None:
        y -= self._show_summary
        if not self._starts or not 0 <= y < self._heights - self._show_summary:
            return None
        return bisect_right(self._starts, y) - 1

    # --- painting ---------------------------------------------------------------------

    def _summary_line(self, width: int) -> Strip:
        words = visible(self._diff.summary)
        if self._mode != "automatic":
            words = f"{words} · {self._mode}" if words else self._mode
        return self._painter.paint_words(Content(words), width, "summary")

    def _paint(self, pair: Pair, width: int) -> list[Strip]:
        row = pair.left
        if row is not None and row.kind == "fold":
            words = f"{' ' * (self._digits - 1)}⋯ {row.hidden} unchanged lines · x opens"
            return [self._painter.paint_words(Content(words), width, "fold")]
        if self._is_split(width) or row is None:
            return paint_split(self._painter, pair, self._digits, width)
        numbers = "".join(f"{number or '':>{self._digits}} " for number in (row.old, row.new))
        return self._painter.paint(row, numbers, width)

    def _highlight(self) -> None:
        """Colour the lines of both sides; those of long files come a little later."""
        if self._colours is not None:
            return
        before, after = self._before or "", self._after or ""
        self._colours = ([], [])
        if len(before) + len(after) <= LONGEST_AT_ONCE:
            self._colours = (
                highlight_lines(before, self._path),
                highlight_lines(after, self._path),
            )
        else:
            self._highlight_in_thread(before, after, self._path)
        self._painter.colours = self._colours

    @work(thread=True, group="highlight", exit_on_error=False, description="colour a diff")
    def _highlight_in_thread(self, before: str, after: str, path: str) -> None:
        colours = (highlight_lines(before, path), highlight_lines(after, path))
        self.app.call_from_thread(self._take_colours, before, after, colours)

    def _take_colours(self, before: str, after: str, colours: Colours) -> None:
        if (before, after) == (self._before or "", self._after or ""):
            self._colours = self._painter.colours = colours
            self._strips.clear()
            self.refresh()


def _is_fold(pair: Pair) -> bool:
    return pair.left is not None and pair.left.kind == "fold"
