"""Which folders Python may import from: never the repository that the program works in."""

from __future__ import annotations

import os


def kept_import_paths(value: str) -> list[str]:
    """The folders of a PYTHONPATH that are absolute and outside the present repository.

    Where the program itself was imported from stays.
    """
    root = _present_repository()
    return [path for path in value.split(os.pathsep) if _may_stay(path, root)]


def _may_stay(path: str, root: str) -> bool:
    if not path.startswith(os.sep):
        return False
    folder = path.rstrip(os.sep) + os.sep
    if __file__.startswith(folder) or not root:
        return True
    places = (os.path.normpath(path), os.path.realpath(path))
    return not any(place == root or place.startswith(root + os.sep) for place in places)


def _present_repository() -> str:
    """The nearest folder at or above the present one that has a .git, or the present one."""
    try:
        present = os.getcwd()  # noqa: PTH109 - pathlib takes as long to import as all of --version
    except OSError:
        return ""
    folder = present
    while not os.path.lexists(os.path.join(folder, ".git")):  # noqa: PTH118
        above = os.path.dirname(folder)  # noqa: PTH120
        if above == folder:
            return present.rstrip(os.sep)
        folder = above
    return folder.rstrip(os.sep)
