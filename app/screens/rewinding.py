"""The questions of `/rewind`, one after the other."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from textual.app import App
from textual.content import Content

from ...widgets.sanitise import content
from ..controllers.sessions import SessionsController
from ..workspace.checkpoints import CheckpointError, Plan
from .confirm import ConfirmScreen
from .rewind import RestoreScreen, RewindScreen, named


@dataclass(frozen=True, slots=True)
class Answer:
    """Which request to go back to, and what happens to the files; None leaves them."""

    number: int
    plan: Plan | None = None
    yours: bool = False


async def ask(app: App[Any], sessions: SessionsController) -> Answer | None:
    """Ask what the user wants; None for nothing. It waits for screens, so use a worker."""
    number = await app.push_screen_wait(RewindScreen(sessions.requests()))
    if number is None:
        return None
    return await _ask_about_files(app, sessions, number)


async def _ask_about_files(
    app: App[Any], sessions: SessionsController, number: int
) -> Answer | None:
    try:
        plan = await asyncio.to_thread(sessions.plan, number)
    except (CheckpointError, OSError) as error:
        words = content(f"The files cannot be brought back ({error}).")
        alone = ConfirmScreen("rewind", words, "go back without them", "stay")
        return Answer(number) if await app.push_screen_wait(alone) else None
    choice = await app.push_screen_wait(RestoreScreen(plan)) if plan else "conversation"
    if choice is None:
        return None
    if choice == "conversation":
        return Answer(number)
    if choice == "all":
        words = Content(f"What you changed in these files is lost:\n\n{named(plan.yours)}")
        sure = ConfirmScreen("rewind", words, "overwrite them", "stay")
        if not await app.push_screen_wait(sure):
            return None
    return Answer(number, plan, yours=choice == "all")
