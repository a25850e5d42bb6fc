"""R11 as a state machine: whatever order a user, a crash and a disk come in, nothing is lost."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from continualcode_tui.app.store.journal import JournalError
from continualcode_tui.training import snapshots
from continualcode_tui.training.engine import EngineFailure
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from .program import ROOM, Program, journal_path, lesson
from .system_calls import Fault, Killed, SystemCalls

OUTCOMES = ["learned", "learned", "learned", "gated", "rolled_back", "in_context_only", "failed"]
places = st.integers(1, 160)


class Lessons(RuleBasedStateMachine):
    """A program with its journal and its snapshots, and what the user has been told of them."""

    def __init__(self) -> None:
        super().__init__()
        self.data = Path(tempfile.mkdtemp())
        self.acknowledged: list[str] = []
        self.corrections: dict[str, str] = {}
        self.learned: list[str] = []
        self.number = 0
        self.program: Program | None = None

    @initialize()
    def begin(self) -> None:
        """The first start."""
        self.program = Program(self.data)

    def teardown(self) -> None:
        if self.program is not None:
            self.program.close()
        shutil.rmtree(self.data)

    @property
    def running(self) -> Program:
        assert self.program is not None
        return self.program

    # --- what a user does ---------------------------------------------------------------

    @precondition(lambda self: self.program is not None and self.number < ROOM - 1)
    @rule(outcome=st.sampled_from(OUTCOMES))
    def correct(self, outcome: str) -> None:
        """A lesson comes, and is learned or not."""
        wanted = lesson(self.number, outcome)
        self.number += 1
        assert self.running.correct(wanted).outcome == outcome
        self.acknowledged.append(wanted.id)
        self.corrections[wanted.id] = outcome
        if outcome == "learned":
            self.learned.append(wanted.id)

    @precondition(lambda self: self.program is not None)
    @rule()
    def undo(self) -> None:
        """The newest lesson is taken back."""
        undone = self.running.undo()
        if not self.learned:
            assert undone is None
            return
        assert undone is not None
        assert undone.undone_lesson == self.learned.pop()

    @precondition(lambda self: self.program is not None and self.learned)
    @rule(part=st.floats(0, 0.99))
    def forget(self, part: float) -> None:
        """A lesson is taken out of the middle."""
        name = self.learned[int(part * len(self.learned))]
        assert self.running.forget(name)
        self.learned.remove(name)

    @precondition(lambda self: self.program is not None and self.acknowledged)
    @rule(part=st.floats(0, 0.99))
    def replay(self, part: float) -> None:
        """A lesson that does not stand is learned again."""
        name = self.acknowledged[int(part * len(self.acknowledged))]
        result = self.running.replay(name)
        assert (result is None) == (name in self.learned)
        if result is not None and result.outcome == "learned":
            self.learned.append(name)

    @precondition(lambda self: self.program is not None)
    @rule(part=st.floats(0, 0.99))
    def switch(self, part: float) -> None:
        """Another kept snapshot is taken up, on whatever branch."""
        engine = self.running.engine
        kept = [each.id for each in engine.adapters().snapshots if not each.pruned] + ["base"]
        self.running.use(kept[int(part * len(kept))])
        self.learned = self.running.held()

    # --- what happens to a user ---------------------------------------------------------

    @precondition(lambda self: self.program is not None)
    @rule(last_word=st.booleans())
    def restart(self, last_word: bool) -> None:
        """The program ends, or is killed between two things, and begins anew."""
        self._end(last_word)
        self._start()
        assert not self.running.told

    def _end(self, last_word: bool) -> None:
        program, self.program = self.running, None
        program.close() if last_word else program.die()

    def _start(self) -> None:
        self.program = Program(self.data)
        assert self.running.journal.read_only is None
        assert self.running.engine.store.read_only is None

    @precondition(lambda self: self.program is not None and self.number < ROOM - 1)
    @rule(at=places, after=st.booleans(), what=st.sampled_from(["lesson", "undo", "forget"]))
    def kill(self, at: int, after: bool, what: str) -> None:
        """It is killed at some call of the system, in the middle of something."""
        calls = SystemCalls(self.data, Fault("killed_after" if after else "killed", at))
        wanted = lesson(self.number)
        before = list(self.learned)
        self._end(last_word=True)
        try:
            with calls.watching():
                program = Program(self.data)
                if what == "undo" and self.learned:
                    program.undo()
                elif what == "forget" and self.learned:
                    program.forget(self.learned[0])
                else:
                    what, self.number = "lesson", self.number + 1
                    self.corrections[wanted.id] = "learned"
                    program.journal.add_lesson(wanted)
                    self.acknowledged.append(wanted.id)
                    program.lessons.reconcile()
                    program.replay(wanted.id)
                program.die()
        except Killed:
            pass
        self._start()
        held = self.running.held()
        match what:
            case "lesson":
                assert held in (before, [*before, wanted.id])
                known = self.running.journal.lesson(wanted.id)
                if known is not None and wanted.id not in self.acknowledged:
                    self.acknowledged.append(wanted.id)
            case "undo":
                assert held in (before, before[:-1])
            case "forget":
                # Brought to its end, or everything as it was.
                assert held in (before, before[1:])
        self.learned = held

    @precondition(lambda self: self.program is not None and self.number < ROOM - 1)
    @rule(at=places, error=st.sampled_from([errno.ENOSPC, errno.EIO]), lasting=st.booleans())
    def fail(self, at: int, error: int, lasting: bool) -> None:
        """The disk refuses something while a lesson is learned, and is well again later."""
        wanted = lesson(self.number)
        self.number += 1
        self.corrections[wanted.id] = "learned"
        calls = SystemCalls(self.data, Fault("refused", at, error, lasting))
        program = self.running
        # What was opened before is watched as well.
        handles = (program.journal._descriptor, program.engine.store._lock._handle)
        calls._handles.update(handles)
        with calls.watching():
            result = program.correct(wanted)
        assert result.reason.endswith(".")
        self._end(last_word=True)
        self._start()
        held = self.running.held()
        if result.outcome == "learned":
            assert held == [*self.learned, wanted.id]
        elif "is not known" in result.reason:
            assert held in (self.learned, [*self.learned, wanted.id])
        else:
            assert held == self.learned
        if self.running.journal.lesson(wanted.id) is not None:
            self.acknowledged.append(wanted.id)
        else:
            assert result.outcome != "learned"
        self.learned = held

    @precondition(lambda self: self.program is not None)
    @rule(tail=st.binary(min_size=1, max_size=60).filter(lambda tail: b"\n" not in tail))
    def tear(self, tail: bytes) -> None:
        """The last line is torn, as by a crash in the middle of a write; it is put aside."""
        self._end(last_word=False)
        with journal_path(self.data).open("ab") as file:
            file.write(tail)
        self._start()
        torn = max(journal_path(self.data).parent.glob("*.torn-*"), key=os.path.getmtime)
        assert torn.read_bytes() == tail
        assert [text for text in self.running.told if "cut short; it was moved to" in text]

    @precondition(lambda self: self.program is not None)
    @rule()
    def second(self) -> None:
        """Another program in the same place reads, and says that it cannot do more."""
        other = Program(self.data)
        assert other.held() == self.learned
        assert any("Another session" in text for text in other.told)
        with pytest.raises(JournalError):
            other.journal.add_lesson(lesson(self.number))
        with pytest.raises(EngineFailure):
            other.engine.take(lesson(self.number))
        other.close()

    # --- what is always true ------------------------------------------------------------

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        if self.program is not None:
            self.program.require_exactly_once(self.acknowledged)
            assert self.program.held() == self.learned
            assert self.program.journal.learned == tuple(self.learned)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is just dying here."""
    monkeypatch.setattr(snapshots, "LOCK_PATIENCE", 0.0)


def run(examples: int, steps: int) -> None:
    machine = type("Machine", (Lessons,), {})
    machine.TestCase.settings = settings(
        max_examples=examples, stateful_step_count=steps, deadline=None
    )
    machine.TestCase().runTest()


def test_a_few_orders_of_everything_that_may_happen() -> None:
    run(examples=5, steps=10)


@pytest.mark.slow
def test_many_orders_of_everything_that_may_happen() -> None:
    run(examples=80, steps=30)
