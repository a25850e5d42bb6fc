"""Run a command in a shell."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..sandbox.environment import allowed_environment
from ..sandbox.git_dirs import CannotConfine
from ..sandbox.kept import LIMITS, keep
from ..sandbox.launch import Launch
from ..sandbox.sandbox import Sandbox
from ..workspace.programs import find_shell
from ..workspace.workspace import Workspace
from .base import OutputSink, Preview, ToolResult, failure
from .process import run_process

TIMEOUT = 120.0
LONGEST = 100_000
"""Bytes of a command; Linux takes 131,071 as one word."""


class Bash:
    """Runs a command from the repository's root, without a terminal and without input.

    ``sandbox`` is the boundary that it runs behind; a session always has one.
    """

    name: str = "bash"
    description: str = "Run a shell command from the repository's root."
    read_only: bool = False
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "command": {"type": "string", "description": "the command as typed into a shell"},
            "network": {
                "type": "boolean",
                "description": "true if the command cannot do without the network",
            },
        },
        "required": ["command"],
        "additionalProperties": False,
    }

    def __init__(self, timeout: float = TIMEOUT, sandbox: Sandbox | None = None) -> None:
        self.timeout = timeout
        self._sandbox = sandbox

    def preview(self, arguments: Mapping[str, Any], workspace: Workspace) -> Preview:
        """Show the command exactly as it would run, where, and behind which boundary."""
        command = arguments["command"]
        return Preview(
            kind="command",
            title="bash",
            command=command,
            folder=str(workspace.root),
            terms=self._sandbox.terms(network=_wants_network(arguments)) if self._sandbox else None,
            problem=self._problem_with(command),
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
        if problem := self._problem_with(command):
            return failure(problem)
        try:
            launch = await self._prepared(command, workspace.root, _wants_network(arguments))
            finished = await run_process(
                launch, folder=workspace.root, timeout=self.timeout, on_output=on_output
            )
        except CannotConfine as error:
            return failure(f"the command was not run, because no boundary holds it: {error}")
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

    async def _prepared(self, command: str, root: Path, network: bool) -> Launch:
        preparing = asyncio.ensure_future(
            asyncio.to_thread(self._prepare, command, root, network=network)
        )
        try:
            return await asyncio.shield(preparing)
        except asyncio.CancelledError:
            # A thread cannot be stopped; what it makes ready is put away unused.
            preparing.add_done_callback(_put_away)
            raise

    def _prepare(self, command: str, root: Path, *, network: bool) -> Launch:
        if self._sandbox is not None:
            return self._sandbox.prepare(command, root, network=network)
        return keep(
            [find_shell(root), "-c", command], allowed_environment(os.environ), limits=LIMITS
        )

    def _problem_with(self, command: str) -> str | None:
        refusal = self._sandbox.refusal if self._sandbox is not None else None
        return problem_with(command) or refusal


def _put_away(preparing: asyncio.Future[Launch]) -> None:
    if preparing.exception() is None:
        with preparing.result():
            pass


def _wants_network(arguments: Mapping[str, Any]) -> bool:
    return arguments.get("network") is True


def problem_with(command: str) -> str | None:
    """Say why no shell could read a command."""
    if not command.strip():
        return "the command is empty; name what to run"
    if "\0" in command:
        return "the command has a NUL character, which no shell can read"
    try:
        length = len(os.fsencode(command))
    except UnicodeEncodeError:
        return "the command has half a character that cannot be passed to a shell"
    if length > LONGEST:
        return (
            f"the command is too long ({length:,} bytes; the limit is {LONGEST:,}); "
            "write what it holds to a file first"
        )
    return None
