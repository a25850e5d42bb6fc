"""What each token of a corrected completion was worth to the teacher, and what it became.

The modes (advantage, change in probability, the teacher's token) and the words for them lie in
``heatmap_scale``, the breaking into lines in ``heatmap_layout``; here are painting and cursor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style as RichStyle
from textual import events
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip
from textual.widgets import Static
from typing_extensions import override

from .heatmap_layout import Line, Piece, lay_out, token_text, wanted_text
from .heatmap_scale import MODES, NEWLINE, WANTED, Mode, TokenCell, legend, level_in, readout
from .painting import TextRow, component_style, selectable, selected_text
from .squeeze import GIVES_WAY, SqueezeVertical


class Heatmap(ScrollView, can_focus=True):
    """The tokens as text, coloured by a figure, with a cursor that keys and mouse move."""

    @dataclass
    class CursorMoved(Message):
        """The cursor is on another token."""

        heatmap: Heatmap
        index: int
        cell: TokenCell

    @dataclass
    class ModeChanged(Message):
        """The colours say something else now."""

        heatmap: Heatmap
        mode: Mode

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("m", "next_mode", "Next view", show=False, id="heatmap.mode"),
        Binding("left", "move(-1)", "Previous token", show=False, id="heatmap.left"),
        Binding("right", "move(1)", "Next token", show=False, id="heatmap.right"),
        Binding("up", "move_line(-1)", "Line up", show=False, id="heatmap.up"),
        Binding("down", "move_line(1)", "Line down", show=False, id="heatmap.down"),
        Binding("pageup", "move_page(-1)", "Page up", show=False, id="heatmap.pageup"),
        Binding("pagedown", "move_page(1)", "Page down", show=False, id="heatmap.pagedown"),
        Binding("home", "move_to(0)", "First token", show=False, id="heatmap.home"),
        Binding("end", "move_to(-1)", "Last token", show=False, id="heatmap.end"),
        Binding("[", "jump(-1)", "Previous decision", show=False, id="heatmap.previous"),
        Binding("]", "jump(1)", "Next decision", show=False, id="heatmap.next"),
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
    mode: reactive[Mode] = reactive[Mode]("advantage", init=False)

    def __init__(
        self,
        cells: Sequence[TokenCell] = (),
        *,
        modes: Sequence[Mode] = MODES,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._modes = tuple(modes)
        self.set_reactive(Heatmap.mode, self._modes[0])
        self._lines: list[Line] = [[]]
        self._line_of: list[int] = []
        self._layouts: dict[int, list[Line]] = {}
        self._laid_out = -1
        self._strips: dict[int, Strip] = {}
        self._level_styles: dict[int, RichStyle] = {}
        self._set_cells(cells)
        self.set_reactive(Heatmap.cursor, self._first_decision())

    @property
    def cells(self) -> tuple[TokenCell, ...]:
        """The tokens that are shown."""
        return self._cells

    def show(self, cells: Sequence[TokenCell]) -> None:
        """Show other tokens."""
        self._set_cells(cells)
        self._laid_out = -1
        self.cursor = self._first_decision()
        self.refresh(layout=True)
        self.call_after_refresh(self._reveal)

    def read_out(self) -> Content:
        """Say all that is known of the token at the cursor."""
        if not self._cells:
            return Content()
        return readout(self.cursor, len(self._cells), self._cells[self.cursor])

    def notify_style_update(self) -> None:
        """Forget painted lines when the theme changes."""
        super().notify_style_update()
        self._strips.clear()
        self._level_styles.clear()

    @override
    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Give the number of lines at a width."""
        return len(self._lines_at(width))

    @override
    def _refresh_scrollbars(self) -> None:
        # Textual's own asks how high the lines are now, and a scrollbar makes them higher, so that
        # one that is there stays.
        self._fit()

    def on_resize(self) -> None:
        """Wrap the tokens to the new width."""
        self._fit()
        self.call_after_refresh(self._reveal)

    def _fit(self) -> None:
        """Show a scrollbar only where one is needed: an earlier one would take a column away."""
        width, height = self.size
        if not width:
            return
        needed = len(self._lines_at(width)) > height
        self._lay_out(width - needed * self.styles.scrollbar_size_vertical)
        self.show_vertical_scrollbar = needed

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
        strip = self._strips[number]
        # Only what the mouse is over can begin a selection; for each token it costs a style.
        if self.mouse_hover or self.text_selection is not None:
            return selectable(self, strip, number)
        return strip

    @override
    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Give the selected tokens, with line breaks where they have them."""
        rows: list[TextRow] = []
        ended = True
        for line in self._lines:
            text = "".join(piece.glyphs for piece in line)
            rows.append(TextRow(text.removesuffix(NEWLINE), goes_on=not ended))
            ended = text.endswith(NEWLINE)
        return selected_text(rows, selection)

    # --- cursor -----------------------------------------------------------------------

    def validate_cursor(self, cursor: int) -> int:
        """Keep the cursor on a token."""
        return max(0, min(cursor, len(self._cells) - 1))

    def watch_cursor(self, old: int, new: int) -> None:
        """Paint both lines again and tell where the cursor is."""
        self._lay_out(self.scrollable_content_region.width)
        for token in (old, new):
            for number in self._lines_of(token):
                self._strips.pop(number, None)
                self.refresh_lines(number)
        self._reveal()
        if self._cells:
            self.post_message(self.CursorMoved(self, new, self._cells[new]))

    def watch_mode(self) -> None:
        """Paint everything anew; the teacher's tokens take room of their own."""
        self._layouts.clear()
        self._laid_out = -1
        self.refresh(layout=True)
        self.call_after_refresh(self._reveal)
        self.post_message(self.ModeChanged(self, self.mode))

    def action_next_mode(self) -> None:
        """Let the colours say the next thing."""
        if len(self._modes) < 2:
            raise SkipAction
        self.mode = self._modes[(self._modes.index(self.mode) + 1) % len(self._modes)]

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the token that was clicked."""
        self._point_at(event)

    def watch_mouse_hover(self) -> None:
        """Let the tokens be selected while the mouse is here."""
        self.refresh()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Put the cursor on the token under the mouse."""
        self._point_at(event)

    def _first_decision(self) -> int:
        """Give the token that the lesson was about, or the first."""
        return next((index for index, cell in enumerate(self._cells) if cell.decides), 0)

    def _reveal(self) -> None:
        """Bring the cursor into view."""
        line = self._lines_of(self.cursor)
        if line:
            region = Region(0, line[0], 1, len(line))
            self.scroll_to_region(region, animate=False, force=True)

    def _point_at(self, event: events.MouseEvent) -> None:
        number = event.y + self.scroll_offset.y
        if 0 <= number < len(self._lines):
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
        """Move to the next token at which the teacher prefers another one."""
        index = self.cursor + direction
        while 0 <= index < len(self._cells):
            if self._cells[index].decides:
                self.cursor = index
                return
            index += direction

    # --- painting ---------------------------------------------------------------------

    def _set_cells(self, cells: Sequence[TokenCell]) -> None:
        self._cells = tuple(cells)
        self._texts = [token_text(cell.text) for cell in self._cells]
        self._wanted = {
            index: wanted_text(cell.teacher_token)
            for index, cell in enumerate(self._cells)
            if cell.decides
        }
        self._layouts.clear()

    def _lines_at(self, width: int) -> list[Line]:
        """Give the lines at a width; the widths with and without a scrollbar are both asked for."""
        if width not in self._layouts:
            if len(self._layouts) > 3:
                self._layouts.clear()
            wanted = self._wanted if self.mode == "teacher" else None
            self._layouts[width] = lay_out(self._texts, width, wanted)
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
            level = WANTED if piece.wanted else level_in(self.mode, self._cells[piece.token])
            style = self._level_style(level)
            if piece.token == self.cursor:
                style += component_style(self, "heatmap--cursor").rich_style
            segments.append(Segment(piece.glyphs, style))
        return Strip(segments).extend_cell_length(width, base).crop(0, width)

    def _level_style(self, level: int) -> RichStyle:
        if level not in self._level_styles:
            style = self.visual_style
            if level:
                sign = "positive" if level > 0 else "negative"
                style += component_style(self, f"heatmap--{sign}-{abs(level)}")
            self._level_styles[level] = style.rich_style
        return self._level_styles[level]


