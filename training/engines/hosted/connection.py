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

if TYPE_CHECKING:
    import tinker

HOSTED_URL = "https://tinker.thinkingmachines.dev/services/tinker-prod"
KEY, URL, COMMAND = "TINKER_API_KEY", "TINKER_BASE_URL", "TINKER_CREDENTIAL_CMD"
KEY_BEGINNINGS = ("tml-", "eyJ")
HEALTH_SECONDS = 3.0
SLICE_SECONDS = 0.05
TELL_EVERY_SECONDS = 1.0
STALE_SECONDS = 40.0  # the SDK tries again after 30 at most; what was told before is over by then
LONGEST_DETAIL = 200
UNPAID = "The account has no credit: see to its billing in the service's console."

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
    """How long each kind of call may take, in seconds."""

    connect: float = 20.0
    create: float = 180.0
    sample: float = 600.0
    train: float = 600.0
    save: float = 300.0


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
        import httpx

        url = f"{self.base_url.rstrip('/')}/api/v1/healthz"

        def ask() -> int:
            return httpx.get(url, timeout=HEALTH_SECONDS, follow_redirects=True).status_code

        try:
            status = self.wait("Asking for the service's health", ask, reply, HEALTH_SECONDS + 1)
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

        patience = Patience(what, seconds, reply)
        future = _in_a_thread(begin)
        try:
            with sdk.listening(patience.hear):
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


class Patience:
    """How long one call is waited for, what is told meanwhile, and when it is given up."""

    def __init__(self, what: str, seconds: float, reply: Reply) -> None:
        self.what = what
        self.seconds = seconds
        self.reply = reply
        self._began = self._told = self._heard = time.monotonic()
        self._why = ""

    def hear(self, why: str) -> None:
        """Take up why nothing moves."""
        self._why, self._heard = why, time.monotonic()

    def look(self) -> None:
        """Tell how long it has been, each second; raises ``EngineFailure`` when it was enough."""
        from .sdk import NO_CREDIT

        now = time.monotonic()
        if self.reply.is_cancelled():
            raise Cancelled
        if self._why == NO_CREDIT:
            raise EngineFailure("unavailable", UNPAID)
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


def in_words(error: BaseException, what: str) -> EngineFailure:
    """A failure of the SDK in one sentence with the way out."""
    import tinker

    error = _root(error)
    detail = _detail(error)
    match error:
        case tinker.AuthenticationError():
            message = f"The service rejected the key: check {KEY}."
        case tinker.PermissionDeniedError():
            message = f"The key may not do this ({detail}): ask the account's owner."
        case tinker.BillingError():
            message = UNPAID
        case tinker.NotFoundError() | tinker.UnprocessableEntityError() | tinker.BadRequestError():
            if "no longer supported" in detail:
                message = "The service no longer takes this version: upgrade continualcode-tui."
            elif "longer than" in detail or "context" in detail:
                return EngineFailure(
                    "context_too_long",
                    f"The conversation is longer than the model reads ({detail}): start a new "
                    "one, or shorten this one.",
                )
            else:
                message = f"{what} was refused by the service: {detail}"
        case tinker.RateLimitError():
            message = "The service is asked too often: wait a little and try again."
        case tinker.APIConnectionError():
            message = f"{what} failed: the connection to the service was lost. Try again."
        case tinker.InternalServerError():
            message = f"{what} failed inside the service ({detail}): try again later."
        case _:
            message = f"{what} failed: {detail}"
    return EngineFailure("unavailable", message)


def _root(error: BaseException) -> BaseException:
    """What the service said, where the SDK stumbled over it and raised something else."""
    import tinker

    at: BaseException | None = error
    while at is not None:
        if isinstance(at, tinker.APIError):
            return at
        at = at.__cause__ or at.__context__
    return error


def _detail(error: BaseException) -> str:
    """The first line of an error, without the key and not too long."""
    body = getattr(error, "body", None)
    said = body.get("detail") if isinstance(body, dict) else None
    text = str(said or error).strip() or type(error).__name__
    key = os.environ.get(KEY)
    if key:
        text = text.replace(key, "[key]")
    return text.splitlines()[0][:LONGEST_DETAIL]
