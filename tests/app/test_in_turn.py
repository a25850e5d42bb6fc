"""The order of the tests: nothing is lost, and each process begins with long ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from ..in_turn import LONG, is_long, long_ones_first

TESTS = Path(__file__).parents[1]


@dataclass(frozen=True)
class One:
    nodeid: str


@pytest.mark.parametrize("processes", [1, 2, 3, 8, 40])
@pytest.mark.parametrize("short", [0, 1, 10, 200])
def test_each_stretch_begins_with_its_share_and_nothing_is_lost(processes: int, short: int):
    long = [One(f"tests/end_to_end/test_it.py::test_{n}") for n in range(7)]
    tests = [*(One(f"tests/app/test_it.py::test_{n}") for n in range(short)), *long]
    ordered = long_ones_first(tests, processes)
    assert sorted(map(str, ordered)) == sorted(map(str, tests))
    if short < 200 or processes > len(long):
        return
    at, left = 0, list(ordered)
    for number in range(processes):
        stretch = (len(tests) - at) // (processes - number)
        share = [is_long(each.nodeid) for each in left[at : at + stretch]]
        assert share == sorted(share, reverse=True)
        assert sum(share) in (len(long) // processes, len(long) // processes + 1)
        at += stretch


def test_the_long_ones_are_there():
    for name in LONG:
        path, _, test = name.partition("::")
        assert (TESTS / path).exists(), name
        if test:
            assert f"def {test.partition('[')[0]}" in (TESTS / path).read_text(), name
