"""The series of the charts of `/metrics`: which there are, and their points on each axis."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..training.protocol import StepMetrics
from ..widgets.chart_data import (
    Axis,
    ChartLine,
    ChartMark,
    ChartSeries,
    Point,
    Window,
    kl_series,
    loss_series,
)
from ..widgets.chart_panel import ChartPage
from .controllers.metrics import LessonMark, Mark, MarkKind, Metrics, StepRecord

MARKS: dict[MarkKind, tuple[str, str, str]] = {
    "correction": ("C", "correction", "quiet"),
    "snapshot": ("S", "snapshot", "success"),
    "undo": ("U", "undo", "warning"),
    "roll-back": ("R", "roll-back", "error"),
    "session": ("▸", "session", "primary"),
}
LEAST: dict[Axis, float] = {"step": 2.0, "lesson": 1.0, "time": 5.0}
MINUTE, TEN_MINUTES = 60.0, 600.0
MANY_LESSONS = 200
"""So many lessons are drawn as lines alone: their markers would hide them."""


class Source:
    """The steps and lessons of every session on one axis."""

    def __init__(self, metrics: Metrics, axis: Axis) -> None:
        self.axis: Axis = axis
        self.steps: list[StepRecord] = [*metrics.earlier_steps, *metrics.steps]
        self.lessons: list[LessonMark] = [*metrics.earlier_lessons, *metrics.lessons]
        self.marks = metrics.marks
        self.metrics = metrics
        self._earlier = len(metrics.earlier_steps)
        self._counts: dict[int, int] = {}
        for step in self.steps:
            self._counts[step.number] = step.place
        self.step_places = self._place_steps()
        self.lesson_places = self._place_lessons()

    def of_steps(self, value: Callable[[StepMetrics], float]) -> list[Point]:
        """One figure of every step."""
        places = zip(self.step_places, self.steps, strict=True)
        return [(place, value(step.metrics)) for place, step in places]

    def of_lessons(self, value: Callable[[LessonMark], float]) -> list[Point]:
        """One figure of every lesson."""
        places = zip(self.lesson_places, self.lessons, strict=True)
        return [(place, value(lesson)) for place, lesson in places]

    @property
    def extent(self) -> Window:
        """From the first to the last that there is."""
        if self.axis == "time":
            times = [self.metrics.started, *(mark.at for mark in self.marks)]
            times += [*self.step_places[-1:], *self.lesson_places[-1:]]
            first = min(mark.at for mark in self.marks) if self.marks else times[0]
            room = min(max(1.0, (max(times) - first) * 0.01), MINUTE)
            return Window(first - room, max(times) + room)
        if self.axis == "lesson":
            running = 1 if self.metrics.running else 0
            return Window(0.5, max(1, len(self.lessons) + running) + 0.5)
        return Window(0.5, max(2, len(self.steps)) + 0.5)

    @property
    def newest(self) -> float | None:
        """By time, the days between two sessions would leave no room for this one."""
        if self.axis != "time" or not self.metrics.earlier_lessons:
            return None
        return max(TEN_MINUTES, self.extent.right - self.metrics.started)

    def place_of_mark(self, mark: Mark) -> float:
        """Where a mark stands: what follows a lesson is a little before what begins the next."""
        if self.axis == "time":
            return mark.at
        begins = mark.kind == "correction"
        if self.axis == "lesson":
            return mark.lessons + (0.55 if begins else 0.5)
        return mark.steps + (0.6 if begins else 0.5)

    def words_at(self, x: float) -> str:
        """Which step of which lesson is at ``x``, and when that was."""
        at = bisect_right(self.step_places, x) - 1
        if self.axis != "step" or not self.steps:
            lesson = bisect_right(self.lesson_places, x) - 1
            if 0 <= lesson < len(self.lessons) and self.lesson_places[lesson] == x:
                return self._lesson_words(self.lessons[lesson])
        if not 0 <= at < len(self.steps):
            return ""
        step = self.steps[at]
        earlier = "earlier, " if at < self._earlier else ""
        correction = self.metrics.corrections.get(step.number, "")
        return (
            f"{earlier}step {at + 1} · lesson {step.number}, its step {step.place} · "
            f"{_clock(step.at)} · “{correction}”"
        )

    def _lesson_words(self, lesson: LessonMark) -> str:
        earlier = "earlier, " if lesson.number <= len(self.metrics.earlier_lessons) else ""
        outcome = lesson.result.outcome.replace("_", " ")
        return (
            f"{earlier}lesson {lesson.number} · {outcome} · {_clock(lesson.at)} · "
            f"“{lesson.correction}”"
        )

    def _place_steps(self) -> list[float]:
        if self.axis == "time":
            return _ascending([step.at for step in self.steps])
        if self.axis == "lesson":
            # The steps of lesson 3 lie evenly between 2.5 and 3.5.
            return _ascending(
                [
                    step.number - 0.5 + step.place / (self._counts[step.number] + 1)
                    for step in self.steps
                ]
            )
        return [float(number) for number in range(1, len(self.steps) + 1)]

    def _place_lessons(self) -> list[float]:
        if self.axis == "time":
            return _ascending([lesson.at for lesson in self.lessons])
        if self.axis == "lesson":
            return [float(lesson.number) for lesson in self.lessons]
        places, steps = [], 0
        for lesson in self.lessons:
            steps += self._counts.get(lesson.number, 0)
            places.append(max(0.5, float(steps)))
        return places


@dataclass(frozen=True, slots=True)
class SeriesKind:
    """A series by name, and how it is made."""

    name: str
    make: Callable[[Source, float | None], ChartSeries]
    by_lesson: bool = False


def _of_steps(
    title: str, unit: str, value: Callable[[StepMetrics], float], top: float | None = None
) -> Callable[[Source, float | None], ChartSeries]:
    def make(source: Source, _: float | None) -> ChartSeries:
        line = ChartLine(title.lower(), source.of_steps(value), "chart-loss")
        return ChartSeries(title, unit, (line,), top=top)

    return make


def _loss(source: Source, _: float | None) -> ChartSeries:
    return loss_series(source.of_steps(lambda step: step.loss))


def _kl(source: Source, budget: float | None) -> ChartSeries:
    return kl_series(source.of_steps(lambda step: step.kl), budget)


def _advantage(source: Source, _: float | None) -> ChartSeries:
    mean = source.of_steps(lambda step: step.advantage_mean)
    largest = source.of_steps(lambda step: step.advantage_abs_max)
    return ChartSeries(
        "Advantage",
        "nats",
        (
            ChartLine("mean", mean, "chart-loss"),
            ChartLine("largest", largest, "chart-kl", marker="+"),
        ),
    )


def _lesson_lines(
    source: Source,
    title: str,
    unit: str,
    *lines: tuple[str, str, str, Callable[[LessonMark], float]],
) -> ChartSeries:
    many = len(source.lessons) > MANY_LESSONS
    return ChartSeries(
        title,
        unit,
        [
            ChartLine(name, source.of_lessons(value), colour, "" if many else marker)
            for name, marker, colour, value in lines
        ],
    )


def _steps(source: Source, _: float | None) -> ChartSeries:
    line = ("steps", "•", "chart-loss", lambda lesson: float(len(lesson.result.steps)))
    return _lesson_lines(source, "Steps of a lesson", "", line)


def _stages(source: Source, _: float | None) -> ChartSeries:
    shown = ("gate", "step", "guard", "retry")

    def spent(stage: str) -> Callable[[LessonMark], float]:
        return lambda lesson: lesson.result.stages.get(stage, math.nan)

    def rest(lesson: LessonMark) -> float:
        stages = lesson.result.stages
        others = [seconds for name, seconds in stages.items() if name not in shown]
        return sum(others) if others else math.nan

    colours = ("chart-budget", "chart-loss", "success", "chart-kl")
    lines = [
        (name, name[0] if name != "guard" else "u", colour, spent(name))
        for name, colour in zip(shown, colours, strict=True)
    ]
    return _lesson_lines(source, "Time", "s", *lines, ("rest", "∙", "quiet", rest))


def _tokens(source: Source, _: float | None) -> ChartSeries:
    return _lesson_lines(
        source,
        "Tokens",
        "",
        ("sampled", "a", "chart-loss", lambda lesson: float(lesson.result.tokens_sampled)),
        ("scored", "c", "chart-kl", lambda lesson: float(lesson.result.tokens_scored)),
        ("trained", "t", "success", lambda lesson: float(lesson.result.tokens_trained)),
    )


def _memory(source: Source, _: float | None) -> ChartSeries:
    def used(lesson: LessonMark) -> float:
        size = lesson.result.memory_bytes
        return size / 2**20 if size else math.nan

    return _lesson_lines(source, "Memory", "MiB", ("memory", "•", "chart-loss", used))


SERIES: tuple[SeriesKind, ...] = (
    SeriesKind("loss", _loss),
    SeriesKind("KL", _kl),
    SeriesKind("advantage", _advantage),
    SeriesKind("gradient norm", _of_steps("Gradient norm", "", lambda step: step.grad_norm)),
    SeriesKind("entropy", _of_steps("Entropy", "nats a token", lambda step: step.entropy)),
    SeriesKind("teacher gap", _of_steps("Teacher gap", "nats", lambda step: step.teacher_gap)),
    SeriesKind(
        "follow",
        _of_steps("Follow", "p(teacher's choice)", lambda step: step.follow, top=1.0),
    ),
    SeriesKind("steps of a lesson", _steps, by_lesson=True),
    SeriesKind("time by stage", _stages, by_lesson=True),
    SeriesKind("tokens", _tokens, by_lesson=True),
    SeriesKind("memory", _memory, by_lesson=True),
)


def make_page(source: Source, numbers: Sequence[int], kl_budget: float | None) -> ChartPage:
    """The series of these numbers, with their marks."""
    kinds = [SERIES[number] for number in numbers]
    marks = []
    for mark in source.marks:
        letter, name, colour = MARKS[mark.kind]
        marks.append(ChartMark(source.place_of_mark(mark), letter, name, colour))
    by_lesson = source.axis != "step" and all(kind.by_lesson for kind in kinds)
    stops = source.lesson_places if by_lesson or not source.steps else source.step_places
    return ChartPage(
        series=[kind.make(source, kl_budget) for kind in kinds],
        extent=source.extent,
        least=LEAST[source.axis],
        stops=stops,
        marks=marks,
        newest=source.newest,
    )


def _ascending(places: list[float]) -> list[float]:
    """Keep the places in order where a clock was set back."""
    for at in range(1, len(places)):
        places[at] = max(places[at], places[at - 1])
    return places


def _clock(at: float) -> str:
    then = datetime.fromtimestamp(at)
    form = "%H:%M:%S" if datetime.now() - then < timedelta(hours=12) else "%d %b %H:%M"
    return then.strftime(form)
