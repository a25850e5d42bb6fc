"""A diff in one widget, unified or in two columns; only visible lines are painted."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, ClassVar, Literal

from textual import events, work
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget
from typing_extensions import override

from .diff_painting import SIGN_WIDTH, Colours, RowPainter, highlight_lines
from .diff_rows import Diff, Row, make_diff, unfolded
from .painting import TextRow, selectable, selected_text
from .sanitise import visible
from .split_diff import Pair, paint_split, paired, split_height

DiffMode = Literal["automatic", "unified", "split"]

# The width of a diff in a panel of 120 columns, less its border, padding and scrollbar.
SPLIT_FROM = 115
# Beyond this many characters comparing, measuring and colouring happen in a thread.
LONGEST_AT_ONCE = 20_000
# So many pairs of changed lines are compared at once at most.
MOST_AT_ONCE = 250_000
# Folds of more lines than this stay closed.
MOST_OPENED = 5_000
COMPARING = "comparing…"


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the rows of a diff lie at one width; ``starts`` are lines, ``height`` all of them."""

    blocks: Sequence[Pair] = ()
    starts: Sequence[int] = ()
    height: int = 0


class DiffView(Widget):
    """What a call would do to one file.

    ``before`` and ``after`` are whole texts, None where the file does not exist. Long lines
    wrap, so that everything that would be written can be seen; put it into a VerticalScroll.
    ``mode`` is how it is laid out: automatic means split where there is room and there are two
    sides to compare.
    """

    @dataclass
    class LaidOut(Message):
        """A long diff has found its height, and can now be read to its end."""

        view: DiffView

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
        self._layout = _Layout()
        self._laid_out: object = None
        self._asked_for: object = None
        self._strips: dict[int, list[Strip]] = {}
        self._set(before, after, path)

    @property
    def diff(self) -> Diff:
        """The rows that are shown; none while the texts are still compared."""
        return self._diff or Diff((), 0, 0, (COMPARING,))

    @property
    def ready(self) -> bool:
        """Whether all of the diff is laid out, so that it can be read to its end."""
        width, height = self.size
        laid_out = self._diff is not None and self._laid_out == self._wanted_layout(width)
        return laid_out and height >= max(1, self._layout.height + self._show_summary)

    @property
    def summary(self) -> str:
        """What changes, in a few words; a change without effect is said too."""
        return self.diff.summary

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
        return any(row.kind == "fold" for row in self.diff.rows)

    def show(self, before: str | None, after: str | None, path: str | None = None) -> None:
        """Show another diff, keeping the path unless one is given."""
        self._set(before, after, self._path if path is None else path)
        self._lay_out_again()

    def first_change(self, line: int = 0) -> int:
        """On which line of the widget the first change lies, from a new line number on."""
        changes = [
            (start + self._show_summary, row.new or row.old or 0)
            for start, pair in zip(self._layout.starts, self._layout.blocks, strict=True)
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
        folds = {row.old for row in self.diff.rows if _opens(row)}
        self._opened = frozenset() if folds <= self._opened else frozenset(folds)
        self._lay_out_again()

    def notify_style_update(self) -> None:
        """Forget painted lines when the theme changes."""
        super().notify_style_update()
        self._strips.clear()

    @override
    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Give the number of lines at a width."""
        self._lay_out(width)
        return max(1, self._layout.height + self._show_summary)

    def on_click(self, event: events.Click) -> None:
        """Open the fold that was clicked."""
        offset = event.get_content_offset(self)
        at = self._block_at(offset.y) if offset is not None else None
        row = self._layout.blocks[at].left if at is not None else None
        if row is not None and _opens(row):
            event.stop()
            self._opened |= {row.old}
            self._lay_out_again()

    def render_line(self, y: int) -> Strip:
        """Paint one line, from the cache where it has been painted before."""
        return selectable(self, self._line(y), y)

    @override
    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Give the selected text; where it lies in one column, without line numbers and signs."""
        width = self.size.width
        self._lay_out(width)
        rows = [TextRow(self.diff.summary)] if self._show_summary else []
        gutter = 2 * self._digits + 2 + SIGN_WIDTH
        for pair in self._layout.blocks:
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
            self._strips[index] = self._paint(self._layout.blocks[index], width)
        return self._strips[index][y - self._show_summary - self._layout.starts[index]]

    # --- laying out -------------------------------------------------------------------

    def on_mount(self) -> None:
        """Compare long texts now that there is somewhere to show them."""
        self._compare()

    def _set(self, before: str | None, after: str | None, path: str) -> None:
        self._path = path
        self._before, self._after = before, after
        self._opened: frozenset[int | None] = frozenset()
        self._colours: Colours | None = None
        self._long = _is_long(before or "", after or "")
        self._take(None if self._long else make_diff(before, after, self._around))
        if self.is_mounted:
            self._compare()

    def _take(self, diff: Diff | None) -> None:
        self._diff = diff
        self._digits = len(str(self.diff.last_number))
        self._painter = RowPainter(
            self,
            mark_endings=any(row.ending_changed for row in self.diff.rows),
            mixed_endings=self.diff.mixed_endings,
        )
        self._laid_out = None
        self._layout = _Layout()

    def _compare(self) -> None:
        if self._diff is None:
            self._compare_in_thread(self._before, self._after)

    @work(thread=True, group="compare", exit_on_error=False, description="compare two texts")
    def _compare_in_thread(self, before: str | None, after: str | None) -> None:
        diff = make_diff(before, after, self._around)
        self.app.call_from_thread(self._compared, before, after, diff)

    def _compared(self, before: str | None, after: str | None, diff: Diff) -> None:
        if (before, after) == (self._before, self._after) and self._diff is None:
            self._take(diff)
            self._lay_out_again()

    def _lay_out_again(self) -> None:
        self._laid_out = None
        self.refresh(layout=True)

    def _is_split(self, width: int) -> bool:
        return self._mode == "split" or (
            self._mode == "automatic" and self._automatically_split(width)
        )

    def _automatically_split(self, width: int) -> bool:
        return width >= SPLIT_FROM and bool(self._before) and bool(self._after)

    def _wanted_layout(self, width: int) -> object:
        return (self._diff, width, self._is_split(width), self._opened)

    def _lay_out(self, width: int) -> None:
        """Find out where the rows lie, at once or, for long texts, a little later."""
        wanted = self._wanted_layout(width)
        if wanted == self._laid_out or self._diff is None:
            return
        split, job = self._is_split(width), (self._diff, self._painter, self._digits, width)
        if not self._long:
            self._use_layout(wanted, _lay_out(*job, split, self._opened))
        elif wanted != self._asked_for:
            self._asked_for = wanted
            self._lay_out_in_thread(wanted, *job, split, self._opened)

    @work(thread=True, group="lay out", exit_on_error=False, description="lay a diff out")
    def _lay_out_in_thread(self, wanted: object, *job: Any) -> None:
        self.app.call_from_thread(self._laid_out_in_thread, wanted, _lay_out(*job))

    def _laid_out_in_thread(self, wanted: object, layout: _Layout) -> None:
        if wanted == self._asked_for:
            self._use_layout(wanted, layout)
            self.refresh(layout=True)
            self.post_message(self.LaidOut(self))

    def _use_layout(self, wanted: object, layout: _Layout) -> None:
        self._laid_out, self._layout = wanted, layout
        self._strips.clear()

    def _block_at(self, y: int) -> int | None:
        y -= self._show_summary
        if not self._layout.starts or not 0 <= y < self._layout.height:
            return None
        return bisect_right(self._layout.starts, y) - 1

    # --- painting ---------------------------------------------------------------------

    def _summary_line(self, width: int) -> Strip:
        words = visible(self.diff.summary)
        if self._mode != "automatic":
            words = f"{words} · {self._mode}" if words else self._mode
        return self._painter.paint_words(Content(words), width, "summary")

    def _paint(self, pair: Pair, width: int) -> list[Strip]:
        row = pair.left
        if row is not None and row.kind == "fold":
            opens = " · x opens" if _opens(row) else ""
            words = f"{' ' * (self._digits - 1)}⋯ {row.hidden:,} unchanged lines{opens}"
            return [self._painter.paint_words(Content(words), width, "fold")]
        if self._is_split(width) or row is None:
            return paint_split(self._painter, pair, self._digits, width)
        return self._painter.paint(row, (row.old, row.new), self._digits, width)

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


def _lay_out(
    diff: Diff,
    painter: RowPainter,
    digits: int,
    width: int,
    split: bool,
    opened: frozenset[int | None],
) -> _Layout:
    """Find out where the rows of a diff lie at a width."""
    rows = tuple(unfolded(diff, opened)) if opened else diff.rows
    if split:
        blocks = list(paired(rows))
        heights = [
            1 if _is_fold(pair) else split_height(painter, pair, digits, width) for pair in blocks
        ]
    else:
        room = width - 2 * digits - 2 - SIGN_WIDTH
        blocks = [Pair(row, None) for row in rows]
        heights = [1 if row.kind == "fold" else painter.height(row, room) for row in rows]
    *starts, height = accumulate(heights, initial=0)
    return _Layout(blocks, starts, height)


def _is_long(before: str, after: str) -> bool:
    """Say whether comparing two texts may take longer than a frame."""
    lines = (before.count("\n") + 1) * (after.count("\n") + 1)
    return len(before) + len(after) > LONGEST_AT_ONCE or lines > MOST_AT_ONCE


def _opens(row: Row) -> bool:
    return row.kind == "fold" and row.hidden <= MOST_OPENED


def _is_fold(pair: Pair) -> bool:
    return pair.left is not None and pair.left.kind == "fold"
