"""The plots of the charts. Importing this imports numpy: do it when a chart is first shown."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.color import ColorParseError
from rich.style import Style
from textual import events
from textual.app import ComposeResult
from textual.color import Color
from textual.containers import Grid
from textual.geometry import Size
from textual.strip import Strip
from textual_hires_canvas import Canvas
from textual_plot import HiResMode, PlotWidget
from textual_plot.plot_widget import Legend

from .chart_data import (
    Axis,
    ChartLine,
    ChartMark,
    Drawing,
    Point,
    decimated,
    logarithmic,
    runs,
    within,
    y_limits,
)
from .chart_pane import Dragged, PointerLeft, PointerMoved, Wheeled
from .chart_ticks import LogTicks, Ticks, TimeTicks, WholeTicks

BAND, BUDGET_LINE, MARK_LINE, CROSSHAIR = "·", "╌", "┊", "│"
X_TICK_COLUMNS, Y_TICK_ROWS = 12, 3


class PlotCanvas(Canvas):
    """A canvas whose lines have a style even before it has a size: NO_COLOR needs one."""

    _style: Style | None = None

    @property
    def rich_style(self) -> Style:
        """The style below all lines, worked out once for each drawing."""
        if self._style is None:
            self._style = super().rich_style
        return self._style

    def reset(self, size: Size | None = None, refresh: bool = True) -> None:
        """Begin a drawing."""
        self._style = None
        super().reset(size, refresh)

    def notify_style_update(self) -> None:
        """Take up another theme."""
        self._style = None
        super().notify_style_update()

    def render_line(self, y: int) -> Strip:
        """Give one line."""
        strip = super().render_line(y)
        return strip if strip.cell_length else Strip.blank(0, self.rich_style)


class SeriesPlot(PlotWidget, can_focus=False):
    """Draws one series in the window that it is given, and says what the mouse does."""

    DEFAULT_CSS = """
    SeriesPlot {
        height: 1fr;
        & > .plot--axis { color: $chart-mark; }
        & > .plot--tick { color: $quiet; text-style: none; }
        & > .plot--label { color: $quiet; text-style: none; }
    }
    """

    def __init__(self) -> None:
        super().__init__(allow_pan_and_zoom=False)
        self.set_reactive(PlotWidget.margin_top, 0)
        self.set_reactive(PlotWidget.margin_bottom, 1)
        self.set_reactive(PlotWidget.margin_left, 8)
        self._marks: Sequence[ChartMark] = ()
        self._budget: float | None = None
        self._crosshair: float | None = None
        self._drawing: Drawing | None = None

    def compose(self) -> ComposeResult:
        """Lay out the plot and its margins as the base class does, on canvases of ours."""
        with Grid():
            for name in ("margin-top", "margin-left", "plot", "margin-bottom"):
                yield PlotCanvas(1, 1, id=name)
        yield Legend(id="legend")

    def draw(self, drawing: Drawing) -> bool:
        """Draw what lies in the window; False where there is no value to draw."""
        self._drawing = drawing
        series, window, log = drawing.series, drawing.window, drawing.log
        budget = series.budget
        if log and budget is not None:
            budget = math.log10(budget) if budget > 0 else None
        seen = [(line, within(line.points, window)) for line in series.lines]
        if log:
            seen = [(line, logarithmic(points)) for line, points in seen]
        limits = y_limits([points for _, points in seen], budget, series.top, log=log)
        self.clear()
        self._budget = budget if limits else None
        self._marks = [mark for mark in drawing.marks if window.left <= mark.x <= window.right]
        self._crosshair = drawing.crosshair
        low, high = limits or (0.0, 1.0)
        self.set_xlimits(window.left, window.right)
        self.set_ylimits(low, high)
        self._choose_ticks(drawing.axis, log=log)
        columns = max(1, self.size.width - self.margin_left)
        pieces = [(line, list(runs(decimated(points, columns)))) for line, points in seen]
        for line, found in pieces:
            self._join(line, found)
        for line, found in pieces:
            self._mark_points(line, found)
        return limits is not None

    def on_resize(self) -> None:
        """Draw with as many points and ticks as there is room for now."""
        if self._drawing is not None:
            self.draw(self._drawing)

    def _choose_ticks(self, axis: Axis, *, log: bool) -> None:
        x = TimeTicks() if axis == "time" else WholeTicks()
        y = LogTicks() if log else Ticks()
        x.fit = max(2, (self.size.width - self.margin_left) // X_TICK_COLUMNS)
        y.fit = max(2, (self.size.height - 3) // Y_TICK_ROWS)
        self.set_x_formatter(x)
        self.set_y_formatter(y)

    def _join(self, line: ChartLine, pieces: Sequence[Sequence[Point]]) -> None:
        for piece in pieces:
            if line.joined and len(piece) > 1:
                xs, ys = zip(*piece, strict=True)
                self.plot(xs, ys, self._colour(line.colour), HiResMode.BRAILLE)

    def _mark_points(self, line: ChartLine, pieces: Sequence[Sequence[Point]]) -> None:
        """Draw the markers, over all lines; a point alone has no line to be seen by."""
        marked = [point for piece in pieces if line.marker or len(piece) == 1 for point in piece]
        if marked:
            xs, ys = zip(*marked, strict=True)
            self.scatter(xs, ys, line.marker or "•", self._colour(line.colour))

    def _colour(self, variable: str) -> str:
        """Give a theme variable as the plot takes it."""
        try:
            colour = Color.parse(self.app.theme_variables[variable])
            return str(Style(color=colour.rich_color))
        except (KeyError, ValueError, ColorParseError):
            return "none"

    # --- what the plot does not draw by itself ------------------------------------------

    def _render_plot(self) -> None:
        canvas = self.query_one("#plot", Canvas)
        with canvas.batch_refresh():
            super()._render_plot()
            if min(canvas.size) > 2 and self._datasets:
                self._render_budget(canvas)
                self._render_marks(canvas)
                self._render_crosshair(canvas)

    def _render_budget(self, canvas: Canvas) -> None:
        """Fill what the budget allows, behind the lines."""
        if self._budget is None:
            return
        (width, height), style = canvas.size, self._colour("chart-budget")
        _, top = self.get_pixel_from_coordinate(self._x_min, self._budget)
        for row in range(max(1, top), height - 1):
            sign, stride = (BUDGET_LINE, 1) if row == top else (BAND, 3)
            for column in range(1, width - 1, stride):
                if canvas.get_pixel(column, row)[0] == " ":
                    canvas.set_pixel(column, row, sign, style)

    def _render_marks(self, canvas: Canvas) -> None:
        """Draw a line and its letters at each column that has marks."""
        width, height = canvas.size
        at: dict[int, dict[str, str]] = {}
        for mark in self._marks:
            column, _ = self.get_pixel_from_coordinate(mark.x, self._y_min)
            at.setdefault(min(max(1, column), width - 2), {})[mark.letter] = mark.colour
        crowded = len(at) > width // 3
        for column, letters in at.items():
            if not crowded:
                self._render_column(canvas, column, MARK_LINE, [*letters.values()][-1])
            for row, (letter, colour) in enumerate(letters.items(), start=1):
                if row < height - 1:
                    canvas.set_pixel(column, row, letter, f"bold {self._colour(colour)}")

    def _render_crosshair(self, canvas: Canvas) -> None:
        if self._crosshair is not None and self._x_min <= self._crosshair <= self._x_max:
            column, _ = self.get_pixel_from_coordinate(self._crosshair, self._y_min)
            self._render_column(canvas, column, CROSSHAIR, "primary")

    def _render_column(self, canvas: Canvas, column: int, sign: str, colour: str) -> None:
        """Draw a vertical line behind what is there."""
        style = self._colour(colour)
        for row in range(1, canvas.size.height - 1):
            if canvas.get_pixel(column, row)[0] in (" ", BAND, BUDGET_LINE, MARK_LINE):
                canvas.set_pixel(column, row, sign, style)

    # --- the mouse ----------------------------------------------------------------------

    def _x_at(self, event: events.MouseEvent) -> float | None:
        """Give the x value under the pointer; None beside the plot."""
        region = self.query_one("#plot", Canvas).region
        column = int(event.screen_x) - region.x
        if region.width <= 2 or not 0 < column < region.width - 1:
            return None
        return self.get_coordinate_from_pixel(column, 1)[0]

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Point at a value, or drag the window."""
        width = self.query_one("#plot", Canvas).size.width
        if event.button and width:
            self.post_message(Dragged(-event.delta_x / width))
            return
        x = self._x_at(event)
        self.post_message(PointerLeft() if x is None else PointerMoved(x))

    def on_leave(self) -> None:
        """Point at nothing."""
        if not self.is_mouse_over:
            self.post_message(PointerLeft())

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """See more."""
        self._wheel(event, closer=False)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """See less, and that larger."""
        self._wheel(event, closer=True)

    def _wheel(self, event: events.MouseEvent, *, closer: bool) -> None:
        x = self._x_at(event)
        if x is not None:
            event.stop()
            self.post_message(Wheeled(x, closer=closer))
