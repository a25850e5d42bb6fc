"""Which calls run without asking: read-only ones, and exact calls the user allowed."""

from __future__ import annotations

import json
from collections.abc import Container
from typing import Any

from ...training.protocol import ToolCall
from ...training.redaction import find_secrets
from ..store.rules import RuleFile, RulesUnreadable, identity

READ_ONLY_RULE = "read-only tools inside the repository (auto_approve_readonly)"
SAME_CALL_LIMIT = 3


def pattern(call: ToolCall) -> str:
    """The call as it is remembered: its name and every argument, nothing left open."""
    shown = ", ".join(
        f"{name}={json.dumps(value, ensure_ascii=False, sort_keys=True)}"
        for name, value in sorted(call.arguments.items())
    )
    return f"{call.name}({shown})"


def spelled_out(call: ToolCall) -> str:
    """The call on several lines: a text of many lines as these lines, nothing left open."""
    lines = [call.name]
    for name, value in sorted(call.arguments.items()):
        if isinstance(value, str) and "\n" in value.rstrip("\n"):
            count = len(value.removesuffix("\n").split("\n"))
            end = "" if value.endswith("\n") else ", no newline at the end"
            lines.append(f"  {name} = {count} lines{end}:")
            lines += [f"  │ {line}" for line in value.removesuffix("\n").split("\n")]
        else:
            lines.append(f"  {name} = {json.dumps(value, ensure_ascii=False, sort_keys=True)}")
    return "\n".join(lines)


class ApprovalController:
    """The rules of one session, and those of the repository that hold for good.

    A call that was denied is not covered by one again until the user allows it anew.
    """

    def __init__(
        self,
        *,
        read_only_tools: Container[str],
        auto_approve_readonly: bool,
        rules: RuleFile | None = None,
    ) -> None:
        self._read_only_tools = read_only_tools
        self._auto_approve_readonly = auto_approve_readonly
        self._rules = rules
        self._allowed: dict[str, ToolCall] = {}
        self._denied: set[str] = set()
        self._last = ""
        self._in_a_row = 0

    def rule_for(self, call: ToolCall) -> str | None:
        """Name the rule that approves the call, or None when the user must.

        A call that comes again and again asks, so that a model in a loop cannot run on.
        """
        same = identity(call)
        if same in self._denied or (same == self._last and self._in_a_row >= SAME_CALL_LIMIT):
            return None
        if same in self._allowed:
            return f"allowed for this session: {pattern(call)}"
        if any(identity(kept) == same for kept in self._for_good()):
            return f"allowed for good: {pattern(call)}"
        if self._auto_approve_readonly and call.name in self._read_only_tools:
            return READ_ONLY_RULE
        return None

    def allow(self, call: ToolCall, *, for_good: bool = False) -> str | None:
        """Remember exactly this call; say what went wrong with keeping it for good."""
        same = identity(call)
        self._denied.discard(same)
        if for_good and (secrets := find_secrets(same)):
            self._allowed[same] = call
            return (
                f"The call holds what looks like a secret ({secrets[0].kind}), so the rule is not "
                "written down and holds for this session only."
            )
        if for_good and self._rules is not None:
            try:
                self._rules.add(call)
            except (OSError, RulesUnreadable) as error:
                self._allowed[same] = call
                return f"The rule holds for this session only. {_reason(error)}"
            return None
        self._allowed[same] = call
        return None

    def deny(self, call: ToolCall) -> str | None:
        """Never approve exactly this call without the user; say what went wrong on disk."""
        same = identity(call)
        self._allowed.pop(same, None)
        self._denied.add(same)
        return self._forget_for_good(call)

    def ran(self, call: ToolCall) -> None:
        """Count how often the same call ran in a row."""
        same = identity(call)
        self._in_a_row = self._in_a_row + 1 if same == self._last else 1
        self._last = same

    # --- what the user may see and take back ----------------------------------------------

    def describe(self) -> str:
        """List the rules with their numbers."""
        try:
            kept = self._rules.read() if self._rules else []
        except RulesUnreadable as error:
            return str(error)
        words = [f"for good: {pattern(rule.call)}" for rule in kept]
        words += [f"this session: {pattern(call)}" for call in self._allowed.values()]
        if not words:
            return "No call runs by a rule of yours yet; a on a call makes one."
        lines = [f"{number}. {text}" for number, text in enumerate(words, 1)]
        return "\n".join(
            ["These calls run without asking; /rules forget N takes one back:", *lines]
        )

    def forget(self, number: int) -> str:
        """Remove the rule with this number and say so."""
        calls = [*self._for_good(), *self._allowed.values()]
        if not 1 <= number <= len(calls):
            return f"There is no rule {number}; /rules lists them."
        call = calls[number - 1]
        # A call may be allowed both ways; forgetting it once must be enough.
        self._allowed.pop(identity(call), None)
        problem = self._forget_for_good(call)
        return problem or f"Asks again from now on: {pattern(call)}"

    def _for_good(self) -> list[ToolCall]:
        try:
            return [rule.call for rule in self._rules.read()] if self._rules else []
        except RulesUnreadable:
            return []

    def _forget_for_good(self, call: ToolCall) -> str | None:
        try:
            if self._rules is not None:
                self._rules.remove(call)
        except (OSError, RulesUnreadable) as error:
            return f"The rule could not be removed from the disk. {_reason(error)}"
        return None


def _reason(error: Any) -> str:
    if isinstance(error, RulesUnreadable):
        return str(error)
    return f"The system refused it: {(error.strerror or 'unknown error').lower()}."
