"""Loss and KL over the steps of a session.

The plots come from textual-plot, which imports numpy; that happens in a thread when the charts
are first shown, and never before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from textual import work
from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from .chart_data import ChartMark, Drawing, Point, Window, figure, kl_series, loss_series
from .chart_pane import ChartPane, load_plots
from .sanitise import content

State = Literal["empty", "waiting", "failed", "data"]

EMPTY = "No steps yet. Each lesson draws the loss and the KL of its steps here."
WAITING = "Learning: the figures of the first step come next."
REDRAW_SECONDS = 0.25
TWO_COLUMNS, TWO_ROWS = 100, 12


@dataclass(frozen=True, slots=True)
class StepPoint:
    """The figures of one step that the charts draw; NaN leaves a gap."""

    loss: float
    kl: float


class LearningCharts(Container):
    """Loss, raw and smoothed, and KL with its budget, with a mark at every lesson."""

    DEFAULT_CSS = """
    LearningCharts {
        height: 1fr;
        min-height: 8;
        layout: vertical;
        &.-wide { layout: horizontal; }
        &.-short #kl-chart { height: 1; min-height: 1; & > SeriesPlot { display: none; } }
        & > .message { height: 1fr; content-align: center middle; color: $quiet; }
        &.-failed > .message { color: $text-error; }
        & > ChartPane { display: none; }
        &.-data > ChartPane { display: block; }
        &.-data > .message { display: none; }
    }
    """

    def __init__(
        self,
        *,
        kl_budget: float | None = None,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._points: list[StepPoint] = []
        self._marks: list[float] = []
        self._budget = kl_budget
        self._message = EMPTY
        self._state: State = "empty"
        self._ready = False
        self._redraw_timer: Timer | None = None
        self._stale = False
        self._loading = False
        self._drawn: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        """Lay out the message that stands for the charts until there is data."""
        yield Static(classes="message")
        yield ChartPane(id="loss-chart")
        yield ChartPane(id="kl-chart")

    @property
    def points(self) -> tuple[StepPoint, ...]:
        """The steps that are drawn."""
        return tuple(self._points)

    def add_step(self, loss: float, kl: float) -> None:
        """Add a step at the right."""
        self._points.append(StepPoint(loss, kl))
        self._state = "data"
        self._changed()

    def add_mark(self) -> None:
        """Mark the beginning of a lesson, before the next step."""
        self._marks.append(len(self._points) + 0.5)
        self._changed()

    def show_session(
        self,
        points: Sequence[StepPoint],
        marks: Sequence[float] = (),
        kl_budget: float | None = None,
    ) -> None:
        """Show a whole session; a mark at 2.5 lies between the second and the third step."""
        self._points, self._marks = list(points), list(marks)
        self._budget = kl_budget if kl_budget is not None else self._budget
        self._state = "data" if points else "empty"
        self._message = EMPTY
        self._changed()

    def set_budget(self, kl_budget: float | None) -> None:
        """Set the KL budget, a line across the KL chart."""
        self._budget = kl_budget
        self._changed()

    def wait(self) -> None:
        """Say that a lesson runs whose steps are still to come."""
        if not self._points:
            self._state, self._message = "waiting", WAITING
            self._changed()

    def fail(self, message: str) -> None:
        """Say in one sentence why there is nothing to see; steps that are there stay."""
        if not self._points:
            self._state, self._message = "failed", message
            self._changed()

    def clear(self) -> None:
        """Forget every step."""
        self.show_session(())

    def on_mount(self) -> None:
        """Show the first state."""
        self._changed()

    def on_show(self) -> None:
        """Draw what changed while the charts were hidden."""
        self._changed()

    def catch_up(self) -> None:
        """Draw what changed while nobody could see it."""
        self._changed()

    def on_resize(self) -> None:
        """Put the charts side by side where there is room."""
        wide = self.size.width >= TWO_COLUMNS
        self.set_class(wide, "-wide")
        self.set_class(not wide and self.size.height < TWO_ROWS, "-short")
        self._changed()

    def _changed(self) -> None:
        """Draw now, or a little later when something was drawn just now."""
        if not (self.is_mounted and self.is_on_screen and self.visible):
            return
        drawable = self._state == "data" and self._ready
        if drawable != self.has_class("-data"):
            self.set_class(drawable, "-data")
            self.call_after_refresh(self._changed)  # what appears has no size yet
            return
        if self._drawn == self._to_draw:
            return
        if self._redraw_timer is not None:
            self._stale = True
            return
        self._redraw_timer = self.set_timer(REDRAW_SECONDS, self._redraw_again)
        self._redraw()

    @property
    def _to_draw(self) -> tuple[object, ...]:
        """All that decides how the charts look, but for the theme."""
        data = tuple(self._points), tuple(self._marks), self._budget
        return self._state, self._message, self._ready, self.size, *data

    def _redraw_again(self) -> None:
        self._redraw_timer = None
        if self._stale:
            self._stale = False
            self._changed()

    def _redraw(self) -> None:
        self.set_class(self._state == "failed", "-failed")
        if self._state != "data" or not self._ready:
            message = "Loading the charts…" if self._state == "data" else self._message
            self.query_one(".message", Static).update(content(message))
        self._drawn = self._to_draw
        if self._state != "data":
            return
        if self._ready:
            self._draw()
        else:
            self.prepare()

    def prepare(self) -> None:
        """Import the plots, which takes a moment, before there is something to draw."""
        if not self._ready and not self._loading:
            self._loading = True
            self._load_plots()

    @work(group="charts", exit_on_error=False, description="load the charts")
    async def _load_plots(self) -> None:
        try:
            plot = await load_plots()
        except ImportError as error:
            self._state = "failed"
            self._message = f"The charts need textual-plot, which does not load: {error}"
            self._redraw()
            return
        for pane in self.query(ChartPane):
            await pane.mount_plot(plot())
        self._ready = True
        self._changed()

    def _draw(self) -> None:
        losses = [point.loss for point in self._points]
        kls = [point.kl for point in self._points]
        window = Window(0.5, max(2, len(losses)) + 0.5)
        marks = [ChartMark(x, "C", "correction", "chart-mark") for x in self._marks]
        loss = loss_series(_against_steps(losses))
        kl = kl_series(_against_steps(kls), self._budget)
        self.query_one("#loss-chart", ChartPane).draw(Drawing(loss, window, marks=marks))
        self.query_one("#kl-chart", ChartPane).draw(Drawing(kl, window, marks=marks))
        self.query_one("#loss-chart", ChartPane).set_title(partial(loss_title, losses))
        self.query_one("#kl-chart", ChartPane).set_title(partial(kl_title, kls, self._budget))


def _against_steps(values: Sequence[float]) -> list[Point]:
    return [(float(step), value) for step, value in enumerate(values, 1)]


def loss_title(losses: Sequence[float], room: int) -> Content:
    """Say the last loss and, as far as there is room, how it changed and what is drawn."""
    last = losses[-1]
    before = next((each for each in reversed(losses[:-1]) if math.isfinite(each)), math.nan)
    title = Content.assemble(("Loss ", "bold $chart-loss"), (figure(last), "bold"))
    more: list[Content] = []
    if math.isfinite(last) and math.isfinite(before):
        sign = "+" if last > before else ""
        more.append(Content.styled(f" ({sign}{figure(last - before)})", "$quiet"))
    more.append(Content.styled(f" · step {len(losses)}", "$quiet"))
    more.append(Content.assemble((" · smoothed over ", "$quiet"), ("raw", "$chart-loss-raw")))
    for part in more:
        if title.cell_length + part.cell_length > room:
            break
        title += part
    return title


def kl_title(kls: Sequence[float], budget: float | None, room: int) -> Content:
    """Say the last KL, and how much of its budget that is; shortly where there is little room."""
    last = kls[-1]
    name = ("KL ", "bold $chart-kl")
    if budget is None:
        return Content.assemble(name, (f"{figure(last)} nats", "bold"))
    over = math.isfinite(last) and last > budget
    style = "$text-warning" if over else "$chart-budget"
    full = Content.assemble(
        name,
        (f"{figure(last)} nats", "bold"),
        (f" · {'over the budget' if over else 'budget'} {figure(budget)}", style),
    )
    if full.cell_length <= room:
        return full
    return Content.assemble(
        name,
        (figure(last), "bold"),
        (f" · {'over' if over else 'budget'} {figure(budget)}", style),
    )
