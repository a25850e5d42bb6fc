"""A diff in two columns, its layouts, and the unchanged lines that open."""

from __future__ import annotations

import pytest
from continualcode_tui.widgets.diff import SPLIT_FROM, DiffView
from continualcode_tui.widgets.diff_rows import Row, make_diff, unfolded
from continualcode_tui.widgets.split_diff import SEPARATOR, Pair, paired
from hypothesis import given
from textual.containers import VerticalScroll

from .support import Stage, screen_text, settled
from .test_diff_rows import TEXT

LONG = "".join(f"line {i}\n" for i in range(40))
CHANGED = LONG.replace("line 20\n", "line twenty\n").replace("line 39\n", "line 39")


@given(TEXT, TEXT)
def test_pairs_hold_every_row_once_and_in_order(before: str, after: str):
    rows = make_diff(before, after, 1).rows
    pairs = list(paired(rows))
    left = [pair.left for pair in pairs if pair.left]
    right = [pair.right for pair in pairs if pair.right]
    assert left == [row for row in rows if row.kind != "added"]
    assert right == [row for row in rows if row.kind not in ("removed", "fold")]
    assert all(pair.left or pair.right for pair in pairs)


def test_a_changed_line_stands_beside_the_one_it_replaces():
    before, after = "a\nb\nc\nd\n", "a\nB\nd\nD\n"
    pairs = list(paired(make_diff(before, after).rows))

    def text(row: Row | None) -> str:
        return row.text if row else ""

    assert [(text(pair.left), text(pair.right)) for pair in pairs] == [
        ("a", "a"),
        ("b", "B"),
        ("c", ""),
        ("d", "d"),
        ("", "D"),
    ]
    assert pairs[1] == Pair(pairs[1].left, pairs[1].right)


def test_opened_folds_show_their_lines():
    diff = make_diff(LONG, CHANGED, 2)
    folds = [row for row in diff.rows if row.kind == "fold"]
    assert len(folds) == 2
    rows = list(unfolded(diff, {folds[0].old}))
    assert [row for row in rows if row.kind == "fold"] == folds[1:]
    assert len(rows) == len(diff.rows) - 1 + folds[0].hidden


@pytest.mark.parametrize("width", [24, 61, 160])
async def test_both_sides_are_whole_at_every_width(width: int):
    before, after = "日本語テキスト " * 9 + "x\nb\n", "日本語テキスト " * 9 + "y\nb"
    view = DiffView(before, after, "n.txt", mode="split")
    async with Stage(view).run_test(size=(width, 80)) as pilot:
        await settled(pilot)
        lines = [line.split(SEPARATOR) for line in screen_text(pilot.app).split("\n")[1:]]
        sides = ["".join(line[i][4:].strip() for line in lines if len(line) == 2) for i in (0, 1)]
        left, right = (side.replace(" ", "").replace("\xa0", "") for side in sides)
        assert left.startswith("日本語テキスト" * 9 + "x")
        assert right.startswith("日本語テキスト" * 9 + "y")
        assert "nonewlineattheend" in right


async def test_it_splits_by_itself_where_there_is_room_and_something_to_compare():
    views = [DiffView(LONG, CHANGED), DiffView(None, LONG), DiffView(LONG, None)]
    async with Stage(VerticalScroll(*views)).run_test(size=(SPLIT_FROM + 2, 40)) as pilot:
        await settled(pilot)
        assert [view.split for view in views] == [True, False, False]
        await pilot.resize_terminal(SPLIT_FROM - 20, 40)
        await settled(pilot)
        assert [view.split for view in views] == [False, False, False]


@pytest.mark.parametrize(
    ("width", "order"), [(80, ["split", "unified"]), (140, ["unified", "split"])]
)
async def test_the_layouts_come_in_turn_and_each_step_shows(width: int, order: list[str]):
    view = DiffView(LONG, CHANGED)
    async with Stage(view).run_test(size=(width, 40)) as pilot:
        await settled(pilot)
        for mode in order:
            before = screen_text(pilot.app)
            assert view.next_mode() == mode
            await settled(pilot)
            assert mode in screen_text(pilot.app).split("\n")[0]
            assert screen_text(pilot.app) != before
        assert view.next_mode() == "automatic"


async def test_a_click_opens_one_fold_and_the_key_all_of_them():
    view = DiffView(LONG, CHANGED)
    async with Stage(VerticalScroll(view)).run_test(size=(80, 60)) as pilot:
        await settled(pilot)
        assert screen_text(pilot.app).count("unchanged lines") == 2
        assert "line 5" not in screen_text(pilot.app)
        await pilot.click(view, offset=(6, 1))
        await settled(pilot)
        assert screen_text(pilot.app).count("unchanged lines") == 1
        assert "line 5" in screen_text(pilot.app)
        view.open_or_fold()
        await settled(pilot)
        assert "unchanged lines" not in screen_text(pilot.app)
        view.open_or_fold()
        await settled(pilot)
        assert screen_text(pilot.app).count("unchanged lines") == 2


async def test_the_first_change_from_a_line_on_is_found():
    view = DiffView(LONG, CHANGED)
    async with Stage(VerticalScroll(view)).run_test(size=(80, 60)) as pilot:
        await settled(pilot)
        lines = screen_text(pilot.app).split("\n")
        assert "line 20" in lines[view.first_change()]
        assert "line 39" in lines[view.first_change(30)]
        assert view.first_change(1000) == view.first_change()


def test_snapshot_split_light(snap_compare):
    before, after = "def f(x):\n    return x\n\n\n# 日本\n", "def f(y):\n    return y\n# 日本"
    app = Stage(DiffView(before, after, "f.py", mode="split"), theme="continual-light")
    assert snap_compare(app, terminal_size=(80, 12))
