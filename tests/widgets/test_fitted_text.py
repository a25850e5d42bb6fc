"""Text that says less where there is less room."""

from __future__ import annotations

import pytest
from continualcode_tui.widgets.fitted_text import FittedText, Row
from hypothesis import given
from hypothesis import strategies as st
from textual.containers import VerticalScroll

from .support import HOSTILE, Stage, screen_text, settled

BLOCKS = (
    (Row("The title", spared=True), Row("in full, with many words", short="in short")),
    (
        Row("the first of them", head="one", below="run --one"),
        Row("only where there is room", short="", head="two"),
    ),
)


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        (
            (30, 8),
            [
                "The title",
                "in full, with many words",
                "",
                "one  the first of them",
                "     run --one",
                "two  only where there is room",
            ],
        ),
        ((30, 5), ["The title", "in short", "", "one  the first of them", "     run --one"]),
        ((30, 4), ["The title", "in short", "one  the first of them", "     run --one"]),
        ((30, 3), ["in short", "one  the first of them", "     run --one"]),
    ],
)
async def test_it_takes_the_fullest_form_that_there_is_room_for(
    size: tuple[int, int], wanted: list[str]
):
    text = FittedText()
    app = Stage(text)
    async with app.run_test(size=size) as pilot:
        text.blocks = BLOCKS
        await settled(pilot)
        assert screen_text(app).rstrip().splitlines() == wanted


async def test_what_is_below_moves_to_the_left_before_it_is_broken():
    text = FittedText()
    app = Stage(text)
    async with app.run_test(size=(18, 6)) as pilot:
        text.blocks = ((Row("some words here", head="one", below="run --one --two"),),)
        await settled(pilot)
        lines = screen_text(app).rstrip().splitlines()
        assert lines == ["one  some words", "     here", "   run --one --two"]


async def test_it_follows_the_size_and_scrolls_where_nothing_fits():
    text = FittedText()
    scroll = VerticalScroll(text)
    app = Stage(scroll)
    async with app.run_test(size=(30, 2)) as pilot:
        text.blocks = BLOCKS
        await settled(pilot)
        assert scroll.max_scroll_y == 1
        await pilot.resize_terminal(30, 8)
        await settled(pilot)
        assert "in full, with many words" in screen_text(app)
        await pilot.resize_terminal(30, 4)
        await settled(pilot)
        assert "in short" in screen_text(app)
        text.blocks = ((Row(HOSTILE, head=HOSTILE),),)
        await settled(pilot)
        assert "\x1b" not in screen_text(app)


@given(
    st.lists(
        st.builds(
            Row,
            st.text("xy 日", max_size=40),
            head=st.text("ab", max_size=5),
            below=st.text("cd", max_size=12),
        ),
        max_size=4,
    ),
    st.integers(20, 40),
)
def test_no_line_is_too_wide_and_no_word_is_lost(rows: list[Row], width: int):
    text = FittedText()
    text.set_reactive(FittedText.blocks, (tuple(rows),))
    lines = text._fitting(width, 0)
    assert all(line.cell_length <= width for line in lines)
    shown = "".join("".join(line.plain.split()) for line in lines)
    said = (row.head + row.words + row.below for row in rows if row.words)
    assert shown == "".join("".join(words.split()) for words in said)
