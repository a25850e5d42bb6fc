"""Plots as SVG text: points with names, and lines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 64, 190, 36, 52
COLOURS = (
    *("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#777777", "#e58606"),
    *("#5d69b1", "#52bca3", "#99c945", "#cc61b0", "#24796c", "#daa51b", "#2f8ac4", "#764e9f"),
    "#ed645a",
)
Points = Sequence[tuple[float, float]]


class Axis:
    """A scale from values to pixels, straight or logarithmic."""

    def __init__(self, low: float, high: float, first: float, last: float, *, log: bool) -> None:
        self.log = log
        self.low, self.high = self._scaled(low), self._scaled(high)
        if self.high - self.low < 1e-9:
            self.high = self.low + 1
        self.first, self.last = first, last

    def _scaled(self, value: float) -> float:
        return math.log10(max(value, 1e-6)) if self.log else value

    def at(self, value: float) -> float:
        """The pixel of a value."""
        part = (self._scaled(value) - self.low) / (self.high - self.low)
        return self.first + min(max(part, 0.0), 1.0) * (self.last - self.first)

    def ticks(self) -> list[float]:
        """The values that are written at the axis."""
        if self.log:
            powers = range(math.floor(self.low), math.ceil(self.high) + 1)
            return [10.0**p for p in powers if self.low - 1e-9 <= p <= self.high + 1e-9]
        if self.high - self.low > 1:
            step = math.ceil((self.high - self.low) / 10)
            return [float(whole) for whole in range(math.ceil(self.low), int(self.high) + 1, step)]
        return [self.low + (self.high - self.low) * part / 5 for part in range(6)]


def _text(x: float, y: float, words: str, anchor: str = "start", more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(words)}</text>'


def _frame(title: str, x: Axis, y: Axis, x_name: str, y_name: str) -> list[str]:
    """Title, axes, ticks and their names."""
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    turned = f' transform="rotate(-90 16 {(TOP + bottom) / 2:.0f})"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(LEFT, 20, title, more=' font-size="15"'),
        f'<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="black"/>',
        _text((LEFT + right) / 2, HEIGHT - 12, x_name, "middle"),
        _text(16, (TOP + bottom) / 2, y_name, "middle", turned),
    ]
    for value in x.ticks():
        parts.append(_text(x.at(value), bottom + 18, f"{value:.3g}", "middle"))
    for value in y.ticks():
        at = y.at(value)
        parts.append(f'<path d="M{LEFT} {at:.1f}H{right}" stroke="#dddddd"/>')
        parts.append(_text(LEFT - 6, at + 4, f"{value:.2g}", "end"))
    return parts


def _legend(names: Sequence[str]) -> list[str]:
    """Every name beside its colour."""
    x = WIDTH - RIGHT + 16
    parts: list[str] = []
    for at, name in enumerate(names):
        y = TOP + 18 * at
        colour = COLOURS[at % len(COLOURS)]
        parts.append(f'<rect x="{x}" y="{y}" width="10" height="10" fill="{colour}"/>')
        parts.append(_text(x + 16, y + 9, name))
    return parts


def scatter(title: str, x_name: str, y_name: str, points: Mapping[str, tuple[float, float]]) -> str:
    """One point a name, with a logarithmic x from a thousandth on and y from 0 to 1."""
    most = max((x for x, _ in points.values()), default=1.0)
    x = Axis(
        1e-3, max(10 ** math.ceil(math.log10(max(most, 1e-3))), 1e-2), LEFT, WIDTH - RIGHT, log=True
    )
    y = Axis(0.0, 1.0, HEIGHT - BOTTOM, TOP, log=False)
    parts = _frame(title, x, y, x_name, y_name)
    for at, (across, up) in enumerate(points.values()):
        colour = COLOURS[at % len(COLOURS)]
        parts.append(
            f'<circle cx="{x.at(across):.1f}" cy="{y.at(up):.1f}" r="5" fill="{colour}" '
            'stroke="white"/>'
        )
    return "\n".join([*parts, *_legend(list(points)), "</svg>\n"])


def lines(title: str, x_name: str, y_name: str, series: Mapping[str, Points]) -> str:
    """One line a name, y from 0 to 1; a name without points keeps its colour."""
    across = [x for points in series.values() for x, _ in points] or [0.0, 1.0]
    x = Axis(min(across), max(across), LEFT, WIDTH - RIGHT, log=False)
    y = Axis(0.0, 1.0, HEIGHT - BOTTOM, TOP, log=False)
    parts = _frame(title, x, y, x_name, y_name)
    for at, points in enumerate(series.values()):
        colour = COLOURS[at % len(COLOURS)]
        path = " ".join(f"{x.at(a):.1f},{y.at(b):.1f}" for a, b in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
    return "\n".join([*parts, *_legend(list(series)), "</svg>\n"])
