"""What users ask for: every family of tasks and its share of the curriculum."""

from __future__ import annotations

from collections.abc import Mapping

from ..vocabulary import Names
from .base import Task
from .code import NewFile, NewTest
from .commands import (
    Commit,
    Format,
    Git,
    Install,
    InstallAll,
    Lint,
    Move,
    Remove,
    RunScript,
    RunTests,
    TypeCheck,
)
from .files import EditLine, Find, OpenModule, Read, Search
from .fixing import FixBug, FixLook, FixTest, FixTypo, Rename
from .talk import Talk, Values

SHARES: Mapping[type[Task], float] = {
    RunTests: 2.2,
    RunScript: 0.8,
    Install: 1.4,
    InstallAll: 0.4,
    Read: 1.4,
    OpenModule: 0.9,
    Find: 1.2,
    Search: 1.6,
    EditLine: 0.8,
    NewFile: 2.9,
    NewTest: 1.8,
    Format: 1.0,
    Lint: 0.6,
    TypeCheck: 0.6,
    Commit: 1.9,
    Git: 0.6,
    Remove: 0.7,
    Move: 0.6,
    FixTest: 2.6,
    FixLook: 0.45,
    FixBug: 0.6,
    FixTypo: 0.4,
    Rename: 0.8,
    Talk: 0.6,
    Values: 0.8,
}
FAMILIES: Mapping[str, type[Task]] = {kind.family: kind for kind in SHARES}


def any_task(names: Names) -> Task:
    """Draw a task from the curriculum's mixture."""
    return names.rng.choices(list(SHARES), list(SHARES.values()))[0](names)
