"""What can wait is done in the pauses of the typing, so that every key is painted at once."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from textual.message_pump import MessagePump

PAUSE = 0.3
"""Seconds without a key that are a pause of the typing."""
BREATH = 0.05
"""Seconds between two pieces, in which the first is painted and a key may come."""
SHORTEST = 0.01
LATEST = 2.0
"""Seconds after which a piece is done even if the user still types."""
COLLECT_EVERY, COLLECT_WITHIN = 10.0, 60.0
YOUNG_COLLECTIONS = 10
"""So many collections of what is new make a whole one worth while; Python's own figure."""


@dataclass(frozen=True, slots=True)
class _Piece:
    due: float
    work: Callable[[], object]


class Lull:
    """Keeps pieces of work until the user pauses; one piece, a paint, then the next.

    ``clock`` gives seconds; the timers are those of the pump, which also takes what goes wrong.
    """

    def __init__(self, pump: MessagePump, *, clock: Callable[[], float] = monotonic) -> None:
        self._pump = pump
        self._clock = clock
        self._pieces: list[_Piece] = []
        self._last_key = -PAUSE
        self._looking = False

    def note_key(self) -> None:
        """The user pressed a key."""
        self._last_key = self._clock()

    def put_off(self, work: Callable[[], object], *, within: float = LATEST) -> None:
        """Do a piece of work in a pause, and at the latest ``within`` seconds from now."""
        self._pieces.append(_Piece(self._clock() + within, work))
        if not self._looking:
            self._look_in(BREATH)

    def _look_in(self, seconds: float) -> None:
        self._looking = True
        # A timer of no length is none.
        self._pump.set_timer(max(SHORTEST, seconds), self._look, name="lull")

    def _look(self) -> None:
        self._looking = False
        piece = min(self._pieces, key=lambda each: each.due)
        wait = min(self._last_key + PAUSE, piece.due) - self._clock()
        if wait <= 0:
            self._pieces.remove(piece)
            wait = BREATH
            piece.work()
        if self._pieces and not self._looking:
            self._look_in(wait)


def collect_in_lulls(lull: Lull, every: Callable[[float, Callable[[], None]], object]) -> None:
    """Let the collector look through everything only in a pause: it takes longer than a key may.

    ``every`` calls a function again and again after so many seconds. What is new is still
    collected as it comes.
    """
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, 1_000_000)

    def look() -> None:
        if gc.get_count()[2] >= YOUNG_COLLECTIONS:
            lull.put_off(gc.collect, within=COLLECT_WITHIN)

    every(COLLECT_EVERY, look)
