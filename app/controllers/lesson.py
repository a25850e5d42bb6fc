"""The way of a correction: into the journal, to the worker, and what came of it."""

from __future__ import annotations

from collections.abc import Callable

from ...training.client import WorkerDied
from ...training.protocol import (
    Event,
    FailureCode,
    Lesson,
    LessonResult,
    Loaded,
    Outcome,
    ProgressEvent,
    RetryDroppedEvent,
    StageEvent,
    StepEvent,
    TokenEvent,
)
from ..events import (
    AgentEvent,
    EngineWaiting,
    LessonFinished,
    LessonStage,
    LessonStarted,
    LessonStep,
    Notice,
    TokenArrived,
    TurnDropped,
    TurnStarted,
)
from ..store.journal import Journal, JournalError
from .engine import EngineController, EngineError
from .secrets import SecretsController

ATTEMPTS = 2
KEPT = "the correction stays in the conversation"
NOT_LEARNED_CODES: frozenset[FailureCode] = frozenset({"read_only", "missing_extra"})


class LessonController:
    """Takes one lesson at a time from the correction to its result."""

    def __init__(
        self,
        *,
        engine: EngineController,
        journal: Journal,
        present: Callable[[AgentEvent], None],
        secrets: SecretsController,
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._present = present
        self._secrets = secrets
        self._stopped = False
        self._unknown: dict[str, Lesson] = {}

    def stop(self) -> None:
        """Do not send the lesson again when its worker goes away."""
        self._stopped = True

    async def learn(self, lesson: Lesson, *, show_retry: bool) -> LessonResult:
        """Learn the lesson, whatever happens on the way, and say what came of it.

        ``show_retry`` streams the retry as the model's next turn; it has been dropped
        again unless the outcome is ``learned``.
        """
        self._stopped = False
        lesson, sealed = self._secrets.seal(lesson)
        why_not = sealed or self._engine.cannot_train()
        unwritten = self._write(lambda: self._journal.add_lesson(lesson))
        if why_not is not None:
            result = _no_steps(lesson, "in_context_only", f"{_clause(why_not)}; {KEPT}.")
        elif unwritten is not None:
            result = _no_steps(lesson, "in_context_only", f"{_clause(unwritten)}; {KEPT}.")
        else:
            result = await self._attempt(lesson, _Retry(self._present, shown=show_retry))
        return self._finish(lesson, result)

    async def replay(self, identifier: str) -> LessonResult | None:
        """Learn a lesson of the journal again, outside of any turn; None when it was not tried."""
        record = self._journal.lesson(identifier)
        problem = self._engine.cannot_train()
        if record is None:
            problem = "There is no such lesson in the journal."
        elif record.standing == "learned" and not record.lost:
            problem = "The lesson is learned and stands; there is nothing to replay."
        elif not record.lesson.completion.tokens:
            problem = "A secret was redacted in this lesson, so there is nothing left to train on."
        if record is None or problem is not None:
            self._present(Notice(problem or "", "warning"))
            return None
        self._stopped = False
        return await self.relearn(record.lesson)

    @property
    def stopped(self) -> bool:
        """Whether the user has stopped what is under way."""
        return self._stopped

    def begin(self) -> None:
        """Begin something of several lessons; `stop` holds for all of them."""
        self._stopped = False

    async def relearn(self, lesson: Lesson) -> LessonResult:
        """Learn one of several lessons again."""
        result = await self._attempt(lesson, _Retry(self._present, shown=False))
        return self._finish(lesson, result)

    def reconcile(self) -> None:
        """Settle what was under way when the program last ended; the adapter is the truth."""
        loaded = self._engine.loaded
        if loaded is None or self._journal.read_only or loaded.read_only:
            return
        if self._journal.forgetting is not None:
            return  # the adapter is on its way back to another snapshot
        self._reconcile_undone(loaded)
        left = 0
        for record in self._journal.lessons():
            if record.lesson.id == loaded.lesson and record.standing != "learned":
                result = _committed(record.lesson, loaded.snapshot)
            elif record.lesson.id != loaded.lesson and record.standing == "pending":
                left += 1
                reason = "The program ended before the lesson was over; replay it from /lessons."
                result = _no_steps(record.lesson, "failed", reason)
            else:
                continue
            self._write(lambda result=result: self._journal.add_result(result), tell=True)
        if left:
            lessons = "One lesson was" if left == 1 else f"{left} lessons were"
            self._present(
                Notice(f"{lessons} cut short when the program last ended; see /lessons.", "warning")
            )

    def settle(self, loaded: Loaded) -> None:
        """Say what came of lessons whose worker could not be replaced, now that one is there."""
        self._write_again(loaded)
        if self._journal.forgetting is not None:
            self._unknown.clear()  # the adapter goes back to before them
        for identifier, lesson in self._unknown.items():
            if loaded.lesson == identifier:
                result = _committed(lesson, loaded.snapshot)
                self._present(
                    Notice(f"\u201c{lesson.correction}\u201d had been learned after all.")
                )
            else:
                result = _no_steps(lesson, "failed", "The worker died and could not be replaced.")
            self._write(lambda result=result: self._journal.add_result(result), tell=True)
        self._unknown.clear()

    # --- within -------------------------------------------------------------------------

    def _write_again(self, loaded: Loaded) -> None:
        """Take up a journal that could only be read, now that its adapter can be changed."""
        if self._journal.read_only is None or loaded.read_only:
            return
        self._journal.open_again()
        if self._journal.read_only is None:
            self._present(Notice("The journal can be written again, so lessons are kept again."))
            self.reconcile()

    def _reconcile_undone(self, loaded: Loaded) -> None:
        """An undo that the worker had committed when the program ended is in the journal too."""
        learned = self._journal.learned
        if loaded.lesson in learned:
            taken_back = learned[learned.index(loaded.lesson) + 1 :]
        else:
            taken_back = learned if loaded.snapshot is None and len(learned) == 1 else ()
        for identifier in taken_back:
            self._write(lambda name=identifier: self._journal.add_undone(name), tell=True)

    async def _attempt(self, lesson: Lesson, retry: _Retry) -> LessonResult:
        """Send the lesson; once more if its worker dies; never twice if it had committed."""
        for number in range(1, ATTEMPTS + 1):
            unwritten = self._write(lambda: self._journal.add_attempt(lesson.id))
            if unwritten is not None:
                return _no_steps(lesson, "in_context_only", f"{_clause(unwritten)}; {KEPT}.")
            self._present(LessonStarted(lesson, number))
            try:
                result = await self._engine.learn(lesson, retry.take)
            except EngineError as error:
                retry.drop()
                return _refused(lesson, error)
            except WorkerDied as error:
                retry.drop()
                result = await self._after_death(lesson, error, number)
            if result is not None:
                retry.settle(result)
                return result
        return _no_steps(
            lesson, "failed", f"The worker died {ATTEMPTS} times over this lesson; {KEPT}."
        )

    async def _after_death(
        self, lesson: Lesson, error: WorkerDied, number: int
    ) -> LessonResult | None:
        """Start another worker; None when the lesson should be sent again."""
        if not self._stopped:
            again = "; the lesson is sent again" if number < ATTEMPTS else ""
            self._present(Notice(f"{_clause(str(error))}; starting another{again}.", "warning"))
        try:
            loaded = await self._engine.restart()
        except (EngineError, WorkerDied) as failure:
            # Whether it had been committed is known when a worker next loads the adapter.
            self._unknown[lesson.id] = lesson
            return _no_steps(lesson, "failed", f"{_clause(str(failure))}; {KEPT}.")
        if loaded.lesson == lesson.id:
            return _committed(lesson, loaded.snapshot)
        if self._stopped:
            return _no_steps(lesson, "failed", f"You stopped the lesson; {KEPT}.")
        return None

    def _finish(self, lesson: Lesson, result: LessonResult) -> LessonResult:
        if lesson.id not in self._unknown:
            kept = self._secrets.scrub_result(result)
            self._write(lambda: self._journal.add_result(kept), tell=True)
        self._present(LessonFinished(lesson, result))
        return result

    def _write(self, write: Callable[[], object], *, tell: bool = False) -> str | None:
        """Write to the journal; the sentence of what went wrong, if something did."""
        known = self._journal.read_only
        try:
            write()
        except JournalError as error:
            if tell and known is None:
                self._present(Notice(str(error), "warning"))
            return str(error)
        return None


class _Retry:
    """Shows what a lesson does, and its retry as a turn where that is wanted."""

    def __init__(self, present: Callable[[AgentEvent], None], *, shown: bool) -> None:
        self._present = present
        self._shown = shown
        self._streaming = False

    def take(self, event: Event) -> None:
        """Pass one event of the worker on."""
        match event:
            case StageEvent(stage=stage, detail=detail, elapsed=elapsed):
                self._present(LessonStage(stage, detail, elapsed))
            case StepEvent(metrics=metrics):
                self._present(LessonStep(metrics))
            case TokenEvent(text=text) if self._shown:
                if not self._streaming:
                    self._streaming = True
                    self._present(TurnStarted(retry=True))
                self._present(TokenArrived(text))
            case ProgressEvent(message=message):
                self._present(EngineWaiting(message))
            case RetryDroppedEvent():
                self.drop()
            case _:
                pass

    def settle(self, result: LessonResult) -> None:
        """Leave the retry standing when the lesson was learned, and only then."""
        if result.outcome != "learned":
            self.drop()
        elif self._shown and not self._streaming and result.retry is not None:
            self._present(TurnStarted(retry=True))
            self._present(TokenArrived(result.retry.text))

    def drop(self) -> None:
        """Take back what was streamed."""
        if self._streaming:
            self._streaming = False
            self._present(TurnDropped())


def _no_steps(lesson: Lesson, outcome: Outcome, reason: str) -> LessonResult:
    return LessonResult(lesson=lesson.id, outcome=outcome, reason=reason)


def _committed(lesson: Lesson, snapshot: str | None) -> LessonResult:
    """The result of a lesson whose answer was lost after it had been committed."""
    return LessonResult(
        lesson=lesson.id,
        outcome="learned",
        reason="The lesson had been learned and committed before its answer was lost.",
        proved=True,
        snapshot=snapshot,
    )


def _refused(lesson: Lesson, error: EngineError) -> LessonResult:
    if error.code == "cancelled":
        return _no_steps(lesson, "failed", f"You stopped the lesson; {KEPT}.")
    outcome: Outcome = "in_context_only" if error.code in NOT_LEARNED_CODES else "failed"
    return _no_steps(lesson, outcome, f"{_clause(error.message)}; {KEPT}.")


def _clause(sentence: str) -> str:
    return sentence.rstrip().rstrip(".")
