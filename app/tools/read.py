"""Read a text file with line numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from ..workspace.text import LATIN_1, split_lines
from ..workspace.workspace import Workspace, WorkspaceError
from .base import OutputSink, Preview, ToolResult, describe, failure, quoted

DEFAULT_LIMIT = 400
MAX_LINE = 2_000
MAX_CHARACTERS = 60_000


class Read:
    """Shows the lines of a file as ``NUMBER<tab>TEXT``."""

    name: str = "read"
    description: str = "Read a text file; every line comes with its number."
    read_only: bool = True
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "path": {"type": "string", "description": "file, relative to the repository's root"},
            "offset": {
                "type": "integer",
                "minimum": 1,
                "default": 1,
                "description": "number of the first line to show",
            },
            "limit": {
                "type": "integer",
                "minimum": 1,
                "default": DEFAULT_LIMIT,
                "description": "how many lines to show",
            },
        },
        "required": ["path"],
        "additionalProperties": False,
    }

    def preview(self, arguments: Mapping[str, Any], workspace: Workspace) -> Preview:
        """Name the lines that would be shown."""
        path, offset, limit = _arguments(arguments)
        whole = offset == 1 and limit == DEFAULT_LIMIT
        text = f"read {quoted(path)}"
        text += "" if whole else f", lines {offset}-{offset + limit - 1}"
        return describe(
            f"read {path}", path, text, lambda: numbered(workspace, path, offset, limit)
        )

    async def run(
        self,
        arguments: Mapping[str, Any],
        workspace: Workspace,
        on_output: OutputSink,
        expected: Preview | None = None,
    ) -> ToolResult:
        """Read the file."""
        del on_output, expected
        try:
            output = await asyncio.to_thread(numbered, workspace, *_arguments(arguments))
        except WorkspaceError as error:
            return failure(str(error))
        return ToolResult(ok=True, output=output)


def _arguments(arguments: Mapping[str, Any]) -> tuple[str, int, int]:
    return (
        arguments["path"],
        arguments.get("offset", 1),
        arguments.get("limit", DEFAULT_LIMIT),
    )


def numbered(workspace: Workspace, path: str, offset: int, limit: int) -> str:
    """Return the lines ``offset`` to ``offset + limit - 1`` with their numbers."""
    text = workspace.read_text(path).text
    lines = split_lines(text.content)
    if not lines:
        return "[empty file]"
    if offset > len(lines):
        raise WorkspaceError(
            f"line {offset} is past the end of {path}, which has {len(lines)} lines"
        )
    shown: list[str] = []
    room = MAX_CHARACTERS
    for number, line in enumerate(lines[offset - 1 : offset - 1 + limit], start=offset):
        numbered_line = f"{number}\t{_short(line.removesuffix(chr(10)).removesuffix(chr(13)))}"
        room -= len(numbered_line) + 1
        if room < 0 and shown:
            break
        shown.append(numbered_line)
    last = offset + len(shown) - 1
    if offset > 1 or last < len(lines):
        shown.append(f"[lines {offset}-{last} of {len(lines)}]")
    if text.encoding == LATIN_1:
        shown.append("[not UTF-8, so it was read as Latin-1]")
    return "\n".join(shown)


def _short(line: str) -> str:
    if len(line) <= MAX_LINE:
        return line
    return f"{line[:MAX_LINE]} [... {len(line) - MAX_LINE} characters left out ...]"
