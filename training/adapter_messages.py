"""The requests and results of the wire that are about whole adapters rather than lessons."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .wire import Wire

BASE = "base"
"""In place of a snapshot's name: the model as it came."""

IMPORT_PREFIX = "import-"


def is_import(lesson: str | None) -> bool:
    """Whether what a snapshot calls its lesson is an imported adapter, which is no lesson."""
    return lesson is not None and lesson.startswith(IMPORT_PREFIX)


class Undo(Wire):
    """Go back to the snapshot before the newest lesson, or to any that is kept by its name.

    ``snapshot`` may be a later one than the current, and ``base``, which is the model as it came.
    ``before`` names a lesson instead: the newest kept snapshot before it is taken, and the one
    that is left stays on disk until another undo, so that the way back is open.
    """

    type: Literal["undo"] = "undo"
    id: int
    snapshot: str | None = None
    before: str | None = None


class Save(Wire):
    """Write the adapter as a PEFT folder, to ``path`` or beside the snapshots."""

    type: Literal["save"] = "save"
    id: int
    path: str | None = None


class Adapters(Wire):
    """List the snapshots that are kept for this repository and model."""

    type: Literal["adapters"] = "adapters"
    id: int


class EnableAdapter(Wire):
    """Answer with the adapter, or with the base model alone, until this is asked again.

    Weights and snapshots stay as they are; while the adapter is off, nothing is learned.
    """

    type: Literal["enable_adapter"] = "enable_adapter"
    id: int
    enabled: bool


class Import(Wire):
    """Take up an adapter from a PEFT folder or a safetensors file, as a new snapshot."""

    type: Literal["import"] = "import"
    id: int
    path: str


class Undone(Wire):
    """Where the adapter stands after an undo; ``None`` is the model as it came.

    ``lesson`` is the newest that the adapter holds. ``undone_lesson`` is the newest that was taken
    back, ``undone_lessons`` are all of them, oldest first; imports are named among them.
    ``again`` are the lessons that a switch forwards brought back, oldest first, each with its
    snapshot.
    """

    type: Literal["undone"] = "undone"
    snapshot: str | None
    lesson: str | None
    undone_lesson: str | None
    undone_lessons: tuple[str, ...] = ()
    again: dict[str, str] = Field(default_factory=dict)


class Saved(Wire):
    """Where the adapter was written."""

    type: Literal["saved"] = "saved"
    path: str


class AdapterSnapshot(Wire):
    """One snapshot, as its manifest describes it.

    ``in_use`` says that it is the current one or among those that it came from; of a ``pruned``
    one only the manifest is left, so that it cannot be taken up again.
    """

    id: str
    parent: str | None
    lesson: str
    created: float
    rank: int
    targets: str
    scope: str
    current: bool
    in_use: bool
    pruned: bool


class AdapterList(Wire):
    """Every snapshot that is kept, oldest first; without a current one the model is as it came."""

    type: Literal["adapter_list"] = "adapter_list"
    snapshots: tuple[AdapterSnapshot, ...]
    current: str | None
    enabled: bool


class AdapterEnabled(Wire):
    """Whether answers come from the adapter now."""

    type: Literal["adapter_enabled"] = "adapter_enabled"
    enabled: bool


class Imported(Wire):
    """An adapter was taken up as ``snapshot``; ``notice`` says what could not be checked."""

    type: Literal["imported"] = "imported"
    snapshot: str
    notice: str = ""
