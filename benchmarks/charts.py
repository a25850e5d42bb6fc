"""What one more step costs the interface while `/metrics` is open, in milliseconds of its thread.

    python benchmarks/charts.py

Four charts at 120×40, the most that are shown; the thread's own time, so that other work on the
machine does not count.
"""

from __future__ import annotations

import asyncio
import statistics
import time

from continualcode_tui.app.controllers.metrics import Metrics
from continualcode_tui.app.events import LessonFinished, LessonStarted, LessonStep
from continualcode_tui.app.metrics_series import SERIES, Source, make_page
from continualcode_tui.themes.palettes import ThemedApp
from continualcode_tui.training.protocol import Completion, Lesson, LessonResult, StepMetrics
from continualcode_tui.widgets.chart_panel import ChartPanel
from textual.app import ComposeResult

NOTHING = Completion(
    tokens=(), logprobs=(), text="", stop_reason="stop", prompt_tokens=1, seconds=0.1
)
STEPS_A_LESSON = 6


def step(number: int) -> StepMetrics:
    figures = dict.fromkeys(StepMetrics.model_fields, 1.0 + number * 37 % 11 / 7)
    return StepMetrics.model_validate(figures | {"step": number % STEPS_A_LESSON + 1})


def record(steps: int) -> Metrics:
    metrics = Metrics()
    for number in range(steps // STEPS_A_LESSON):
        lesson = Lesson(
            id=f"{number}", kind="deny", messages=(), tools=(), completion=NOTHING, correction="so"
        )
        metrics.observe(LessonStarted(lesson))
        for _ in range(STEPS_A_LESSON):
            metrics.observe(LessonStep(step(len(metrics.steps))))
        result = LessonResult(lesson=lesson.id, outcome="learned", reason="So.", snapshot="s")
        metrics.observe(LessonFinished(lesson, result))
    return metrics


class Charts(ThemedApp):
    def compose(self) -> ComposeResult:
        yield ChartPanel(len(SERIES))


async def measure(steps: int) -> None:
    metrics, app = record(steps), Charts()
    building: list[float] = []
    drawing: list[float] = []
    async with app.run_test(size=(120, 40)) as pilot:
        panel = app.query_one(ChartPanel)
        for number in range(12):
            metrics.observe(LessonStep(step(number)))
            start = time.thread_time()
            await pilot.pause(0.3)
            idle = time.thread_time() - start
            start = time.thread_time()
            page = make_page(Source(metrics, "step"), panel.visible_series, 1.0)
            built = time.thread_time()
            panel.show_page(page)
            await pilot.pause(0.3)
            if number > 3:  # the plots are imported and mounted by then
                building.append(1e3 * (built - start))
                drawing.append(1e3 * (time.thread_time() - built - idle))
    print(
        f"{steps:>5} steps: build {statistics.median(building):.1f} ms, "
        f"draw all four {statistics.median(drawing):.1f} ms"
    )


if __name__ == "__main__":
    for count in (24, 300, 3000):
        asyncio.run(measure(count))
