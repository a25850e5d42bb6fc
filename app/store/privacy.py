"""Keeps what the program wrote from other users of the machine, also what older versions wrote."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

OTHERS = 0o077
WRITE = 0o022
OURS = frozenset(
    {
        "adapters", "anchors", "checkpoints", "exports", "history", "lessons", "logs", "rules",
        "sessions",
    }
)  # fmt: skip
"""The folders that this program makes below the data directory."""


@dataclass(frozen=True, slots=True)
class Tightened:
    """How many files and folders others could use before, and what could not be helped."""

    count: int = 0
    problem: str = ""

    @property
    def words(self) -> str:
        """A sentence for the user; empty where all was well."""
        if self.problem:
            return self.problem
        if not self.count:
            return ""
        many = "1 entry" if self.count == 1 else f"{self.count:,} entries"
        return f"{many} of the data folder could be used by others; now only you can."


def tighten(root: Path) -> Tightened:
    """Take every right of others off the data directory; it may take a while, so use a thread.

    Links are not followed, and what is not this program's is left as it is.
    """
    root = Path(os.path.realpath(root))
    try:
        names = sorted(path.name for path in root.iterdir())
    except OSError:
        return Tightened()
    whole = all(name in OURS for name in names)
    count, refused = 0, None if whole or not _mode(root) & WRITE else root
    for path in _entries([root / name for name in reversed(names) if name in OURS]):
        done = _tighten(path)
        count += done is True
        refused = path if done is False and refused is None else refused
    if whole:
        done = _tighten(root)
        count += done is True
        refused = root if done is False else refused
    if refused is not None:
        why = f"Others can use {refused}, and this could not be changed: chmod go= {refused}."
        return Tightened(count, why)
    return Tightened(count)


def _entries(waiting: list[Path]) -> Iterator[Path]:
    """Everything in some folders, each folder before what is in it; links are left out."""
    while waiting:
        path = waiting.pop()
        if path.is_symlink():
            continue
        yield path
        with suppress(OSError), os.scandir(path) as found:
            for entry in found:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry))
                elif entry.is_file(follow_symlinks=False):
                    yield Path(entry)


def _tighten(path: Path) -> bool | None:
    """Whether others lost their rights; False where they keep them, None where they had none."""
    mode = _mode(path)
    if not mode & OTHERS:
        return None
    try:
        path.chmod(mode & ~OTHERS)
    except FileNotFoundError:
        return None
    except OSError:
        return False
    return True


def _mode(path: Path) -> int:
    try:
        return stat.S_IMODE(path.lstat().st_mode)
    except OSError:
        return 0
