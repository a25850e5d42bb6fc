"""What has to be run, in which order, and with which learning rate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from .arms import Arm
from .records import Key, Part, Record, key, sequence_case

SWEEP_SEED = 0


@dataclass(frozen=True)
class Size:
    """How much is run; the sweep has a seed of its own, on which nothing is reported."""

    seeds: int = 3
    cases: int = 12
    sweep_cases: int = 8
    sequences: int = 2
    lessons: int = 10
    sweeps: bool = True


QUICK = Size(seeds=1, cases=2, sweep_cases=0, sequences=1, lessons=2, sweeps=False)


@dataclass(frozen=True)
class Work:
    """One record's worth of work; ``place`` counts the cases or the sequences of its seed."""

    part: Part
    arm: Arm
    rate: float
    seed: int
    place: int


def swept(arm: Arm, size: Size) -> bool:
    """Whether the arm's learning rate is to be found."""
    return size.sweeps and len(arm.rates) > 1


def middle(rates: Sequence[float]) -> float:
    """The rate taken where nothing is swept."""
    return rates[len(rates) // 2]


def sweep_work(arms: Iterable[Arm], size: Size) -> Iterator[Work]:
    """Every rate of every arm on the cases of the sweep, a case at a time."""
    some = [arm for arm in arms if swept(arm, size)]
    for place in range(size.sweep_cases):
        for arm in some:
            for rate in arm.rates:
                yield Work("sweep", arm, rate, SWEEP_SEED, place)


def main_work(arms: Sequence[Arm], rates: dict[str, float], size: Size) -> Iterator[Work]:
    """Every arm at its rate on every case and then on every sequence."""
    alone = [arm for arm in arms if not arm.together]
    for seed in range(1, size.seeds + 1):
        for place in range(size.cases):
            for arm in alone:
                yield Work("lesson", arm, rates[arm.name], seed, place)
        for place in range(size.sequences):
            for arm in arms:
                yield Work("sequence", arm, rates[arm.name], seed, place)


def score(record: Record) -> float:
    """What a rate is chosen by: efficacy, generalisation, specificity and agreement, alike."""
    general = [verdict == "wanted" for verdict in record.others]
    parts = [float(record.greedy), _mean(general), _mean(record.near), record.agreement]
    return _mean(parts)


def best_rate(arm: Arm, records: Iterable[Record]) -> float:
    """The rate that the sweep found best; the middle one where there was no sweep."""
    found: dict[float, list[float]] = {}
    for record in records:
        if record.part == "sweep" and record.arm == arm.name:
            found.setdefault(record.rate, []).append(score(record))
    if not found:
        return middle(arm.rates)
    return max(found, key=lambda rate: (_mean(found[rate]), -rate))


def work_key(work: Work, numbers: dict[int, list[int]], lessons: int) -> Key:
    """The key of the record that a piece of work leaves; ``numbers`` are those of the cases."""
    if work.part == "sequence":
        case = sequence_case(work.place, lessons)
    else:
        case = numbers[work.seed][work.place]
    return key(work.part, work.arm.name, work.rate, work.seed, case)


def _mean(values: Sequence[float | bool]) -> float:
    return sum(values) / len(values) if values else 0.0
