"""The confined way to the user's files that all tools share."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path

from .beneath import (
    MissingError,
    Place,
    WorkspaceError,
    open_file,
    place_of,
    read_file,
    split_path,
    too_large,
)
from .replace import replace_file
from .text import Text, decode, encode

__all__ = ["MAX_BYTES", "MissingError", "TextFile", "Workspace", "WorkspaceError"]

MAX_BYTES = 2_000_000


@dataclass(frozen=True, slots=True)
class TextFile:
    """A text file as it was read; ``path`` is its real path below the root."""

    path: str
    data: bytes
    text: Text


class Workspace:
    """The files below one root; every path is resolved beneath it, whatever it says."""

    def __init__(self, root: str | Path, max_bytes: int = MAX_BYTES) -> None:
        self.root = Path(root).resolve()
        self.max_bytes = max_bytes

    def __repr__(self) -> str:
        return f"Workspace({str(self.root)!r})"

    def read_bytes(self, path: str) -> bytes:
        """Read a regular file of at most ``max_bytes``."""
        return read_file(str(self.root), path, self.max_bytes)[0]

    def read_text(self, path: str) -> TextFile:
        """Read a UTF-8 text file exactly as it is."""
        data, _, place = read_file(str(self.root), path, self.max_bytes)
        return TextFile(place.path, data, decode(data, path))

    def is_folder(self, path: str) -> bool:
        """Tell a folder from a file; raises where there is neither."""
        with place_of(str(self.root), path) as place:
            if place.name == ".":
                return True
            try:
                status = os.stat(place.name, dir_fd=place.folder, follow_symlinks=False)
            except FileNotFoundError:
                status = None
            if status is None or not stat.S_ISDIR(status.st_mode):
                descriptor, _ = open_file(place, path)
                os.close(descriptor)
                return False
            return True

    def real_path(self, path: str) -> str:
        """Return the path below the root that ``path`` leads to; it may not exist."""
        with place_of(str(self.root), path) as place:
            return place.path

    def check_writable(self, path: str) -> TextFile | None:
        """Refuse what ``write`` would refuse; return the text that stands there, if any."""
        path = self._file_name(path)
        try:
            with place_of(str(self.root), path, follow=False) as place:
                descriptor = self._open_old(place, path)
                if descriptor is not None:
                    os.close(descriptor)
        except MissingError:
            return None
        try:
            return self.read_text(path)
        except MissingError:
            return None

    def write_text(self, path: str, content: str, *, before: TextFile | None) -> None:
        """Replace or create a text file; ``before`` is what was read there, None for nothing.

        Encoding, byte order mark and mode survive; a file that is no longer ``before`` is
        refused.
        """
        data = encode(content) if before is None else before.text.encode(content)
        self.write_bytes(path, data, before=None if before is None else before.data)

    def write_bytes(
        self, path: str, data: bytes, *, before: bytes | None, executable: bool | None = None
    ) -> None:
        """Replace or create a file atomically; parent folders are made."""
        if len(data) > self.max_bytes:
            raise too_large(path, len(data), self.max_bytes)
        path = self._file_name(path)
        with place_of(str(self.root), path, follow=False, create=True) as place:
            old = self._open_old(place, path)
            try:
                replace_file(
                    place.folder,
                    place.name,
                    data,
                    before=old,
                    check=lambda name: self._unchanged(place, path, before, name),
                    shown=path,
                    executable=executable,
                )
            finally:
                if old is not None:
                    os.close(old)

    def remove(self, path: str, *, before: bytes) -> None:
        """Remove a file that is still ``before``, and the folders that are empty without it."""
        path = self._file_name(path)
        with place_of(str(self.root), path, follow=False) as place:
            self._unchanged(place, path, before, place.name)
            os.unlink(place.name, dir_fd=place.folder)
        for folder in Path(path).parents[:-1]:
            try:
                with place_of(str(self.root), str(folder), follow=False) as place:
                    os.rmdir(place.name, dir_fd=place.folder)
            except (OSError, WorkspaceError):
                return

    def _open_old(self, place: Place, path: str) -> int | None:
        """Open what is to be replaced and refuse what must not be; None where nothing is."""
        if place.name == ".":
            raise WorkspaceError(f"{path} is a folder; name a file")
        try:
            descriptor, status = open_file(place, path)
        except MissingError:
            return None
        problem = ""
        if status.st_nlink > 1:
            problem = (
                f"{path} has {status.st_nlink} hard links, so changing it would change or break "
                "another file; copy it first"
            )
        elif not status.st_mode & 0o222:
            problem = f"{path} is read-only; make it writable first, for example by chmod"
        elif not os.access(place.name, os.W_OK, dir_fd=place.folder):
            # Replacing it would work, as that needs the folder alone, and would change its owner.
            problem = f"{path} is not yours to write; see who owns it and who may write it"
            if os.fstatvfs(descriptor).f_flag & os.ST_RDONLY:
                problem = f"{path} could not be written: the file system is read-only"
        if problem:
            os.close(descriptor)
            raise WorkspaceError(problem)
        return descriptor

    def _unchanged(self, place: Place, path: str, before: bytes | None, name: str) -> None:
        """Refuse to go on where the file under ``name`` is not ``before``."""
        try:
            descriptor, _ = open_file(replace(place, name=name), path)
        except MissingError:
            now = None
        else:
            with os.fdopen(descriptor, "rb") as file:
                now = file.read(self.max_bytes + 1)
        if now != before:
            raise WorkspaceError(f"{path} changed meanwhile; read it again")

    def relative(self, path: str) -> str:
        """Return a path below the root in its plain form, without looking at the disk."""
        parts: list[str] = []
        for part in split_path(path, str(self.root)):
            if part == "..":
                parts.pop()
            else:
                parts.append(part)
        return "/".join(parts) or "."

    def _file_name(self, path: str) -> str:
        """Return the plain form of a path to write to."""
        if path.endswith(("/", "/.", "/..")) or path in (".", ".."):
            raise WorkspaceError(f"{path} names a folder; name a file")
        return self.relative(path)
