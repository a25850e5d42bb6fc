"""The panel of charts: pages, axes, zoom, crosshair, marks and states."""

from __future__ import annotations

import math

import pytest
from continualcode_tui.widgets.chart_data import (
    ChartLine,
    ChartMark,
    ChartSeries,
    Window,
    kl_series,
    loss_series,
)
from continualcode_tui.widgets.chart_panel import ChartPage, ChartPanel
from textual.events import MouseScrollUp
from textual.pilot import Pilot
from textual_hires_canvas import Canvas

from .support import Stage, screen_text, settled, until

NAMES = ["Loss", "KL", *(f"Figure {number}" for number in range(3, 12))]
STEPS = [float(step) for step in range(1, 41)]
MARKS = [
    ChartMark(0.6, "C", "correction", "quiet"),
    ChartMark(20.5, "S", "snapshot", "success"),
    ChartMark(30.5, "U", "undo", "warning"),
    ChartMark(35.5, "R", "roll-back", "error"),
]


def values(name: str) -> list[tuple[float, float]]:
    return [(step, 3.0 * 0.95**step * len(name)) for step in STEPS]


def series(number: int) -> ChartSeries:
    points = values(NAMES[number])
    if number == 0:
        return loss_series(points)
    if number == 1:
        return kl_series(points, 2.0)
    return ChartSeries(NAMES[number], "", (ChartLine("it", points, "chart-loss"),))


class Charts:
    """A panel on a stage that is given the series that it wants."""

    def __init__(self, *, size: tuple[int, int]) -> None:
        self.panel = ChartPanel(len(NAMES))
        self.app = Stage(self.panel, focus=ChartPanel)
        self.size = size

    async def drawn(self, pilot: Pilot[object], *keys: str) -> str:
        """Press keys, give what is wanted, and read the screen."""
        for key in keys:
            await pilot.press(key)
        await settled(pilot)
        self.give()
        await until(lambda: any("⠀" < each <= "⣿" for each in screen_text(self.app)), pilot)
        await settled(pilot, 3)
        return screen_text(self.app)

    def give(self, **page) -> None:
        shown = [series(number) for number in self.panel.visible_series]
        self.panel.show_page(ChartPage(shown, Window(0.5, 40.5), 2.0, STEPS, MARKS, **page))


@pytest.mark.parametrize(
    ("size", "titles"),
    [((60, 14), NAMES[:1]), ((80, 21), NAMES[:2]), ((120, 38), NAMES[:4])],
)
async def test_there_are_as_many_charts_as_there_is_room(size, titles) -> None:
    charts = Charts(size=size)
    async with charts.app.run_test(size=size) as pilot:
        text = await charts.drawn(pilot)
        assert [name for name in NAMES if f" {name} " in text] == titles
        text = await charts.drawn(pilot, "right_square_bracket")
        assert f"{len(titles) + 1} {NAMES[len(titles)]} " in text
        assert " Loss " not in text


async def test_brackets_go_through_the_series_and_digits_choose() -> None:
    charts = Charts(size=(60, 14))
    async with charts.app.run_test(size=(60, 14)) as pilot:
        await charts.drawn(pilot, "left_square_bracket")
        assert charts.panel.visible_series == (len(NAMES) - 1,)
        assert "9 Figure 9 " in await charts.drawn(pilot, "9")
        await charts.drawn(pilot, "right_square_bracket", "right_square_bracket")
        assert charts.panel.visible_series == (len(NAMES) - 1,)
        assert "1 Loss " in await charts.drawn(pilot, "right_square_bracket")


async def test_marks_are_letters_and_the_budget_is_a_band() -> None:
    charts = Charts(size=(80, 14))
    async with charts.app.run_test(size=(80, 14)) as pilot:
        text = await charts.drawn(pilot, "2")
        assert "budget 2" in text
        first = text.splitlines()[2]
        assert [each for each in first if each in "CSUR"] == ["C", "S", "U", "R"]
        rows = text.splitlines()
        (budget,) = [at for at, row in enumerate(rows) if "╌╌" in row]
        assert "·  ·" in rows[budget + 1]
        assert "·  ·" not in rows[budget - 1]
        assert charts.panel.legend().startswith("C correction  S snapshot  U undo  R roll-back")


