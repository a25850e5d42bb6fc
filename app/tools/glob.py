"""Find files by their names."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from ..workspace.repository import list_files, walk_files
from ..workspace.visible import visible_path
from ..workspace.workspace import Workspace, WorkspaceError
from .base import OutputSink, Preview, ToolResult, describe, failure, quoted
from .patterns import compile_glob, matches

MAX_PATHS = 200


class Glob:
    """Lists the files that match a pattern; files that git ignores are left out."""

    name: str = "glob"
    description: str = "Find files by a glob pattern; ** stands for any number of folders."
    read_only: bool = True
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "pattern": {"type": "string", "description": "for example **/*.py"},
            "path": {
                "type": "string",
                "default": ".",
                "description": "folder to look in, relative to the repository's root",
            },
        },
        "required": ["pattern"],
        "additionalProperties": False,
    }

    def preview(self, arguments: Mapping[str, Any], workspace: Workspace) -> Preview:
        """Name the pattern and the folder."""
        pattern, path = arguments["pattern"], arguments.get("path", ".")
        where = "" if path == "." else f" in {quoted(path)}"
        text = f"list the files that match {quoted(pattern)}{where}"
        return describe(f"glob {pattern}", path, text, lambda: _scope(pattern, path, workspace))

    async def run(
        self,
        arguments: Mapping[str, Any],
        workspace: Workspace,
        on_output: OutputSink,
        expected: Preview | None = None,
    ) -> ToolResult:
        """List the matching files."""
        del on_output, expected
        pattern, path = arguments["pattern"], arguments.get("path", ".")
        try:
            found = await asyncio.to_thread(find_files, pattern, path, workspace)
        except WorkspaceError as error:
            return failure(str(error))
        if not found:
            return ToolResult(ok=True, output=f"no files match {pattern}")
        lines = [visible_path(name) for name in found[:MAX_PATHS]]
        if len(found) > MAX_PATHS:
            lines.append(f"... and {len(found) - MAX_PATHS} more")
        return ToolResult(ok=True, output="\n".join(lines))


def find_files(pattern: str, path: str, workspace: Workspace) -> list[str]:
    """Return the matching files' paths below the root, sorted."""
    alternatives, folder = _scope(pattern, path, workspace)
    prefix = "" if folder == "." else f"{folder}/"
    return [
        name
        for name in files_below(folder, workspace)
        if matches(name.removeprefix(prefix), alternatives)
    ]


def files_below(folder: str, workspace: Workspace) -> list[str]:
    """List the files below a folder; one that git ignores altogether is walked."""
    listing = list_files(workspace.root)
    if folder == ".":
        return list(listing.paths)
    prefix = f"{folder}/"
    found = [name for name in listing.paths if name.startswith(prefix)]
    return found or list(walk_files(workspace.root, folder).paths)


def _scope(pattern: str, path: str, workspace: Workspace) -> tuple[list[list[str]], str]:
    if not pattern.strip():
        raise WorkspaceError("the pattern is empty; **/* matches every file")
    root = f"{workspace.root}/"
    if pattern.startswith(root):
        pattern = pattern[len(root) :]
    if pattern.startswith("/") or ".." in pattern.split("/"):
        raise WorkspaceError(f"{pattern} leads out of the repository; use a relative pattern")
    if not workspace.is_folder(path):
        raise WorkspaceError(f"{path} is a file; name a folder to look in")
    return compile_glob(pattern), workspace.real_path(path)
