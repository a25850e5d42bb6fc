"""Which entries are mounted, whatever their heights and wherever the view is."""

from __future__ import annotations

from itertools import accumulate

from continualcode_tui.widgets.transcript_window import FAR, FILL, NEAR, Geometry, plan, tail
from hypothesis import given
from hypothesis import strategies as st

HEIGHTS = st.lists(st.integers(1, 60), min_size=1, max_size=300)


def geometry(heights: list[int], first: int, last: int, top: float, view: int) -> Geometry:
    average = max(1.0, sum(heights) / len(heights))
    start = round(first * average)
    edges = [start, *(start + reached for reached in accumulate(heights[first:last]))]
    total = edges[-1] + round((len(heights) - last) * average)
    view_top = round(top * max(0, total - view))
    return Geometry(first, edges, len(heights), average, view_top, view)


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    heights = draw(HEIGHTS)
    first = draw(st.integers(0, len(heights) - 1))
    last = draw(st.integers(first, len(heights)))
    return geometry(heights, first, last, draw(st.floats(0, 1)), draw(st.integers(1, 80)))


@given(geometries())
def test_the_window_lies_within_the_conversation_and_is_never_empty(at: Geometry) -> None:
    window = plan(at)
    assert 0 <= window.first < window.last <= at.count
    assert window.aim is None or window.first <= window.aim < window.last


@given(geometries())
def test_what_is_in_view_and_near_it_stays(at: Geometry) -> None:
    window = plan(at)
    if window.aim is not None:
        return
    near = NEAR * at.view_height
    for index in range(at.first, at.last):
        top, bottom = at.edges[index - at.first], at.edges[index + 1 - at.first]
        if bottom > at.view_top - near and top < at.view_top + at.view_height + near:
            assert window.first <= index < window.last


@given(geometries())
def test_what_is_far_away_goes_and_what_comes_is_little(at: Geometry) -> None:
    window = plan(at)
    if window.aim is None:
        for index in range(window.first, min(window.last, at.last) - 1):
            if index >= max(window.first, at.first) and window.first >= at.first:
                assert at.edges[index + 1 - at.first] >= at.view_top - FAR * at.view_height
    mounted = window.last - window.first
    kept = at.last - at.first
    assert mounted <= kept + 2 * (FILL * at.view_height / at.average + 2)


@given(HEIGHTS, st.floats(0, 1), st.integers(1, 80))
def test_the_window_comes_to_rest(heights: list[int], top: float, view: int) -> None:
    count = len(heights)
    window = tail(count, max(1.0, sum(heights) / count), view)
    for _ in range(count + 5):
        at = geometry(heights, window.first, window.last, top, view)
        # The conversation keeps what is in view where it is; here the heights are all known.
        after = plan(at)
        if after[:2] == window[:2]:
            return
        if after.aim is not None:
            offset = sum(heights[after.first : after.aim])
            start = round(after.first * at.average) + offset
            at = Geometry(
                after.first,
                [
                    round(after.first * at.average),
                    *(
                        round(after.first * at.average) + reached
                        for reached in accumulate(heights[after.first : after.last])
                    ),
                ],
                count,
                at.average,
                start,
                view,
            )
            assert plan(at).aim is None
            return
        window = after
    raise AssertionError("it goes on for ever")
