"""What this program needs of the SDK beyond its public calls; pinned to 0.38.

Five things are mended from outside. A service that answers a poll with a 5xx is asked again at
once by the SDK, thousands of times a second: here it backs off. A pause in the queue, and a
failure after which the SDK tries again for minutes, are told to whoever listens. An account
without credit, for which it waits an hour, is told too. Servers of an older protocol, which give
their samples no names, are understood. Telemetry stays off unless the user turned it on.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Listener = Callable[[str], None]
NO_CREDIT = "the account has no credit"
NO_ANSWER = "the service does not answer"
PAYMENT_REQUIRED = 402

_listeners: list[tuple[str, Listener]] = []


@contextmanager
def listening(base_url: str, listener: Listener) -> Iterator[None]:
    """Tell this listener why nothing moves at an address; empty words when it moves again."""
    entry = (base_url.rstrip("/"), listener)
    _listeners.append(entry)
    try:
        yield
    finally:
        _listeners.remove(entry)


def _tell(why: str, url: str = "") -> None:
    for base_url, listener in list(_listeners):
        if not url or url.startswith(base_url):
            listener(why)


def _tell_of(failed: Any, url: str = "") -> None:
    """Tell of an error or of an HTTP response, or of none where there was no answer at all."""
    status = getattr(failed, "status_code", None)
    request = getattr(failed, "request", None)
    where = url or str(getattr(request, "url", ""))
    _tell(f"the service answers {status}" if status else NO_ANSWER, where)


@functools.cache
def prepare() -> None:
    """Import the SDK and mend it; takes a second or two the first time."""
    os.environ.setdefault("TINKER_TELEMETRY", "0")
    _back_off()
    _tell_of_polls()
    _tell_of_queues()
    _tell_of_failures()
    _need_no_names()


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


def _need_no_names() -> None:
    from tinker.lib.public_interfaces import sampling_client as sampling

    plain = sampling._attach_sequence_ids

    def attach(response: Any, ids: Any) -> Any:
        # Servers of SDK 0.25 (SkyRL of August 2026) give their samples no names; none is needed.
        return response if ids is None else plain(response, ids)

    sampling._attach_sequence_ids = attach


def _tell_of_polls() -> None:
    import tinker
    from tinker.lib import api_future_impl as futures

    fetch = futures._APIFuture._fetch_via_rest

    async def telling(self: Any, state: Any, iteration: int) -> Any:
        found = await fetch(self, state, iteration)
        if isinstance(found, futures._TransportError):
            # A poll that was held for its whole time is asked again; that is no silence.
            held = isinstance(found.exception, tinker.APITimeoutError)
            if not found.status_code and not held:
                _tell_of(found.exception)
        return found

    futures._APIFuture._fetch_via_rest = telling


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
        _tell_of(response, str(self.base_url))
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


def let_go(client: Any) -> None:
    """End the heartbeats of a client whose service can no longer be told that it is closed."""
    for holder in (client._session_holder, client._rest_holder):
        if holder is not None:
            holder.close()