class HeatmapView(SqueezeVertical):
    """A heatmap with its legend above and, below, what can be said of the token at the cursor.

    Where there is little room the tokens scroll, and what is said of one stays.
    """

    DEFAULT_CSS = """
    HeatmapView {
        height: auto;
        & > .legend { height: 1; color: $quiet; text-wrap: nowrap; text-overflow: ellipsis; }
        & > .readout { height: auto; min-height: 2; color: $foreground; }
    }
    """

    def __init__(
        self,
        cells: Sequence[TokenCell] = (),
        *,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._first_cells = tuple(cells)

    @property
    def heatmap(self) -> Heatmap:
        """The heatmap itself."""
        return self.query_one(Heatmap)

    def compose(self) -> ComposeResult:
        """Lay out the legend, the heatmap and the readout."""
        yield Static(legend(MODES[0]), classes="legend")
        yield Heatmap(self._first_cells, classes=GIVES_WAY)
        yield Static(classes="readout")

    def on_mount(self) -> None:
        """Read out the token that the lesson was about."""
        self._read_out()

    def show(self, cells: Sequence[TokenCell]) -> None:
        """Show other tokens."""
        self.heatmap.show(cells)
        self._read_out()

    def on_heatmap_cursor_moved(self) -> None:
        """Read out the token at the cursor."""
        self._read_out()

    def on_heatmap_mode_changed(self, event: Heatmap.ModeChanged) -> None:
        """Name the mode."""
        self._name_mode(event.mode)

    def on_resize(self) -> None:
        """Say as much of the mode as there is room for."""
        self._name_mode(self.heatmap.mode)

    def _name_mode(self, mode: Mode) -> None:
        self.query_one(".legend", Static).update(legend(mode, self.content_size.width))

    def _read_out(self) -> None:
        self.query_one(".readout", Static).update(self.heatmap.read_out())
