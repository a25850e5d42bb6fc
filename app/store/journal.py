"""The journal of lessons: what the user corrected and what came of it.

A line is on disk before the call that adds it returns; entries.py says what it looks like. Of
damage, only a last line without its end is repaired, and kept in a file beside the journal; any
other is told in words. One process writes; another that opens the journal meanwhile can only
read it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from ...training.protocol import Checked, Lesson, LessonResult
from .entries import (
    AttemptEntry,
    CheckEntry,
    Entry,
    ForgettingEntry,
    ForgottenEntry,
    LessonEntry,
    Lines,
    RestoredEntry,
    ResultEntry,
    SwitchedEntry,
    UndoneEntry,
    decode,
    line_of,
    to_json,
)
from .paths import make_private_folder, sweep_temporaries, sync_folder, write_private
from .records import LessonRecord, Records

__all__ = ["Journal", "JournalError", "LessonRecord"]

ONLY_LOOKED_AT = "The journal is only looked at."
HALF_A_CHARACTER = "The lesson could not be written, because its text holds half a character."
MOST_NAMED = 3
_BLOCK = 1 << 20


class JournalError(Exception):
    """One sentence about an entry that could not be put on disk."""


class Journal:
    """The lessons of one repository and one model.

    With ``look``, which says why, it is only read: nothing is created, locked or repaired.
    """

    def __init__(self, path: Path, *, look: str | bool = False) -> None:
        self.path = path
        self._begin(look)

    def _begin(self, look: str | bool) -> None:
        self.read_only: str | None = None
        self.notices: list[str] = []
        self._records = Records()
        self._unwritten: list[tuple[Entry, bytes]] = []
        self._number = 0
        self._descriptor = -1
        if look:
            self.read_only = look if isinstance(look, str) else ONLY_LOOKED_AT
            try:
                self._look()
            except OSError as error:
                self.notices.append(f"The journal {self.path} cannot be read: {_words(error)}.")
        else:
            self._open()
        self._read(self._content())

    def open_again(self) -> None:
        """Try once more to be the one that writes; what another has written meanwhile is read."""
        self.close()
        waiting = self._unwritten
        self._begin(look=False)
        with contextlib.suppress(JournalError):
            for entry, _ in waiting:
                self._add(entry)

    # --- reading ------------------------------------------------------------------------

    def lessons(self) -> list[LessonRecord]:
        """Every lesson, oldest first."""
        return list(self._records.lessons.values())

    def lesson(self, identifier: str) -> LessonRecord | None:
        """One lesson."""
        return self._records.lessons.get(identifier)

    @property
    def learned(self) -> tuple[str, ...]:
        """The lessons that stand, in the order in which they were learned."""
        return tuple(self._records.learned)

    @property
    def unchecked(self) -> int:
        """How many lessons have been learned since the last check."""
        return self._records.unchecked

    @property
    def forgetting(self) -> ForgettingEntry | None:
        """The forgetting that has not come to its end."""
        return self._records.forgetting

    # --- writing ------------------------------------------------------------------------

    def add_lesson(self, lesson: Lesson) -> None:
        """Put a lesson on disk; when that fails it is still among ``lessons()``."""
        self._add(LessonEntry(time=time.time(), lesson=lesson))

    def add_attempt(self, lesson: str) -> int:
        """Say that a lesson goes to the worker, and for which time."""
        record = self.lesson(lesson)
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
        """Try once more what the disk did not take, and give up the file and the lock on it."""
        if self._descriptor < 0:
            return
        if self.read_only is None:
            with contextlib.suppress(JournalError):
                self._flush()
        os.close(self._descriptor)
        self._descriptor = -1

    # --- opening ------------------------------------------------------------------------

    def _look(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._descriptor = _open_plain(self.path, os.O_RDONLY)

    def _open(self) -> None:
        """Open it to write, or say why it is only read."""
        try:
            make_private_folder(self.path.parent)
            self._descriptor = _open_plain(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
            sync_folder(self.path.parent)
        except OSError as error:
            self.read_only = f"The journal {self.path} cannot be opened: {_words(error)}."
            if self._descriptor < 0:
                with contextlib.suppress(OSError):
                    self._look()
            return
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.read_only = (
                "Another continualcode-tui is open in this repository with this model; "
                "this one can read the lessons and not add to them."
            )
        except OSError as error:
            self.read_only = f"The journal {self.path} cannot be locked: {_words(error)}."
        else:
            sweep_temporaries(self.path.parent)

    def _content(self) -> bytes:
        if self._descriptor < 0:
            return b""
        parts: list[bytes] = []
        try:
            while part := os.pread(self._descriptor, _BLOCK, sum(map(len, parts))):
                parts.append(part)
        except OSError as error:
            self.read_only = f"The journal {self.path} cannot be read: {_words(error)}."
            return b""
        return b"".join(parts)

    def _read(self, content: bytes) -> None:
        whole, end, tail = content.rpartition(b"\n")
        if tail and self.read_only is None and self._repair(tail, len(whole) + len(end)):
            whole, end = content, b"\n"
        lines = Lines()
        lines.take(whole.split(b"\n") if end else [])
        for entry in lines.entries:
            self._records.take_up(entry)
        self._number = lines.last
        self.notices += lines.damage(self.path)
        unknown = self._records.unknown
        if unknown:
            few = ", ".join(unknown[:MOST_NAMED])
            more = f" and {len(unknown) - MOST_NAMED} more" if unknown[MOST_NAMED:] else ""
            kind = "lessons" if unknown[1:] else "lesson"
            self.notices.append(
                f"The journal tells of {kind} {few}{more} but does not hold what was corrected."
            )

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

    # --- appending ----------------------------------------------------------------------

    def _add(self, entry: Entry) -> None:
        self._records.take_up(entry, saved=False)
        if self.read_only is not None:
            raise JournalError(self.read_only)
        try:
            body = to_json(entry)
        except ValueError:
            raise JournalError(HALF_A_CHARACTER) from None
        self._unwritten.append((entry, body))
        self._flush()

    def _flush(self) -> None:
        """Write what is not on disk yet, in its order."""
        while self._unwritten:
            entry, body = self._unwritten[0]
            self._write(line_of(self._number + 1, body))
            self._number += 1
            del self._unwritten[0]
            self._records.mark_saved(entry)

    def _write(self, line: bytes) -> None:
        """Append and sync; when that fails, the file is as it was."""
        try:
            self._require_place()
            start = os.fstat(self._descriptor).st_size
        except OSError as error:
            raise self._refused(error) from error
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            os.fsync(self._descriptor)
        except OSError as error:
            self._cut_back(start)
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> JournalError:
        return JournalError(f"The lesson could not be written to {self.path}: {_words(error)}.")

    def _require_place(self) -> None:
        """Fail where the file was moved or deleted: what is added then would be nowhere."""
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(self._descriptor), os.lstat(self.path)):
                return
        self.read_only = (
            f"The journal {self.path} was moved or deleted while it was open, so nothing more can "
            "be added to it: start the program again."
        )
        raise JournalError(self.read_only)

    def _cut_back(self, size: int) -> None:
        try:
            os.ftruncate(self._descriptor, size)
            os.fsync(self._descriptor)
        except OSError as error:
            self.read_only = f"The journal {self.path} cannot be written: {_words(error)}."


def _open_plain(path: Path, flags: int) -> int:
    """Open a file that is no link, no pipe and no device."""
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        _require_plain(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _require_plain(descriptor: int) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise OSError(errno.EINVAL, "it is no plain file, so move it away")


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
        errno.ELOOP: "it is a link, which is not followed, so put the file itself there",
    }
    return advice.get(error.errno or 0, error.strerror or str(error))
