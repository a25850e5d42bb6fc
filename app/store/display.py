"""What the screen showed of a conversation, one JSON line a record, beside the session's file.

The model's messages cannot say it: a denied call that was learned has left them, and a lesson
was never in them. So each thing that was shown is kept as it was, and shown again on resuming.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from ...training.wire import Wire
from .paths import make_private_folder, sync_folder, write_private

MOST_OUTPUT = 8_000
"""Characters of a call's output that are kept; the middle of more is left out."""
_TAIL = 2_000
_BLOCK = 65_536


def carried(text: object) -> object:
    """The text without lone surrogates, which JSON cannot carry."""
    return text.encode("utf-8", "replace").decode() if isinstance(text, str) else text


class Output:
    """A call's output as it is kept: the beginning, the end, and how much lay between."""

    def __init__(self, text: str = "") -> None:
        self._head = self._tail = ""
        self._length = 0
        self.add(text)

    def add(self, text: str) -> None:
        """Add what the call printed next."""
        room = max(0, MOST_OUTPUT - len(self._head))
        self._head += text[:room]
        self._tail = (self._tail + text[room:])[-_TAIL:]
        self._length += len(text)

    def __str__(self) -> str:
        left_out = self._length - MOST_OUTPUT
        if left_out <= 0:
            return self._head
        end = (self._head + self._tail)[-_TAIL:]
        line = f"[... {left_out} characters were not kept ...]"
        return f"{self._head[: MOST_OUTPUT - _TAIL]}\n{line}\n{end}"


Text = Annotated[str, BeforeValidator(carried)]


class UserShown(Wire):
    """What the user asked."""

    kind: Literal["user"] = "user"
    text: Text


class WordsShown(Wire):
    """What the model said."""

    kind: Literal["words"] = "words"
    text: Text


class CallShown(Wire):
    """A call and how it was decided; ``detail`` is the correction, the change or the rule."""

    kind: Literal["call"] = "call"
    tool: Text
    title: Text
    outcome: Literal["approved", "denied", "edited", "rule"]
    detail: Text = ""


class ResultShown(Wire):
    """How the newest call went."""

    kind: Literal["result"] = "result"
    output: Text = ""
    ok: bool
    seconds: float


class LessonShown(Wire):
    """What came of a lesson; the journal has its tokens."""

    kind: Literal["lesson"] = "lesson"
    lesson: str
    outcome: str
    reason: Text
    correction: Text = ""
    figures: Text = ""


class OwnShown(Wire):
    """A shell command of the user's own; ``words`` say how it ended."""

    kind: Literal["own"] = "own"
    command: Text
    shared: bool
    output: Text = ""
    ok: bool
    words: Text
    seconds: float


class NoticeShown(Wire):
    """A sentence of the program."""

    kind: Literal["notice"] = "notice"
    text: Text
    severity: Literal["information", "warning", "error"] = "information"


Shown = Annotated[
    UserShown | WordsShown | CallShown | ResultShown | OwnShown | LessonShown | NoticeShown,
    Field(discriminator="kind"),
]
_SHOWN: TypeAdapter[Shown] = TypeAdapter(Shown)


class SessionBusy(Exception):
    """Another program has the session open."""


class DisplayFile:
    """Appends records to one file, which no other program may have open meanwhile."""

    def __init__(self, path: Path) -> None:
        self.path = path
        make_private_folder(path.parent)
        self._descriptor = -1
        # What the disk did not take; it is tried again before anything new.
        self._unwritten: list[Shown] = []
        self._open()

    @property
    def records(self) -> list[Shown]:
        """All of them, read anew: a long session would take much memory for what is seldom read."""
        with self.path.open("rb") as file:
            return [*_read(file), *self._unwritten]

    def _open(self) -> None:
        """Lock the file; a line that was cut short is dropped."""
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self.path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            end = os.lseek(descriptor, 0, os.SEEK_END)
            whole = _end_of_whole_lines(descriptor, end)
            if whole < end:
                os.ftruncate(descriptor, whole)
        except BlockingIOError:
            os.close(descriptor)
            raise SessionBusy(str(self.path)) from None
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def append(self, record: Shown) -> None:
        """Add a record; OSError when the disk does not take it, and then it is kept in memory."""
        self._unwritten.append(record)
        while self._unwritten:
            self._write(self._unwritten[0].model_dump_json().encode() + b"\n")
            del self._unwritten[0]

    def _write(self, data: bytes) -> None:
        end = os.lseek(self._descriptor, 0, os.SEEK_END)
        if os.write(self._descriptor, data) < len(data):
            os.ftruncate(self._descriptor, end)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def sync(self) -> None:
        """Put what was appended on the disk itself."""
        os.fsync(self._descriptor)

    def cut(self, length: int) -> None:
        """Keep only the first records, in one step."""
        kept = self.records[:length]
        lines = (record.model_dump_json().encode() + b"\n" for record in kept)
        write_private(self.path, b"".join(lines))
        self._unwritten.clear()
        self.close()
        self._open()

    def close(self) -> None:
        """Let others open the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def remove(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)
        self.close()
        sync_folder(self.path.parent)


def _end_of_whole_lines(descriptor: int, end: int) -> int:
    """Where the last newline before ``end`` is over; 0 where there is none."""
    while end > 0:
        start = max(0, end - _BLOCK)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _read(lines: Iterable[bytes]) -> Iterable[Shown]:
    for line in lines:
        try:
            yield _SHOWN.validate_json(line)
        except ValidationError:
            continue  # of a newer program, or damaged; the rest can still be shown


def starts_of(requests: Sequence[str], records: Sequence[Shown]) -> list[int | None]:
    """Where each request's own record lies, found from the end; None where it was not kept."""
    found: list[int | None] = []
    end = len(records)
    for text in reversed(requests):
        at = next(
            (
                number
                for number in range(end - 1, -1, -1)
                if isinstance(record := records[number], UserShown) and record.text == text
            ),
            None,
        )
        found.append(at)
        end = end if at is None else at
    return found[::-1]
