"""Names that are taken while commands run, so that no command can create what is not there.

A mount needs something to be mounted on, so each placeholder is a real folder or file. They are
written down before they are made: whoever comes last removes them, and so does the next start
after the program was killed. What somebody else has filled meanwhile is not touched.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ..store.paths import make_private_folder
from .git_dirs import NO_COMMON_FOLDER, CannotConfine, Placeholder
from .reach import is_file, is_folder, is_link, real_path

_OURS = frozenset({b"", NO_COMMON_FOLDER})


class Placeholders:
    """The placeholders of one repository, over all programs that work in it."""

    def __init__(self, register: Path) -> None:
        self._register = register

    @contextmanager
    def standing(self, wanted: Sequence[Placeholder]) -> Iterator[None]:
        """Make what is missing, and remove it when no command needs it any more."""
        make_private_folder(self._register.parent)
        register = self._open()
        try:
            for placeholder in wanted:
                os.write(register, json.dumps(str(placeholder.path)).encode() + b"\n")
                try:
                    _make(placeholder)
                except PermissionError:
                    raise CannotConfine(
                        f"{placeholder.path} cannot be kept from it; "
                        f"make {placeholder.path.parent} writable"
                    ) from None
            yield
        finally:
            self._remove_if_last(register)
            os.close(register)

    def _open(self) -> int:
        """Open the register and say that a command needs what is in it."""
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        while True:
            register = os.open(self._register, flags, 0o600)
            fcntl.flock(register, fcntl.LOCK_SH)
            if os.fstat(register).st_nlink:
                return register
            os.close(register)  # somebody was last, and removed it

    def sweep(self) -> None:
        """Remove what a killed program left."""
        with suppress(OSError):
            register = os.open(self._register, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                self._remove_if_last(register)
            finally:
                os.close(register)

    def _remove_if_last(self, register: int) -> None:
        """Remove what is written down, unless another command still runs behind it."""
        try:
            fcntl.flock(register, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        text = os.pread(register, os.fstat(register).st_size, 0).decode("ascii", "replace")
        for line in text.splitlines():
            with suppress(ValueError, OSError):
                _remove(Path(json.loads(line)))
        with suppress(FileNotFoundError):
            self._register.unlink()


def _make(placeholder: Placeholder) -> None:
    with suppress(FileExistsError):
        if placeholder.content is None:
            placeholder.path.mkdir()
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(placeholder.path, flags, 0o644)
        try:
            os.write(file, placeholder.content)
        finally:
            os.close(file)


def _remove(path: Path) -> None:
    """Remove an empty folder, or a file with nothing but our own content."""
    if is_link(path) or real_path(path.parent) != path.parent:
        return
    if is_folder(path):
        path.rmdir()
    elif is_file(path) and _has_our_content(path):
        path.unlink()


def _has_our_content(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(NO_COMMON_FOLDER) + 1) in _OURS
