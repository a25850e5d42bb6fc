"""The decisions that `exec` reads: one JSON object a line, one line for each proposal."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from .agent.proposal import Approve, Decision, Deny, Edit

Then = Literal["stop", "approve", "deny"]
EXAMPLE = '{"decision": "approve"}'


class UsageError(ValueError):
    """One sentence about how `exec` was called."""


@dataclass(frozen=True, slots=True)
class Note:
    """A line that answers no proposal."""

    text: str


Line = Approve | Deny | Edit | Note


def read_lines(lines: Iterable[str], name: str) -> deque[Line]:
    """Read every line; the first that is wrong is a `UsageError` with its number."""
    found: deque[Line] = deque()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found.append(_read_line(line))
        except UsageError as error:
            raise UsageError(f"line {number} of {name} {error}") from None
    return found


def _read_line(line: str) -> Line:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise UsageError(f"is not JSON; each line is one object such as {EXAMPLE}.") from None
    if not isinstance(value, dict):
        raise UsageError(f"is not an object; each line is one such as {EXAMPLE}.")
    if "note" in value:
        _only(value, "note")
        return Note(_text(value, "note"))
    decision = value.get("decision")
    if decision == "approve":
        _only(value, "decision")
        return Approve()
    if decision == "deny":
        _only(value, "decision", "correction")
        return Deny(_text(value, "correction"))
    if decision == "edit":
        _only(value, "decision", "arguments")
        arguments = value.get("arguments")
        if not isinstance(arguments, dict):
            raise UsageError('needs "arguments", the object with the call\'s new arguments.')
        return Edit(arguments)
    if decision is None:
        raise UsageError('has neither "decision" nor "note".')
    raise UsageError(f"has the decision {decision!r}; it is one of approve, deny and edit.")


def _only(value: dict[str, Any], *allowed: str) -> None:
    for key in value:
        if key not in allowed:
            raise UsageError(f"has the key {key!r}, which does not belong there.")


def _text(value: dict[str, Any], key: str) -> str:
    text = value.get(key)
    if not isinstance(text, str) or not text.strip():
        raise UsageError(f'needs "{key}", a text that is not empty.')
    return text.strip()


class Feedback:
    """Gives each proposal its line, and what ``then`` says when they have run out."""

    def __init__(self, lines: deque[Line], then: Then, add_note: Callable[[str], None]) -> None:
        self._lines = lines
        self._then = then
        self._add_note = add_note

    @property
    def unused(self) -> int:
        """How many decisions nobody asked for."""
        return sum(1 for line in self._lines if not isinstance(line, Note))

    def next(self) -> Decision | None:
        """The next decision; None when the run is to end here."""
        while self._lines:
            line = self._lines.popleft()
            if not isinstance(line, Note):
                return line
            self._add_note(line.text)
        return Approve() if self._then == "approve" else None
