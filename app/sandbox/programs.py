"""Finding programs where a repository cannot have put them."""

from __future__ import annotations

import os
from pathlib import Path

from .reach import is_file


def find_program(name: str, root: Path) -> str | None:
    """Find a program on the absolute entries of PATH, but never below ``root``."""
    for entry in os.environ.get("PATH", os.defpath).split(os.pathsep):
        if not entry.startswith("/"):
            continue
        path = f"{entry}/{name}"
        real = Path(os.path.realpath(path))
        if real.is_relative_to(root) or Path(entry).is_relative_to(root):
            continue
        if is_file(real) and os.access(path, os.X_OK):
            return path
    return None


def find_shell(root: Path) -> str:
    """Find the shell that runs commands."""
    return find_program("bash", root) or "/bin/sh"
