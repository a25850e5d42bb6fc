"""Means, standard errors, and how well one figure predicts another."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from numpy.polynomial import Polynomial

from .records import Record


class Figure(NamedTuple):
    """A mean over seeds and its standard error, which one seed alone does not have."""

    mean: float
    error: float

    def shown(self, digits: int = 2) -> str:
        """The figure as it stands in a table."""
        if math.isnan(self.mean):
            return "–"
        error = "" if math.isnan(self.error) else f" ± {self.error:.{digits}f}"
        return f"{self.mean:.{digits}f}{error}"


def mean(values: Iterable[float]) -> float:
    """The mean; not a number where there is nothing."""
    listed = list(values)
    return sum(listed) / len(listed) if listed else math.nan


def over_seeds(records: Iterable[Record], value: Callable[[Record], float | None]) -> Figure:
    """The mean of each seed's mean, and its standard error; a value of None does not count."""
    seeds: dict[int, list[float]] = {}
    for record in records:
        found = value(record)
        if found is not None and not math.isnan(found):
            seeds.setdefault(record.seed, []).append(found)
    means = [mean(values) for values in seeds.values()]
    if len(means) < 2:
        return Figure(mean(means), math.nan)
    middle = mean(means)
    variance = sum((one - middle) ** 2 for one in means) / (len(means) - 1)
    return Figure(middle, math.sqrt(variance / len(means)))


def share(record: Record, verdict: str) -> float | None:
    """The share of the held-out requests with this verdict."""
    if not record.others:
        return None
    return sum(one == verdict for one in record.others) / len(record.others)


def kept(record: Record, kind: str = "", *, but: bool = False) -> float | None:
    """The share of the near misses that were left alone: of all, of a kind, or of all but it."""
    kinds = record.near_kinds or ("",) * len(record.near)
    near = [
        left
        for left, one in zip(record.near, kinds, strict=True)
        if not kind or (one == kind) != but
    ]
    return sum(near) / len(near) if near else None


def after(record: Record, corrections: int) -> float | None:
    """The share of the kind that is right after so many corrections, or when none was needed."""
    if not record.course:
        return None
    return record.course[min(corrections, len(record.course)) - 1]


def retained(record: Record, later: int) -> float | None:
    """Of the lessons that were right at once, the share that is right so many lessons later."""
    seen = [
        record.held[at + later][at] for at in range(len(record.held) - later) if record.held[at][at]
    ]
    return mean(seen) if seen else None


def lost(record: Record) -> int:
    """How many lessons were right at once and are wrong at the end of the sequence."""
    if not record.held:
        return 0
    last = record.held[-1]
    return sum(record.held[at][at] and not last[at] for at in range(len(record.held)))


def r_squared(x: Sequence[float], y: Sequence[float], degree: int) -> float:
    """The part of the variance of ``y`` that a polynomial in ``x`` explains, by least squares.

    Not a number where the points do not fix the polynomial.
    """
    if len(x) <= degree + 1 or len(set(x)) <= degree:
        return math.nan
    spread = sum((value - mean(y)) ** 2 for value in y)
    if spread == 0:
        return math.nan
    found = Polynomial.fit(x, y, degree)
    rest = sum((value - found(at)) ** 2 for at, value in zip(x, y, strict=True))
    return float(1 - rest / spread)
