"""The one way from a path that the model wrote to a file below the root.

Every component is opened from the folder before it and never through a link by the system
itself: links are read here and walked here, so that nothing leads out, whatever is swapped
meanwhile. This module imports the standard library only and nothing of this program, because
the child process that searches for ``grep`` loads it by its file name.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MAX_LINKS = 40
MAX_NAME = 255
MAX_PATH = 4096
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
# Characters that some file systems drop from names: ".g\u200cit" is ".git" there.
_DROPPED = dict.fromkeys([*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070)])
_DROPPED[0xFEFF] = None


class WorkspaceError(Exception):
    """Why a file cannot be used: one sentence for the model and the user."""


class MissingError(WorkspaceError):
    """The path leads to nothing."""


class TooLargeError(WorkspaceError):
    """The file is over the limit."""


@dataclass(frozen=True, slots=True)
class Place:
    """A name in an open folder; ``names`` are the real components from the root to it.

    ``name`` is ``.`` for the folder itself. The name may not exist.
    """

    folder: int
    name: str
    names: tuple[str, ...]

    @property
    def path(self) -> str:
        """The path below the root, as it is shown."""
        return "/".join(self.names) or "."


def split_path(path: str, root: str) -> list[str]:
    """Turn a path that the model wrote into components below the root, or refuse it."""
    if not path.strip():
        raise WorkspaceError("the path is empty; name a file below the repository's root")
    if "\0" in path:
        raise WorkspaceError("the path has a NUL character, which no file name can have")
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise WorkspaceError("the path has a character that no file name can have") from None
    if len(path) > MAX_PATH:
        raise WorkspaceError("the path is too long; use a shorter one")
    if path.startswith("/"):
        path = _below(path, root)
    parts = [part for part in path.split("/") if part not in ("", ".")]
    depth = 0
    for part in parts:
        if len(os.fsencode(part)) > MAX_NAME:
            raise WorkspaceError("the path has a name that is too long; use a shorter one")
        depth += -1 if part == ".." else 1
        if depth < 0:
            raise _outside(path)
        _refuse_git(part)
    return parts


def _below(path: str, root: str) -> str:
    """Strip the root from an absolute path."""
    clean = os.path.normpath(path)
    if clean == root:
        return "."
    prefix = root.rstrip("/") + "/"
    if not clean.startswith(prefix):
        raise _outside(path)
    return clean[len(prefix) :]


def _outside(path: str) -> WorkspaceError:
    return WorkspaceError(
        f"{path} is outside the repository; use a path relative to the repository's root"
    )


def _refuse_git(part: str) -> None:
    if part.translate(_DROPPED).casefold() == ".git":
        raise WorkspaceError("the .git folder is off limits to file tools; use git through bash")


@contextlib.contextmanager
def place_of(root: str, path: str, *, follow: bool = True, create: bool = False) -> Iterator[Place]:
    """Walk to ``path`` below ``root`` and hold its folder open.

    With ``follow`` links that stay below the root are walked; without it they are refused.
    With ``create`` missing folders on the way are made.
    """
    walk = _Walk(root, path, follow=follow, create=create)
    try:
        yield walk.run()
    finally:
        walk.close()


class _Walk:
    """The open folders from the root to where the walk stands."""

    def __init__(self, root: str, path: str, *, follow: bool, create: bool) -> None:
        self.root, self.path, self.follow, self.create = root, path, follow, create
        self.names: list[str] = []
        self.folders: list[int] = []
        self.links = 0

    def close(self) -> None:
        while self.folders:
            os.close(self.folders.pop())

    def run(self) -> Place:
        pending = split_path(self.path, self.root)[::-1]
        try:
            self.folders.append(os.open(self.root, _FOLDER))
        except OSError as error:
            raise WorkspaceError(f"the root {self.root} cannot be opened: {_why(error)}") from error
        while pending:
            part = pending.pop()
            if part == "..":
                self._up()
                continue
            _refuse_git(part)
            target = self._link(part)
            if target is not None:
                pending.extend(self._follow(part, target)[::-1])
            elif not pending:
                return Place(self.folders[-1], part, (*self.names, part))
            else:
                self._into(part, pending[::-1])
        return Place(self.folders[-1], ".", tuple(self.names))

    def _up(self) -> None:
        if not self.names and self.links:
            raise WorkspaceError(f"{self.path} is or passes a link out of the repository")
        if not self.names:
            raise _outside(self.path)
        self.names.pop()
        os.close(self.folders.pop())

    def _link(self, part: str) -> str | None:
        try:
            return os.readlink(part, dir_fd=self.folders[-1])
        except OSError:
            return None

    def _follow(self, part: str, target: str) -> list[str]:
        shown = "/".join([*self.names, part])
        if not self.follow:
            raise WorkspaceError(
                f"{shown} is a link to {target}; files are not changed through links, "
                "so name the file itself"
            )
        self.links += 1
        if self.links > MAX_LINKS:
            raise WorkspaceError(f"{shown} is a link that leads in a circle")
        if target.startswith("/"):
            try:
                target = _below(target, self.root)
            except WorkspaceError:
                raise WorkspaceError(f"{shown} is a link out of the repository") from None
            while self.names:
                self._up()
        return [piece for piece in target.split("/") if piece not in ("", ".")]

    def _into(self, part: str, rest: Sequence[str]) -> None:
        try:
            folder = self._open_folder(part)
        except FileNotFoundError as error:
            place = Place(self.folders[-1], part, (*self.names, part))
            raise missing(place, self.path, rest) from error
        except OSError as error:
            shown = "/".join([*self.names, part])
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                raise WorkspaceError(f"{shown} is a file, not a folder") from error
            raise WorkspaceError(f"{shown} cannot be opened: {_why(error)}") from error
        self.folders.append(folder)
        self.names.append(part)

    def _open_folder(self, part: str) -> int:
        try:
            return os.open(part, _FOLDER, dir_fd=self.folders[-1])
        except FileNotFoundError:
            if not self.create:
                raise
        with contextlib.suppress(FileExistsError):
            os.mkdir(part, dir_fd=self.folders[-1])
            os.fsync(self.folders[-1])
        return os.open(part, _FOLDER, dir_fd=self.folders[-1])


def missing(place: Place, path: str, rest: Sequence[str] = ()) -> MissingError:
    """Say that ``path`` does not exist, and what is nearest to it.

    ``place`` is where it breaks off, ``rest`` what should follow.
    """
    nearest = "/".join([*place.names[:-1], *_nearest(place.folder, [place.name, *rest])])
    return MissingError(f"no such file: {path}" + (f" (nearest: {nearest})" if nearest else ""))


def _nearest(folder: int, parts: Sequence[str]) -> list[str]:
    """Follow the names that resemble ``parts`` as far as they go; a folder ends with a slash."""
    found: list[str] = []
    current = os.dup(folder)
    try:
        for part in parts:
            entries = [name for name in _names(current) if name != ".git"]
            close = difflib.get_close_matches(part, entries, n=1, cutoff=0.6)
            if not close:
                break
            found.append(close[0])
            below = os.open(close[0], _FOLDER, dir_fd=current)
            os.close(current)
            current = below
    except OSError:
        return found
    finally:
        os.close(current)
    return [*found, ""]


def open_file(place: Place, path: str) -> tuple[int, os.stat_result]:
    """Open a regular file for reading; anything else is refused without waiting for it."""
    if place.name == ".":
        raise WorkspaceError(f"{path} is a folder; list its files with glob")
    try:
        # Opening a device can already do something, so it is looked at first.
        refuse_irregular(os.stat(place.name, dir_fd=place.folder, follow_symlinks=False), path)
        descriptor = os.open(place.name, _FILE, dir_fd=place.folder)
    except FileNotFoundError as error:
        raise missing(place, path) from error
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise WorkspaceError(f"{path} changed while it was being opened; try again") from error
        if error.errno in (errno.ENXIO, errno.ENODEV, errno.EOPNOTSUPP):
            raise _irregular(path) from error
        raise WorkspaceError(f"{path} cannot be read: {_why(error)}") from error
    try:
        status = os.fstat(descriptor)
        refuse_irregular(status, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, status


def refuse_irregular(status: os.stat_result, path: str) -> None:
    """Refuse all but regular files, in words."""
    if stat.S_ISDIR(status.st_mode):
        raise WorkspaceError(f"{path} is a folder; list its files with glob")
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISLNK(status.st_mode):
        raise _irregular(path)


def _irregular(path: str) -> WorkspaceError:
    return WorkspaceError(f"{path} is a device, pipe or socket; only regular files can be used")


def read_file(root: str, path: str, limit: int) -> tuple[bytes, os.stat_result, Place]:
    """Read a whole regular file of at most ``limit`` bytes; its folder is closed again."""
    with place_of(root, path) as place:
        descriptor, status = open_file(place, path)
        with os.fdopen(descriptor, "rb") as file:
            if status.st_size > limit:
                raise too_large(path, status.st_size, limit)
            try:
                data = file.read(limit + 1)
            except OSError as error:
                raise WorkspaceError(f"{path} cannot be read: {_why(error)}") from error
        if len(data) > limit:
            raise too_large(path, len(data), limit)
        return data, status, place


def too_large(path: str, size: int, limit: int) -> TooLargeError:
    """Say that a file is over the limit."""
    return TooLargeError(
        f"{path} is too large ({size:,} bytes; the limit is {limit:,}); use bash to look at a part"
    )


def _names(folder: int) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


def _why(error: OSError) -> str:
    return (error.strerror or "unknown error").lower()
