"""What each token of a corrected completion was worth to the teacher.

The advantage of a token is log p(teacher) − log p(student) in nats. Blue and bold: the teacher
wants it more; orange and underlined: the teacher wants it less. Bold and underline say it
without colour.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style as RichStyle
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip
from textual.widgets import Static
from typing_extensions import override

from .cells import cut_points
from .painting import TextRow, component_style, selectable, selected_text
from .sanitise import visible

# Where each of the four levels begins, in nats.
LEVELS = (0.1, 0.5, 1.5, 4.0)
NEWLINE = "↵"


@dataclass(frozen=True, slots=True)
class TokenCell:
    """One token: its advantage, the student's probability before and after the lesson."""

    text: str
    advantage: float
    before: float
    after: float
    teacher_token: str
    teacher: float | None = None


class Piece(NamedTuple):
    """A part of a token on one line."""

    token: int
    text: str
    start: int
    width: int


def level_of(advantage: float) -> int:
    """Give a level from -4 to 4; what is not a number has none."""
    if not math.isfinite(advantage):
        return 0 if math.isnan(advantage) else int(math.copysign(4, advantage))
    level = bisect_right(LEVELS, abs(advantage))
    return level if advantage > 0 else -level


def token_text(text: str) -> str:
    """Give a token as it is shown; newlines stay visible and break the line."""
    return visible(text.replace("\t", "→"), keep="\n").replace("\n", f"{NEWLINE}\n")


def lay_out(texts: Iterable[str], width: int) -> list[list[Piece]]:
    """Break tokens into lines of a width, after newlines and where a line is full."""
    lines: list[list[Piece]] = [[]]
    used = 0
    for token, text in enumerate(texts):
        for number, part in enumerate(text.split("\n") if "\n" in text else (text,)):
            if number:
                lines.append([])
                used = 0
            size = len(part) if part.isascii() else cell_len(part)
            if used and used + size > width:
                lines.append([])
                used = 0
            if size <= width:
                if part:
                    lines[-1].append(Piece(token, part, used, size))
                used += size
                continue
            starts = cut_points(part, width)
            for start, end in zip(starts, [*starts[1:], len(part)], strict=True):
                if used:
                    lines.append([])
                cut = part[start:end]
                used = cell_len(cut)
                lines[-1].append(Piece(token, cut, 0, used))
    return lines


