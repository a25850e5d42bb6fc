"""Which calls run without asking: read-only ones, and exact calls the user allowed."""

from __future__ import annotations

import json
from collections.abc import Container

from ...training.protocol import ToolCall

READ_ONLY_RULE = "read-only tools inside the repository (auto_approve_readonly)"
SAME_CALL_LIMIT = 3


def pattern(call: ToolCall) -> str:
    """The call as it is remembered: its name and every argument, nothing left open."""
    shown = ", ".join(
        f"{name}={json.dumps(value, ensure_ascii=False, sort_keys=True)}"
        for name, value in sorted(call.arguments.items())
    )
    return f"{call.name}({shown})"


class ApprovalController:
    """The rules of one session; a call that was denied once is never covered by one again."""

    def __init__(self, *, read_only_tools: Container[str], auto_approve_readonly: bool) -> None:
        self._read_only_tools = read_only_tools
        self._auto_approve_readonly = auto_approve_readonly
        self._allowed: set[str] = set()
        self._denied: set[str] = set()
        self._last = ""
        self._in_a_row = 0

    def rule_for(self, call: ToolCall) -> str | None:
        """Name the rule that approves the call, or None when the user must.

        A call that comes again and again asks, so that a model in a loop cannot run on.
        """
        shown = pattern(call)
        if shown in self._denied or (shown == self._last and self._in_a_row >= SAME_CALL_LIMIT):
            return None
        if shown in self._allowed:
            return f"allowed for this session: {shown}"
        if self._auto_approve_readonly and call.name in self._read_only_tools:
            return READ_ONLY_RULE
        return None

    def allow(self, call: ToolCall) -> None:
        """Remember exactly this call for the session."""
        shown = pattern(call)
        self._denied.discard(shown)
        self._allowed.add(shown)

    def deny(self, call: ToolCall) -> None:
        """Never approve exactly this call without the user."""
        shown = pattern(call)
        self._allowed.discard(shown)
        self._denied.add(shown)

    def ran(self, call: ToolCall) -> None:
        """Count how often the same call ran in a row."""
        shown = pattern(call)
        self._in_a_row = self._in_a_row + 1 if shown == self._last else 1
        self._last = shown
