"""What a tool is: a schema, a preview of its effect, and the effect itself."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from ..workspace.workspace import Workspace, WorkspaceError

OutputSink = Callable[[str], None]
_PLAIN = re.compile(r"[^\s\"',;]+")


@dataclass(frozen=True, slots=True)
class Preview:
    """What a call would do, shown before anybody decides.

    ``before`` and ``after`` are whole texts of one file for ``kind == "diff"`` (``before`` is
    None for a new file); ``command`` and ``folder`` are set for ``kind == "command"``, and
    ``terms`` say behind which boundary it runs; ``text`` describes every other call. A call that
    cannot work has ``problem``, one sentence.
    """

    kind: Literal["diff", "command", "text"]
    title: str
    path: str | None = None
    before: str | None = None
    after: str | None = None
    command: str | None = None
    folder: str | None = None
    terms: str | None = None
    text: str = ""
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What the model is told about a call that ran."""

    ok: bool
    output: str


class Tool(Protocol):
    """One of the agent's tools."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    read_only: bool

    def preview(self, arguments: Mapping[str, Any], workspace: Workspace) -> Preview:
        """Say what the call would do, without doing it; never raises for bad arguments."""
        ...

    async def run(
        self,
        arguments: Mapping[str, Any],
        workspace: Workspace,
        on_output: OutputSink,
        expected: Preview | None = None,
    ) -> ToolResult:
        """Do it; failures come back as a result with ``ok=False``.

        ``expected`` is the preview that was approved: a file that no longer has that text is
        not touched.
        """
        ...


def failure(problem: str) -> ToolResult:
    """Tell the model that its call did not work, in one sentence."""
    return ToolResult(ok=False, output=f"error: {problem}")


def quoted(text: str) -> str:
    """Give an argument for a description: as it is, or in quotes where its end could be misread."""
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def describe(title: str, path: str, text: str, check: Callable[[], object]) -> Preview:
    """Preview a call that changes nothing; what ``check`` raises is its problem."""
    problem = None
    try:
        check()
    except WorkspaceError as error:
        problem = str(error)
    return Preview(kind="text", title=title, path=path, text=text, problem=problem)
