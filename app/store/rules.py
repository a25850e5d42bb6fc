"""The calls that a repository's user allowed for good, in one private file.

The file lies below the data directory and never in the repository, so that nothing that is
checked out can bring rules along. It is read anew each time, because another program in the
same repository may have changed it.
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...training.protocol import ToolCall
from .paths import make_private_folder, open_private_append, write_private


class RulesUnreadable(Exception):
    """The file is not one that this program wrote; the sentence says where it lies."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Exactly this call runs without asking; ``since`` is when the user said so.

    ``terms`` say behind which boundary it was to run.
    """

    call: ToolCall
    since: float
    terms: str | None = None


def identity(call: ToolCall) -> str:
    """Give what two calls share only if the tool and every argument are the same."""
    return json.dumps([call.name, call.arguments], sort_keys=True)


class RuleFile:
    """The rules of one repository."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[Rule]:
        """Every rule, oldest first; raises RulesUnreadable."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise self._unreadable() from error
        try:
            return [_rule(entry) for entry in json.loads(text)["rules"]]
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise self._unreadable() from error

    def add(self, call: ToolCall, terms: str | None = None) -> None:
        """Keep a call, once, under its newest terms; raises RulesUnreadable or OSError."""
        new = Rule(call, time.time(), terms)
        with self._alone():
            rules = self.read()
            others = [rule for rule in rules if identity(rule.call) != identity(new.call)]
            known = [rule for rule in rules if rule not in others]
            if [rule.terms for rule in known] != [new.terms]:
                self._write([*others, new])

    def remove(self, call: ToolCall) -> bool:
        """Drop a call and say whether it was there; raises RulesUnreadable or OSError."""
        if not self.path.exists():
            return False
        with self._alone():
            rules = self.read()
            left = [rule for rule in rules if identity(rule.call) != identity(call)]
            if len(left) < len(rules):
                self._write(left)
            return len(left) < len(rules)

    def _write(self, rules: list[Rule]) -> None:
        entries = [
            {
                "tool": rule.call.name,
                "arguments": rule.call.arguments,
                "terms": rule.terms,
                "since": rule.since,
            }
            for rule in rules
        ]
        write_private(self.path, json.dumps({"rules": entries}, indent=1).encode("ascii"))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other programs from changing the file at the same time."""
        make_private_folder(self.path.parent)
        with open_private_append(self.path.with_suffix(".lock")) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _unreadable(self) -> RulesUnreadable:
        return RulesUnreadable(
            f"The rules in {self.path} cannot be read; repair or remove that file."
        )


def _rule(entry: dict[str, Any]) -> Rule:
    call = ToolCall(name=entry["tool"], arguments=entry["arguments"])
    terms = entry.get("terms")
    return Rule(call, float(entry["since"]), terms if isinstance(terms, str) else None)
