"""Questions about paths, to which a place that is out of reach answers no."""

from __future__ import annotations

import stat
from pathlib import Path


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
