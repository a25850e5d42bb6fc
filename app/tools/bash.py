"""Run a command in a shell."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..workspace.programs import find_program
from ..workspace.workspace import Workspace
from .base import OutputSink, Preview, ToolResult, failure
from .process import child_environment, run_process

TIMEOUT = 120.0


class Bash:
    """Runs a command from the repository's root, without a terminal and without input."""

    name: str = "bash"
    description: str = "Run a shell command from the repository's root."
    read_only: bool = False
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "command": {"type": "string", "description": "the command as typed into a shell"}
        },
        "required": ["command"],
        "additionalProperties": False,
    }

    def __init__(self, timeout: float = TIMEOUT) -> None:
        self.timeout = timeout

    def preview(self, arguments: Mapping[str, Any], workspace: Workspace) -> Preview:
        """Show the command exactly as it would run, and where."""
        command = arguments["command"]
        return Preview(
            kind="command",
            title="bash",
            command=command,
            folder=str(workspace.root),
            problem=problem_with(command),
        )

    async def run(
        self,
        arguments: Mapping[str, Any],
        workspace: Workspace,
        on_output: OutputSink,
        expected: Preview | None = None,
    ) -> ToolResult:
        """Run the command and pass its output on as it comes."""
        del expected
        command = arguments["command"]
        if problem := problem_with(command):
            return failure(problem)
        try:
            finished = await run_process(
                [shell(workspace.root), "-c", command],
                folder=workspace.root,
                environment=child_environment(os.environ),
                timeout=self.timeout,
                on_output=on_output,
            )
        except OSError as error:
            return failure(f"the command could not be started: {error.strerror}")
        output = finished.output
        if output and not output.endswith("\n"):
            output += "\n"
        if finished.left_behind:
            output += "[processes in the background were stopped]\n"
        if finished.exit_code is None:
            return ToolResult(ok=False, output=f"{output}[stopped after {self.timeout:g} s]")
        return ToolResult(ok=finished.exit_code == 0, output=f"{output}[exit {finished.exit_code}]")


def problem_with(command: str) -> str | None:
    """Say why no shell could read a command."""
    if not command.strip():
        return "the command is empty; name what to run"
    if "\0" in command:
        return "the command has a NUL character, which no shell can read"
    try:
        os.fsencode(command)
    except UnicodeEncodeError:
        return "the command has half a character that cannot be passed to a shell"
    return None


def shell(root: Path) -> str:
    """Find the shell that runs commands, never in the repository."""
    return find_program("bash", root) or "/bin/sh"
