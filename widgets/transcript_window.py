"""Which entries of a long conversation are mounted, given what is in view.

The entries that are not mounted count with the average height of those that are: so the
scrollbar tells the truth about where one is, and nothing has to be measured before it is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Generic, NamedTuple, TypeVar

from .transcript_model import Slot

# In heights of the view, on either side of it: less than the first is filled up to the second,
# and what lies beyond the third is let go.
NEAR, FILL, FAR = 1.0, 2.0, 3.0
# What is mounted before the first paint; the rest follows after it.
OPENED = 1.25
# Entries that have just been mounted may not have their height yet.
MOST_AT_ONCE = 60
# Rows that an entry is thought to take until some have been measured.
FIRST_GUESS = 3.0
# Entries that arrive faster than they can be laid out: the older ones are let go unseen.
MOST_WAITING = 80

Shown = TypeVar("Shown")


class Pin(NamedTuple, Generic[Shown]):
    """An entry that stays in view: how far above the top of the view it begins."""

    slot: Slot[Shown]
    offset: int
    inside: bool


class Window(NamedTuple):
    """The entries from ``first`` up to ``last``; ``aim`` comes to the top of the view."""

    first: int
    last: int
    aim: int | None = None


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where the mounted entries lie: ``edges`` has their tops, and the bottom of the last."""

    first: int
    edges: Sequence[int]
    count: int
    average: float
    view_top: int
    view_height: int

    @property
    def last(self) -> int:
        """The entry after the last that is mounted."""
        return self.first + len(self.edges) - 1


def tail(count: int, average: float, view_height: int) -> Window:
    """Give the window in which the newest entry is at the bottom of the view."""
    return Window(max(0, count - _entries(OPENED * view_height, average)), count)


def plan(at: Geometry) -> Window:
    """Give the entries that should be mounted, those that are included where they are near."""
    bottom = at.view_top + at.view_height
    if at.edges[-1] <= at.edges[0] or bottom <= at.edges[0] or at.view_top >= at.edges[-1]:
        return _jump(at)
    first, last = at.first, at.last
    above, below = at.view_top - at.edges[0], at.edges[-1] - bottom
    if above < NEAR * at.view_height:
        first = max(0, first - _entries(FILL * at.view_height - above, at.average))
    else:
        far = at.view_top - FAR * at.view_height
        while first < last - 1 and at.edges[first + 1 - at.first] < far:
            first += 1
    if below < NEAR * at.view_height:
        last = min(at.count, last + _entries(FILL * at.view_height - below, at.average))
    else:
        far = bottom + FAR * at.view_height
        while last > first + 1 and at.edges[last - 1 - at.first] > far:
            last -= 1
    return Window(first, last)


def _jump(at: Geometry) -> Window:
    if not at.count:
        return Window(0, 0)
    if at.view_top < at.edges[0]:
        index = int(at.view_top / at.average)
    else:
        index = at.last + int((at.view_top - at.edges[-1]) / at.average)
    aim = max(0, min(index, at.count - 1))
    first = max(0, aim - _entries(NEAR * at.view_height, at.average))
    last = min(at.count, aim + _entries((1 + NEAR) * at.view_height, at.average))
    return Window(first, last, aim)


def _entries(rows: float, average: float) -> int:
    return max(1, min(ceil(rows / average), MOST_AT_ONCE))
