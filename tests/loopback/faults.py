"""What may go wrong on the way, asked for by a test."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "status", "refuse", "lose", "delay", "malformed", "nan", "missing", "untold", "again"
]


@dataclass(frozen=True)
class Fault:
    """One fault at one endpoint.

    ``status`` answers with ``code``; ``refuse`` closes the connection before anything is done and
    ``lose`` after it; ``delay`` waits ``seconds`` first; ``malformed`` answers with no JSON;
    ``nan`` and ``missing`` spoil log-probabilities, ``untold`` leaves the likeliest tokens out;
    ``again`` does the request twice.
    """

    kind: Kind
    code: int = 500
    seconds: float = 0.0
    body: str = '{"detail": "this fault was asked for"}'


class Faults:
    """Faults waiting for the next requests to an endpoint; ``always`` is one that stays.

    ``every`` is one that meets the first request to each endpoint.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Fault]] = {}
        self._always: dict[str, Fault] = {}
        self.every: Fault | None = None
        self._met: set[str] = set()

    def add(self, endpoint: str, *faults: Fault) -> None:
        """Let the next requests to this endpoint go wrong, one each."""
        self._waiting.setdefault(endpoint, deque()).extend(faults)

    def always(self, endpoint: str, fault: Fault) -> None:
        """Let every request to this endpoint go wrong."""
        self._always[endpoint] = fault

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        self._waiting.clear()
        self._always.clear()

    def waiting(self, endpoint: str) -> int:
        """How many faults are still to come."""
        return len(self._waiting.get(endpoint, ()))

    def take(self, endpoint: str) -> Fault | None:
        """The fault of this request."""
        if self.every is not None and endpoint not in self._met:
            self._met.add(endpoint)
            return self.every
        waiting = self._waiting.get(endpoint)
        return waiting.popleft() if waiting else self._always.get(endpoint)
