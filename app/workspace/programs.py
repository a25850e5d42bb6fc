"""Finding programs where the user's system has them, never in the repository."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path


def search_path(root: str | Path) -> list[str]:
    """The folders of PATH that are absolute and lie outside ``root`` and the present repository."""
    return _outside(os.environ.get("PATH", os.defpath), str(root), _present_repository())


@lru_cache(maxsize=16)
def _outside(path: str, *roots: str) -> list[str]:
    entries = path.split(os.pathsep)
    return [entry for entry in entries if entry.startswith("/") and not _lies_in(entry, roots)]


def _present_repository() -> str:
    """The repository that the program was started in, or else the folder."""
    try:
        return _repository_of(str(Path.cwd()))
    except OSError:
        return ""


@lru_cache(maxsize=4)
def _repository_of(folder: str) -> str:
    here = Path(folder)
    return str(next((at for at in (here, *here.parents) if (at / ".git").exists()), here))


def _lies_in(path: str, roots: tuple[str, ...]) -> bool:
    return any(root and lies_below(path, root) for root in roots)


def find_program(name: str, root: str | Path) -> str | None:
    """Find a program on PATH, never in ``root`` or in the present repository.

    Neither it nor its folder nor what it links to may lie there.
    """
    for entry in search_path(root):
        path = f"{entry}/{name}"
        # This is asked at the start, and a Path for each folder costs more than the question.
        usable = os.path.isfile(path) and os.access(path, os.X_OK)  # noqa: PTH113
        if usable and not _lies_in(path, (str(root), _present_repository())):
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
