"""Whether every name of a file lies below the root.

A file with a second name elsewhere is somebody else's file too. Where its names lie the system
does not say, so all names below the root are counted.
"""

from __future__ import annotations

import os
import time
from collections import Counter

from .names import is_git_name

MAX_NAMES = 200_000
"""With more names below the root than this, a file with several is refused unseen."""
TICK = 0.01  # seconds that the clock of the file system may be late


class _Names:
    """How many names each file below a root had when they were counted."""

    def __init__(self, root: int) -> None:
        self.began = time.time_ns()
        time.sleep(TICK)
        self.counts: Counter[tuple[int, int]] = Counter()
        self.complete = True
        try:
            for _, folders, _, folder in os.fwalk(".", dir_fd=root):
                folders[:] = [name for name in folders if not is_git_name(name)]
                self._count(folder)
                if self.counts.total() > MAX_NAMES:
                    self.complete = False
                    return
        except (OSError, RecursionError):
            self.complete = False

    def _count(self, folder: int) -> None:
        device = os.fstat(folder).st_dev
        with os.scandir(folder) as entries:
            for entry in entries:
                if not is_git_name(entry.name) and not entry.is_dir(follow_symlinks=False):
                    self.counts[device, entry.inode()] += 1


_counted: dict[tuple[int, int], _Names] = {}


def all_inside(root: int, descriptor: int) -> bool:
    """Whether each name of an open file lies below an open root and outside .git.

    A name that comes or goes meanwhile changes the file's ctime, and the file is refused.
    """
    status = os.fstat(root)
    key = status.st_dev, status.st_ino
    names = _counted.get(key)
    if names is None or os.fstat(descriptor).st_ctime_ns >= names.began:
        names = _Names(root)
        _counted.clear()
        _counted[key] = names
    status = os.fstat(descriptor)
    return (
        names.complete
        and status.st_ctime_ns < names.began
        and names.counts[status.st_dev, status.st_ino] == status.st_nlink
    )
