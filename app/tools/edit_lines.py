"""Replace, insert or delete some lines of a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..workspace.text import encode, replace_lines, split_lines
from ..workspace.workspace import Workspace, WorkspaceError
from . import changes
from .base import OutputSink, Preview, ToolResult


class EditLines:
    """Replaces the lines ``start_line`` to ``end_line``; no other byte changes."""

    name: str = "edit_lines"
    description: str = (
        "Replace the lines start_line to end_line (inclusive) of a file with content; "
        "empty content deletes them, end_line = start_line - 1 inserts before start_line."
    )
    read_only: bool = False
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "path": {"type": "string", "description": "file, relative to the repository's root"},
            "start_line": {
                "type": "integer",
                "minimum": 1,
                "description": "number of the first line to replace",
            },
            "end_line": {
                "type": "integer",
                "minimum": 0,
                "description": "number of the last line to replace",
            },
            "content": {"type": "string", "description": "the lines that take their place"},
        },
        "required": ["path", "start_line", "end_line", "content"],
        "additionalProperties": False,
    }

    def preview(self, arguments: Mapping[str, Any], workspace: Workspace) -> Preview:
        """Show the whole text before and after."""
        path = arguments["path"]
        return changes.show(f"edit_lines {path}", path, lambda: _plan(arguments, workspace))

    async def run(
        self,
        arguments: Mapping[str, Any],
        workspace: Workspace,
        on_output: OutputSink,
        expected: Preview | None = None,
    ) -> ToolResult:
        """Change the lines."""
        del on_output
        return await changes.make(lambda: _plan(arguments, workspace), workspace, expected)


def _plan(arguments: Mapping[str, Any], workspace: Workspace) -> changes.Change:
    path = workspace.relative(arguments["path"])
    start, end, content = arguments["start_line"], arguments["end_line"], arguments["content"]
    encode(content)
    before = workspace.check_writable(arguments["path"])
    if before is None:
        workspace.read_text(arguments["path"])  # says that it is missing, and what is nearest
        raise WorkspaceError(f"{path} appeared just now; read it first")
    _check_range(path, start, end, len(split_lines(before.text.content)))
    after, added = replace_lines(before.text.content, start, end, content)
    done = f"edited {path} (lines {start}-{end} are now {start}-{start + added - 1})"
    return changes.Change(path, before, after, done)


def _check_range(path: str, start: int, end: int, count: int) -> None:
    has = f"{path} has {count} {'line' if count == 1 else 'lines'}"
    if start > count + 1 or end > count:
        raise WorkspaceError(
            f"lines {start}-{end} are out of range because {has}; "
            f"start_line = {count + 1} with end_line = {count} appends"
        )
    if end < start - 1:
        raise WorkspaceError(
            f"end_line {end} is before start_line {start}; "
            f"end_line = {start - 1} would insert before line {start}"
        )
