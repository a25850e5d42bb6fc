"""What this program needs of the SDK beyond its public calls; pinned to 0.38.

Three things are mended from outside. A service that answers a poll with a 5xx is asked again at
once by the SDK, thousands of times a second: here it backs off. A pause in the queue is told to
whoever listens, not to the log after a quarter of an hour. Telemetry stays off unless the user
turned it on.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

QueueListener = Callable[[str, str], None]

_listeners: list[QueueListener] = []


@contextmanager
def listening(listener: QueueListener) -> Iterator[None]:
    """Tell this listener of every change of a queue: its state and the reason."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


@functools.cache
def prepare() -> None:
    """Import the SDK and mend it; takes a second or two the first time."""
    os.environ.setdefault("TINKER_TELEMETRY", "0")
    from tinker.lib import api_future_impl as futures
    from tinker.lib import queue_state_logger as queues

    kinds = futures._TransportErrorKind
    plain_error = futures._rest_status_error_to_transport_error
    plain_change = queues.QueueStateLogger.on_queue_state_change

    def with_patience(error: Any) -> Any:
        found = plain_error(error)
        if found.status_code >= 500 and found.kind is kinds.RETRY:
            found.kind = kinds.RETRY_WITH_BACKOFF
        return found

    def telling(self: Any, queue_state: Any, queue_state_reason: str | None) -> None:
        for listener in _listeners:
            listener(queue_state.value, queue_state_reason or "")
        plain_change(self, queue_state, queue_state_reason)

    futures._rest_status_error_to_transport_error = with_patience
    queues.QueueStateLogger.on_queue_state_change = telling


def require_access(client: Any) -> None:
    """One request that a bad key or an unpaid account fails at once, where others wait."""
    client._check_accessible()
