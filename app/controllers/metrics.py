"""Every figure of the session, kept in memory for the charts and `/metrics`."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from ...training.protocol import Completion, LessonResult, StageName, StepMetrics
from ..events import (
    AdapterMoved,
    AgentEvent,
    LessonFinished,
    LessonStage,
    LessonStarted,
    LessonStep,
    TurnSampled,
)
from ..store.journal import LessonRecord

MarkKind = Literal["correction", "snapshot", "undo", "roll-back", "session"]


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One gradient step.

    ``index`` counts the session's steps from 1, those of earlier sessions by themselves;
    ``number`` is that of its lesson, and ``place`` its place in the lesson, both from 1.
    """

    index: int
    lesson: str
    at: float
    metrics: StepMetrics
    number: int = 1
    place: int = 1


@dataclass(frozen=True, slots=True)
class LessonMark:
    """What came of one lesson, and after how many of the session's steps.

    ``number`` counts the lessons over all sessions, from 1.
    """

    lesson: str
    correction: str
    at: float
    steps_before: int
    result: LessonResult
    number: int = 1


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened between two steps; ``steps`` and ``lessons`` came before it."""

    kind: MarkKind
    at: float
    steps: int
    lessons: int


@dataclass(frozen=True, slots=True)
class Running:
    """A lesson that is under way."""

    lesson: str
    correction: str
    since: float
    stage: StageName | None = None
    detail: str = ""


@dataclass(slots=True)
class Metrics:
    """The session's record; ``observe`` is given each event once, in order.

    ``earlier_steps`` and ``earlier_lessons`` are those of earlier sessions, from the journal;
    ``changes`` grows with everything that the charts or the figures show.
    """

    started: float = field(default_factory=time.time)
    steps: list[StepRecord] = field(default_factory=list)
    lessons: list[LessonMark] = field(default_factory=list)
    earlier_steps: list[StepRecord] = field(default_factory=list)
    earlier_lessons: list[LessonMark] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    corrections: dict[int, str] = field(default_factory=dict)
    running: Running | None = None
    tokens_sampled: int = 0
    tokens_scored: int = 0
    tokens_trained: int = 0
    tokens_read: int = 0
    seconds_sampling: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    memory_bytes: int = 0
    changes: int = 0
    _place: int = 0
    _retry: Completion | None = None

    def observe(self, event: AgentEvent) -> None:
        """Take up what the event says."""
        match event:
            case TurnSampled(completion=completion) if completion is not self._retry:
                self.tokens_sampled += len(completion.tokens)
                self.tokens_read += completion.prompt_tokens
                self.seconds_sampling += completion.seconds
            case LessonStarted(lesson=lesson):
                self._begin(lesson.id, lesson.correction)
            case LessonStage(stage=stage, detail=detail) if self.running is not None:
                run = self.running
                self.running = Running(run.lesson, run.correction, run.since, stage, detail)
            case LessonStep(metrics=metrics):
                self._add_step(metrics)
            case LessonFinished(lesson=lesson, result=result):
                self._begin(lesson.id, lesson.correction)
                self._add_lesson(lesson.id, lesson.correction, result)
            case AdapterMoved():
                self._mark("undo")
            case _:
                return
        self.changes += 1

    def seed(self, records: Iterable[LessonRecord]) -> None:
        """Take up the lessons of earlier sessions, oldest first, before the first of this one."""
        if self.earlier_lessons or self.lessons:
            return
        for record in records:
            if record.result is not None:
                self._add_earlier(record, record.result)
        if self.earlier_lessons:
            self._mark("session", self.started)
            self.changes += 1

    def count(self, outcome: str) -> int:
        """How many of the session's lessons ended this way."""
        return sum(1 for mark in self.lessons if mark.result.outcome == outcome)

    @property
    def last_step(self) -> StepMetrics | None:
        """The figures of the newest step."""
        return self.steps[-1].metrics if self.steps else None

    @property
    def lessons_so_far(self) -> int:
        """How many lessons are over, those of earlier sessions included."""
        return len(self.earlier_lessons) + len(self.lessons)

    def _begin(self, lesson: str, correction: str) -> None:
        """A lesson begins, unless it has: when it is sent again, or when it only ends."""
        if self.running is not None and self.running.lesson == lesson:
            return
        self._mark("correction")
        self._place = 0
        self.running = Running(lesson, correction, time.time())
        self.corrections[self.lessons_so_far + 1] = correction

    def _add_step(self, metrics: StepMetrics) -> None:
        lesson = self.running.lesson if self.running else ""
        self._place += 1
        self.steps.append(
            StepRecord(
                index=len(self.steps) + 1,
                lesson=lesson,
                at=time.time(),
                metrics=metrics,
                number=self.lessons_so_far + 1,
                place=self._place,
            )
        )

    def _add_lesson(self, lesson: str, correction: str, result: LessonResult) -> None:
        before = len(self.steps) - len(result.steps)
        number = self.lessons_so_far + 1
        self.lessons.append(
            LessonMark(lesson, correction, time.time(), max(0, before), result, number)
        )
        self.running = None
        self._mark_end(result)
        # A retry that becomes a turn is among the lesson's tokens already.
        self._retry = result.retry
        self.tokens_scored += result.tokens_scored
        self.tokens_trained += result.tokens_trained
        self.tokens_sampled += result.tokens_sampled
        self.memory_bytes = max(self.memory_bytes, result.memory_bytes)
        for stage, seconds in result.stages.items():
            self.stages[stage] = self.stages.get(stage, 0.0) + seconds

    def _add_earlier(self, record: LessonRecord, result: LessonResult) -> None:
        before, number = len(self.earlier_steps), len(self.earlier_lessons) + 1
        self._mark("correction", record.time)
        at = record.time
        for place, metrics in enumerate(result.steps, start=1):
            at += metrics.seconds if metrics.seconds >= 0 else 0.0
            index = before + place
            self.earlier_steps.append(
                StepRecord(index, record.lesson.id, at, metrics, number, place)
            )
        at = max(at, record.time + result.seconds)
        words = record.lesson.correction
        self.earlier_lessons.append(LessonMark(record.lesson.id, words, at, before, result, number))
        self.corrections[number] = words
        self._mark_end(result, at)
        if record.standing in ("undone", "forgotten"):
            self._mark("undo", at)

    def _mark_end(self, result: LessonResult, at: float | None = None) -> None:
        if result.snapshot is not None:
            self._mark("snapshot", at)
        if result.outcome == "rolled_back":
            self._mark("roll-back", at)

    def _mark(self, kind: MarkKind, at: float | None = None) -> None:
        steps = len(self.earlier_steps) + len(self.steps)
        when = time.time() if at is None else at
        self.marks.append(Mark(kind, when, steps, self.lessons_so_far))
