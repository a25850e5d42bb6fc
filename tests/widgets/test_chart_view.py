"""Which stretch of the x axis is seen, and the ticks on it."""

from __future__ import annotations

import math

import pytest
from continualcode_tui.widgets.chart_data import Window, decimated, nearest, runs, value_at
from continualcode_tui.widgets.chart_ticks import LogTicks, Ticks, TimeTicks, WholeTicks
from continualcode_tui.widgets.chart_view import View
from hypothesis import given, settings
from hypothesis import strategies as st

MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("zoom"), st.sampled_from([0.6, 0.85, 1 / 0.6])),
        st.tuples(st.just("pan"), st.floats(-2, 2)),
        st.tuples(st.just("grow"), st.floats(0, 20)),
        st.tuples(st.just("reveal"), st.floats(0, 1)),
        st.tuples(st.sampled_from(["follow", "show_all"]), st.none()),
    ),
    max_size=20,
)


def axis(right: float = 100.5) -> View:
    view = View()
    view.grow(Window(0.5, right), 2.0)
    return view


@given(MOVES)
@settings(max_examples=60, deadline=None)
def test_the_window_never_leaves_the_axis_and_never_vanishes(moves) -> None:
    view, right = axis(), 100.5
    for name, value in moves:
        if name == "grow":
            right += value
            view.grow(Window(0.5, right), 2.0)
        elif name == "reveal":
            x = 0.5 + value * (right - 0.5)
            view.reveal(x)
            assert view.window.left - 1e-6 <= x <= view.window.right + 1e-6
        elif value is None:
            getattr(view, name)()
        else:
            getattr(view, name)(value)
        window = view.window
        assert 0.5 - 1e-6 <= window.left < window.right <= right + 1e-6
        assert window.right - window.left >= 2.0 - 1e-6
        if view.words == "all":
            assert window == Window(0.5, right)


def test_zooming_keeps_what_it_is_around_where_it_is() -> None:
    view = axis()
    view.zoom(0.5, around=25.5)
    assert view.window == Window(13.0, 63.0)
    assert view.words == "earlier part"
    view.zoom(2.0, around=25.5)
    assert view.shows_all


def test_zooming_out_of_everything_follows_the_newest_until_it_is_moved() -> None:
    view = axis()
    view.zoom(0.5)
    view.grow(Window(0.5, 200.5), 2.0)
    assert view.window == Window(150.5, 200.5)
    view.pan(-1)
    view.grow(Window(0.5, 300.5), 2.0)
    assert view.window == Window(100.5, 150.5)
    view.follow()
    assert view.window == Window(250.5, 300.5)
    view.pan(-1)
    view.pan(3)
    assert view.words == "newest"


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(2, 8))
@settings(max_examples=80, deadline=None)
def test_ticks_are_in_view_in_order_and_few_and_their_labels_differ(
    low: float, span: float, fit: int
) -> None:
    for kind in (Ticks, WholeTicks, TimeTicks):
        ticks = kind()
        ticks.fit = fit
        found = ticks.get_ticks(low, low + span)
        room = span * 1e-6 + 1e-6
        assert len(found) <= fit + 1
        assert found == sorted(found)
        assert all(low - room <= tick <= low + span + room for tick in found)
        if kind is WholeTicks:
            assert all(tick == int(tick) for tick in found)
    ticks = Ticks()
    labels = ticks.get_labels_for_ticks(ticks.get_ticks(0.0, span))
    assert len(set(labels)) == len(labels) >= 2


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.001, 10.0, ["0.001", "0.01", "0.1", "1", "10"]),
        (0.4, 0.9, ["0.4", "0.5", "0.6", "0.7", "0.8", "0.9"]),
        (0.03, 0.6, ["0.05", "0.1", "0.2", "0.5"]),
    ],
)
def test_logarithmic_ticks_are_round_values(low: float, high: float, labels: list[str]) -> None:
    ticks = LogTicks()
    found = ticks.get_ticks(math.log10(low), math.log10(high))
    assert ticks.get_labels_for_ticks(found) == labels


def test_a_gap_stays_where_a_column_has_no_value() -> None:
    points = [
        (float(at), math.nan if 400 <= at < 600 or at % 7 == 0 else 1.0) for at in range(1000)
    ]
    assert len(list(runs(decimated(points, 50)))) == 2


def test_the_value_at_a_place_is_the_last_before_it() -> None:
    points = [(1.0, 5.0), (2.0, 6.0)]
    assert [value_at(points, x) for x in (1.0, 1.9, 7.0)] == [5.0, 5.0, 6.0]
    assert math.isnan(value_at(points, 0.5))
    assert nearest([1.0, 2.0, 4.0], 2.9) == 2.0
    assert nearest([], 1.0) is None
