"""Search the files' contents."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..sandbox.launch import Launch
from ..workspace.secret_names import looks_secret
from ..workspace.visible import visible_path
from ..workspace.workspace import Workspace, WorkspaceError
from .base import OutputSink, Preview, ToolResult, describe, failure, quoted
from .glob import files_below
from .process import Finished, run_process

MAX_MATCHES = 200
TIMEOUT = 20.0
NOT_SEARCHED = {"large": "large files", "linked": "files with hard links out of the repository"}
_CHILD = Path(__file__).with_name("grep_child.py")


class Grep:
    """Searches for a regular expression; files that git ignores are left out."""

    name: str = "grep"
    description: str = "Search files for a regular expression (Python syntax), line by line."
    read_only: bool = True
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "pattern": {"type": "string", "description": "regular expression"},
            "path": {
                "type": "string",
                "default": ".",
                "description": "file or folder to search, relative to the repository's root",
            },
        },
        "required": ["pattern"],
        "additionalProperties": False,
    }

    def __init__(self, timeout: float = TIMEOUT) -> None:
        self.timeout = timeout

    def preview(self, arguments: Mapping[str, Any], workspace: Workspace) -> Preview:
        """Name the pattern and where it is searched."""
        pattern, path = arguments["pattern"], arguments.get("path", ".")
        text = f"search for {quoted(pattern)}" + ("" if path == "." else f" in {quoted(path)}")

        def check() -> None:
            _check(pattern)
            workspace.is_folder(path)

        return describe(f"grep {pattern}", path, text, check)

    async def run(
        self,
        arguments: Mapping[str, Any],
        workspace: Workspace,
        on_output: OutputSink,
        expected: Preview | None = None,
    ) -> ToolResult:
        """Search in a child process that can be stopped."""
        del on_output, expected
        pattern, path = arguments["pattern"], arguments.get("path", ".")
        try:
            _check(pattern)
            files, kept_back = await asyncio.to_thread(_files, path, workspace)
        except WorkspaceError as error:
            return failure(str(error))
        job = {
            "root": str(workspace.root),
            "files": files,
            "pattern": pattern,
            "max_matches": MAX_MATCHES,
            "max_bytes": workspace.max_bytes,
        }
        try:
            finished = await self._search(job)
        except OSError as error:
            return failure(f"the search could not be started: {error.strerror}")
        result = _answer(pattern, finished, self.timeout)
        if not kept_back:
            return result
        note = f"[not searched, because secret by name unless named as path: {kept_back} files]"
        return ToolResult(ok=result.ok, output=f"{result.output}\n{note}")

    async def _search(self, job: Mapping[str, Any]) -> Finished:
        with tempfile.TemporaryFile() as file:
            file.write(json.dumps(job).encode("ascii"))
            file.seek(0)
            command = [sys.executable, "-I", "-S", "-X", "utf8", str(_CHILD)]
            return await run_process(
                Launch(command, {"PATH": os.defpath}),
                folder=Path("/"),
                timeout=self.timeout,
                on_output=lambda _: None,
                keep=2_000_000,
                stdin=file,
            )


def _check(pattern: str) -> None:
    if not pattern:
        raise WorkspaceError("the pattern is empty; name what to search for")


def _files(path: str, workspace: Workspace) -> tuple[list[str], int]:
    """Give what to search, and how many files are not searched unless they are named."""
    if not workspace.is_folder(path):
        return [workspace.relative(path)], 0
    found = files_below(workspace.real_path(path), workspace)
    searched = [name for name in found if not looks_secret(name)]
    return searched, len(found) - len(searched)


def _answer(pattern: str, finished: Finished, timeout: float) -> ToolResult:
    lines: list[str] = []
    notes: list[str] = []
    total: int | None = None
    for line in finished.output.splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if not isinstance(found, dict):
            continue
        if "path" in found:
            lines.append(f"{visible_path(found['path'])}:{found['line']}: {found['text']}")
        elif "literal" in found:
            notes.append(
                f"[not a regular expression ({found['literal']}), so it was searched for literally]"
            )
        elif "total" in found:
            total = found["total"]
            notes += [
                f"[{found[name]} {words} were not searched]"
                for name, words in NOT_SEARCHED.items()
                if found[name]
            ]
    if total is None and finished.exit_code is not None:
        return failure("the search ended unexpectedly; try a simpler pattern")
    if total is None:
        notes.append(f"[stopped after {timeout:g} s; use a simpler pattern or a smaller folder]")
        if not lines:
            return failure(
                f"the search took longer than {timeout:g} s; "
                "use a simpler pattern or a smaller folder"
            )
    elif not lines:
        lines.append(f"no matches for {pattern}")
    elif total > len(lines):
        lines.append(f"... and {total - len(lines)} more")
    return ToolResult(ok=True, output="\n".join([*lines, *notes]))
