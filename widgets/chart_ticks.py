"""Where the ticks of a chart's axes are, and what is written at them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from textual_plot.axis_formatter import AxisFormatter

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
TIME_STEPS = (
    *(1.0, 2.0, 5.0, 10.0, 15.0, 30.0),
    *(MINUTE * each for each in (1, 2, 5, 10, 15, 30)),
    *(HOUR * each for each in (1, 2, 3, 6, 12)),
    *(DAY * each for each in (1, 2, 7, 14, 30, 90, 365)),
)


def nice_step(span: float, count: int) -> float:
    """Give 1, 2 or 5 times a power of ten that cuts the span into at most ``count`` pieces."""
    rough = span / max(1, count)
    power = 10.0 ** math.floor(math.log10(rough))
    return power * next(each for each in (1, 2, 5, 10) if each * power >= rough * (1 - 1e-9))


def multiples(low: float, high: float, step: float) -> list[float]:
    """Give the multiples of ``step`` from ``low`` to ``high``."""
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [number * step for number in range(first, last + 1)]


class Ticks(AxisFormatter):
    """Ticks at round numbers, no more than fit; the plot says how many these are."""

    def __init__(self) -> None:
        self.fit = 5

    def get_ticks(self, min_: float, max_: float, max_ticks: int = 8) -> list[float]:
        """Give the ticks."""
        return multiples(min_, max_, nice_step(max_ - min_, min(self.fit, max_ticks)))

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        """Write as many digits as tell the ticks apart."""
        apart = min((b - a for a, b in pairwise(ticks)), default=1.0)
        largest = max((abs(tick) for tick in ticks), default=0.0)
        if largest >= 1e5 or apart < 1e-4:
            return [f"{tick:.3g}" for tick in ticks]
        digits = max(0, -math.floor(math.log10(apart) + 1e-9))
        return [f"{tick:.{digits}f}" for tick in ticks]


class WholeTicks(Ticks):
    """Ticks for steps and lessons, which are whole."""

    def get_ticks(self, min_: float, max_: float, max_ticks: int = 8) -> list[float]:
        """Give the ticks that are whole numbers."""
        return multiples(min_, max_, max(1.0, nice_step(max_ - min_, min(self.fit, max_ticks))))


class LogTicks(Ticks):
    """Ticks for the logarithms of values: at powers of ten, or between them where there is room."""

    def get_ticks(self, min_: float, max_: float, max_ticks: int = 8) -> list[float]:
        """Give the logarithms of round values."""
        fit = min(self.fit, max_ticks)
        stride = max(1, math.ceil((max_ - min_) / fit))
        decades = multiples(min_, max_, float(stride))
        if len(decades) >= 3 or max_ - min_ > 4:
            return decades
        low, high = 10.0**min_, 10.0**max_
        if high / low < 10:
            values = multiples(low, high, nice_step(high - low, fit))
            return [math.log10(value) for value in values if value > 0]
        powers = range(math.floor(min_), math.ceil(max_) + 1)
        found = [power + math.log10(each) for power in powers for each in (1, 2, 5)]
        return [tick for tick in found if min_ <= tick <= max_]

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        """Write the values."""
        return [f"{10.0**tick:.2g}" for tick in ticks]


class TimeTicks(Ticks):
    """Ticks at round times of day, for seconds since the epoch."""

    def get_ticks(self, min_: float, max_: float, max_ticks: int = 8) -> list[float]:
        """Give round local times."""
        step = self._step(max_ - min_, min(self.fit, max_ticks))
        zone = datetime.fromtimestamp(max_).astimezone().utcoffset()
        shift = zone.total_seconds() if zone else 0.0
        return [tick - shift for tick in multiples(min_ + shift, max_ + shift, step)]

    def get_labels_for_ticks(self, ticks: Sequence[float]) -> list[str]:
        """Write the time, or the day where they are days apart."""
        step = ticks[1] - ticks[0] if len(ticks) > 1 else MINUTE
        form = "%H:%M:%S" if step < MINUTE else "%H:%M" if step < DAY else "%d %b"
        return [datetime.fromtimestamp(tick).strftime(form) for tick in ticks]

    def _step(self, span: float, fit: int) -> float:
        enough = (step for step in TIME_STEPS if span / step <= fit)
        return next(enough, math.ceil(span / fit / TIME_STEPS[-1]) * TIME_STEPS[-1])
