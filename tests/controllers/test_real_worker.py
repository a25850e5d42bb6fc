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
from continualcode_tui.training.snapshots import SnapshotStore

from .support import Stage

pytestmark = pytest.mark.slow


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
            return Deny("use pnpm add")
        await self.session.interrupt()
        return await asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        try:
            assert await self.session.start()
            await self.session.submit("install the npm package zod")
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

    # The adapter stands where the journal says; once it is also seen that a start goes there.
    lesson = record.lesson.id if finished.result.outcome == "learned" else None
    assert standing(stage) == lesson
    if when is None:
        again = Killer(stage, None)
        assert await again.session.start()
        assert again.session.loaded is not None
        assert again.session.loaded.lesson == lesson
        await again.session.close()


def standing(stage: Stage) -> str | None:
    """The lesson of the newest snapshot, which is whole."""
    (snapshots,) = stage.data.glob("adapters/*/*/snapshots")
    store = SnapshotStore(snapshots.parent)
    snapshot, damaged = store.newest_intact()
    assert not damaged
    return store.manifest(snapshot).lesson if snapshot else None


async def weights(session: SessionController, folder: Path) -> bytes:
    """The adapter as it stands, tensor by tensor."""
    path = await session.save(str(folder))
    assert path is not None
    return (Path(path) / "adapter_model.safetensors").read_bytes()


async def test_check_forget_and_undo_go_back_bit_for_bit(stage: Stage, tmp_path: Path) -> None:
    """Two lessons are learned, the first is forgotten, the second undone, and both come back."""
    corrections = ["use edit_lines; don't overwrite", "use python -m unittest"]

    async def decide(proposal: Proposal) -> Deny:
        stage.proposals.append(proposal)
        if corrections and not proposal.retry:
            return Deny(corrections.pop(0))
        await session.interrupt()
        return await asyncio.get_running_loop().create_future()

    session = SessionController(
        settings=load_settings([f"data_dir={stage.data}", "check_every=0"], environ={}),
        folder=stage.folder,
        present=stage.events.append,
        decide=decide,
    )
    try:
        assert await session.start()
        came = await weights(session, tmp_path / "came")
        await session.submit("fix the test")
        first = await weights(session, tmp_path / "first")
        session.clear()
        await session.submit("run the tests in test_calc.py")
        second = await weights(session, tmp_path / "second")
        learned = [record.lesson.id for record in session.lessons() if record.standing == "learned"]
        assert len(learned) == 2
        checked = await session.check()
        assert checked is not None
        assert [check.lesson for check in checked.checks] == learned
        assert await weights(session, tmp_path / "checked") == second

        forgotten = await session.forget(learned[0])
        assert forgotten is not None
        assert [(result.lesson, result.outcome) for result in forgotten.again] == [
            (learned[1], "learned")
        ]
        assert session.lessons()[0].standing == "forgotten"
        assert await weights(session, tmp_path / "forgotten") != second
        while session.loaded is not None and session.loaded.snapshot is not None:
            assert await session.undo() is not None
        assert await weights(session, tmp_path / "undone") == came
        again = await session.replay(learned[0])
        assert again is not None
        assert again.outcome == "learned"
        assert await session.undo() is not None
        assert await weights(session, tmp_path / "again") == came
        assert first != came
    finally:
        await session.close()
