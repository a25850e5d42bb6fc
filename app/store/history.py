"""What the user wrote in a repository's prompt, kept for the next time.

One JSON string a line, appended under a lock, so that two programs in one repository lose
nothing of each other's. The words are the user's own: the file is for nobody else.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path

from ...training.redaction import redact
from .paths import make_private_folder, open_private_append, write_private

MOST = 1_000
LONGEST = 100_000
"""Characters of the longest text that is kept for the next time."""


class PromptHistory:
    """The newest texts of one repository, oldest first, without repetitions in a row."""

    def __init__(self, path: Path, *, most: int = MOST) -> None:
        self.path = path
        self._most = most
        self._last: str | None = None

    def load(self) -> list[str]:
        """Read what is kept; a line that cannot be read is left out, a missing file is empty."""
        texts = self._read()
        if len(texts) > self._most:
            with self._locked():
                texts = self._read()[-self._most :]
                write_private(self.path, "".join(map(_line, texts)).encode())
        self._last = texts[-1] if texts else None
        return texts

    def add(self, text: str) -> None:
        """Append a text without its secrets; OSError when the disk does not take it."""
        text = redact(text)
        if not text.strip() or text == self._last or len(text) > LONGEST:
            return
        with self._locked() as file:
            # A program that was killed may have left half a line.
            file.write(("" if self._ends_a_line() else "\n") + _line(text))
        self._last = text

    def _read(self) -> list[str]:
        try:
            lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        texts: list[str] = []
        for line in lines:
            try:
                text = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(text, str) and text.strip() and texts[-1:] != [text]:
                texts.append(text)
        return texts

    def _ends_a_line(self) -> bool:
        with self.path.open("rb") as file:
            if not file.seek(0, os.SEEK_END):
                return True
            file.seek(-1, os.SEEK_END)
            return file.read() == b"\n"

    @contextmanager
    def _locked(self) -> Iterator[TextIOWrapper]:
        """Open the file for this program alone, even if another has just replaced it."""
        make_private_folder(self.path.parent)
        while True:
            with open_private_append(self.path) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if self._is_current(file):
                    yield file
                    return

    def _is_current(self, file: TextIOWrapper) -> bool:
        try:
            return os.path.samestat(os.fstat(file.fileno()), self.path.stat())
        except FileNotFoundError:
            return False


def _line(text: str) -> str:
    return json.dumps(text) + "\n"
