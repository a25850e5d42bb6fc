"""What is done once at the start, while the model loads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ..events import AgentEvent, Notice
from ..store.privacy import tighten
from ..tools import registry
from ..workspace.repository import Repository, sweep
from .files import FilesController


async def do_chores(
    repository: Repository,
    data_dir: Path,
    present: Callable[[AgentEvent], None],
    files: FilesController,
) -> None:
    """Import what checks calls, sweep what nobody needs, keep others out of the data."""
    if not repository.git:
        present(Notice(f"{repository.root} is not a git repository; git cannot bring files back."))
    await asyncio.to_thread(_prepare, repository.root)
    found = await asyncio.to_thread(tighten, data_dir)
    if found.words:
        present(Notice(found.words, "warning" if found.problem else "information"))
    await asyncio.to_thread(files.prune)


def _prepare(root: Path) -> None:
    registry.prepare()
    with suppress(OSError):
        sweep(root)
