"""What the tools that change files have in common: a plan, its preview, its execution."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from ..workspace.text import Text
from ..workspace.workspace import TextFile, Workspace, WorkspaceError
from .base import Preview, ToolResult, failure


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one file that can be shown or made; raises for what it cannot hold."""

    path: str
    before: TextFile | None
    after: str
    done: str

    def __post_init__(self) -> None:
        (self.before.text if self.before else Text("")).encode(self.after)


Plan = Callable[[], Change]


def show(title: str, path: str, plan: Plan) -> Preview:
    """Preview a change as the file's whole text before and after it."""
    try:
        change = plan()
    except WorkspaceError as error:
        return Preview(kind="diff", title=title, path=path, problem=str(error))
    return Preview(
        kind="diff",
        title=title,
        path=change.path,
        before=_text(change.before),
        after=change.after,
    )


async def make(plan: Plan, workspace: Workspace, expected: Preview | None) -> ToolResult:
    """Make the change, unless the file is no longer the one that was shown."""
    try:
        return await asyncio.to_thread(_make, plan, workspace, expected)
    except WorkspaceError as error:
        return failure(str(error))


def _make(plan: Plan, workspace: Workspace, expected: Preview | None) -> ToolResult:
    change = plan()
    if expected is not None:
        shown = (expected.problem, expected.path, expected.before, expected.after)
        if shown != (None, change.path, _text(change.before), change.after):
            raise WorkspaceError(
                f"{change.path} changed since this change was shown; read it and propose again"
            )
    workspace.write_text(change.path, change.after, before=change.before)
    return ToolResult(ok=True, output=change.done)


def _text(file: TextFile | None) -> str | None:
    return None if file is None else file.text.content
