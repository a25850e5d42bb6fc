"""In which order the slow tests run, so that no core waits at the end for one long test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

LONG = (
    "app/test_adapters_cli.py::test_with_a_real_model",
    "app/test_pictures.py::test_every_screen",
    "bench/test_run.py::test_arms",
    "controllers/test_real_worker.py",
    "end_to_end/",
    "hosted/test_dropping.py::test_a_hundred_drops",
    "safety/test_r10_bytes.py::test_five_hundred_kills",
    "safety/test_r10_machine.py",
    "safety/test_r15_one_writer.py::test_two_real_programs",
    "safety/test_r16_network.py::test_practice_mode",
    "safety/test_r16_private.py::test_all_that_the_real_worker",
    "safety/test_r17_training_data.py::test_no_prompt_or_output_is_in_the_loss_on_this_machine[every",
    "safety/test_r2_hostile_repository.py::test_the_whole_program",
    "safety/test_r5_shown_is_executed.py::test_what_is_read",
    "safety/test_r6_only_a_deliberate_key.py::test_a_panel_without_arming",
    "safety/test_r6_only_a_deliberate_key.py::test_no_case",
    "safety/test_r8_nothing_reaches_the_terminal.py::test_the_terminal_sees",
    "safety/test_r9_floods.py::test_no_flood_holds_the_interface[a search",
)
"""What takes longer than twelve seconds; a test that is missing here only runs later."""


class Named(Protocol):
    """A test."""

    @property
    def nodeid(self) -> str: ...


T = TypeVar("T", bound=Named)


def long_ones_first(tests: Sequence[T], processes: int) -> list[T]:
    """Give each process a share of the long tests to begin with.

    pytest-xdist gives each one stretch of the list and lets those that are through take from the
    end of the others' stretches.
    """
    long = [test for test in tests if is_long(test.nodeid)]
    short = [test for test in tests if not is_long(test.nodeid)]
    ordered: list[T] = []
    for number in range(processes):
        left = processes - number
        stretch = (len(tests) - len(ordered)) // left
        share = long[number::processes]
        rest = max(0, stretch - len(share))
        ordered += [*share, *short[:rest]]
        short = short[rest:]
    return [*ordered, *short]


def is_long(name: str) -> bool:
    """Whether a test is known to take long."""
    return name.removeprefix("tests/").startswith(LONG)
