"""Rows of a name and its words."""

from __future__ import annotations

from continualcode_tui.widgets.fact_list import FactList
from hypothesis import given
from hypothesis import strategies as st

from .support import HOSTILE, Stage, screen_text, settled


async def test_words_wrap_beside_their_name():
    facts = FactList()
    app = Stage(facts)
    async with app.run_test(size=(24, 10)) as pilot:
        facts.show([("why", "the retry follows it"), ("standing", "learned")])
        await settled(pilot)
        assert screen_text(app).rstrip().splitlines() == [
            "why       the retry",
            "          follows it",
            "standing  learned",
        ]
        await pilot.resize_terminal(60, 10)
        await settled(pilot)
        assert screen_text(app).rstrip().splitlines()[0] == "why       the retry follows it"
        facts.show([("why", HOSTILE)])
        await settled(pilot)
        assert "⟨ESC⟩" in screen_text(app)


@given(
    st.lists(st.tuples(st.text("abc", max_size=5), st.text("xy \n日", max_size=40)), max_size=5),
    st.integers(16, 40),
)
def test_no_line_is_too_wide_and_no_word_is_lost(rows: list[tuple[str, str]], width: int):
    facts = FactList()
    facts.set_reactive(FactList.rows, tuple(rows))
    lines = facts._lines(width)
    assert all(line.cell_length <= width for line in lines)
    shown = "".join("".join(line.plain.split()) for line in lines)
    assert shown == "".join("".join((name + words).split()) for name, words in rows)
