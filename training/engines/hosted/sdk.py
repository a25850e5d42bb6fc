"""What this program needs of the SDK beyond its public calls; pinned to 0.38.

Four things are mended from outside. A service that answers a poll with a 5xx is asked again at
once by the SDK, thousands of times a second: here it backs off. A pause in the queue, and a
failure after which the SDK tries again for minutes, are told to whoever listens. An account
without credit, for which it waits an hour, is told too. Telemetry stays off unless the user turned
it on.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

QueueListener = Callable[[str], None]
NO_CREDIT = "the account has no credit"
PAYMENT_REQUIRED = 402

_listeners: list[QueueListener] = []


@contextmanager
def listening(listener: QueueListener) -> Iterator[None]:
    """Tell this listener why nothing moves, in a few words; empty ones when it moves again."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def _tell(why: str) -> None:
    for listener in list(_listeners):
        listener(why)


def _tell_of(failed: object) -> None:
    """Tell of an error, or of an HTTP response; of neither where there was no answer at all."""
    status = getattr(failed, "status_code", None)
    _tell(f"the service answers {status}" if status else "the service does not answer")


@functools.cache
def prepare() -> None:
    """Import the SDK and mend it; takes a second or two the first time."""
    os.environ.setdefault("TINKER_TELEMETRY", "0")
    _back_off()
    _tell_of_queues()
    _tell_of_failures()


def _back_off() -> None:
    from tinker.lib import api_future_impl as futures

    kinds = futures._TransportErrorKind
    plain = futures._rest_status_error_to_transport_error

    def with_patience(error: Any) -> Any:
        found = plain(error)
        if found.status_code >= 500:
            _tell_of(error)
            if found.kind is kinds.RETRY:
                found.kind = kinds.RETRY_WITH_BACKOFF
        return found

    futures._rest_status_error_to_transport_error = with_patience


def _tell_of_queues() -> None:
    from tinker.lib import queue_state_logger as queues

    plain = queues.QueueStateLogger.on_queue_state_change

    def telling(self: Any, queue_state: Any, queue_state_reason: str | None) -> None:
        state = queue_state.value
        _tell("" if state == "active" else queue_state_reason or state.replace("_", " "))
        plain(self, queue_state, queue_state_reason)

    queues.QueueStateLogger.on_queue_state_change = telling


def _tell_of_failures() -> None:
    from tinker._base_client import AsyncAPIClient
    from tinker.lib.internal_client_holder import InternalClientHolder
    from tinker.lib.retry_handler import RetryHandler

    is_retryable = InternalClientHolder._is_retryable_exception
    should_retry = RetryHandler._should_retry
    should_pause = InternalClientHolder._should_pause_on_billing

    sleep = AsyncAPIClient._sleep_for_retry

    async def telling_sleep(self: Any, *, response: Any, **named: Any) -> None:
        _tell_of(response)
        await sleep(self, response=response, **named)

    def telling(exception: Exception) -> bool:
        again = is_retryable(exception)
        if again:
            _tell_of(exception)
        return again

    def telling_retry(self: Any, exception: Exception) -> bool:
        again = should_retry(self, exception)
        if again:
            _tell_of(exception)
        return again

    def telling_pause(self: Any, status_code: int, detail: str) -> bool:
        pause = should_pause(self, status_code, detail)
        if pause and status_code == PAYMENT_REQUIRED:
            _tell(NO_CREDIT)
        return pause

    AsyncAPIClient._sleep_for_retry = telling_sleep
    InternalClientHolder._is_retryable_exception = staticmethod(telling)
    RetryHandler._should_retry = telling_retry
    InternalClientHolder._should_pause_on_billing = telling_pause


def require_access(client: Any) -> None:
    """One request that a bad key or an unpaid account fails at once, where others wait."""
    client._check_accessible()
