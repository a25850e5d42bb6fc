"""`/metrics` on the fake worker: states, charts, figures and export, at three sizes."""

from __future__ import annotations

from pathlib import Path

import pytest
from continualcode_tui.app.screens.metrics import MetricsScreen
from continualcode_tui.widgets.chart_panel import ChartPanel
from continualcode_tui.widgets.correction_box import CorrectionBox
from textual.widgets import Sparkline

from ..controllers.support import Stage
from .test_screen import EDIT, WRITE, Driver, running

SERVER = {"teacher": "synced", "likeliest tokens told": "20", "several targets a token": "no"}


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    stage = Stage(tmp_path)
    stage.write_script(
        completions=[WRITE, "Done."],
        lessons=[{"retry": EDIT}],
        loaded={"server": SERVER, "kl_budget": 0.05, "objective": "jsd"},
    )
    return stage


async def metrics(at: Driver) -> MetricsScreen:
    await at.ask("/metrics")
    await at.until(lambda: isinstance(at.app.screen, MetricsScreen), "/metrics")
    screen = at.app.screen
    assert isinstance(screen, MetricsScreen)
    return screen


async def deny(at: Driver) -> None:
    await at.ask("fix the test")
    await at.proposal()
    await at.pilot.press("n")
    await at.box(CorrectionBox)
    await at.type("edit")
    await at.pilot.press("enter")


async def test_empty_then_charts_then_figures_then_files(stage: Stage, tmp_path: Path) -> None:
    async with running(stage, size=(80, 24)) as at:
        await metrics(at)
        await at.until(lambda: "No lesson yet." in at.text(), "the empty state")
        await at.pilot.press("e")
        await at.until(lambda: "no figures to write" in at.text(), "why nothing was written")
        await at.pilot.press("escape")
        await deny(at)
        await at.until(lambda: at.chat.lessons == 1, "the lesson")
        await at.proposal()
        await at.pilot.press("y")
        await at.until(lambda: at.chat.phase == "ready", "ready")
        screen = await metrics(at)
        await at.until(lambda: "1 Loss  ∙ raw 0.5" in at.text(), "the charts")
        await at.until(lambda: "budget 0.05" in at.text(), "the budget")
        await at.until(lambda: "C correction  S snapshot" in at.text(), "the marks")
        with pytest.MonkeyPatch.context() as patch:
            drawn: list[object] = []
            patch.setattr(ChartPanel, "show_page", lambda _, page: drawn.append(page))
            screen._refresh()
            assert not drawn, "a look that finds no news draws nothing"
        await at.pilot.press("comma")
        await at.until(lambda: "lesson 1, its step 1" in at.text(), "the crosshair")
        assert "“edit”" in at.text()
        await at.pilot.press("tab")
        await at.until(lambda: "objective" in at.text(), "the figures")
        for told in (
            "jsd",
            "teacher",
            "synced",
            "several targets a token",
            "last step",
            "0.5 nats",
        ):
            assert told in at.text(), told
        await at.pilot.press("f")
        await at.until(lambda: screen.query_one(ChartPanel).has_focus, "the charts again")
        await at.pilot.press("e")
        await at.until(lambda: "were written to" in at.text(), "where it was written")
        assert len(list(stage.data.glob("exports/metrics-*/steps.csv"))) == 1
        await at.pilot.press("escape")
        await at.ask(f"/metrics export {tmp_path}/mine")
        await at.until(lambda: list(tmp_path.glob("mine/*/lessons.jsonl")), "the second export")
        await at.ask("/metrics expert")
        await at.until(lambda: "/metrics takes [export [FOLDER]]" in at.text(), "the usage")


async def test_a_lesson_under_way_is_waited_for_in_words(stage: Stage) -> None:
    stage.write_script(completions=[WRITE, "Done."], lessons=[{"hang": "gate"}])
    async with running(stage, size=(60, 18)) as at:
        await deny(at)
        await at.until(lambda: at.chat.session.metrics.running, "the lesson")
        await metrics(at)
        await at.until(lambda: "A lesson runs" in at.text() and "gate" in at.text(), "the stage")
        await at.pilot.press("escape")
        await at.chat.session.interrupt()
        await at.until(lambda: not at.chat.session.busy, "the end")


async def test_an_engine_that_failed_is_said_on_the_charts(stage: Stage) -> None:
    async with running(stage, size=(80, 24)) as at:
        sentence = "The service at [/] is not reachable; check base_url."
        at.chat.session._engine.failure = sentence
        screen = await metrics(at)
        await at.until(lambda: sentence in at.text(), "the sentence")
        assert screen.query_one(ChartPanel).has_class("-failed")


@pytest.mark.parametrize(("width", "shown"), [(99, False), (100, True)])
async def test_the_status_bar_draws_the_loss_from_100_columns(
    stage: Stage, width: int, shown: bool
) -> None:
    async with running(stage, size=(width, 24)) as at:
        at.chat.losses = (2.0, float("nan"), 1.0, 0.5)
        await at.pilot.pause()
        bar = at.chat.query_one(Sparkline)
        assert bar.display is shown
        assert bar.data == [2.0, 1.0, 0.5]
