"""Pictures of the whole screen at three sizes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from continualcode_tui.app.settings import load_settings
from continualcode_tui.app.tui import ContinualCode
from continualcode_tui.widgets.charts import LearningCharts
from continualcode_tui.widgets.conversation import Conversation
from continualcode_tui.widgets.correction_box import CorrectionBox
from textual.pilot import Pilot

from ..controllers.support import Stage
from .test_screen import EDIT, WRITE, Driver

SIZES = [(60, 18), (80, 24), (120, 40)]
Picture = Callable[..., bool]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    stage = Stage(tmp_path)
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=stage.folder, check=True)
    stage.write_script(
        completions=["I will rewrite the test.\n" + WRITE],
        lessons=[{"outcome": "learned", "retry": EDIT}],
    )
    return stage


def program(stage: Stage, *settings: str) -> ContinualCode:
    loaded = load_settings(stage.arguments("arm_delay=0.05", *settings), environ={})
    return ContinualCode(loaded, stage.folder)


async def propose(pilot: Pilot[Any]) -> Driver:
    assert isinstance(pilot.app, ContinualCode)
    driver = Driver(pilot.app, pilot)
    await driver.ready()
    await driver.ask("fix the test")
    await driver.proposal()
    await driver.until(lambda: driver.chat.branch == "main", "the branch")
    await driver.settled()
    return driver


async def learn(pilot: Pilot[Any]) -> None:
    at = await propose(pilot)
    await at.pilot.press("n")
    await at.box(CorrectionBox)
    await at.type("use edit_lines")
    await at.pilot.press("enter")
    await at.until(lambda: at.chat.lessons == 1, "the lesson")
    await at.proposal()
    charts = at.chat.query_one(LearningCharts)
    await at.until(lambda: not charts.display or charts.has_class("-data"), "the charts")
    # The thumb of the scroll bar depends on when the last layout came.
    at.chat.query_one(Conversation).styles.scrollbar_size_vertical = 0
    await at.settled()


@pytest.mark.parametrize("size", SIZES)
def test_a_proposal(snap_compare: Picture, stage: Stage, size: tuple[int, int]) -> None:
    assert snap_compare(program(stage), run_before=propose, terminal_size=size)


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(SIZES[0], marks=pytest.mark.slow),
        SIZES[1],
        pytest.param(SIZES[2], marks=pytest.mark.slow),
    ],
)
def test_a_learned_lesson(snap_compare: Picture, stage: Stage, size: tuple[int, int]) -> None:
    assert snap_compare(program(stage), run_before=learn, terminal_size=size)


@pytest.mark.slow
def test_a_learned_lesson_in_the_light(snap_compare: Picture, stage: Stage) -> None:
    app = program(stage, "theme=continual-light")
    assert snap_compare(app, run_before=learn, terminal_size=(80, 24))
