"""A few ways through everything, with the real worker and the practice model."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from continualcode_tui.app.agent.proposal import Deny, Proposal
from continualcode_tui.app.controllers.session import SessionController
from continualcode_tui.app.events import AgentEvent, LessonFinished, LessonStage, LessonStarted
from continualcode_tui.app.settings import load_settings
from continualcode_tui.training import practice

from .support import Stage

WEIGHTS = Path(practice.__file__).parent / "model" / "model.safetensors"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not WEIGHTS.exists(), reason="the practice model is not trained yet"),
]


class Killer:
    """A session whose worker is killed when a lesson first enters a stage."""

    def __init__(self, stage: Stage, when: str | None) -> None:
        self.stage = stage
        self.when = when
        self.session = SessionController(
            settings=load_settings([f"data_dir={stage.data}"], environ={}),
            folder=stage.folder,
            present=self.present,
            decide=self.decide,
        )

    def present(self, event: AgentEvent) -> None:
        self.stage.events.append(event)
        if isinstance(event, LessonStage) and event.stage == self.when:
            self.when = None
            os.kill(self.session._engine._client.pid, signal.SIGKILL)

    async def decide(self, proposal: Proposal) -> Deny:
        self.stage.proposals.append(proposal)
        if len(self.stage.proposals) == 1:
            return Deny("use edit_lines; don't overwrite")
        await self.session.interrupt()
        return await asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        try:
            assert await self.session.start()
            await self.session.submit("fix the test")
        finally:
            await self.session.close()


@pytest.mark.parametrize(
    "when", [None, "prepare", "gate", "snapshot", "step", "guard", "retry", "commit"]
)
async def test_a_lesson_ends_in_words_and_on_a_committed_adapter(
    stage: Stage, when: str | None
) -> None:
    killer = Killer(stage, when)
    await killer.run()
    (finished,) = stage.seen(LessonFinished)
    assert finished.result.reason
    assert len(stage.seen(LessonStarted)) == (1 if when is None or killer.when else 2)
    journal = stage.journal()
    (record,) = journal.lessons()
    journal.close()
    assert record.standing == finished.result.outcome
    assert finished.result.proved == (finished.result.outcome == "learned")

    # The next start stands where the journal says.
    again = Killer(stage, None)
    assert await again.session.start()
    assert again.session.loaded is not None
    learned = finished.result.outcome == "learned"
    assert again.session.loaded.lesson == (record.lesson.id if learned else None)
    await again.session.close()
