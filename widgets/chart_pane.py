"""One chart under its title, and what the mouse does over it."""

from __future__ import annotations

import asyncio
import importlib
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from .chart_data import ChartLine, ChartSeries, Drawing, figure, value_at
from .sanitise import visible

if TYPE_CHECKING:
    from .chart_plots import SeriesPlot


class PointerMoved(Message):
    """The mouse points at an x value."""

    def __init__(self, x: float) -> None:
        super().__init__()
        self.x = x


class PointerLeft(Message):
    """The mouse points at no value any more."""


class Dragged(Message):
    """The window was dragged by a part of itself."""

    def __init__(self, part: float) -> None:
        super().__init__()
        self.part = part


class Wheeled(Message):
    """The wheel was turned over an x value."""

    def __init__(self, x: float, *, closer: bool) -> None:
        super().__init__()
        self.x = x
        self.closer = closer


async def load_plots() -> type[SeriesPlot]:
    """Import the plots in a thread; ImportError where they do not load."""
    module: Any = await asyncio.to_thread(importlib.import_module, f"{__package__}.chart_plots")
    return module.SeriesPlot


class ChartTitle(Widget):
    """One line that says as much as there is room for."""

    def __init__(self) -> None:
        super().__init__(classes="title")
        self._words: Callable[[int], Content] = lambda _: Content()

    def say(self, words: Callable[[int], Content]) -> None:
        """Show what a function gives for the number of columns that there are."""
        self._words = words
        self.refresh()

    def render(self) -> Content:
        """Say it at the present width."""
        return self._words(self.content_size.width)


class ChartPane(Vertical):
    """A title line; the plot below it is mounted when it has been imported."""

    DEFAULT_CSS = """
    ChartPane { height: 1fr; width: 1fr; min-height: 6; }
    ChartPane > .title { height: 1; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(
        self, *, name: str | None = None, id: str | None = None, classes: str | None = None
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._plot: SeriesPlot | None = None
        self._drawing: Drawing | None = None

    def compose(self) -> ComposeResult:
        """Lay out the title."""
        yield ChartTitle()

    def set_title(self, words: Callable[[int], Content]) -> None:
        """Say what is drawn, in as many columns as the function is given."""
        self.query_one(ChartTitle).say(words)

    async def mount_plot(self, plot: SeriesPlot) -> None:
        """Take up the plot."""
        await self.mount(plot)
        self._plot = plot

    def draw(self, drawing: Drawing) -> bool:
        """Draw, as soon as the plot is there; False where there is no value to draw."""
        self._drawing = drawing
        return self._plot is not None and self._plot.draw(drawing)

    def notify_style_update(self) -> None:
        """Draw in the colours of a new theme."""
        super().notify_style_update()
        if self._drawing is not None:
            self.draw(self._drawing)


def series_title(
    number: int, series: ChartSeries, x: float | None, *, log: bool, drawn: bool
) -> Content:
    """Name the series and its key, and say the last values or those at ``x``."""
    key = f"{number} " if number <= 9 else ""
    parts: list[tuple[str, str]] = [
        (key, "bold $primary"),
        (visible(series.title, keep=""), "bold"),
    ]
    for line in series.lines:
        value = _shown_value(line, x)
        name = f" {visible(line.name, keep='')}" if len(series.lines) > 1 else ""
        sign = visible(line.marker or "─", keep="") if len(series.lines) > 1 else ""
        parts += [
            (f"  {sign}{name} " if name else "  ", f"${visible(line.colour)}"),
            (value, "bold"),
        ]
    parts.append((f" {visible(series.unit, keep='')}" if series.unit else "", "$quiet"))
    parts += _budget_words(series, x)
    if log:
        parts.append((_log_words(series, drawn=drawn), "$text-warning"))
    return Content.assemble(*parts)


def _shown_value(line: ChartLine, x: float | None) -> str:
    if not line.points:
        return "–"
    value = line.points[-1][1] if x is None else value_at(line.points, x)
    return "–" if math.isnan(value) else figure(value)


def _budget_words(series: ChartSeries, x: float | None) -> Sequence[tuple[str, str]]:
    if series.budget is None or not series.lines or not series.lines[-1].points:
        return ()
    points = series.lines[-1].points
    value = points[-1][1] if x is None else value_at(points, x)
    if value > series.budget:
        return ((f" · over the budget {figure(series.budget)}", "$text-warning"),)
    return ((f" · budget {figure(series.budget)}", "$chart-budget"),)


def _log_words(series: ChartSeries, *, drawn: bool) -> str:
    """Say how many values a logarithm cannot show."""
    left_out = sum(1 for line in series.lines for _, y in line.points if y <= 0)
    if not left_out:
        return ""
    return f" · {left_out} not above 0 left out" if drawn else " · nothing above 0 to show as log"
