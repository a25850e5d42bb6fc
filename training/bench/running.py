"""The run itself: worlds that are loaded once, records that are skipped when there, progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

from .arms import Arm, Variant
from .oracle import BenchCase
from .plan import Size, Work, best_rate, main_work, sweep_work, swept, work_key
from .preparing import CaseFile
from .probes import Probes
from .records import RecordFile
from .trials import Trial
from .world import World

BAR = 24
PLAIN_EVERY_SECONDS = 15.0


class Progress:
    """A bar on a terminal, and a line now and then elsewhere."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.live = stream.isatty()
        self.done = self.total = 0
        self._started = self._told = time.monotonic()

    def expect(self, total: int) -> None:
        """Say how many pieces of work there are from here on."""
        self.done, self.total = 0, total
        self._started = time.monotonic()

    def advance(self, what: str) -> None:
        """Count a piece of work."""
        self.done += 1
        self.tell(what)

    def tell(self, what: str) -> None:
        """Show where the run is."""
        now = time.monotonic()
        last = self.done == self.total
        if not self.live and not last and now - self._told < PLAIN_EVERY_SECONDS:
            return
        self._told = now
        text = f"{self.done}/{self.total} {what}{self._left(now)}"
        if self.live:
            full = BAR * self.done // max(1, self.total)
            bar = "█" * full + "░" * (BAR - full)
            text = f"\r\x1b[2K{bar} {text}" + ("\n" if last else "")
        self.stream.write(text if self.live else text + "\n")
        self.stream.flush()

    def say(self, sentence: str) -> None:
        """A line of its own."""
        self.stream.write(("\r\x1b[2K" if self.live else "") + sentence + "\n")
        self.stream.flush()

    def _left(self, now: float) -> str:
        if not 0 < self.done < self.total:
            return ""
        seconds = (now - self._started) / self.done * (self.total - self.done)
        return f", {seconds / 60:.0f} min left" if seconds >= 90 else f", {seconds:.0f} s left"


class Bench:
    """Everything that one run keeps between its pieces of work."""

    def __init__(self, model: Path | None, folder: Path, progress: Progress) -> None:
        self.model = model
        self.records = RecordFile(folder)
        self.files = CaseFile(folder)
        self.progress = progress
        self._worlds: dict[Variant, tuple[World, Probes]] = {}
        self._cases: dict[tuple[int, int], list[BenchCase]] = {}
        self._trials: dict[tuple[str, float], Trial] = {}

    def run(self, arms: Sequence[Arm], size: Size) -> dict[str, float]:
        """Run what is missing; returns the learning rate of each arm."""
        self.progress.say("Drawing cases from the held-out side of the curriculum.")
        sweeps = list(sweep_work(arms, size))
        self._all(sweeps, size)
        rates = {arm.name: best_rate(arm, self.records.records.values()) for arm in arms}
        for arm in arms:
            if swept(arm, size):
                self.progress.say(f"{arm.name}: learning rate {rates[arm.name]:g} by the sweep.")
        self._all(main_work(arms, rates, size), size)
        return rates

    def _all(self, work: Iterable[Work], size: Size) -> None:
        """Do every piece of work that has left no record."""
        planned = list(work)
        numbers = {
            seed: [case.number for case in self._cases_of(seed, size)]
            for seed in {one.seed for one in planned}
        }
        done = self.records.records
        left = [one for one in planned if work_key(one, numbers, size.lessons) not in done]
        self.progress.expect(len(left))
        before: object = None
        for one in left:
            if (one.part, one.seed, one.place) != before:
                before = (one.part, one.seed, one.place)
                for world, _ in self._worlds.values():
                    world.forget()
            self._one(one, size)
            self.progress.advance(f"{one.part} {one.arm.name}, seed {one.seed}")

    def _one(self, work: Work, size: Size) -> None:
        trial = self._trial(work.arm, work.rate)
        if work.part == "sequence":
            plain = self._world(Variant())[0]
            plain.reset()
            cases = self.files.sequence(plain, work.seed, work.place, size.lessons)
            self.records.add(trial.sequence(work.seed, work.place, cases))
            return
        case = self._cases_of(work.seed, size)[work.place]
        self.records.add(trial.lesson(case, sweep=work.part == "sweep"))

    def _trial(self, arm: Arm, rate: float) -> Trial:
        if (arm.name, rate) not in self._trials:
            self._trials[arm.name, rate] = Trial(*self._world(arm.variant), arm, rate)
        return self._trials[arm.name, rate]

    def _world(self, variant: Variant) -> tuple[World, Probes]:
        if variant not in self._worlds:
            world = World(self.model, variant)
            self._worlds[variant] = world, Probes(world)
        return self._worlds[variant]

    def _cases_of(self, seed: int, size: Size) -> list[BenchCase]:
        count = size.cases if seed else size.sweep_cases
        if (seed, count) not in self._cases:
            plain = self._world(Variant())[0]
            plain.reset()
            self._cases[seed, count] = self.files.cases(plain, seed, count)
        return self._cases[seed, count]


def progress() -> Progress:
    """Progress on stderr, so that stdout stays for results."""
    return Progress(sys.stderr)