@pytest.mark.slow
async def test_zoom_pan_and_the_newest() -> None:
    charts = Charts(size=(80, 14))
    async with charts.app.run_test(size=(80, 14)) as pilot:
        await charts.drawn(pilot)
        assert charts.panel.view.window == Window(0.5, 40.5)
        await charts.drawn(pilot, "plus", "plus")
        assert charts.panel.view.window.right == 40.5
        assert "newest" in charts.panel.words
        text = await charts.drawn(pilot, "left", "left")
        assert charts.panel.view.window.right < 40
        assert "earlier part" in charts.panel.words
        assert "40" not in text.splitlines()[-2]
        await charts.drawn(pilot, "r")
        assert charts.panel.view.window.right == 40.5
        await charts.drawn(pilot, "minus", "0")
        assert charts.panel.view.shows_all


@pytest.mark.slow
async def test_the_crosshair_reads_values_out_by_keys() -> None:
    charts = Charts(size=(80, 14))
    async with charts.app.run_test(size=(80, 14)) as pilot:
        await charts.drawn(pilot, "2")
        text = await charts.drawn(pilot, "comma", "comma")
        assert charts.panel.crosshair == 39.0
        assert f"{3.0 * 0.95**39 * 2:.3g}" in text.splitlines()[0]
        assert "│" in text
        pointed = [message.x for message in charts.app.of(ChartPanel.Pointed)]
        assert pointed == [40.0, 39.0]
        await charts.drawn(pilot, "full_stop", "full_stop")
        assert charts.panel.crosshair is None


async def test_the_mouse_points_zooms_and_drags() -> None:
    charts = Charts(size=(80, 14))
    async with charts.app.run_test(size=(80, 14)) as pilot:
        await charts.drawn(pilot)
        canvas = charts.app.query("#plot").results(Canvas)
        await pilot.hover(next(canvas), offset=(35, 4))
        await settled(pilot)
        middle = charts.panel.crosshair
        assert middle in (19.0, 20.0, 21.0)
        plot = charts.app.query("SeriesPlot").first()
        canvas = plot.query_one("#plot", Canvas)
        await pilot._post_mouse_events([MouseScrollUp], canvas, (35, 4), button=0)
        await settled(pilot)
        window = charts.panel.view.window
        assert window.right - window.left == pytest.approx(40 * 0.85)
        assert window.left > 0.5


async def test_a_logarithm_leaves_gaps_and_says_so() -> None:
    charts = Charts(size=(80, 14))
    async with charts.app.run_test(size=(80, 14)) as pilot:
        await charts.drawn(pilot)
        some = [(1.0, 100.0), (2.0, 0.0), (3.0, -1.0), (4.0, 1.0), (5.0, 10.0)]
        none = [(1.0, -1.0), (2.0, math.nan)]
        for points, words in ((some, "2 not above 0 left out"), (none, "nothing above 0 to show")):
            shown = ChartSeries("Odd", "", (ChartLine("odd", points, "chart-loss"),))
            charts.panel.logarithmic = True
            charts.panel.show_page(ChartPage([shown], Window(0.5, 5.5), 2.0, [1.0, 2.0], ()))
            await until(lambda words=words: words in screen_text(charts.app), pilot)
        assert "–" in screen_text(charts.app).splitlines()[0]


async def test_without_colour_the_lines_and_marks_are_told_apart_by_their_signs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    charts = Charts(size=(80, 14))
    async with charts.app.run_test(size=(80, 14)) as pilot:
        rows = (await charts.drawn(pilot)).splitlines()
        assert "∙ raw" in rows[0]
        assert any("∙" in row for row in rows[2:-2])
        assert [each for each in rows[2] if each in "CSUR"] == ["C", "S", "U", "R"]


async def test_words_stand_where_there_is_nothing_to_draw() -> None:
    charts = Charts(size=(60, 14))
    async with charts.app.run_test(size=(60, 14)) as pilot:
        charts.panel.show_state("No lesson [/] yet.")
        await until(lambda: "No lesson [/] yet." in screen_text(charts.app), pilot)
        charts.panel.show_state("The worker died.", kind="failed")
        await until(lambda: "The worker died." in screen_text(charts.app), pilot)
        assert charts.panel.has_class("-failed")
        assert "Loss" in await charts.drawn(pilot)
        assert not charts.panel.has_class("-failed")


async def test_another_axis_may_begin_at_its_newest_part() -> None:
    charts = Charts(size=(80, 14))
    async with charts.app.run_test(size=(80, 14)) as pilot:
        await charts.drawn(pilot)
        await pilot.press("x")
        assert charts.panel.axis == "lesson"
        charts.give(newest=10.0)
        await settled(pilot)
        assert charts.panel.view.window == Window(30.5, 40.5)
        assert "by lesson · linear · newest" in charts.panel.words
