"""Create a file or replace all of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..workspace.text import encode, split_lines, with_line_ends
from ..workspace.workspace import Workspace
from . import changes
from .base import OutputSink, Preview, ToolResult


class Write:
    """Writes a whole file; the byte order mark and the line ends that it had are kept."""

    name: str = "write"
    description: str = "Create a file, or replace its whole content."
    read_only: bool = False
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "path": {"type": "string", "description": "file, relative to the repository's root"},
            "content": {"type": "string", "description": "the whole new text of the file"},
        },
        "required": ["path", "content"],
        "additionalProperties": False,
    }

    def preview(self, arguments: Mapping[str, Any], workspace: Workspace) -> Preview:
        """Show the whole text before and after."""
        path = arguments["path"]
        return changes.show(f"write {path}", path, lambda: _plan(arguments, workspace))

    async def run(
        self,
        arguments: Mapping[str, Any],
        workspace: Workspace,
        on_output: OutputSink,
        expected: Preview | None = None,
    ) -> ToolResult:
        """Write the file."""
        del on_output
        return await changes.make(lambda: _plan(arguments, workspace), workspace, expected)


def _plan(arguments: Mapping[str, Any], workspace: Workspace) -> changes.Change:
    path = workspace.relative(arguments["path"])
    content = arguments["content"]
    encode(content)
    before = workspace.check_writable(arguments["path"])
    if before is not None and "\r" not in content:
        content = with_line_ends(content, before.text.line_end)
    done = f"wrote {path} ({len(split_lines(content))} lines)"
    return changes.Change(path, before, content, done)
