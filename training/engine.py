"""What every engine can do, how it fails, and how it talks back while it works."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from .adapter_messages import (
    AdapterEnabled,
    AdapterList,
    Import,
    Imported,
)
from .protocol import (
    Check,
    Checked,
    Completion,
    Event,
    FailureCode,
    Learn,
    LessonResult,
    Load,
    Loaded,
    ProgressEvent,
    RetryDroppedEvent,
    Sample,
    Save,
    Saved,
    StageEvent,
    StageName,
    StepEvent,
    StepMetrics,
    TokenEvent,
    Undo,
    Undone,
)


class EngineFailure(Exception):
    """A failure that the user can do something about, in one sentence that says what."""

    def __init__(self, code: FailureCode, message: str) -> None:
        super().__init__(message)
        self.code: FailureCode = code
        self.message = message


class Cancelled(EngineFailure):
    """The request was cancelled between two tokens or two stages."""

    def __init__(self, message: str = "Cancelled; nothing was changed.") -> None:
        super().__init__("cancelled", message)


@dataclass(frozen=True)
class Capabilities:
    """What an engine offers beyond sampling."""

    full_vocabulary: bool
    answer_scope: bool
    bit_exact_undo: bool
    export: bool
    import_adapter: bool
    adapter_off: bool


@dataclass
class Reply:
    """The way back to the asker of one request: events out, cancellation in."""

    id: int
    send: Callable[[Event], None]
    is_cancelled: Callable[[], bool] = lambda: False
    started: float = field(default_factory=time.monotonic)
    seconds: dict[str, float] = field(default_factory=dict)

    def check(self) -> None:
        """Raise ``Cancelled`` if the request was cancelled."""
        if self.is_cancelled():
            raise Cancelled

    def elapsed(self) -> float:
        """Seconds since the request began."""
        return time.monotonic() - self.started

    def progress(self, message: str, fraction: float | None = None) -> None:
        """Say how far a load or a check has come."""
        self.send(ProgressEvent(id=self.id, message=message, fraction=fraction))

    def token(self, text: str, token: int, logprob: float) -> None:
        """Stream one sampled token."""
        self.send(TokenEvent(id=self.id, text=text, token=token, logprob=logprob))

    def step(self, metrics: StepMetrics) -> None:
        """Report a gradient step."""
        self.send(StepEvent(id=self.id, metrics=metrics))

    def retry_dropped(self) -> None:
        """Say that the retry streamed so far did not follow the correction."""
        self.send(RetryDroppedEvent(id=self.id))

    @contextmanager
    def stage(self, name: StageName, detail: str = "") -> Iterator[None]:
        """Announce a stage, stop before it if cancelled, and add up its seconds."""
        self.check()
        self.send(
            StageEvent(id=self.id, stage=name, detail=detail, elapsed=round(self.elapsed(), 4))
        )
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - start


class Engine(Protocol):
    """A model that can be sampled, corrected and put back.

    Every method may raise ``EngineFailure``; after one the weights are as before the call.
    """

    closing_seconds: ClassVar[float]
    """How long the end of the program waits for ``close``; 0 where there is nothing to save."""

    @property
    def capabilities(self) -> Capabilities:
        """What this engine offers."""
        ...

    def load(self, request: Load, reply: Reply) -> Loaded:
        """Load the model and resume the adapter."""
        ...

    def sample(self, request: Sample, reply: Reply) -> Completion:
        """Sample one completion from the student, streaming its tokens."""
        ...

    def learn(self, request: Learn, reply: Reply) -> LessonResult:
        """Learn one lesson, or leave the weights exactly as they were."""
        ...

    def undo(self, request: Undo, reply: Reply) -> Undone:
        """Go to another snapshot, usually an earlier one."""
        ...

    def check(self, request: Check, reply: Reply) -> Checked:
        """Ask lessons again without their corrections; the weights stay as they are."""
        ...

    def save(self, request: Save, reply: Reply) -> Saved:
        """Write the adapter where other programs can load it."""
        ...

    def adapters(self) -> AdapterList:
        """List the kept snapshots."""
        ...

    def enable_adapter(self, *, enabled: bool) -> AdapterEnabled:
        """Answer with the adapter or as the base model."""
        ...

    def import_adapter(self, request: Import, reply: Reply) -> Imported:
        """Take up an adapter from a file as a new snapshot."""
        ...

    def idle(self) -> bool:
        """Do one short piece of preparation; False when there is none left."""
        ...

    def close(self) -> None:
        """Give back locks and memory."""
        ...
