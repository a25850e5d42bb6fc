"""Records of the bench: one JSON object a line, appended as they come, skipped when there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from .oracle import Plain, Verdict

RECORDS = "records.jsonl"
MOST_CORRECTIONS = 4
Part = Literal["sweep", "lesson", "sequence"]
Key = tuple[str, str, float, int, int]


class Record(Plain):
    """What one arm did with one case, or with one sequence of lessons.

    ``others`` are the verdicts on held-out requests of the corrected kind, and ``near`` says
    which near misses kept their answer. ``course`` has the share of ``others`` that were right
    after each further correction, the first included. In a sequence ``held[n]`` says of each
    lesson so far whether its request is answered rightly after lesson ``n``. ``irrelevant`` is
    what our lesson came to with a correction that has nothing to do with the request.
    """

    part: Part
    arm: str
    rate: float
    seed: int
    case: int
    option: str = ""
    prior: float = 0.0
    greedy: bool = False
    sampled: float = 0.0
    others: tuple[Verdict, ...] = ()
    near: tuple[bool, ...] = ()
    near_kinds: tuple[str, ...] = ()
    drift: float = 0.0
    agreement: float = 1.0
    moved: float = 0.0
    steps: int = 0
    seconds: float = 0.0
    tokens_sampled: int = 0
    outcome: str = ""
    course: tuple[float, ...] = ()
    held: tuple[tuple[bool, ...], ...] = ()
    irrelevant: str = ""

    @property
    def key(self) -> Key:
        """What makes a record the same as another."""
        return key(self.part, self.arm, self.rate, self.seed, self.case)


def key(part: Part, arm: str, rate: float, seed: int, case: int) -> Key:
    """The key of the record that this work would leave."""
    return (part, arm, rate, seed, case)


def sequence_case(place: int, lessons: int) -> int:
    """What stands for a sequence where a case has its number; its length is part of it."""
    return 100 * lessons + place


def read_records(folder: Path) -> Iterator[Record]:
    """Every record of a folder; a line that was torn when a run was stopped is passed over."""
    path = folder / RECORDS
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            yield Record.model_validate_json(line)
        except ValidationError:
            continue


class RecordFile:
    """The file of records, open for more."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / RECORDS
        self.records = {record.key: record for record in read_records(folder)}
        self._end_torn_line()

    def _end_torn_line(self) -> None:
        """Keep the next record off the end of a line that was never finished."""
        if not self.path.is_file() or self.path.stat().st_size == 0:
            return
        with self.path.open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")

    def add(self, record: Record) -> None:
        """Write a record at once."""
        self.records[record.key] = record
        with self.path.open("a", encoding="utf-8") as file:
            file.write(record.model_dump_json() + "\n")
