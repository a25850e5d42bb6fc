"""The one way from a path that somebody wrote to a file below the root.

The system never follows a link here: what has none on its way is opened beneath the root at
once where the kernel can do that, and component by component elsewhere; links are read and
walked here. So nothing leads out, whatever is swapped meanwhile. This package imports the
standard library only as far as this module needs it, because the child process that searches
for ``grep`` loads it without the rest of the program.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from .hard_links import all_inside
from .kernel import open_below
from .names import MAX_NAME, is_git_name

MAX_LINKS = 40
MAX_PATH = 4096
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class WorkspaceError(Exception):
    """Why a file cannot be used: one sentence for the model and the user."""


class MissingError(WorkspaceError):
    """The path leads to nothing."""


class TooLargeError(WorkspaceError):
    """The file is over the limit."""


class HardLinkError(WorkspaceError):
    """The file has a name outside the repository."""


@dataclass(frozen=True, slots=True)
class Place:
    """A name in an open folder; ``names`` are the real components from the root to it.

    ``name`` is ``.`` for the folder itself. The name may not exist. ``root`` is the open root.
    """

    folder: int
    name: str
    names: tuple[str, ...]
    root: int

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
    if is_git_name(part):
        raise WorkspaceError("the .git folder is off limits to file tools; use git through bash")


@contextlib.contextmanager
def place_of(root: str, path: str, *, follow: bool = True, create: bool = False) -> Iterator[Place]:
    """Walk to ``path`` below ``root`` and hold its folder open.

    With ``follow`` links that stay below the root are walked; without it they are refused, and
    so are folders that git keeps under another name than .git. With ``create`` missing folders
    on the way are made, and taken away again where an error ends what they were made for.
    """
    walk = _Walk(root, path, follow=follow, create=create)
    try:
        yield walk.run()
    except BaseException:
        walk.take_back()
        raise
    finally:
        walk.close()


class _Walk:
    """The open folders from the root to where the walk stands."""

    def __init__(self, root: str, path: str, *, follow: bool, create: bool) -> None:
        self.root, self.path, self.follow, self.create = root, path, follow, create
        self.names: list[str] = []
        self.folders: list[int] = []
        self.made: list[tuple[int, str]] = []
        self.links = 0

    def close(self) -> None:
        for folder in (*self.folders, *(parent for parent, _ in self.made)):
            os.close(folder)

    def take_back(self) -> None:
        """Remove the folders that were made here, as far as nobody has put anything into them."""
        for parent, name in reversed(self.made):
            with contextlib.suppress(OSError):
                os.rmdir(name, dir_fd=parent)

    def run(self) -> Place:
        parts = split_path(self.path, self.root)
        try:
            self.folders.append(os.open(self.root, _FOLDER))
        except OSError as error:
            raise WorkspaceError(f"the root {self.root} cannot be opened: {_why(error)}") from error
        return self._straight(parts) or self._step_by_step(parts)

    def _straight(self, parts: Sequence[str]) -> Place | None:
        """Go there at once if nothing on the way needs a closer look."""
        if len(parts) < 2 or ".." in parts or not self.follow or self.create:
            return None
        try:
            folder = open_below(self.folders[0], parts[:-1], _FOLDER)
        except OSError:
            return None
        self.folders.append(folder)
        if self._link(parts[-1]) is not None:
            os.close(self.folders.pop())
            return None
        return self._place(parts[-1], tuple(parts))

    def _place(self, name: str, names: tuple[str, ...]) -> Place:
        return Place(self.folders[-1], name, names, self.folders[0])

    def _step_by_step(self, parts: Sequence[str]) -> Place:
        pending = list(parts[::-1])
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
                return self._place(part, (*self.names, part))
            else:
                self._into(part, pending[::-1])
        return self._place(".", tuple(self.names))

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
            place = self._place(part, (*self.names, part))
            raise missing(place, self.path, rest) from error
        except OSError as error:
            shown = "/".join([*self.names, part])
            if error.errno in (errno.ENOTDIR, errno.ELOOP):
                raise WorkspaceError(f"{shown} is a file, not a folder") from error
            raise WorkspaceError(f"{shown} cannot be opened: {_why(error)}") from error
        self.folders.append(folder)
        self.names.append(part)
        if not self.follow and _is_git_folder(folder):
            raise WorkspaceError(f"{self.names[-1]} is a folder of git's own; use git through bash")

    def _open_folder(self, part: str) -> int:
        try:
            return open_below(self.folders[-1], [part], _FOLDER)
        except FileNotFoundError:
            if not self.create:
                raise
        with contextlib.suppress(FileExistsError):
            os.mkdir(part, dir_fd=self.folders[-1])
            self.made.append((os.dup(self.folders[-1]), part))
            os.fsync(self.folders[-1])
        return open_below(self.folders[-1], [part], _FOLDER)


def _is_git_folder(folder: int) -> bool:
    """Whether git would take a folder for a repository: a bare one, or a .git by another name."""
    for name in ("HEAD", "objects", "refs"):
        try:
            os.stat(name, dir_fd=folder, follow_symlinks=False)
        except OSError:
            return False
    return True


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
    """Open a regular file for reading; anything else is refused without waiting for it.

    A file with several names is refused unless all of them lie below the root.
    """
    if place.name == ".":
        raise WorkspaceError(f"{path} is a folder; list its files with glob")
    try:
        # Opening a device can already do something, so it is looked at first.
        refuse_irregular(os.stat(place.name, dir_fd=place.folder, follow_symlinks=False), path)
        descriptor = open_below(place.folder, [place.name], _FILE)
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
        if status.st_nlink > 1:
            _refuse_outer_name(place, descriptor, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, status


def _refuse_outer_name(place: Place, descriptor: int, path: str) -> None:
    if not all_inside(place.root, descriptor):
        raise HardLinkError(
            f"{path} has hard links, and not all of them are known to lie in the repository; "
            "copy the file to use it"
        )


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


def regular_files(
    root: str, paths: Iterable[str], *, readable: bool = False
) -> dict[str, os.stat_result]:
    """Look at many paths below the root; those that are regular files come back, sorted.

    No link is followed, and what split_path would refuse or leads nowhere is left out; so is
    what this user cannot read where it shall be ``readable``.
    """
    found: dict[str, os.stat_result] = {}
    try:
        top = os.open(root, _FOLDER)
    except OSError:
        return found
    folder, parent = -1, None
    try:
        for path in sorted(paths, key=lambda each: each.rpartition("/")[::2]):
            above, _, name = path.rpartition("/")
            if above != parent:
                if folder != -1:
                    os.close(folder)
                folder, parent = _open_known(top, above), above
            if folder != -1 and _is_plain(name):
                with contextlib.suppress(OSError):
                    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode) and (
                        not readable or os.access(name, os.R_OK, dir_fd=folder)
                    ):
                        found[path] = status
    finally:
        for descriptor in {folder, top} - {-1}:
            os.close(descriptor)
    return dict(sorted(found.items()))


def _open_known(top: int, path: str) -> int:
    """Open a folder by its plain path below the root; -1 where that is none."""
    parts = path.split("/") if path else []
    try:
        if all(map(_is_plain, parts)):
            return open_below(top, parts, _FOLDER) if parts else os.dup(top)
    except (OSError, ValueError):
        pass
    return -1


def _is_plain(name: str) -> bool:
    return name not in ("", ".", "..") and "\0" not in name and not is_git_name(name)


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
