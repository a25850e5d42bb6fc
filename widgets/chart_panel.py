"""Up to four charts over one x axis, with keys and mouse to look at every part of them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from .chart_data import Axis, ChartMark, ChartSeries, Drawing, Window, nearest
from .chart_pane import (
    ChartPane,
    Dragged,
    PointerLeft,
    PointerMoved,
    Wheeled,
    load_plots,
    series_title,
)
from .chart_view import PAN, ZOOM, View
from .sanitise import content, visible

AXES: tuple[Axis, ...] = ("step", "lesson", "time")
TWO_COLUMNS, TWO_ROWS = 100, 18
MOST = 4
WHEEL_ZOOM = 0.85
KEYS = "← → pan  0 all  r newest  , . read"


@dataclass(frozen=True, slots=True)
class ChartPage:
    """What the panel draws: the visible series, and the axis that they share.

    ``stops`` are the x values that the crosshair goes to, in order; ``least`` is the shortest
    stretch of the axis that makes sense, and ``newest`` how much of it is seen first, if not all.
    """

    series: Sequence[ChartSeries]
    extent: Window
    least: float
    stops: Sequence[float]
    marks: Sequence[ChartMark] = ()
    newest: float | None = None


class ChartPanel(Container, can_focus=True):
    """Shows pages of charts; asks for the series that it wants to show with `Wanted`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right_square_bracket", "page(1)", "next", key_display="]", id="charts.next"),
        Binding(
            "left_square_bracket", "page(-1)", "back", key_display="[", show=False, id="charts.last"
        ),
        *(
            Binding(str(number), f"choose({number})", show=False, id=f"charts.choose_{number}")
            for number in range(1, 10)
        ),
        Binding("x", "next_axis", "axis", id="charts.axis"),
        Binding("l", "toggle_log", "log", id="charts.log"),
        Binding("plus,equals_sign", "zoom(-1)", "zoom", key_display="+", id="charts.zoom_in"),
        Binding("minus", "zoom(1)", "zoom out", key_display="-", show=False, id="charts.zoom_out"),
        Binding("left", "pan(-1)", "pan left", show=False, id="charts.pan_left"),
        Binding("right", "pan(1)", "pan right", show=False, id="charts.pan_right"),
        Binding("0", "show_all", "all", show=False, id="charts.all"),
        Binding("r", "follow", "newest", show=False, id="charts.follow"),
        Binding("comma", "read(-1)", "read", key_display=",", show=False, id="charts.read_back"),
        Binding("full_stop", "read(1)", "read on", key_display=".", show=False, id="charts.read"),
    ]
    DEFAULT_CSS = """
    ChartPanel {
        height: 1fr;
        #panes { height: 1fr; layout: grid; grid-size: 1; grid-gutter: 0 1; }
        #panes > ChartPane { display: none; }
        #state { height: 1fr; padding: 0 2; content-align: center middle; color: $quiet; }
        #readout { height: 1; padding: 0 1; color: $quiet; text-wrap: nowrap;
                   text-overflow: ellipsis; }
        #panes, #readout { display: none; }
        &.-data #panes, &.-data #readout { display: block; }
        &.-data #state { display: none; }
        &.-failed #state { color: $text-error; }
    }
    """

    class Wanted(Message):
        """Other series, or another axis, should be drawn: give them with `show_page`."""

    class Moved(Message):
        """Another stretch of the axis is seen."""

    class Pointed(Message):
        """The crosshair stands at an x value, or nowhere; say what is there with `say`."""

        def __init__(self, x: float | None) -> None:
            super().__init__()
            self.x = x

    def __init__(
        self,
        count: int,
        *,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self.axis: Axis = "step"
        self.logarithmic = False
        self.view = View()
        self.crosshair: float | None = None
        self._count = count
        self._first = 0
        self._panes = 1
        self._page: ChartPage | None = None
        self._other_axis = False
        self._ready = self._loading = self._pending = False

    def compose(self) -> ComposeResult:
        """Lay out a state in words, the charts, and the line that reads them out."""
        yield Static(id="state")
        with Container(id="panes"):
            for _ in range(MOST):
                yield ChartPane()
        yield Static(id="readout")

    @property
    def visible_series(self) -> tuple[int, ...]:
        """The numbers of the series on this page, from 0."""
        return tuple((self._first + pane) % self._count for pane in range(self._panes))

    @property
    def words(self) -> str:
        """How the charts are drawn now, in a line."""
        first, last = self.visible_series[0] + 1, self.visible_series[-1] + 1
        page = f"{first}" if first == last else f"{first}–{last}"
        scale = "log" if self.logarithmic else "linear"
        return f"{page} of {self._count} · by {self.axis} · {scale} · {self.view.words}"

    # --- what is shown ------------------------------------------------------------------

    def show_page(self, page: ChartPage) -> None:
        """Draw these series; there should be one for each of `visible_series`."""
        self._page = page
        self.view.grow(page.extent, page.least)
        if self._other_axis and page.newest is not None:
            self.view.show_last(page.newest)
        self._other_axis = False
        if self.crosshair is not None and self.crosshair not in page.stops:
            self.crosshair = nearest(page.stops, self.crosshair)
        self.set_class(False, "-failed")
        self._redraw_soon()

    def show_state(self, words: str, *, kind: Literal["plain", "failed"] = "plain") -> None:
        """Say in words why there is nothing to draw."""
        self._page = None
        self.set_class(False, "-data")
        self.set_class(kind == "failed", "-failed")
        self.query_one("#state", Static).update(content(words))

    def say(self, words: str) -> None:
        """Say what stands at the crosshair, or what goes on."""
        self.query_one("#readout", Static).update(Content(visible(words) or " "), layout=False)

    def legend(self) -> str:
        """The letters of the marks, and the keys that have no place in the footer."""
        names = {mark.letter: mark.name for mark in self._page.marks} if self._page else {}
        letters = "  ".join(f"{letter} {name}" for letter, name in names.items())
        if self.size.width >= TWO_COLUMNS:
            return f"{letters}   {KEYS}"
        return letters if self.view.shows_all else KEYS

    # --- drawing ------------------------------------------------------------------------

    def on_resize(self) -> None:
        """Show as many charts as there is room for."""
        columns = 2 if self.size.width >= TWO_COLUMNS else 1
        rows = 2 if self.size.height >= TWO_ROWS else 1
        panes = self.query_one("#panes")
        panes.styles.grid_size_columns, panes.styles.grid_size_rows = columns, rows
        before, self._panes = self._panes, min(columns * rows, self._count)
        for number, pane in enumerate(self.query(ChartPane)):
            pane.display = number < self._panes
        if before != self._panes:
            self.post_message(self.Wanted())
        self._redraw_soon()

    def on_show(self) -> None:
        """Draw what changed while the charts were hidden."""
        self._redraw_soon()

    def _redraw_soon(self) -> None:
        """Draw once, after everything that is under way."""
        if not self._pending and self.is_mounted:
            self._pending = True
            self.call_after_refresh(self._redraw)

    def _redraw(self) -> None:
        self._pending = False
        page = self._page
        if page is None:
            return
        if not self._ready:
            if not self._loading:
                self._loading = True
                self.query_one("#state", Static).update("Loading the charts…")
                self._load()
            return
        self.set_class(True, "-data")
        self._draw_from(0)

    def _draw_from(self, place: int) -> None:
        """Draw one chart and then the next, so that a key need not wait for all of them."""
        page, numbers = self._page, self.visible_series
        if page is None or place >= min(len(numbers), len(page.series)):
            return
        series, x, log = page.series[place], self.crosshair, self.logarithmic
        pane = self.query(ChartPane)[place]
        drawn = pane.draw(Drawing(series, self.view.window, self.axis, log, page.marks, x))
        title = series_title(numbers[place] + 1, series, x, log=log, drawn=drawn)
        pane.set_title(lambda _: title)
        self.call_after_refresh(self._draw_from, place + 1)

    @work(group="charts", exclusive=True, exit_on_error=False, description="load the charts")
    async def _load(self) -> None:
        try:
            plot = await load_plots()
        except ImportError as error:
            words = f"The charts need textual-plot, which does not load: {error}"
            self.show_state(words, kind="failed")
            return
        for pane in self.query(ChartPane):
            await pane.mount_plot(plot())
        self._ready = True
        self.set_class(True, "-data")
        self._redraw_soon()

    # --- keys ---------------------------------------------------------------------------

    def action_page(self, step: int) -> None:
        """Go to the next series, or back."""
        self._first = (self._first + step * self._panes) % self._count
        self.post_message(self.Wanted())

    def action_choose(self, number: int) -> None:
        """Begin the page with a series, by its number from 1."""
        if number <= self._count:
            self._first = number - 1
            self.post_message(self.Wanted())

    def action_next_axis(self) -> None:
        """Draw against the next of step, lesson and time."""
        self.axis = AXES[(AXES.index(self.axis) + 1) % len(AXES)]
        self.view.show_all()
        self._other_axis = True
        self._point(None)
        self.post_message(self.Wanted())

    def action_toggle_log(self) -> None:
        """Draw values or their logarithms."""
        self.logarithmic = not self.logarithmic
        self.post_message(self.Wanted())

    def action_zoom(self, direction: int) -> None:
        """See less, and that larger, or more; what the crosshair stands at stays."""
        self._zoom(ZOOM if direction < 0 else 1 / ZOOM, self.crosshair)

    def action_pan(self, direction: int) -> None:
        """Go back, or towards the newest."""
        self.view.pan(direction * PAN)
        self._moved()

    def action_show_all(self) -> None:
        """See everything."""
        self.view.show_all()
        self._moved()

    def action_follow(self) -> None:
        """Go to the newest and stay with it."""
        self.view.follow()
        self._moved()

    def action_read(self, direction: int) -> None:
        """Move the crosshair by one; beyond the newest it goes away."""
        stops = self._page.stops if self._page else ()
        if not stops:
            return
        if self.crosshair is None:
            self._point(stops[-1] if direction < 0 else stops[0])
        else:
            at = bisect_left(stops, self.crosshair) + direction
            self._point(stops[max(0, at)] if at < len(stops) else None)
        if self.crosshair is not None:
            self.view.reveal(self.crosshair)
            self._moved()

    def _zoom(self, factor: float, around: float | None) -> None:
        self.view.zoom(factor, around)
        self._moved()

    def _moved(self) -> None:
        self._redraw_soon()
        self.post_message(self.Moved())

    def _point(self, x: float | None) -> None:
        if x != self.crosshair:
            self.crosshair = x
            self._redraw_soon()
            self.post_message(self.Pointed(x))

    # --- the mouse ----------------------------------------------------------------------

    @on(PointerMoved)
    def _pointer_moved(self, event: PointerMoved) -> None:
        event.stop()
        if self._page is not None:
            self._point(nearest(self._page.stops, event.x))

    @on(PointerLeft)
    def _pointer_left(self, event: PointerLeft) -> None:
        event.stop()
        self._point(None)

    @on(Dragged)
    def _dragged(self, event: Dragged) -> None:
        event.stop()
        self.view.pan(event.part)
        self._moved()

    @on(Wheeled)
    def _wheeled(self, event: Wheeled) -> None:
        event.stop()
        self._zoom(WHEEL_ZOOM if event.closer else 1 / WHEEL_ZOOM, event.x)
