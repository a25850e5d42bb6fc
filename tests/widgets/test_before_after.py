"""A denied answer before and after its lesson."""

from __future__ import annotations

import pytest
from continualcode_tui.widgets.before_after import BeforeAfter
from continualcode_tui.widgets.heatmap import Heatmap
from continualcode_tui.widgets.heatmap_scale import TokenCell

from .support import HOSTILE, Stage, screen_text, settled

ANSWER = [
    TokenCell('{"command": "', 0, 1, 1, '{"command": "', 1),
    TokenCell("npm", -8.5, 0.7, 0.03, "pnpm", 0.0001),
    TokenCell(" install", -2, 0.999, 0.5, " add", 0.1),
    TokenCell(' zod"}', 0, 1, 0.95, ' zod"}', 0.99),
]


def line_of(text: str, words: str) -> int:
    return next(number for number, line in enumerate(text.splitlines()) if words in line)


@pytest.mark.parametrize("width", [60, 100])
async def test_the_sides_lie_beside_each_other_where_there_is_room(width: int):
    app = Stage(BeforeAfter(ANSWER))
    async with app.run_test(size=(width, 18)) as pilot:
        for columns in (width, 160 - width, width):
            await pilot.resize_terminal(columns, 18)
            await settled(pilot)
            text = screen_text(app)
            beside = line_of(text, "before the lesson") == line_of(text, "after the lesson")
            assert beside == (columns >= 100)
            assert text.count("npm install zod") == 2


async def test_both_sides_have_one_cursor_and_one_readout():
    app = Stage(BeforeAfter(ANSWER))
    async with app.run_test(size=(100, 18)) as pilot:
        await settled(pilot)
        before, after = app.query(Heatmap)
        assert before.cursor == after.cursor == 1
        assert screen_text(app).count("2/4 “npm”  student 70.0% → 3.0%") == 1
        after.focus()
        await pilot.press("right")
        await settled(pilot)
        assert before.cursor == after.cursor == 2
        assert "3/4 “ install”  student 99.9% → 50.0%" in screen_text(app)
        before.focus()
        await pilot.press("home")
        await settled(pilot)
        assert before.cursor == after.cursor == 0


async def test_a_token_that_became_unlikely_is_marked_only_after():
    app = Stage(BeforeAfter(ANSWER))
    async with app.run_test(size=(100, 18)) as pilot:
        await settled(pilot)
        for side, marked in zip(app.query(Heatmap), (False, True), strict=True):
            styles = {segment.text: segment.style for segment in side.render_line(0)}
            assert bool(styles[" install"].underline) == marked
            assert not styles['{"command": "'].underline


async def test_another_answer_may_be_hostile_or_empty():
    app = Stage(view := BeforeAfter())
    async with app.run_test(size=(100, 18)) as pilot:
        view.show([TokenCell(HOSTILE, 0, 0.5, 0.5, HOSTILE)])
        await settled(pilot)
        assert "⟨ESC⟩[2J" in screen_text(app)
        assert "\x1b" not in screen_text(app)
        view.show([])
        await settled(pilot)
        assert "student" not in screen_text(app)
