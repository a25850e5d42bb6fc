"""Every figure of the session, kept in memory for the charts and `/metrics`."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from ...training.protocol import Completion, LessonResult, StepMetrics
from ..events import AgentEvent, LessonFinished, LessonStarted, LessonStep, TurnSampled


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One gradient step; ``index`` counts the session's steps from 1."""

    index: int
    lesson: str
    at: float
    metrics: StepMetrics


@dataclass(frozen=True, slots=True)
class LessonMark:
    """What came of one lesson, and after how many of the session's steps."""

    lesson: str
    correction: str
    at: float
    steps_before: int
    result: LessonResult


@dataclass(slots=True)
class Metrics:
    """The session's record; ``observe`` is given each event once, in order."""

    started: float = field(default_factory=time.time)
    steps: list[StepRecord] = field(default_factory=list)
    lessons: list[LessonMark] = field(default_factory=list)
    tokens_sampled: int = 0
    tokens_scored: int = 0
    tokens_trained: int = 0
    tokens_read: int = 0
    seconds_sampling: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    memory_bytes: int = 0
    _lesson: str = ""
    _retry: Completion | None = None

    def observe(self, event: AgentEvent) -> None:
        """Take up what the event says."""
        match event:
            case TurnSampled(completion=completion) if completion is not self._retry:
                self.tokens_sampled += len(completion.tokens)
                self.tokens_read += completion.prompt_tokens
                self.seconds_sampling += completion.seconds
            case LessonStarted(lesson=lesson):
                self._lesson = lesson.id
            case LessonStep(metrics=metrics):
                self._add_step(metrics)
            case LessonFinished(lesson=lesson, result=result):
                self._add_lesson(lesson.id, lesson.correction, result)
            case _:
                pass

    def count(self, outcome: str) -> int:
        """How many of the session's lessons ended this way."""
        return sum(1 for mark in self.lessons if mark.result.outcome == outcome)

    @property
    def last_step(self) -> StepMetrics | None:
        """The figures of the newest step."""
        return self.steps[-1].metrics if self.steps else None

    def _add_step(self, metrics: StepMetrics) -> None:
        self.steps.append(StepRecord(len(self.steps) + 1, self._lesson, time.time(), metrics))

    def _add_lesson(self, lesson: str, correction: str, result: LessonResult) -> None:
        before = len(self.steps) - len(result.steps)
        self.lessons.append(LessonMark(lesson, correction, time.time(), max(0, before), result))
        # A retry that becomes a turn is among the lesson's tokens already.
        self._retry = result.retry
        self.tokens_scored += result.tokens_scored
        self.tokens_trained += result.tokens_trained
        self.tokens_sampled += result.tokens_sampled
        self.memory_bytes = max(self.memory_bytes, result.memory_bytes)
        for stage, seconds in result.stages.items():
            self.stages[stage] = self.stages.get(stage, 0.0) + seconds