class Heatmap(ScrollView, can_focus=True):
    """The tokens as text, coloured by advantage, with a cursor that the arrow keys move."""

    @dataclass
    class CursorMoved(Message):
        """The cursor is on another token."""

        heatmap: Heatmap
        index: int
        cell: TokenCell

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "move(-1)", "Previous token", show=False, id="heatmap.left"),
        Binding("right", "move(1)", "Next token", show=False, id="heatmap.right"),
        Binding("up", "move_line(-1)", "Line up", show=False, id="heatmap.up"),
        Binding("down", "move_line(1)", "Line down", show=False, id="heatmap.down"),
        Binding("pageup", "move_page(-1)", "Page up", show=False, id="heatmap.pageup"),
        Binding("pagedown", "move_page(1)", "Page down", show=False, id="heatmap.pagedown"),
        Binding("home", "move_to(0)", "First token", show=False, id="heatmap.home"),
        Binding("end", "move_to(-1)", "Last token", show=False, id="heatmap.end"),
        Binding("[", "jump(-1)", "Previous strong token", show=False, id="heatmap.previous"),
        Binding("]", "jump(1)", "Next strong token", show=False, id="heatmap.next"),
    ]

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "heatmap--cursor",
        *(f"heatmap--{sign}-{n}" for sign in ("negative", "positive") for n in range(1, 5)),
    }

    DEFAULT_CSS = """
    Heatmap {
        height: auto;
        max-height: 100%;
        width: 1fr;
        overflow-x: hidden;
        scrollbar-size-vertical: 1;
        background: transparent;
        & > .heatmap--cursor { text-style: reverse; }
        & > .heatmap--negative-1 { background: $heat-negative-1; text-style: underline; }
        & > .heatmap--negative-2 { background: $heat-negative-2; text-style: underline; }
        & > .heatmap--negative-3 {
            background: $heat-negative-3; color: $heat-text; text-style: underline;
        }
        & > .heatmap--negative-4 {
            background: $heat-negative-4; color: $heat-text; text-style: underline;
        }
        & > .heatmap--positive-1 { background: $heat-positive-1; text-style: bold; }
        & > .heatmap--positive-2 { background: $heat-positive-2; text-style: bold; }
        & > .heatmap--positive-3 {
            background: $heat-positive-3; color: $heat-text; text-style: bold;
        }
        & > .heatmap--positive-4 {
            background: $heat-positive-4; color: $heat-text; text-style: bold;
        }
    }
    """

    cursor: reactive[int] = reactive(0, init=False)

    def __init__(
        self,
        cells: Sequence[TokenCell] = (),
        *,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._lines: list[list[Piece]] = [[]]
        self._line_of: list[int] = []
        self._layouts: dict[int, list[list[Piece]]] = {}
        self._laid_out = -1
        self._strips: dict[int, Strip] = {}
        self._level_styles: dict[int, RichStyle] = {}
        self._set_cells(cells)

    @property
    def cells(self) -> tuple[TokenCell, ...]:
        """The tokens that are shown."""
        return self._cells

    def show(self, cells: Sequence[TokenCell]) -> None:
        """Show other tokens."""
        self._set_cells(cells)
        self._laid_out = -1
        self.cursor = 0
        self.refresh(layout=True)

    def notify_style_update(self) -> None:
        """Forget painted lines when the theme changes."""
        super().notify_style_update()
        self._strips.clear()
        self._level_styles.clear()

    @override
    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Give the number of lines at a width."""
        return len(self._lines_at(width))

    def on_resize(self) -> None:
        """Wrap the tokens to the new width."""
        self._lay_out(self.scrollable_content_region.width)

    def render_line(self, y: int) -> Strip:
        """Paint one line, from the cache where it has been painted before."""
        width = self.scrollable_content_region.width
        self._lay_out(width)
        number = y + self.scroll_offset.y
        base = self.visual_style.rich_style
        if number >= len(self._lines):
            return Strip.blank(width, base)
        if number not in self._strips:
            self._strips[number] = self._paint(number, width, base)
        return selectable(self, self._strips[number], number)

    @override
    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Give the selected tokens, with line breaks where they have them."""
        rows: list[TextRow] = []
        ended = True
        for line in self._lines:
            text = "".join(piece.text for piece in line)
            rows.append(TextRow(text.removesuffix(NEWLINE), goes_on=not ended))
            ended = text.endswith(NEWLINE)
        return selected_text(rows, selection)

    # --- cursor -----------------------------------------------------------------------

    def validate_cursor(self, cursor: int) -> int:
        """Keep the cursor on a token."""
        return max(0, min(cursor, len(self._cells) - 1))

    def watch_cursor(self, old: int, new: int) -> None:
        """Paint both lines again and tell where the cursor is."""
        for token in (old, new):
            for number in self._lines_of(token):
                self._strips.pop(number, None)
        self.refresh()
        if not self._cells:
            return
        line = self._lines_of(new)
        if line:
            region = Region(0, line[0], 1, len(line))
            self.scroll_to_region(region, animate=False, force=True)
        self.post_message(self.CursorMoved(self, new, self._cells[new]))

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the token that was clicked."""
        number = event.y + self.scroll_offset.y
        if number < len(self._lines):
            for piece in self._lines[number]:
                if piece.start <= event.x < piece.start + piece.width:
                    self.cursor = piece.token

    def action_move(self, by: int) -> None:
        """Move by tokens."""
        self.cursor += by

    def action_move_to(self, index: int) -> None:
        """Move to a token, counted from the end when negative."""
        self.cursor = index if index >= 0 else len(self._cells) + index

    def action_move_line(self, by: int) -> None:
        """Move by lines, to the token nearest in column."""
        if not self._cells:
            return
        piece = self._piece(self.cursor)
        number = self._line_of[self.cursor] + by
        while 0 <= number < len(self._lines) and not self._lines[number]:
            number += 1 if by > 0 else -1
        if 0 <= number < len(self._lines):
            column = piece.start if piece is not None else 0
            pieces = self._lines[number]
            self.cursor = min(pieces, key=lambda each: abs(each.start - column)).token

    def action_move_page(self, by: int) -> None:
        """Move by as many lines as are in view."""
        self.action_move_line(by * max(1, self.size.height - 1))

    def action_jump(self, direction: int) -> None:
        """Move to the next token that the teacher strongly wants more or less."""
        index = self.cursor + direction
        while 0 <= index < len(self._cells):
            if abs(level_of(self._cells[index].advantage)) >= 3:
                self.cursor = index
                return
            index += direction

    # --- painting ---------------------------------------------------------------------

    def _set_cells(self, cells: Sequence[TokenCell]) -> None:
        self._cells = tuple(cells)
        self._texts = [token_text(cell.text) for cell in self._cells]
        self._layouts.clear()

    def _lines_at(self, width: int) -> list[list[Piece]]:
        """Give the lines at a width; the widths with and without a scrollbar are both asked for."""
        if width not in self._layouts:
            if len(self._layouts) > 3:
                self._layouts.clear()
            self._layouts[width] = lay_out(self._texts, width)
        return self._layouts[width]

    def _lay_out(self, width: int) -> None:
        """Take the lines at a width for painting and for the cursor."""
        if width == self._laid_out or width <= 0:
            return
        self._laid_out = width
        self._strips.clear()
        self._lines = self._lines_at(width)
        self._line_of = [0] * len(self._cells)
        for number in range(len(self._lines) - 1, -1, -1):
            for piece in self._lines[number]:
                self._line_of[piece.token] = number
        self.virtual_size = Size(width, len(self._lines))

    def _lines_of(self, token: int) -> list[int]:
        if not 0 <= token < len(self._line_of):
            return []
        first = last = self._line_of[token]
        while last + 1 < len(self._lines) and any(
            piece.token == token for piece in self._lines[last + 1]
        ):
            last += 1
        return list(range(first, last + 1))

    def _piece(self, token: int) -> Piece | None:
        pieces = self._lines[self._line_of[token]] if token < len(self._line_of) else []
        return next((piece for piece in pieces if piece.token == token), None)

    def _paint(self, number: int, width: int, base: RichStyle) -> Strip:
        segments: list[Segment] = []
        for piece in self._lines[number]:
            level = level_of(self._cells[piece.token].advantage)
            style = self._level_style(level)
            if piece.token == self.cursor:
                style += component_style(self, "heatmap--cursor").rich_style
            segments.append(Segment(piece.text, style))
        return Strip(segments).extend_cell_length(width, base).crop(0, width)

    def _level_style(self, level: int) -> RichStyle:
        if level not in self._level_styles:
            style = self.visual_style
            if level:
                sign = "positive" if level > 0 else "negative"
                style += component_style(self, f"heatmap--{sign}-{abs(level)}")
            self._level_styles[level] = style.rich_style
        return self._level_styles[level]


class HeatmapView(Vertical):
    """A heatmap with its legend above and, below, what can be said of the token at the cursor."""

    DEFAULT_CSS = """
    HeatmapView {
        height: auto;
        & > .legend { height: auto; color: $quiet; }
        & > .readout { height: auto; min-height: 2; color: $foreground; }
    }
    """

    def __init__(
        self,
        cells: Sequence[TokenCell] = (),
        *,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._first_cells = tuple(cells)

    @property
    def heatmap(self) -> Heatmap:
        """The heatmap itself."""
        return self.query_one(Heatmap)

    def compose(self) -> ComposeResult:
        """Lay out the legend, the heatmap and the readout."""
        yield Static(legend(), classes="legend")
        yield Heatmap(self._first_cells)
        yield Static(classes="readout")

    def on_mount(self) -> None:
        """Read out the first token."""
        if self._first_cells:
            self._read_out(0, self._first_cells[0])

    def show(self, cells: Sequence[TokenCell]) -> None:
        """Show other tokens."""
        self.heatmap.show(cells)
        if cells:
            self._read_out(0, cells[0])

    def on_heatmap_cursor_moved(self, event: Heatmap.CursorMoved) -> None:
        """Read out the token at the cursor."""
        self._read_out(event.index, event.cell)

    def _read_out(self, index: int, cell: TokenCell) -> None:
        total = len(self.heatmap.cells) if self.query(Heatmap) else len(self._first_cells)
        self.query_one(".readout", Static).update(readout(index, total, cell))


def legend() -> Content:
    """Say what the colours and signs mean."""
    return Content.assemble(
        ("less wanted", "$heat-text on $heat-negative-4 underline"),
        " ",
        ("more wanted", "bold $heat-text on $heat-positive-4"),
        (" by the teacher · arrows, [ ] move", "$quiet"),
    )


def readout(index: int, total: int, cell: TokenCell) -> Content:
    """Say all that is known of one token."""
    token = _quoted(cell.text)
    parts: list[tuple[str, str]] = [
        (f"{index + 1}/{total} ", "$quiet"),
        (token, "bold"),
        (f"  advantage {_signed(cell.advantage)} nats", ""),
        (f"  probability {_percent(cell.before)} → {_percent(cell.after)}", ""),
    ]
    if cell.teacher is not None:
        parts.append((f", teacher {_percent(cell.teacher)}", ""))
    if cell.teacher_token == cell.text:
        parts.append(("\nthe teacher prefers it too", "$quiet"))
    else:
        parts += [("\nthe teacher prefers ", "$quiet"), (_quoted(cell.teacher_token), "bold")]
    return Content.assemble(*parts)


def _quoted(text: str) -> str:
    return f"“{visible(text.replace(chr(10), NEWLINE), keep='')}”"


def _signed(value: float) -> str:
    return "unknown" if math.isnan(value) else f"{value:+.2f}".replace("-", "−")


def _percent(value: float) -> str:
    if math.isnan(value):
        return "unknown"
    if 0 < value < 0.0005:
        return "< 0.1 %"
    return f"{value:.1%}".replace("%", " %")
