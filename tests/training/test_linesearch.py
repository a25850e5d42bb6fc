"""The line search on functions whose answer is known."""

from __future__ import annotations

import math

from continualcode_tui.training.linesearch import SMALLEST, largest_affordable, search
from hypothesis import given
from hypothesis import strategies as st

scales = st.floats(0.01, 20)


@given(threshold=scales, cost_there=st.floats(0.001, 0.99))
def test_the_smallest_that_follows_is_taken_when_it_is_affordable(threshold, cost_there):
    found = search(
        lambda s: max(0.0, threshold - s), lambda s: cost_there * (s / threshold) ** 2, 2.0
    )
    assert found.follows
    assert threshold <= found.scale <= 1.5 * threshold


@given(affordable=st.floats(0.02, 5), power=st.floats(1.5, 3.5))
def test_the_budget_is_kept_and_mostly_used_when_nothing_follows(affordable, power):
    found = search(lambda s: 1 / (1 + s), lambda s: (s / affordable) ** power, 1.0)
    assert not found.follows
    assert found.cost <= 1.0
    assert 0.4 * affordable <= found.scale <= affordable


@given(threshold=st.floats(1, 20), share=st.floats(0.1, 0.8))
def test_a_decision_that_costs_too_much_is_not_bought(threshold, share):
    found = search(lambda s: max(0.0, threshold - s), lambda s: (s / (share * threshold)) ** 2, 1.0)
    assert not found.follows
    assert found.cost <= 1.0


def test_a_cost_that_is_not_finite_is_stepped_back_from():
    found = largest_affordable(lambda s: math.inf if s > 0.1 else s, 1.0, 4.0)
    assert 0 < found.scale <= 0.1


def test_nothing_affordable_means_no_step():
    assert largest_affordable(lambda s: 5.0, 1.0, 4.0).scale == 0.0


def test_what_follows_already_moves_next_to_nothing():
    assert search(lambda s: 0.0, lambda s: s, 1.0).scale <= SMALLEST


@given(nearest=st.sampled_from([0.5, 1, 2, 4, 8]))
def test_where_nothing_follows_it_goes_no_further_than_what_comes_nearest(nearest):
    found = search(lambda s: 0.1 + abs(math.log2(s / nearest)) if s else 9.0, lambda s: 0.0, 1.0)
    assert not found.follows
    assert found.scale == nearest


def test_a_direction_that_only_does_harm_is_not_taken():
    assert search(lambda s: 0.1 + s, lambda s: s, 1.0).scale == 0.0
