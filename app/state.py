"""The reactive state of the chat screen; widgets bind to it and nothing else tells them."""

from __future__ import annotations

from typing import Literal

from textual.reactive import var
from textual.screen import Screen

Phase = Literal[
    "loading", "ready", "thinking", "waiting", "running", "learning", "leaving", "failed"
]


class ChatState(Screen[None]):
    """What the session is doing, as far as the screen shows it."""

    phase: var[Phase] = var[Phase]("loading")
    """What the agent does now."""

    detail: var[str] = var("starting")
    """A few words beside the phase: a stage, a file, a reason."""

    repository: var[str] = var("")
    """The repository's or folder's name."""

    branch: var[str] = var("")
    """The branch, empty outside git."""

    dirty: var[bool] = var(False)
    """Whether the repository has uncommitted changes."""

    engine: var[str] = var("")
    """The engine that runs the model."""

    model: var[str] = var("")
    """The model's name."""

    lessons: var[int] = var(0)
    """Lessons that are learned and stand."""

    context_used: var[float | None] = var(None)
    """The part of the model's context that the newest prompt took, 0 to 1."""

    gate: var[str] = var("")
    """Which boundary commands run behind: bwrap, partial or none; empty until it is tried."""

    losses: var[tuple[float, ...]] = var(())
    """The loss of every step of the session."""
