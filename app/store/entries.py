"""The entries of the journal of lessons, and the lines they are written in.

One line is ``{"seq":N,"crc":"XXXXXXXX","entry":{…}}``; the checksum covers the number and the
entry's bytes as they stand.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from ...training.protocol import Checked, Lesson, LessonResult, Wire

LINE = re.compile(rb'\{"seq":([0-9]{1,18}),"crc":"([0-9a-f]{8})","entry":(.*)\}', re.DOTALL)
LARGEST_GAP = 1_000_000_000
"""The most entries that may be missing: a number beyond would leave none for later entries."""
MOST_TOLD = 4
"""The damaged places that are told one by one."""


class LessonEntry(Wire):
    """A lesson, before its first step."""

    type: Literal["lesson"] = "lesson"
    time: float
    lesson: Lesson


class AttemptEntry(Wire):
    """A lesson goes to the worker."""

    type: Literal["attempt"] = "attempt"
    time: float
    lesson: str
    attempt: int


class ResultEntry(Wire):
    """What came of a lesson."""

    type: Literal["result"] = "result"
    time: float
    result: LessonResult


class UndoneEntry(Wire):
    """A learned lesson was taken back."""

    type: Literal["undone"] = "undone"
    time: float
    lesson: str


class CheckEntry(Wire):
    """Lessons were asked again without their corrections."""

    type: Literal["check"] = "check"
    time: float
    checked: Checked


class ForgettingEntry(Wire):
    """A lesson is being forgotten, and the later ones are learned again without it.

    Until a ``forgotten`` or a ``restored`` entry comes, ``snapshot`` is the way back.
    """

    type: Literal["forgetting"] = "forgetting"
    time: float
    lesson: str
    snapshot: str


class ForgottenEntry(Wire):
    """The lesson is gone from the adapter, and the later ones were learned again or tried."""

    type: Literal["forgotten"] = "forgotten"
    time: float
    lesson: str


class RestoredEntry(Wire):
    """Forgetting did not come to its end: adapter and lessons are as they were before it."""

    type: Literal["restored"] = "restored"
    time: float
    lesson: str


class SwitchedEntry(Wire):
    """The adapter is another one than before, by a switch or by an import.

    ``gone`` are the lessons that it no longer holds, ``again`` those that it holds again, in the
    order in which they were learned, each with the snapshot by which its proof is known.
    """

    type: Literal["switched"] = "switched"
    time: float
    gone: tuple[str, ...] = ()
    again: dict[str, str] = Field(default_factory=dict)


Entry = Annotated[
    LessonEntry
    | AttemptEntry
    | ResultEntry
    | UndoneEntry
    | CheckEntry
    | ForgettingEntry
    | ForgottenEntry
    | RestoredEntry
    | SwitchedEntry,
    Field(discriminator="type"),
]
ENTRY: TypeAdapter[Entry] = TypeAdapter(Entry)


class UnknownEntry(ValueError):
    """An undamaged line with an entry that this version of the program does not know."""

    def __init__(self, number: int) -> None:
        super().__init__("was written by another version of the program")
        self.number = number


def to_json(entry: Entry) -> bytes:
    """An entry without its number; ValueError where it holds what JSON cannot carry."""
    return entry.model_dump_json().encode()


def line_of(number: int, body: bytes) -> bytes:
    """Make the line of an entry that is JSON already."""
    return b'{"seq":%d,"crc":"%08x","entry":%s}\n' % (number, _checksum(number, body), body)


def decode(line: bytes) -> tuple[int, Entry]:
    """Read a line without its end; ValueError says what is wrong with it."""
    match = LINE.fullmatch(line)
    if match is None:
        raise ValueError("is not an entry")
    number, body = int(match[1]), match[3]
    if int(match[2], 16) != _checksum(number, body):
        raise ValueError("does not match its checksum")
    try:
        return number, ENTRY.validate_json(body)
    except ValidationError:
        raise UnknownEntry(number) from None


def _checksum(number: int, body: bytes) -> int:
    return zlib.crc32(b"%d:" % number + body)


@dataclass
class Lines:
    """What the lines of a journal say: entries in their order, and every place that is damaged."""

    entries: list[Entry] = field(default_factory=list)
    last: int = 0
    _left_out: list[tuple[int, int, str]] = field(default_factory=list)
    _missing: list[int] = field(default_factory=list)
    _lessons: dict[str, LessonEntry] = field(default_factory=dict)

    def take(self, lines: Iterable[bytes]) -> None:
        """Read whole lines, without their ends; no line is passed over in silence."""
        damaged = 0  # lines since the last whose number is known
        for place, line in enumerate(lines, start=1):
            try:
                number, entry = decode(line)
            except UnknownEntry as error:
                number, entry = error.number, None
                self._leave_out(place, str(error))
            except ValueError as error:
                damaged += 1
                self._leave_out(place, str(error))
                continue
            if number <= self.last:
                self._leave_out(place, "repeats an earlier entry")
                continue
            if number > self.last + LARGEST_GAP:
                damaged += 1
                self._leave_out(place, "has a number that it cannot have")
                continue
            if number > self.last + 1 + damaged:
                self._missing.append(place)
            self.last, damaged = number, 0
            if entry is None:
                continue
            if isinstance(entry, LessonEntry):
                before = self._lessons.get(entry.lesson.id)
                if before is not None and not _adds_solution(before.lesson, entry.lesson):
                    # Written twice where it was not known whether the disk had it: no damage.
                    if before.lesson != entry.lesson:
                        self._leave_out(place, "has another lesson under a name that is taken")
                    continue
                self._lessons[entry.lesson.id] = entry
            self.entries.append(entry)

    def _leave_out(self, place: int, why: str) -> None:
        if self._left_out and self._left_out[-1][1:] == (place - 1, why):
            self._left_out[-1] = (self._left_out[-1][0], place, why)
        else:
            self._left_out.append((place, place, why))

    def damage(self, where: object) -> list[str]:
        """Every damaged place of the file in a sentence, and the rest of many as a number."""
        told = [
            f"Line {first} of {where} {why} and was left out."
            if first == last
            else f"Lines {first} to {last} of {where} were left out: each {why}."
            for first, last, why in self._left_out
        ]
        told += [f"Entries are missing before line {place} of {where}." for place in self._missing]
        more = len(told) - MOST_TOLD
        if more > 1:
            told[MOST_TOLD:] = [f"{more} more places of {where} are damaged."]
        return told


def _adds_solution(before: Lesson, now: Lesson) -> bool:
    """Whether this is the same lesson, tried again with the call that the user approved."""
    if before.solution is not None or now.solution is None:
        return False
    return now.model_copy(update={"solution": None}) == before
