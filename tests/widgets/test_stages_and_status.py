"""The stages of a lesson, and the status bar."""

from __future__ import annotations

import pytest
from continualcode_tui.widgets.stages import STAGES, LessonStages
from continualcode_tui.widgets.status_bar import StatusBar

from .support import HOSTILE, Stage, screen_text, settled, until


class Clock:
    def __init__(self) -> None:
        self.now = 5.0

    def __call__(self) -> float:
        return self.now


async def test_the_stages_go_by_with_time_and_the_clock_stops():
    clock = Clock()
    stages = LessonStages(clock=clock)
    async with (app := Stage(stages)).run_test() as pilot:
        assert screen_text(app).strip() == ""
        stages.start("Learning")
        assert stages.running
        for number, stage in enumerate(STAGES):
            stages.enter(stage, f"detail {number}")
            await settled(pilot)
            text = screen_text(app)
            assert f"● {stage}" in text
            assert f"detail {number}" in text
            assert text.count("✓") == number
        clock.now += 2.5
        await until(lambda: "Learning 2.5 s" in screen_text(app), pilot)
        stages.finish("Learned: the retry follows.", "success", 2.6)
        assert not stages.running
        await settled(pilot)
        assert screen_text(app).strip() == "Learned: the retry follows.  2.6 s"
        stages.clear()
        await settled(pilot)
        assert screen_text(app).strip() == ""


async def test_the_workers_clock_counts():
    stages = LessonStages(clock=Clock())
    async with (app := Stage(stages)).run_test() as pilot:
        stages.enter("gate", elapsed=1.5)
        await settled(pilot)
        assert " 1.5 s" in screen_text(app)


async def test_narrow_stages_name_the_current_one():
    stages = LessonStages(clock=Clock())
    async with (app := Stage(stages)).run_test(size=(50, 10)) as pilot:
        stages.enter("guard")
        await settled(pilot)
        assert "✓ ✓ ✓ ✓ ● guard  ○ ○" in screen_text(app)


def bar_text(app: Stage) -> str:
    return screen_text(app).strip("\n").split("\n")[0]


def fill(bar: StatusBar) -> None:
    bar.repository, bar.branch, bar.dirty = "continualcode", "main", True
    bar.engine, bar.model, bar.state = "practice", "practice-2m", "learning"
    bar.lessons, bar.context_used = 3, 0.31
    bar.losses = (3.0, 2.4, 2.2, 1.1, 1.5, 0.7, 0.3)


@pytest.mark.parametrize(
    ("width", "shown", "hidden"),
    [
        (60, ["learning", "continualcode", "3 lessons", "*"], ["main", "practice-2m", "31%"]),
        (80, ["continualcode", "on main", "practice-2m", "3 lessons"], ["31%"]),
        (120, ["practice practice-2m", "context 31%", "▁"], []),
    ],
)
async def test_the_bar_says_more_where_there_is_room(width, shown, hidden):
    bar = StatusBar()
    async with (app := Stage(bar)).run_test(size=(width, 5)) as pilot:
        fill(bar)
        await settled(pilot)
        text = bar_text(app)
        assert all(each in text for each in shown)
        assert not any(each in text for each in hidden)
        await pilot.resize_terminal(60 if width == 120 else 120, 5)
        await settled(pilot)
        assert ("context" in bar_text(app)) == (width != 120)


async def test_one_lesson_is_not_lessons():
    bar = StatusBar()
    async with (app := Stage(bar)).run_test() as pilot:
        bar.lessons = 1
        await settled(pilot)
        assert bar_text(app).endswith("1 lesson")


async def test_hostile_text_is_shown_and_not_obeyed():
    bar, stages = StatusBar(), LessonStages()
    async with (app := Stage(bar, stages)).run_test(size=(300, 10)) as pilot:
        bar.repository = bar.branch = bar.model = bar.engine = bar.state = bar.detail = HOSTILE
        stages.start(HOSTILE)
        stages.enter(HOSTILE, HOSTILE)
        await settled(pilot)
        text = screen_text(app)
        assert not {"\x1b", "\x9b", "\x00", "\u202e", "\u200b"} & set(text)
        assert "[/] [red]x[/red] [b +⟨ESC⟩[2J" in text
        stages.finish(HOSTILE)
        await settled(pilot)
        assert "⟨ESC⟩" in screen_text(app)


@pytest.mark.parametrize("size", [(60, 18), (80, 24), (120, 40)])
def test_snapshot(snap_compare, size):
    bar, running, done = StatusBar(), LessonStages(clock=Clock()), LessonStages(clock=Clock())

    async def filled(pilot) -> None:
        fill(bar)
        running.start("Learning from your correction")
        running.enter("step", "step 2 of 4", 2.4)
        done.finish("Learned: the retry proposes edit_lines.", "success", 2.9)
        await settled(pilot)

    theme = "continual-light" if size[0] == 80 else "continual-dark"
    app = Stage(running, done, bar, theme=theme)
    assert snap_compare(app, terminal_size=size, run_before=filled)
