"""The journal of lessons: what the user corrected and what came of it.

One line is ``{"seq":N,"crc":"XXXXXXXX","entry":{…}}``; the checksum covers the number and the
entry's bytes as they stand. A line is on disk before the call that adds it returns. Of damage,
only a last line without its end is repaired, and kept in a file beside the journal; any other is
told in words. One process writes; another that opens the journal meanwhile can only read it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from ...training.protocol import Checked, Lesson, LessonCheck, LessonResult, Wire
from .paths import make_private_folder, sync_folder, write_private

Standing = Literal[
    "pending",
    "learned",
    "gated",
    "in_context_only",
    "rolled_back",
    "failed",
    "undone",
    "forgotten",
]

LINE = re.compile(rb'\{"seq":([0-9]{1,18}),"crc":"([0-9a-f]{8})","entry":(.*)\}', re.DOTALL)


class JournalError(Exception):
    """One sentence about an entry that could not be put on disk."""


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


@dataclass(frozen=True, slots=True)
class LessonRecord:
    """A lesson and where it stands; ``saved`` is false while it is not on disk.

    ``check`` is the newest since it was learned.
    """

    lesson: Lesson
    time: float
    standing: Standing = "pending"
    attempts: int = 0
    result: LessonResult | None = None
    saved: bool = True
    check: LessonCheck | None = None

    @property
    def lost(self) -> bool:
        """Whether it was learned and no longer holds, as far as is known."""
        return self.standing == "learned" and self.check is not None and self.check.holds == "lost"


def encode(number: int, entry: Entry) -> bytes:
    """Make the line of an entry."""
    body = entry.model_dump_json().encode()
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
        raise ValueError("was written by another version of the program") from None


def _checksum(number: int, body: bytes) -> int:
    return zlib.crc32(b"%d:" % number + body)


class Journal:
    """The lessons of one repository and one model; with ``look`` it is only read."""

    def __init__(self, path: Path, *, look: bool = False) -> None:
        self.path = path
        self.read_only: str | None = None
        self.notices: list[str] = []
        self.unchecked = 0
        self.forgetting: ForgettingEntry | None = None
        self._records: dict[str, LessonRecord] = {}
        self._learned: list[str] = []
        self._proofs: dict[str, LessonResult] = {}
        self._before: tuple[dict[str, LessonRecord], list[str]] | None = None
        self._unwritten: list[Entry] = []
        self._number = 0
        self._descriptor = self._look() if look else self._open()
        self._read(self._content())

    # --- reading ------------------------------------------------------------------------

    def lessons(self) -> list[LessonRecord]:
        """Every lesson, oldest first."""
        return list(self._records.values())

    def lesson(self, identifier: str) -> LessonRecord | None:
        """One lesson."""
        return self._records.get(identifier)

    @property
    def learned(self) -> tuple[str, ...]:
        """The lessons that stand, in the order in which they were learned."""
        return tuple(self._learned)

    # --- writing ------------------------------------------------------------------------

    def add_lesson(self, lesson: Lesson) -> None:
        """Put a lesson on disk; when that fails it is still among ``lessons()``."""
        self._add(LessonEntry(time=time.time(), lesson=lesson))

    def add_attempt(self, lesson: str) -> int:
        """Say that a lesson goes to the worker, and for which time."""
        record = self._records.get(lesson)
        attempt = (record.attempts if record else 0) + 1
        self._add(AttemptEntry(time=time.time(), lesson=lesson, attempt=attempt))
        return attempt

    def add_result(self, result: LessonResult) -> None:
        """Say what came of a lesson."""
        self._add(ResultEntry(time=time.time(), result=result))

    def add_undone(self, lesson: str) -> None:
        """Say that a learned lesson was taken back."""
        self._add(UndoneEntry(time=time.time(), lesson=lesson))

    def add_check(self, checked: Checked) -> None:
        """Say which lessons still hold."""
        self._add(CheckEntry(time=time.time(), checked=checked))

    def add_forgetting(self, lesson: str, snapshot: str) -> None:
        """Say that a lesson is about to be forgotten, and what the way back is."""
        self._add(ForgettingEntry(time=time.time(), lesson=lesson, snapshot=snapshot))

    def add_forgotten(self, lesson: str) -> None:
        """Say that it is forgotten."""
        self._add(ForgottenEntry(time=time.time(), lesson=lesson))

    def add_restored(self, lesson: str) -> None:
        """Say that it was not, and that everything is as it was."""
        self._add(RestoredEntry(time=time.time(), lesson=lesson))

    def add_switched(
        self, gone: Iterable[str] = (), again: Mapping[str, str] | None = None
    ) -> None:
        """Say that the adapter is another one, and which lessons went and came back with it."""
        self._add(SwitchedEntry(time=time.time(), gone=tuple(gone), again=dict(again or {})))

    def close(self) -> None:
        """Give up the file and the lock on it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    # --- within -------------------------------------------------------------------------

    def _look(self) -> int:
        """Open for reading alone: nothing is created, locked or repaired."""
        self.read_only = "The journal is only looked at."
        try:
            return os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return -1
        except OSError as error:
            self.notices.append(f"The journal {self.path} cannot be read: {_words(error)}.")
            return -1

    def _open(self) -> int:
        try:
            make_private_folder(self.path.parent)
            new = not self.path.exists()
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
            descriptor = os.open(self.path, flags, 0o600)
            if new:
                sync_folder(self.path.parent)
        except OSError as error:
            self.read_only = f"The journal {self.path} cannot be opened: {_words(error)}."
            return -1
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.read_only = (
                "Another continualcode-tui is open in this repository with this model; "
                "this one can read the lessons and not add to them."
            )
        return descriptor

    def _content(self) -> bytes:
        if self._descriptor < 0:
            return b""
        with open(self._descriptor, "rb", closefd=False) as file:
            return file.read()

    def _read(self, content: bytes) -> None:
        whole, end, tail = content.rpartition(b"\n")
        if tail and self.read_only is None and self._repair(tail, len(whole) + len(end)):
            whole, end = content, b"\n"
        damaged = False
        for place, line in enumerate(whole.split(b"\n") if end else [], start=1):
            try:
                number, entry = decode(line)
            except ValueError as error:
                self.notices.append(f"Line {place} of {self.path} {error} and was left out.")
                damaged = True
                continue
            if number != self._number + 1 and not damaged:
                self.notices.append(f"Entries are missing before line {place} of {self.path}.")
            damaged = False
            self._number = max(self._number, number)
            self._take_up(entry)

    def _repair(self, tail: bytes, offset: int) -> bool:
        """Mend a last line without its end; True when it was whole but for that."""
        try:
            try:
                decode(tail)
            except ValueError:
                kept = self.path.with_name(f"{self.path.name}.torn-{time.time_ns()}")
                write_private(kept, tail)
                os.ftruncate(self._descriptor, offset)
                os.fsync(self._descriptor)
                self.notices.append(
                    f"The last entry of the journal was cut short; it was moved to {kept}."
                )
                return False
            self._write(b"\n")
        except (OSError, JournalError) as error:
            self.read_only = f"The journal {self.path} cannot be repaired: {_words(error)}."
            return False
        return True

    def _add(self, entry: Entry) -> None:
        self._take_up(entry, saved=False)
        if self.read_only is not None:
            raise JournalError(self.read_only)
        self._unwritten.append(entry)
        while self._unwritten:
            waiting = self._unwritten[0]
            self._write(encode(self._number + 1, waiting))
            self._number += 1
            del self._unwritten[0]
            self._mark_saved(waiting)

    def _write(self, line: bytes) -> None:
        """Append and sync; when that fails, the file is as it was."""
        start = os.fstat(self._descriptor).st_size
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            os.fsync(self._descriptor)
        except OSError as error:
            self._cut_back(start)
            raise JournalError(
                f"The lesson could not be written to {self.path}: {_words(error)}."
            ) from error

    def _cut_back(self, size: int) -> None:
        try:
            os.ftruncate(self._descriptor, size)
            os.fsync(self._descriptor)
        except OSError as error:
            self.read_only = f"The journal {self.path} cannot be written: {_words(error)}."

    def _take_up(self, entry: Entry, *, saved: bool = True) -> None:
        """Bring the records to where the entry says they are."""
        if isinstance(entry, LessonEntry):
            record = LessonRecord(entry.lesson, entry.time, saved=saved)
            self._records[entry.lesson.id] = record
            return
        if isinstance(entry, CheckEntry):
            self._take_up_check(entry)
            return
        if isinstance(entry, SwitchedEntry):
            self._take_up_switch(entry)
            return
        if isinstance(entry, ForgettingEntry):
            self.forgetting = entry
            self._before = dict(self._records), list(self._learned)
            return
        if isinstance(entry, ForgottenEntry | RestoredEntry):
            if isinstance(entry, RestoredEntry) and self._before is not None:
                self._records, self._learned = self._before
            self.forgetting = self._before = None
        if not isinstance(entry, RestoredEntry):
            self._take_up_standing(entry)

    def _take_up_standing(
        self, entry: AttemptEntry | ResultEntry | UndoneEntry | ForgottenEntry
    ) -> None:
        for record in self._find(entry):
            fresh = replace(record, check=None)
            if isinstance(entry, AttemptEntry):
                after = replace(fresh, attempts=entry.attempt, standing="pending", result=None)
            elif isinstance(entry, ResultEntry):
                after = replace(fresh, standing=entry.result.outcome, result=entry.result)
                self.unchecked += after.standing == "learned"
                if after.standing == "learned" and entry.result.snapshot is not None:
                    self._proofs[entry.result.snapshot] = entry.result
            else:
                undone = isinstance(entry, UndoneEntry)
                after = replace(fresh, standing="undone" if undone else "forgotten")
                self._forget_checks()
            self._stand(after)

    def _take_up_switch(self, entry: SwitchedEntry) -> None:
        self._forget_checks()
        for identifier in entry.gone:
            if identifier in self._learned:
                self._stand(replace(self._records[identifier], standing="undone"))
        for identifier, snapshot in entry.again.items():
            record = self._records.get(identifier)
            if record is not None:
                proof = self._proofs.get(snapshot)
                self._stand(replace(record, standing="learned", result=proof))

    def _forget_checks(self) -> None:
        """What was lost to a lesson that is gone may hold again."""
        for identifier, record in self._records.items():
            self._records[identifier] = replace(record, check=None)

    def _take_up_check(self, entry: CheckEntry) -> None:
        self.unchecked = 0
        for check in entry.checked.checks:
            record = self._records.get(check.lesson)
            if record is not None and record.standing == "learned":
                self._records[check.lesson] = replace(record, check=check)

    def _stand(self, record: LessonRecord) -> None:
        identifier = record.lesson.id
        self._records[identifier] = record
        if identifier in self._learned:
            self._learned.remove(identifier)
        if record.standing == "learned":
            self._learned.append(identifier)

    def _find(
        self, entry: AttemptEntry | ResultEntry | UndoneEntry | ForgottenEntry
    ) -> Iterator[LessonRecord]:
        identifier = entry.result.lesson if isinstance(entry, ResultEntry) else entry.lesson
        record = self._records.get(identifier)
        if record is not None:
            yield record
        else:
            self.notices.append(f"The journal tells of lesson {identifier} but does not hold it.")

    def _mark_saved(self, entry: Entry) -> None:
        if isinstance(entry, LessonEntry):
            record = self._records[entry.lesson.id]
            self._records[entry.lesson.id] = replace(record, saved=True)


def _words(error: BaseException) -> str:
    """What an error of the system means, and what to do about it."""
    if not isinstance(error, OSError):
        return str(error)
    advice = {
        errno.ENOSPC: "the disk is full, so free some space",
        errno.EDQUOT: "your disk quota is used up, so free some space",
        errno.EFBIG: "the file has reached the allowed size",
        errno.EACCES: "it is not allowed, so check who owns the folder or set data_dir",
        errno.EROFS: "the disk is read-only, so set data_dir to a folder that can be written",
    }
    return advice.get(error.errno or 0, error.strerror or str(error))
