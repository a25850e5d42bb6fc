"""The tools of one session, and the boundary that its commands run behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ...training.protocol import ToolCall
from ..events import AgentEvent, SandboxTried
from ..sandbox.sandbox import Sandbox
from ..tools import registry
from ..tools.base import Preview
from ..workspace.workspace import Workspace

if TYPE_CHECKING:
    from ..settings import Settings


class Toolbox:
    """Has the boundary tried once the folder is known; no call runs before that."""

    def __init__(self, settings: Settings, present: Callable[[AgentEvent], None]) -> None:
        self._sandbox = Sandbox(
            settings.sandbox,
            data_dir=settings.data_dir,
            readable=settings.sandbox_folders(),
            variables=settings.sandbox_variables(),
        )
        self._tools = registry.make_tools(settings.bash_timeout, self._sandbox)
        self._present = present
        self._root: Path | None = None
        self._trying: asyncio.Task[None] | None = None

    def describe(self) -> str:
        """Which boundary holds, and what was tried."""
        return self._sandbox.describe()

    def open(self, root: Path) -> None:
        """Begin to try which boundary holds in a repository."""
        self._root = root
        self._trying = asyncio.ensure_future(self._try(root))

    async def ready(self) -> registry.Tools:
        """The tools, once the boundary is known."""
        if self._trying is not None:
            await asyncio.shield(self._trying)
        return self._tools

    def preview(self, call: ToolCall) -> Preview:
        """Say what a call would do as the files are now; it may take a moment."""
        if self._root is None:
            raise RuntimeError("the session has not been started")
        return registry.preview(call, Workspace(self._root), self._tools)

    async def _try(self, root: Path) -> None:
        self._present(SandboxTried(await asyncio.to_thread(self._sandbox.prove, root)))
