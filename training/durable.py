"""Files that are there whole or not at all, and are read only where they really lie.

Each call of the system may fail; what is then on disk is what was there before, or a temporary
file that the next start sweeps away.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# A pipe that somebody put in a file's place would otherwise be waited for.
OLD_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
DAMAGE = {
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ELOOP,
    errno.EINVAL,
    errno.ENXIO,
    errno.EIO,
}
"""Errors that say that a file is not there, is something else, or cannot be read any more; with
others, too many open files for one, it may be as good as ever."""
NO_FOLDER = "{} is a file or a link that leads nowhere, so move it away or set data_dir"
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    handle = os.open(path, FOLDER)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(path: Path) -> None:
    """Create a folder and those above it for the user alone, and make their names durable."""
    missing: list[Path] = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for part in reversed(missing):
        try:
            part.mkdir(mode=0o700, exist_ok=True)
        except FileExistsError:
            raise NotADirectoryError(errno.ENOTDIR, NO_FOLDER.format(part)) from None
        part.chmod(0o700)  # whatever the umask
        with contextlib.suppress(PermissionError):  # a folder that may be entered and not listed
            sync_directory(part.parent)


def write_durably(path: Path, data: bytes) -> None:
    """Write a new file for the user alone, and sync it."""
    handle = os.open(path, NEW_FILE, 0o600)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(handle, rest) :]
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_durably(path: Path, data: bytes) -> None:
    """Replace a file's content at once: the old or the new, never a mixture."""
    temporary = path.with_name(f"{path.name}.tmp-{uuid.uuid4().hex[:8]}")
    try:
        write_durably(temporary, data)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def read_beneath(folder: Path, *names: str) -> bytes:
    """Read a file below a folder; OSError where one of the names is a link, or no plain file.

    A disk that fails once is asked once more.
    """
    try:
        return _read_beneath(folder, names)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
    return _read_beneath(folder, names)


def _read_beneath(folder: Path, names: Sequence[str]) -> bytes:
    with contextlib.ExitStack() as stack:
        here = os.open(folder, FOLDER)
        stack.callback(os.close, here)
        for name in names[:-1]:
            here = os.open(name, FOLDER | os.O_NOFOLLOW, dir_fd=here)
            stack.callback(os.close, here)
        handle = os.open(names[-1], OLD_FILE, dir_fd=here)
        stack.callback(os.close, handle)
        require_plain(handle)
        parts: list[bytes] = []
        while part := os.read(handle, 1 << 24):
            parts.append(part)
        return b"".join(parts)


def require_plain(handle: int) -> None:
    """Raise OSError when an open file is a folder, a pipe or a device."""
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        raise OSError(errno.EINVAL, "it is no plain file")


class WriterLock:
    """The kernel's lock on a file: one process holds it, and none that has died."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    def take(self, patience: float) -> bool:
        """Take it, with patience for a process that is just dying; OSError where none can be."""
        deadline = time.monotonic() + patience
        while not self._try():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        self._sign()
        return True

    def _try(self) -> bool:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        handle = os.open(self.path, flags, 0o600)
        try:
            require_plain(handle)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        except BaseException:
            os.close(handle)
            raise
        self._handle = handle
        if self.held:
            return True
        self.release()  # another file took its place before it was locked
        return False

    def _sign(self) -> None:
        """Say who holds it; that this could not be written costs nobody the lock."""
        if self._handle is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._handle, 0)
                os.pwrite(self._handle, str(os.getpid()).encode(), 0)

    @property
    def held(self) -> bool:
        """Whether it is held, and its file is still the one that others would lock."""
        if self._handle is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._handle), os.lstat(self.path))
        except OSError:
            return False

    def holder(self) -> str:
        """The number of the process that holds it."""
        try:
            written = read_beneath(self.path.parent, self.path.name)[:20].decode("ascii")
        except (OSError, UnicodeDecodeError):
            return "unknown"
        return written if written.isdecimal() else "unknown"

    def release(self) -> None:
        """Give it back."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)
