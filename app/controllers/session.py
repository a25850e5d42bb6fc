"""One session in one folder: everything that a screen, or `exec`, drives the agent with.

    session = SessionController(settings=…, folder=…, present=…, decide=…)
    await session.start()            # EngineLoading… EngineReady, or EngineFailed
    await session.submit("fix it")   # UserSaid, TurnStarted… TurnFinished
    await session.close()

``present`` is called with every event of ``app/events.py``, in order, on the event loop and
never from a thread. ``decide`` is awaited when a proposal needs the user; it is cancelled when
the session is interrupted. Nothing here raises because of what the user, the model, the worker
or the disk did: that is told as ``Notice``, ``EngineFailed`` or ``TurnFinished(reason)``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ...training.protocol import Loaded
from ..agent.proposal import Decision, Proposal
from ..events import AgentEvent
from .metrics import Metrics

if TYPE_CHECKING:
    from ..settings import Settings
    from ..store.journal import LessonRecord

Presenter = Callable[[AgentEvent], None]
Decider = Callable[[Proposal], Awaitable[Decision]]


class SessionController:
    """Builds the engine, the tools and the stores from the settings, and runs requests."""

    def __init__(
        self, *, settings: Settings, folder: Path, present: Presenter, decide: Decider
    ) -> None:
        self.settings = settings
        self.folder = folder
        self.metrics = Metrics()
        self._present = present
        self._decide = decide

    # --- what can be read at any time -------------------------------------------------

    @property
    def loaded(self) -> Loaded | None:
        """What the engine loaded; None until it is ready."""
        raise NotImplementedError

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        raise NotImplementedError

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes that wait for the next correction."""
        raise NotImplementedError

    def lessons(self) -> list[LessonRecord]:
        """Every lesson of this repository and model, oldest first, with its standing."""
        raise NotImplementedError

    # --- what can be asked --------------------------------------------------------------

    async def start(self) -> bool:
        """Open the folder, start the worker and load the model; False when that failed."""
        raise NotImplementedError

    async def submit(self, text: str) -> None:
        """Put a request to the agent and return when it waits for the user again."""
        raise NotImplementedError

    async def interrupt(self) -> None:
        """Stop sampling, the waiting proposal, the tool or the lesson, whichever is under way.

        A second call while the worker does not answer the first ends the worker and starts
        another; the adapter is then the last committed one.
        """
        raise NotImplementedError

    async def undo(self) -> None:
        """Take back the newest learned lesson."""
        raise NotImplementedError

    def add_note(self, text: str) -> None:
        """Keep a note for the teacher of the next correction."""
        raise NotImplementedError

    def clear(self) -> None:
        """Begin a new conversation; the adapter and the lessons stay."""
        raise NotImplementedError

    async def save(self, path: str | None = None) -> str | None:
        """Write the adapter as a PEFT folder and say where it lies; None when that failed."""
        raise NotImplementedError

    async def replay(self, lesson: str) -> None:
        """Learn a lesson of the journal again."""
        raise NotImplementedError

    async def close(self) -> None:
        """Stop what runs, keep the conversation, end the worker."""
        raise NotImplementedError
