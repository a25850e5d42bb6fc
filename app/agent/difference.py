"""What an edit of a call's arguments says: to the teacher, and to the user afterwards."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from itertools import islice
from typing import Any

LONG = 80
MAX_DIFF_LINES = 40
SHOWN_DIFF_LINES = 12


def describe_edit(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Describe how arguments were edited, one line for each that changed.

    A long text is described by a short diff; equal arguments give an empty text.
    """
    return "\n".join(_changed(name, before, after) for name in _differing(before, after))


def show_edit(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Show how arguments were edited, as was and is; a long text by the beginning of a diff."""
    return "\n".join(_was_and_is(name, before, after) for name in _differing(before, after))


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    names = [*before, *(name for name in after if name not in before)]
    return [
        name
        for name in names
        if name not in before or name not in after or not _same(before[name], after[name])
    ]


def _was_and_is(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    if name not in after:
        return f"{name} left out"
    old, new = before.get(name, ""), after[name]
    if isinstance(old, str) and isinstance(new, str) and (_is_long(old) or _is_long(new)):
        lines = _diff(old, new, SHOWN_DIFF_LINES).split("\n")[1:]
        return "\n".join([name, *("⋯" if line.startswith("@@") else line for line in lines)])
    if name not in before:
        return f"{name} {_shown(new)}"
    return f"{name} {_shown(old)} → {_shown(new)}"


def _same(old: Any, new: Any) -> bool:
    return type(old) is type(new) and old == new


def _changed(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    if name not in after:
        return f"{name}: should be left out"
    new = after[name]
    if name not in before:
        return f"{name}: should be {_shown(new)}"
    old = before[name]
    if isinstance(old, str) and isinstance(new, str) and (_is_long(old) or _is_long(new)):
        return f"{name}: should be changed like this\n{_diff(old, new)}"
    return f"{name}: {_shown(old)} should be {_shown(new)}"


def _is_long(text: str) -> bool:
    return len(text) > LONG or "\n" in text.removesuffix("\n")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 4 * LONG else f"{text[: 4 * LONG]}..."


def _diff(old: str, new: str, most: int = MAX_DIFF_LINES) -> str:
    """Write a unified diff without its headers, cut where it is long."""
    diff = difflib.unified_diff(old.split("\n"), new.split("\n"), lineterm="", n=1)
    lines = list(islice(diff, 2, None))
    lines = [line if len(line) <= 4 * LONG else f"{line[: 4 * LONG]}..." for line in lines]
    if len(lines) > most:
        left_out = len(lines) - most
        lines = [*lines[:most], f"... and {left_out} more lines"]
    return "\n".join(lines)
