"""One connection to a service: every wait is bounded, can be cancelled, and fails in words.

The SDK's first call blocks its thread, offline for five minutes, and its futures may wait for
hours. So the service is asked for its health before the SDK is imported, every call begins in a
thread of its own, and the worker's thread waits in short slices, between which it looks at the
clock and at the user.
"""

from __future__ import annotations

import concurrent.futures
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from ...engine import Cancelled, EngineFailure, Reply
from .words import KEY, UNPAID, in_words

if TYPE_CHECKING:
    import tinker

HOSTED_URL = "https://tinker.thinkingmachines.dev/services/tinker-prod"
URL, COMMAND = "TINKER_BASE_URL", "TINKER_CREDENTIAL_CMD"
KEY_BEGINNINGS = ("tml-", "eyJ")
HEALTH_SECONDS = 3.0
SLICE_SECONDS = 0.05
TELL_EVERY_SECONDS = 1.0
STALE_SECONDS = 40.0  # the SDK tries again after 30 at most; what was told before is over by then
LOST_SECONDS = 30.0

T = TypeVar("T")


class Waiting(Protocol[T]):
    """What the SDK gives back at once for something that is done later."""

    def future(self) -> concurrent.futures.Future[T]:
        """The future of the result."""
        ...


class TookTooLong(EngineFailure):
    """A call whose time was over before the service had answered."""


@dataclass(frozen=True)
class Limits:
    """How long each kind of call may take, in seconds.

    ``lost`` is how long a service may give no answer at all before it is asked for its health.
    """

    connect: float = 20.0
    create: float = 180.0
    sample: float = 600.0
    train: float = 600.0
    save: float = 300.0
    lost: float = LOST_SECONDS


@dataclass
class Connection:
    """The SDK's service client, once it is open, and how to wait for what it does."""

    base_url: str
    limits: Limits = field(default_factory=Limits)
    client: tinker.ServiceClient | None = None

    def open(self, reply: Reply) -> tinker.ServiceClient:
        """Look at the key, ask the service for its health, and begin a session."""
        check_key()
        reply.progress(f"Asking {host_of(self.base_url)} for its health")
        self._probe(reply)
        from . import sdk

        def begin() -> tinker.ServiceClient:
            sdk.prepare()
            import tinker

            # A client is lazy: asking for something is what begins the session.
            client = tinker.ServiceClient(base_url=self.base_url)
            sdk.require_access(client)
            return client

        self.client = self.wait("Connecting", begin, reply, self.limits.connect)
        return self.client

    def _probe(self, reply: Reply) -> None:
        """Ask for the service's health, so that an unreachable one is known in seconds."""
        try:
            status = self.wait(
                "Asking for the service's health", self._health, reply, HEALTH_SECONDS + 1
            )
        except EngineFailure as failure:
            if failure.code == "cancelled":
                raise
            raise self._unreachable() from None
        if status >= 500:
            raise EngineFailure(
                "unavailable",
                f"{host_of(self.base_url)} answers, but says that it is not well ({status}): try "
                "again later, or use engine=practice.",
            )

    def _health(self) -> int:
        """The status with which the service answers when it is asked for its health."""
        import httpx

        url = f"{self.base_url.rstrip('/')}/api/v1/healthz"
        return httpx.get(url, timeout=HEALTH_SECONDS, follow_redirects=True).status_code

    def _unreachable(self) -> EngineFailure:
        return EngineFailure(
            "unavailable",
            f"{host_of(self.base_url)} cannot be reached: check the network and base_url, or use "
            "engine=practice.",
        )

    def wait(
        self, what: str, begin: Callable[[], T | Waiting[T]], reply: Reply, seconds: float
    ) -> T:
        """The result of a call that begins in a thread of its own.

        Raises ``EngineFailure`` in words, ``Cancelled`` as soon as the user says so; what was
        still on its way is then given up.
        """
        from . import sdk

        patience = Patience(what, seconds, reply, self._health, self.limits.lost)
        future = _in_a_thread(begin)
        try:
            with sdk.listening(self.base_url, patience.hear):
                while True:
                    try:
                        found = future.result(timeout=SLICE_SECONDS)
                    except concurrent.futures.TimeoutError:
                        if future.done() and isinstance(future.exception(), TimeoutError):
                            raise  # the call's own time was over, not this slice's
                        patience.look()
                        continue
                    if not callable(getattr(found, "future", None)):
                        return cast(T, found)
                    future = cast(Waiting[T], found).future()
        except EngineFailure:
            raise
        except Exception as error:
            raise in_words(error, what) from error
        finally:
            if not future.done():
                future.cancel()

    def close(self) -> None:
        """End the session, without waiting for long."""
        client, self.client = self.client, None
        if client is not None:
            done = _in_a_thread(lambda: client.close("success").future().result(timeout=2))
            concurrent.futures.wait([done], timeout=2)
            from . import sdk

            sdk.let_go(client)


