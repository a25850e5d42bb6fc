"""What a chart draws: smoothed values, runs without gaps, no more points than can be seen."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Point = tuple[float, float]
Axis = Literal["step", "lesson", "time"]


@dataclass(frozen=True, slots=True)
class ChartLine:
    """One line of a chart; ``colour`` names a theme variable.

    A ``marker`` stands at each point, so that lines differ without colour; a line that is not
    ``joined`` has only these.
    """

    name: str
    points: Sequence[Point]
    colour: str
    marker: str = ""
    joined: bool = True


@dataclass(frozen=True, slots=True)
class ChartSeries:
    """One chart: its lines, and a budget below which they should stay."""

    title: str
    unit: str
    lines: Sequence[ChartLine]
    budget: float | None = None
    top: float | None = None


@dataclass(frozen=True, slots=True)
class ChartMark:
    """A vertical mark with a letter, so that it is known without its colour."""

    x: float
    letter: str
    name: str
    colour: str


@dataclass(frozen=True, slots=True)
class Window:
    """The stretch of a chart that is drawn."""

    left: float
    right: float


@dataclass(frozen=True, slots=True)
class Drawing:
    """One series in a window, with what lies over it."""

    series: ChartSeries
    window: Window
    axis: Axis = "step"
    log: bool = False
    marks: Sequence[ChartMark] = ()
    crosshair: float | None = None


def smoothed(values: Sequence[float], weight: float = 0.4) -> list[float]:
    """Give the moving average that follows ``values``; it skips what is not finite."""
    average: float | None = None
    averages: list[float] = []
    for value in values:
        if math.isfinite(value):
            average = value if average is None else average + weight * (value - average)
            averages.append(average)
        else:
            averages.append(math.nan)
    return averages


def runs(points: Sequence[Point]) -> Iterator[list[Point]]:
    """Give the stretches of finite points: a value that is not a number leaves a gap."""
    run: list[Point] = []
    for point in points:
        if math.isfinite(point[1]):
            run.append(point)
        elif run:
            yield run
            run = []
    if run:
        yield run


def decimated(points: Sequence[Point], columns: int) -> list[Point]:
    """Keep the lowest and the highest point of each column; a gap as wide as one stays."""
    if columns < 1 or len(points) <= 2 * columns:
        return list(points)
    kept: list[Point] = []
    size = len(points) / columns
    for column in range(columns):
        bucket = points[int(column * size) : int((column + 1) * size)]
        finite = [point for point in bucket if math.isfinite(point[1])]
        if finite:
            low = min(finite, key=lambda point: point[1])
            high = max(finite, key=lambda point: point[1])
            kept += sorted({low, high})
        else:
            kept += bucket[:1]
    return kept


def logarithmic(points: Sequence[Point]) -> list[Point]:
    """Give the points on a logarithmic scale; what is not above zero leaves a gap."""
    return [(x, math.log10(y) if y > 0 else math.nan) for x, y in points]


def within(points: Sequence[Point], window: Window) -> Sequence[Point]:
    """Give the points in the window, and the next on either side, to which the line goes on."""
    first = bisect_left(points, window.left, key=lambda point: point[0])
    last = bisect_right(points, window.right, key=lambda point: point[0])
    return points[max(0, first - 1) : last + 1]


def nearest(places: Sequence[float], x: float) -> float | None:
    """Give the place that lies nearest to ``x``; the places are in order."""
    after = bisect_left(places, x)
    near = places[max(0, after - 1) : after + 1]
    return min(near, key=lambda place: abs(place - x), default=None)


def value_at(points: Sequence[Point], x: float) -> float:
    """Give the value at ``x``, or else the last one before it."""
    at = bisect_right(points, x, key=lambda point: point[0])
    return points[at - 1][1] if at else math.nan


def y_limits(
    lines: Sequence[Sequence[Point]], budget: float | None, top: float | None, *, log: bool
) -> tuple[float, float] | None:
    """Give the lowest and the highest value to draw; None where there is nothing."""
    values = [y for points in lines for _, y in points if math.isfinite(y)]
    if not values:
        return None
    low, high = min(values), max(values)
    if budget is not None and math.isfinite(budget):
        low, high = min(low, budget), max(high, budget)
    if log:
        room = max(0.15, (high - low) * 0.08)
        return low - room, high + room
    if top is not None:
        high = max(high, top)
    low, high = min(0.0, low), max(0.0, high)
    room = (high - low) * 0.08 or 1.0
    return (low - room if low < 0 else low), high + room


def loss_series(points: Sequence[Point]) -> ChartSeries:
    """The loss: as it came, and smoothed over it."""
    values = smoothed([y for _, y in points])
    smooth = [(x, value) for (x, _), value in zip(points, values, strict=True)]
    return ChartSeries(
        "Loss",
        "nats",
        (
            ChartLine("raw", points, "chart-loss-raw", marker="∙", joined=False),
            ChartLine("smoothed", smooth, "chart-loss"),
        ),
    )


def kl_series(points: Sequence[Point], budget: float | None) -> ChartSeries:
    """The KL to the reference, and its budget."""
    return ChartSeries("KL", "nats an answer", (ChartLine("KL", points, "chart-kl"),), budget)


def figure(value: float) -> str:
    """Write a figure with three digits that count."""
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "infinite"
    return f"{value:.3g}".replace("-", "−")
