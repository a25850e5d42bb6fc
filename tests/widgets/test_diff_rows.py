"""The rows of a diff: applying them gives the text after the change."""

from __future__ import annotations

import time

import pytest
from continualcode_tui.widgets.diff_rows import Diff, make_diff, split_lines
from hypothesis import given
from hypothesis import strategies as st

LINE = st.sampled_from(["", "a", "b", "  return x", "  return y", "x = 1  ", "\ttab", "é"])
ENDING = st.sampled_from(["\n", "\n", "\n", "\r\n", "\r"])
LINES = st.lists(st.tuples(LINE, ENDING).map("".join), max_size=30)
TEXT = st.tuples(LINES, LINE).map(lambda pair: "".join(pair[0]) + pair[1])


def apply(diff: Diff, before: str) -> str:
    """Make the text after the change from the rows and the text before."""
    lines = split_lines(before)
    after: list[str] = []
    for row in diff.rows:
        if row.kind == "fold":
            assert row.old is not None
            hidden = lines[row.old - 1 : row.old - 1 + row.hidden]
            after += [line.text + line.ending for line in hidden]
        elif row.kind != "removed":
            after.append(row.text + row.ending)
    return "".join(after)


@given(TEXT, TEXT, st.integers(0, 4))
def test_applying_the_rows_gives_the_text_after(before: str, after: str, context: int):
    diff = make_diff(before, after, context)
    assert apply(diff, before) == after


@given(TEXT, TEXT)
def test_line_numbers_are_right_on_both_sides(before: str, after: str):
    old, new = split_lines(before), split_lines(after)
    next_old = next_new = 1
    for row in make_diff(before, after).rows:
        line = (row.text, row.ending)
        if row.kind == "fold":
            assert (row.old, row.new) == (next_old, next_new)
            next_old, next_new = next_old + row.hidden, next_new + row.hidden
            continue
        if row.old is not None:
            assert row.old == next_old
            assert old[row.old - 1] == line
            next_old += 1
        if row.new is not None:
            assert row.new == next_new
            assert new[row.new - 1] == line
            next_new += 1
    assert (next_old - 1, next_new - 1) == (len(old), len(new))


@given(TEXT, TEXT)
def test_changed_characters_lie_in_the_line(before: str, after: str):
    for row in make_diff(before, after).rows:
        last = 0
        for start, end in row.changed:
            assert last <= start < end <= len(row.text)
            last = end


def test_the_changed_characters_are_the_changed_words():
    rows = make_diff("    return a - b\n", "    return a + b\n").rows
    assert [row.text[slice(*row.changed[0])] for row in rows] == ["-", "+"]


def test_unrelated_lines_are_not_marked():
    rows = make_diff("import os\n", "class Thing(Base):\n").rows
    assert [row.changed for row in rows] == [(), ()]


@pytest.mark.parametrize(
    ("before", "after", "summary"),
    [
        (None, "a\nb\n", "+2 −0 · new file"),
        (None, "", "new empty file"),
        ("a\n", None, "+0 −1 · file deleted"),
        ("a\n", "", "+0 −1 · file becomes empty"),
        ("a\n", "a\n", "nothing changes"),
        ("a\n", "\ufeffa\n", "+1 −1 · byte order mark added"),
        ("\ufeffa\n", "a\n", "+1 −1 · byte order mark removed"),
        ("a\n", "a\r\n", "+1 −1 · line endings LF → CRLF"),
        ("a\r\n", "b\r\n", "+1 −1 · line endings CRLF"),
        ("a\nb\n", "a\nc\n", "+1 −1"),
    ],
)
def test_the_summary_says_what_the_rows_do_not(before, after, summary):
    assert make_diff(before, after).summary == summary


def test_unchanged_lines_far_from_a_change_are_counted():
    before = "".join(f"{i}\n" for i in range(100))
    rows = make_diff(before, before.replace("50\n", "fifty\n")).rows
    assert [(row.kind, row.hidden) for row in rows if row.kind == "fold"] == [
        ("fold", 47),
        ("fold", 46),
    ]


def test_a_big_change_does_not_take_long():
    before = "".join(f"{i % 7} same\n" for i in range(8_000))
    after = "".join(f"{i % 5} other\n" for i in range(8_000))
    began = time.perf_counter()
    diff = make_diff(before, after)
    assert time.perf_counter() - began < 5
    assert apply(diff, before) == after
