"""The lesson suite: which lessons hold, and how one of them is forgotten."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...training.adapter_messages import is_import
from ...training.client import WorkerDied
from ...training.protocol import (
    Checked,
    Event,
    LessonCheck,
    LessonResult,
    ProgressEvent,
    ProvedLesson,
)
from ..adapter_words import OFF
from ..events import AdapterMoved, AgentEvent, LessonsChecked, Notice, SuiteProgress
from ..store.journal import Journal, JournalError, LessonRecord
from .engine import EngineController, EngineError
from .lesson import LessonController

RESTORE_ATTEMPTS = 3
NOT_IN_ADAPTER = {"undone", "forgotten", "gated", "pending"}


class Unfinished(Exception):
    """Forgetting cannot come to its end; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A lesson that is gone, and what came of the later ones without it."""

    lesson: str
    again: tuple[LessonResult, ...] = ()

    @property
    def not_proved(self) -> tuple[LessonResult, ...]:
        """The later lessons that were not proved again."""
        return tuple(result for result in self.again if result.outcome != "learned")


class SuiteController:
    """Asks lessons again, and takes one out of the middle."""

    def __init__(
        self,
        *,
        engine: EngineController,
        journal: Journal,
        lessons: LessonController,
        present: Callable[[AgentEvent], None],
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._lessons = lessons
        self._present = present

    # --- checking -----------------------------------------------------------------------

    def due(self, every: int) -> bool:
        """Whether so many lessons have been learned since the last check."""
        wanted = 0 < every <= self._journal.unchecked and self._journal.read_only is None
        return wanted and self._engine.adapter_on

    async def check(self, *, quiet: bool = False) -> Checked | None:
        """Ask every learned lesson again; None when there is none or the adapter is off.

        ``quiet`` tells only of lessons that were not known to be lost. Raises what the
        engine raises.
        """
        if not self._engine.adapter_on:
            self._present(Notice(OFF, "warning"))
            return None
        proved = [lesson for name in self._journal.learned if (lesson := self._proved(name))]
        if not proved:
            if not quiet:
                self._present(Notice("There is no learned lesson to check."))
            return None
        known = {record.lesson.id for record in self._journal.lessons() if record.lost}

        def show(event: Event) -> None:
            if isinstance(event, ProgressEvent) and not quiet:
                self._present(SuiteProgress(event.message, event.fraction))

        checked = await self._engine.check(proved, show)
        self._write(lambda: self._journal.add_check(checked))
        self._present(LessonsChecked(checked))
        lost = [check for check in checked.checks if check.holds == "lost"]
        if not quiet:
            self._present(
                Notice(self._summary(checked, lost), "warning" if lost else "information")
            )
        elif news := [check for check in lost if check.lesson not in known]:
            told = "; ".join(self.loss_in_words(check) for check in news)
            more = "/lessons shows more and can learn it again."
            self._present(Notice(f"{told}. {more}", "warning"))
        return checked

    def loss_in_words(self, check: LessonCheck) -> str:
        """That a lesson was lost, and to which later one."""
        name = self._quoted(check.lesson)
        match check.suspects:
            case ():
                return f"{name} no longer holds; which lesson it was lost to is unknown"
            case (only,):
                return f"{name} no longer holds; it was lost to {self._quoted(only)}"
            case several:
                return (
                    f"{name} no longer holds; it was lost to one of {len(several)} later lessons "
                    "whose snapshots are pruned"
                )

    def _summary(self, checked: Checked, lost: list[LessonCheck]) -> str:
        count, held = len(checked.checks), len(checked.checks) - len(lost)
        every = "The one lesson holds" if count == 1 else f"All {count} lessons hold"
        words = [every if not lost else f"{held} of {count} lessons hold"]
        words += [self.loss_in_words(check) for check in lost]
        left_out = len(self._journal.learned) - count
        if left_out:
            words.append(f"{left_out} could not be asked because the proof is not in the journal")
        return "; ".join(words) + "."

    def _proved(self, identifier: str) -> ProvedLesson | None:
        record = self._journal.lesson(identifier)
        if record is None or record.result is None or record.result.retry is None:
            return None
        tokens = record.result.retry.tokens
        if not tokens:
            return None
        return ProvedLesson(
            lesson=identifier,
            messages=record.lesson.messages,
            tools=record.lesson.tools,
            tokens=tokens,
            denied=record.lesson.completion.tokens,
        )

    # --- forgetting ---------------------------------------------------------------------

    async def forget(self, record: LessonRecord) -> Forgotten | None:
        """Take one lesson out: go back to before it and learn the later ones again.

        None when it could not be done; adapter and journal are then as they were, or will be
        when a worker next loads the adapter.
        """
        problem = self._cannot_forget(record)
        if problem is not None:
            self._present(Notice(problem, "warning"))
            return None
        self._lessons.begin()
        try:
            forgotten = await self._forget(record)
        except (Unfinished, EngineError, WorkerDied) as error:
            why = str(error).rstrip(".")
            self._present(
                Notice(f"{self._quoted(record.lesson.id)} was not forgotten: {why}.", "warning")
            )
            await self.recover()
            return None
        self._present(Notice(self._farewell(forgotten)))
        return forgotten

    async def recover(self) -> None:
        """Go back to before a forgetting that did not come to its end."""
        entry = self._journal.forgetting
        if entry is None:
            return
        for _ in range(RESTORE_ATTEMPTS):
            try:
                await self._engine.undo(entry.snapshot)
            except WorkerDied:
                try:
                    await self._engine.restart()
                except (EngineError, WorkerDied):
                    return  # tried again when a worker next loads the adapter
            except EngineError as error:
                if error.code == "cancelled":
                    continue
                if error.code == "bad_adapter":
                    self._give_up(entry.lesson, error)
                return
            else:
                self._write(lambda: self._journal.add_restored(entry.lesson))
                self._present(AdapterMoved())
                self._present(Notice("The adapter is again as it was before."))
                return

    def _cannot_forget(self, record: LessonRecord) -> str | None:
        # A learned lesson may be without its result: its snapshot was taken up after a crash.
        unknown = record.result is None and record.standing != "learned"
        if record.standing in NOT_IN_ADAPTER or unknown:
            return "The adapter does not hold this lesson; there is nothing to forget."
        if self._engine.loaded is not None and self._engine.loaded.snapshot is None:
            return "The adapter has learned nothing; there is nothing to forget."
        return self._engine.cannot_train() or self._journal.read_only

    async def _forget(self, record: LessonRecord) -> Forgotten:
        name, loaded = record.lesson.id, self._engine.loaded
        assert loaded is not None
        assert loaded.snapshot is not None
        try:
            self._journal.add_forgetting(name, loaded.snapshot)
        except JournalError as error:
            raise Unfinished(str(error)) from None
        undone = await self._engine.undo(before=name)
        self._present(AdapterMoved())
        if any(is_import(each) for each in undone.undone_lessons):
            raise Unfinished(
                "an adapter was imported after it; go back to before the import first, with undo "
                "or /adapter use"
            )
        # A lesson that was learned twice is learned again where it stood last.
        later = dict.fromkeys(reversed(undone.undone_lessons))
        results = [
            await self._again(identifier) for identifier in reversed(later) if identifier != name
        ]
        if self._lessons.stopped:
            raise Unfinished("you stopped it")
        self._write(lambda: self._journal.add_forgotten(name))
        return Forgotten(name, tuple(results))

    async def _again(self, identifier: str) -> LessonResult:
        """Learn a later lesson again; that it is not proved is no reason to stop."""
        if self._lessons.stopped:
            raise Unfinished("you stopped it")
        record = self._journal.lesson(identifier)
        if record is None:
            raise Unfinished("the journal does not hold every lesson that was learned later")
        result = await self._lessons.relearn(record.lesson)
        untried = result.outcome == "in_context_only" and not result.steps
        if result.outcome == "failed" or untried:
            raise Unfinished(result.reason)
        return result

    def _give_up(self, lesson: str, error: EngineError) -> None:
        """The way back is gone: what there is has to do."""
        self._write(lambda: self._journal.add_forgotten(lesson))
        why = error.message.rstrip(".")
        self._present(
            Notice(
                f"The adapter cannot go back to before the forgetting ({why}); check in /lessons "
                "which lessons hold.",
                "warning",
            )
        )

    def _farewell(self, forgotten: Forgotten) -> str:
        words = [f"{self._quoted(forgotten.lesson)} is forgotten"]
        missing = forgotten.not_proved
        proved = len(forgotten.again) - len(missing)
        if proved:
            later = "one later lesson was" if proved == 1 else f"{proved} later lessons were"
            words.append(f"{later} proved again")
        if missing:
            names = ", ".join(self._quoted(result.lesson) for result in missing)
            words.append(f"not proved again: {names}")
        return "; ".join(words) + "."

    # --- within -------------------------------------------------------------------------

    def _quoted(self, identifier: str) -> str:
        if is_import(identifier):
            return "an imported adapter"
        record = self._journal.lesson(identifier)
        words = record.lesson.correction if record else identifier[:8]
        return f"\u201c{words}\u201d"

    def _write(self, write: Callable[[], None]) -> None:
        try:
            write()
        except JournalError as error:
            self._present(Notice(str(error), "warning"))
