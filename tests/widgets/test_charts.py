"""Loss and KL over the steps."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
from continualcode_tui.widgets.chart_data import decimated, figure, runs, smoothed
from continualcode_tui.widgets.charts import EMPTY, WAITING, LearningCharts, StepPoint

from .support import Stage, screen_text, settled, until

POINTS = [StepPoint(2.0 * 0.8**i if i != 5 else math.nan, 0.002 * i) for i in range(12)]


def test_numpy_is_not_imported_before_the_charts_are_shown():
    code = (
        "import sys, continualcode_tui.widgets.charts as c, continualcode_tui.widgets.entries;"
        "c.LearningCharts().add_step(1.0, 0.1);"
        "sys.exit('numpy' in sys.modules or 'textual_plot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_empty_waiting_and_failed():
    charts = LearningCharts()
    async with (app := Stage(charts)).run_test() as pilot:
        await settled(pilot)
        assert EMPTY in screen_text(app)
        charts.wait()
        await until(lambda: WAITING in screen_text(app), pilot)
        charts.fail("The worker died [/].")
        await until(lambda: "The worker died [/]." in screen_text(app), pilot)
        charts.clear()
        await until(lambda: EMPTY in screen_text(app), pilot)


@pytest.mark.parametrize("width", [60, 120])
async def test_steps_are_drawn_with_the_last_values_in_the_titles(width: int):
    charts = LearningCharts(kl_budget=0.02)
    async with (app := Stage(charts)).run_test(size=(width, 24)) as pilot:
        for number, point in enumerate(POINTS):
            if number % 4 == 0:
                charts.add_mark()
            charts.add_step(point.loss, point.kl)
        await until(lambda: "Loss 0.172" in screen_text(app), pilot)
        await until(lambda: any("⠀" < each <= "⣿" for each in screen_text(app)), pilot)
        text = screen_text(app)
        assert "step 12" in text
        assert "KL 0.022 nats · over the budget 0.02" in text


async def test_one_step_and_values_that_are_not_numbers():
    charts = LearningCharts()
    async with (app := Stage(charts)).run_test() as pilot:
        charts.add_step(math.nan, math.inf)
        await until(lambda: "Loss not a number" in screen_text(app), pilot)
        assert "KL infinite" in screen_text(app)
        charts.add_step(1.5, 0.001)
        await until(lambda: "Loss 1.5" in screen_text(app), pilot)


async def test_drawing_is_capped_at_four_a_second(monkeypatch: pytest.MonkeyPatch):
    charts = LearningCharts()
    drawn = []
    async with (app := Stage(charts)).run_test() as pilot:
        charts.add_step(1.0, 0.0)
        await until(lambda: "Loss 1" in screen_text(app), pilot)
        monkeypatch.setattr(charts, "_draw", lambda *_: drawn.append(1))
        for i in range(40):
            charts.add_step(1.0 / (i + 1), 0.0)
            await pilot.pause(0.01)
        await pilot.pause(0.3)
        assert 1 <= len(drawn) <= 6


def test_smoothing_skips_what_is_not_finite():
    values = smoothed([1.0, math.nan, 2.0], weight=0.5)
    assert values[0] == 1.0
    assert math.isnan(values[1])
    assert values[2] == 1.5


def test_what_is_not_finite_leaves_a_gap():
    points = [(1.0, 1.0), (2.0, math.nan), (3.0, 3.0), (4.0, 4.0), (5.0, math.inf)]
    assert list(runs(points)) == [[(1.0, 1.0)], [(3.0, 3.0), (4.0, 4.0)]]


def test_decimation_keeps_the_extremes():
    points = [(float(i), math.sin(i)) for i in range(1000)]
    kept = decimated(points, 50)
    assert len(kept) <= 100
    assert max(y for _, y in kept) == max(y for _, y in points)
    assert kept == sorted(kept)


@pytest.mark.parametrize(
    ("value", "text"), [(0.12345, "0.123"), (-2.0, "−2"), (math.nan, "not a number")]
)
def test_figures(value: float, text: str):
    assert figure(value) == text


@pytest.mark.parametrize(("size", "theme"), [((60, 18), "dark"), ((120, 40), "light")])
def test_snapshot(snap_compare, size, theme):
    charts = LearningCharts(kl_budget=0.02)
    app = Stage(charts, theme=f"continual-{theme}")

    async def drawn(pilot) -> None:
        charts.show_session(POINTS, marks=[0.5, 4.5, 8.5])
        await until(lambda: any("⠀" < each <= "⣿" for each in screen_text(app)), pilot)
        await pilot.pause(0.6)

    assert snap_compare(app, terminal_size=size, run_before=drawn)
