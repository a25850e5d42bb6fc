"""The stages of a lesson, and the status bar."""

from __future__ import annotations

import pytest
from continualcode_tui.widgets.stages import STAGES, LessonStages, progress_of
from continualcode_tui.widgets.status_bar import StatusBar
from hypothesis import given
from hypothesis import strategies as st

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
        await until(lambda: " 2.5 s " in screen_text(app), pilot)
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


@pytest.mark.parametrize("width", [40, 56, 60])
async def test_narrow_stages_take_one_line(width: int):
    stages = LessonStages(clock=Clock())
    async with (app := Stage(stages)).run_test(size=(width, 10)) as pilot:
        stages.start()
        stages.enter("step", "2 of at most 6", 1.5)
        await settled(pilot)
        (line,) = screen_text(app).strip().splitlines()
        assert line.strip().startswith("━")
        assert "─" in line
        if width >= 56:
            assert line.endswith("step 2 of at most 6  1.5 s  Esc cancels")


async def test_the_bar_grows_and_never_goes_back():
    stages = LessonStages(clock=Clock())
    async with Stage(stages).run_test(size=(80, 10)):
        seen = [stages.progress]
        for stage, detail in [
            ("prepare", ""),
            ("gate", ""),
            ("step", "1 of at most 6"),
            ("retry", ""),
            ("step", "2 of at most 6"),
            ("commit", ""),
        ]:
            stages.enter(stage, detail)
            seen.append(stages.progress)
        assert seen == sorted(seen)
        assert seen[0] == 0 < seen[2] < seen[-1] < 1
        stages.start()
        assert stages.progress == 0


@given(st.text(), st.sampled_from([*STAGES, "other"]))
def test_progress_of_any_detail_is_a_part(detail: str, stage: str):
    assert 0 <= progress_of(STAGES, stage, detail) < 1


def test_steps_count_within_their_stage():
    parts = [progress_of(STAGES, "step", f"{step} of at most 6") for step in range(1, 8)]
    assert parts == sorted(parts)
    assert parts[0] == progress_of(STAGES, "step")
    assert parts[-1] < progress_of(STAGES, "guard")


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


@pytest.mark.parametrize("width", [40, 60, 80])
async def test_what_is_cut_keeps_a_space_from_what_follows(width: int):
    bar = StatusBar()
    async with (app := Stage(bar)).run_test(size=(width, 5)) as pilot:
        bar.repository, bar.branch, bar.gate = "repository" * 4, "branch" * 5, "bwrap"
        await settled(pilot)
        text = bar_text(app)
        assert "… " in text
        assert text.split("… ")[1].startswith(("bwrap", "sandbox: bwrap"))


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
        running.start()
        running.enter("step", "2 of at most 4", 2.4)
        done.finish("Learned: the retry proposes edit_lines.", "success", 2.9)
        await settled(pilot)

    theme = "continual-light" if size[0] == 80 else "continual-dark"
    app = Stage(running, done, bar, theme=theme)
    assert snap_compare(app, terminal_size=size, run_before=filled)
