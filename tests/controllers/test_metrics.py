"""The record of the session's figures, and that of earlier sessions from the journal."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import pytest
from continualcode_tui.app.agent.proposal import Approve, Deny
from continualcode_tui.app.controllers.metrics import Metrics
from continualcode_tui.app.events import (
    AdapterMoved,
    LessonFinished,
    LessonStage,
    LessonStarted,
    LessonStep,
)
from continualcode_tui.app.metrics_series import SERIES, Source, make_page
from continualcode_tui.app.store.journal import LessonRecord
from continualcode_tui.training.protocol import Completion, Lesson, LessonResult, StepMetrics

from .support import Stage, call

NOTHING = Completion(
    tokens=(), logprobs=(), text="", stop_reason="stop", prompt_tokens=1, seconds=0.1
)


def lesson(name: str) -> Lesson:
    return Lesson(
        id=name, kind="deny", messages=(), tools=(), completion=NOTHING, correction=f"do {name}"
    )


def step(number: int, **figures: float) -> StepMetrics:
    every = dict.fromkeys(StepMetrics.model_fields, 0.5) | {"step": number} | figures
    return StepMetrics.model_validate(every)


def result(name: str, *steps: StepMetrics, outcome: str = "learned", **more) -> LessonResult:
    snapshot = f"{name}-snapshot" if outcome == "learned" else None
    told = {"lesson": name, "outcome": outcome, "reason": "So it is.", "snapshot": snapshot}
    return LessonResult.model_validate({**told, "steps": steps, **more})


def learn(metrics: Metrics, name: str, *steps: StepMetrics, **more) -> None:
    metrics.observe(LessonStarted(lesson(name)))
    for each in steps:
        metrics.observe(LessonStep(each))
    metrics.observe(LessonFinished(lesson(name), result(name, *steps, **more)))


def two_sessions() -> Metrics:
    """One earlier lesson of two steps; then one learned, one rolled back, and an undo."""
    metrics = Metrics()
    earlier = result("old", step(1, seconds=2.0), step(2, seconds=2.0), seconds=5.0)
    metrics.seed([LessonRecord(lesson("old"), metrics.started - 90_000, "undone", 1, earlier)])
    learn(metrics, "first", step(1, grad_norm=math.nan), step(2), stages={"step": 1.0, "gate": 2.0})
    learn(metrics, "second", step(1), outcome="rolled_back")
    metrics.observe(AdapterMoved())
    return metrics


def test_every_happening_is_marked_where_it_was() -> None:
    marks = [(mark.kind, mark.steps, mark.lessons) for mark in two_sessions().marks]
    assert marks == [
        ("correction", 0, 0),
        ("snapshot", 2, 1),
        ("undo", 2, 1),
        ("session", 2, 1),
        ("correction", 2, 1),
        ("snapshot", 4, 2),
        ("correction", 4, 2),
        ("roll-back", 5, 3),
        ("undo", 5, 3),
    ]


def test_earlier_lessons_come_before_and_do_not_count_for_this_session() -> None:
    metrics = two_sessions()
    assert [record.index for record in metrics.steps] == [1, 2, 3]
    assert metrics.count("learned") == 1
    assert [each.number for each in metrics.earlier_lessons + metrics.lessons] == [1, 2, 3]
    assert [record.number for record in metrics.steps] == [2, 2, 3]
    before = metrics.changes
    metrics.seed([LessonRecord(lesson("again"), 0.0, "learned", 1, result("again"))])
    assert metrics.changes == before
    assert len(metrics.earlier_lessons) == 1


def test_a_lesson_under_way_says_its_stage_until_it_ends() -> None:
    metrics = Metrics()
    metrics.observe(LessonStarted(lesson("one")))
    metrics.observe(LessonStage("gate", "asking the teacher", 0.2))
    assert metrics.running is not None
    assert (metrics.running.stage, metrics.running.detail) == ("gate", "asking the teacher")
    metrics.observe(LessonStarted(lesson("one"), attempt=2))
    metrics.observe(LessonFinished(lesson("one"), result("one", outcome="failed")))
    assert metrics.running is None
    assert [mark.kind for mark in metrics.marks] == ["correction"]


def test_a_correction_that_could_not_be_learned_is_marked_too() -> None:
    metrics = Metrics()
    metrics.observe(LessonFinished(lesson("one"), result("one", outcome="in_context_only")))
    assert [mark.kind for mark in metrics.marks] == ["correction"]


@pytest.mark.parametrize("axis", ["step", "lesson", "time"])
def test_every_series_lies_on_every_axis_in_order_and_in_view(axis) -> None:
    source = Source(two_sessions(), axis)
    page = make_page(source, range(len(SERIES)), 0.3)
    assert len(page.series) == len(SERIES)
    for series in page.series:
        for line in series.lines:
            places = [x for x, _ in line.points]
            assert len(places) in (3, 5)
            assert places == sorted(places)
            assert all(page.extent.left <= x <= page.extent.right for x in places)
    places = [mark.x for mark in page.marks]
    assert places == sorted(places)
    assert all(page.extent.left <= x <= page.extent.right + 0.1 for x in places)
    assert page.series[1].budget == 0.3
    gradient = [y for _, y in page.series[3].lines[0].points]
    assert [math.isnan(y) for y in gradient] == [False, False, True, False, False]


def test_the_crosshair_is_told_in_words() -> None:
    source = Source(two_sessions(), "step")
    assert source.words_at(1.0).startswith("earlier, step 1 · lesson 1, its step 1 · ")
    assert source.words_at(5.0).startswith("step 5 · lesson 3, its step 1 · ")
    assert source.words_at(5.0).endswith("“do second”")
    by_lesson = Source(two_sessions(), "lesson")
    assert by_lesson.words_at(3.0).startswith("lesson 3 · rolled back · ")


def test_by_time_this_session_is_seen_first_after_a_day() -> None:
    page = make_page(Source(two_sessions(), "time"), [0], None)
    assert page.extent.right - page.extent.left > 90_000
    assert page.newest == 600.0
    assert make_page(Source(Metrics(), "time"), [0], None).newest is None


async def test_a_new_session_has_the_lessons_of_the_last_and_an_undo_is_marked(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path)
    retry = call("bash", command="true")
    stage.write_script(
        completions=[call("bash", command="false"), "Done."], lessons=[{"retry": retry}]
    )
    await stage.run(Deny(correction="no"), Approve())
    session = stage.session()
    try:
        assert await session.start()
        metrics = session.metrics
        assert [mark.correction for mark in metrics.earlier_lessons] == ["no"]
        assert len(metrics.earlier_steps) == 1
        assert not metrics.lessons
        assert not metrics.steps
        await asyncio.wait_for(session.undo(), 20)
        kinds = [mark.kind for mark in metrics.marks]
        assert kinds == ["correction", "snapshot", "session", "undo"]
    finally:
        await session.close()
