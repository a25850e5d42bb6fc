"""What a chart draws: smoothed values, runs without gaps, no more points than can be seen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

Point = tuple[float, float]


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
    """Keep the lowest and the highest point of each column."""
    if columns < 1 or len(points) <= 2 * columns:
        return list(points)
    kept: list[Point] = []
    size = len(points) / columns
    for column in range(columns):
        bucket = points[int(column * size) : int((column + 1) * size)]
        if bucket:
            low = min(bucket, key=lambda point: point[1])
            high = max(bucket, key=lambda point: point[1])
            kept += sorted({low, high})
    return kept


def figure(value: float) -> str:
    """Write a figure with three digits that count."""
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "infinite"
    return f"{value:.3g}".replace("-", "−")
