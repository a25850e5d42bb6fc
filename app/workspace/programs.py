"""Finding programs where the user's system has them, never in the repository."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path


def search_path(root: str | Path) -> list[str]:
    """The folders of PATH that are absolute and lie outside ``root``."""
    return _outside(os.environ.get("PATH", os.defpath), str(root))


@lru_cache(maxsize=16)
def _outside(path: str, root: str) -> list[str]:
    entries = path.split(os.pathsep)
    return [entry for entry in entries if entry.startswith("/") and not lies_below(entry, root)]


def find_program(name: str, root: str | Path) -> str | None:
    """Find a program on PATH; neither it nor its folder nor what it links to is below ``root``."""
    for entry in search_path(root):
        path = f"{entry}/{name}"
        if os.path.isfile(path) and os.access(path, os.X_OK) and not lies_below(path, root):  # noqa: PTH113
            return path
    return None


def find_shell(root: str | Path) -> str:
    """Find the shell that runs commands, never in the repository."""
    return find_program("bash", root) or "/bin/sh"


def lies_below(path: str, root: str | Path) -> bool:
    """Whether a path, or what it links to, is at or below ``root``; below / nothing counts."""
    top = os.path.realpath(root).rstrip("/")
    places = (os.path.normpath(path), os.path.realpath(path))
    return bool(top) and any(place == top or place.startswith(f"{top}/") for place in places)
