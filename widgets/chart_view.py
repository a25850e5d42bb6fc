"""Which stretch of the x axis is seen: all of it, the newest part, or a part further back."""

from __future__ import annotations

from .chart_data import Window

ZOOM = 0.6
PAN = 0.25


class View:
    """A window on an axis that grows at its right; until it is moved it shows everything."""

    def __init__(self) -> None:
        self._extent = Window(0.0, 1.0)
        self._least = 1.0
        self._span: float | None = None
        self._right: float | None = None

    @property
    def shows_all(self) -> bool:
        """Whether everything is seen."""
        return self._span is None

    @property
    def words(self) -> str:
        """What is seen, in a word or two."""
        if self._span is None:
            return "all"
        return "newest" if self._right is None else "earlier part"

    @property
    def window(self) -> Window:
        """What is seen."""
        left, right = self._extent.left, self._extent.right
        if self._span is None:
            return self._extent
        span = min(self._span, right - left)
        if self._right is not None:
            right = min(right, max(self._right, left + span))
        return Window(right - span, right)

    def grow(self, extent: Window, least: float) -> None:
        """Say how far the axis goes now, and how little of it can be seen at the least."""
        self._extent, self._least = extent, least

    def zoom(self, factor: float, around: float | None = None) -> None:
        """See ``factor`` times as much; ``around``, else the newest or the middle, stays."""
        window, whole = self.window, self._extent.right - self._extent.left
        span = max(min(self._least, whole), (window.right - window.left) * factor)
        if span >= whole:
            self.show_all()
            return
        self._span = span
        if around is None and self._right is None:
            return
        at = (window.left + window.right) / 2 if around is None else around
        part = (window.right - at) / (window.right - window.left)
        self._look_at(at + part * span)

    def pan(self, part: float) -> None:
        """Move by a part of what is seen, to the right where it is positive."""
        if self._span is not None:
            window = self.window
            self._look_at(window.right + part * (window.right - window.left))

    def reveal(self, x: float) -> None:
        """Move as little as is needed to see ``x``."""
        window = self.window
        if self._span is None:
            return
        if x < window.left:
            self._look_at(x + (window.right - window.left))
        elif x > window.right:
            self._look_at(x)

    def show_last(self, span: float) -> None:
        """See the newest part of the axis, so much of it, and stay with it."""
        self._right = None
        whole = self._extent.right - self._extent.left
        self._span = span if span < whole else None

    def follow(self) -> None:
        """Go to the newest and stay with it."""
        self._right = None

    def show_all(self) -> None:
        """See everything."""
        self._span = self._right = None

    def _look_at(self, right: float) -> None:
        """Put the right edge there; at the end of the axis the newest is followed."""
        least = self._extent.left + (self._span or 0.0)
        self._right = None if right >= self._extent.right else max(right, least)
