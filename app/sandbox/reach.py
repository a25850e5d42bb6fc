"""Questions about paths, to which a place that is out of reach answers no."""

from __future__ import annotations

import os
import stat
from pathlib import Path

LONGEST_READ = 65_536


def _mode(path: Path, *, follow: bool = True) -> int:
    try:
        return path.stat(follow_symlinks=follow).st_mode
    except (OSError, ValueError):
        return 0


def is_there(path: Path) -> bool:
    """Whether something can be reached by this path."""
    return _mode(path) != 0


def is_folder(path: Path) -> bool:
    """Whether the path leads to a folder."""
    return stat.S_ISDIR(_mode(path))


def is_file(path: Path) -> bool:
    """Whether the path is a regular file itself."""
    return stat.S_ISREG(_mode(path, follow=False))


def is_link(path: Path) -> bool:
    """Whether the path is a symbolic link itself."""
    return stat.S_ISLNK(_mode(path, follow=False))


def is_socket(path: Path) -> bool:
    """Whether the path is a socket itself."""
    return stat.S_ISSOCK(_mode(path, follow=False))


def real_path(path: Path) -> Path:
    """Where a path leads; the path itself where links go round in circles."""
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError):
        return path


def read_start(path: Path) -> bytes:
    """The first bytes of a regular file; nothing of what could be waited for or has no end."""
    if not stat.S_ISREG(_mode(path)):
        return b""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return b""
    with os.fdopen(descriptor, "rb") as file:
        try:
            regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
            return file.read(LONGEST_READ) if regular else b""
        except OSError:
            return b""


def can_be_made(path: Path) -> bool:
    """Whether a command of this user could create something here, be it after a chmod."""
    folder = path.parent
    try:
        if os.access(folder, os.W_OK | os.X_OK):
            return True
        writable = not os.statvfs(folder).f_flag & os.ST_RDONLY
        return writable and folder.stat().st_uid == os.geteuid()
    except OSError:
        return True