class Patience:
    """How long one call is waited for, what is told meanwhile, and when it is given up."""

    def __init__(
        self,
        what: str,
        seconds: float,
        reply: Reply,
        health: Callable[[], int],
        lost_seconds: float,
    ) -> None:
        self.what = what
        self.seconds = seconds
        self.reply = reply
        self.lost_seconds = lost_seconds
        self._health = health
        self._began = self._told = self._heard = time.monotonic()
        self._why = ""
        self._silent_since: float | None = None
        self._asked: concurrent.futures.Future[Any] | None = None

    def hear(self, why: str) -> None:
        """Take up why nothing moves."""
        from .sdk import NO_ANSWER

        self._why, self._heard = why, time.monotonic()
        if why != NO_ANSWER:
            self._silent_since = None
        elif self._silent_since is None:
            self._silent_since = self._heard

    def look(self) -> None:
        """Tell how long it has been, each second; raises ``EngineFailure`` when it was enough."""
        from .sdk import NO_CREDIT

        now = time.monotonic()
        if self.reply.is_cancelled():
            raise Cancelled
        if self._why == NO_CREDIT:
            raise EngineFailure("unavailable", UNPAID)
        self._look_for_the_service(now)
        why = self._why if now - self._heard < STALE_SECONDS else ""
        if now - self._began > self.seconds:
            because = f" ({why})" if why else ""
            raise TookTooLong(
                "unavailable",
                f"{self.what} took longer than {self.seconds:.0f} s{because}: try again later.",
            )
        if now - self._told > TELL_EVERY_SECONDS:
            self._told = now
            waited = f"{self.what}, {now - self._began:.0f} s"
            self.reply.progress(f"{waited}: waiting, {why}" if why else waited)

    def _look_for_the_service(self, now: float) -> None:
        """After some silence ask for the service's health; without any the call is given up."""
        if self._asked is not None and self._asked.done():
            asked, self._asked = self._asked, None
            if asked.exception() is not None:
                raise EngineFailure(
                    "unavailable",
                    f"{self.what} failed: the connection to the service was lost. See that it "
                    "runs and can be reached, and try again.",
                )
            self._silent_since = None
        elif self._asked is None and now - (self._silent_since or now) > self.lost_seconds:
            self._asked = _in_a_thread(self._health)


def _in_a_thread(begin: Callable[[], Any]) -> concurrent.futures.Future[Any]:
    """Run something in a daemon thread, which nobody waits for at the end."""
    future: concurrent.futures.Future[Any] = concurrent.futures.Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            found = begin()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(found)

    threading.Thread(target=run, name="service", daemon=True).start()
    return future


def address(base_url: str | None) -> str:
    """The service's address: a setting, the environment's, or the hosted service's."""
    return base_url or os.environ.get(URL) or HOSTED_URL


def host_of(url: str) -> str:
    """The part of an address that a person knows it by."""
    return url.split("://", 1)[-1].split("/", 1)[0].rsplit("@", 1)[-1]


def has_credentials() -> bool:
    """Whether there is a key, a command that prints one, or a login; nothing is sent."""
    from pathlib import Path

    if os.environ.get(KEY) or os.environ.get(COMMAND):
        return True
    return (Path.home() / ".tinker" / "credentials.json").is_file()


def check_key() -> None:
    """Fail in words, and at once, where there is no key or it cannot be one."""
    key = os.environ.get(KEY)
    if key is None and not has_credentials():
        raise EngineFailure(
            "unavailable",
            f"There is no key for the service: set {KEY}, or run `tinker auth login`, or use "
            "engine=practice.",
        )
    if key is not None and not key.strip().startswith(KEY_BEGINNINGS):
        raise EngineFailure(
            "unavailable",
            f"{KEY} does not look like a key (it begins with tml-): copy it again from the "
            "service's console.",
        )
