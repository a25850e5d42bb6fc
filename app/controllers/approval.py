"""Which calls run without asking: read-only ones, and exact calls the user allowed."""

from __future__ import annotations

import json
import time
from collections.abc import Container
from typing import Any

from ...training.protocol import ToolCall
from ...training.redaction import find_secrets
from ..store.rules import Rule, RuleFile, RulesUnreadable, identity
from ..workspace.secret_names import looks_secret
from ..workspace.workspace import MissingError, Workspace, WorkspaceError

READ_ONLY_RULE = "read-only tools inside the repository (auto_approve_readonly)"
SAME_CALL_LIMIT = 3


def pattern(call: ToolCall) -> str:
    """The call as it is remembered: its name and every argument, nothing left open."""
    shown = ", ".join(
        f"{name}={json.dumps(value, ensure_ascii=False, sort_keys=True)}"
        for name, value in sorted(call.arguments.items())
    )
    return f"{call.name}({shown})"


def spelled_out(call: ToolCall, terms: str | None = None) -> str:
    """The call on several lines: a text of many lines as these lines, nothing left open.

    ``terms`` say behind which boundary it is to run, as long as there is that one.
    """
    lines = [call.name]
    for name, value in sorted(call.arguments.items()):
        if isinstance(value, str) and "\n" in value.rstrip("\n"):
            count = len(value.removesuffix("\n").split("\n"))
            end = "" if value.endswith("\n") else ", no newline at the end"
            lines.append(f"  {name} = {count} lines{end}:")
            lines += [f"  │ {line}" for line in value.removesuffix("\n").split("\n")]
        else:
            lines.append(f"  {name} = {json.dumps(value, ensure_ascii=False, sort_keys=True)}")
    lines += [f"under these terms only: {terms}"] if terms is not None else []
    return "\n".join(lines)


class ReadingFreely:
    """Which read-only calls need no question: inside the repository, and of nothing secret.

    What was denied once stays asked for, under whatever name it is reached.
    """

    def __init__(self, tools: Container[str], workspace: Workspace | None) -> None:
        self._tools = tools
        self._workspace = workspace
        self._denied: set[str] = set()

    def covers(self, call: ToolCall) -> bool:
        """Say whether a call may run without a question."""
        if call.name not in self._tools:
            return False
        place = self._place(call)
        if place is None or looks_secret(place):
            return False
        return not any(_within(place, each) or _within(each, place) for each in self._denied)

    def deny(self, call: ToolCall) -> None:
        """Ask from now on about every way to what a call would have read."""
        if call.name in self._tools:
            self._denied.add(self._place(call) or ".")

    def allow(self, call: ToolCall) -> None:
        """Take back a denial of what a call reads."""
        self._denied.discard(self._place(call) or ".")

    def _place(self, call: ToolCall) -> str | None:
        """Give what a call reads below the root, links followed; None where that leads out."""
        path = str(call.arguments.get("path", "."))
        if self._workspace is None:
            return path
        try:
            return self._workspace.real_path(path)
        except MissingError:
            return self._workspace.relative(path)
        except (WorkspaceError, OSError):
            return None


def _within(path: str, folder: str) -> bool:
    return folder in (".", path) or path.startswith(f"{folder}/")


class ApprovalController:
    """The rules of one session, and those of the repository that hold for good.

    A rule covers a call with the same tool and arguments, to the character, that would run under
    the same terms: not one that was allowed behind a sandbox where there is none now. A call
    that was denied is not covered by one again until the user allows it anew.
    """

    def __init__(
        self,
        *,
        read_only_tools: Container[str],
        auto_approve_readonly: bool,
        rules: RuleFile | None = None,
        workspace: Workspace | None = None,
    ) -> None:
        self._auto_approve_readonly = auto_approve_readonly
        self._reading = ReadingFreely(read_only_tools, workspace)
        self._rules = rules
        self._allowed: dict[str, Rule] = {}
        self._denied: set[str] = set()
        self._last = ""
        self._in_a_row = 0

    def rule_for(self, call: ToolCall, terms: str | None = None) -> str | None:
        """Name the rule that approves the call, or None when the user must.

        A call that comes again and again asks, so that a model in a loop cannot run on.
        """
        same = identity(call)
        if same in self._denied or (same == self._last and self._in_a_row >= SAME_CALL_LIMIT):
            return None
        kept = self._allowed.get(same)
        if kept is not None and kept.terms == terms:
            return f"allowed for this session: {pattern(call)}"
        if any(identity(rule.call) == same and rule.terms == terms for rule in self._for_good()):
            return f"allowed for good: {pattern(call)}"
        if self._auto_approve_readonly and self._reading.covers(call):
            return READ_ONLY_RULE
        return None

    def allow(
        self, call: ToolCall, *, for_good: bool = False, terms: str | None = None
    ) -> str | None:
        """Remember exactly this call; say what went wrong with keeping it for good."""
        same = identity(call)
        rule = Rule(call, time.time(), terms)
        self._denied.discard(same)
        self._reading.allow(call)
        if for_good and (secrets := find_secrets(same)):
            self._allowed[same] = rule
            return (
                f"The call holds what looks like a secret ({secrets[0].kind}), so the rule is not "
                "written down and holds for this session only."
            )
        if for_good and self._rules is not None:
            try:
                self._rules.add(call, terms)
            except (OSError, RulesUnreadable) as error:
                self._allowed[same] = rule
                return f"The rule holds for this session only. {_reason(error)}"
            return None
        self._allowed[same] = rule
        return None

    def deny(self, call: ToolCall) -> str | None:
        """Never approve exactly this call without the user; say what went wrong on disk."""
        same = identity(call)
        self._allowed.pop(same, None)
        self._denied.add(same)
        self._reading.deny(call)
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
        words += [f"this session: {pattern(rule.call)}" for rule in self._allowed.values()]
        if not words:
            return "No call runs by a rule of yours yet; a on a call makes one."
        lines = [f"{number}. {text}" for number, text in enumerate(words, 1)]
        return "\n".join(
            ["These calls run without asking; /rules forget N takes one back:", *lines]
        )

    def forget(self, number: int) -> str:
        """Remove the rule with this number and say so."""
        rules = [*self._for_good(), *self._allowed.values()]
        if not 1 <= number <= len(rules):
            return f"There is no rule {number}; /rules lists them."
        call = rules[number - 1].call
        # A call may be allowed both ways; forgetting it once must be enough.
        self._allowed.pop(identity(call), None)
        problem = self._forget_for_good(call)
        return problem or f"Asks again from now on: {pattern(call)}"

    def _for_good(self) -> list[Rule]:
        try:
            return self._rules.read() if self._rules else []
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
