"""Glob patterns over paths, in time linear in both."""

from __future__ import annotations

import re
from fnmatch import translate
from functools import lru_cache

from ..workspace.workspace import WorkspaceError

MAX_ALTERNATIVES = 64


def compile_glob(pattern: str) -> list[list[str]]:
    """Split a pattern into components, once for each combination of its ``{a,b}``."""
    return [
        [part for part in variant.split("/") if part not in ("", ".")]
        for variant in _expand(pattern)
    ]


def matches(path: str, alternatives: list[list[str]]) -> bool:
    """Tell whether a path matches; ``**`` stands for any number of folders."""
    parts = path.split("/")
    return any(_matches(parts, pattern) for pattern in alternatives)


def _matches(parts: list[str], pattern: list[str]) -> bool:
    # reached[i]: the pattern so far matches the first i components.
    reached = [True] + [False] * len(parts)
    for piece in pattern:
        if piece == "**":
            for i in range(1, len(parts) + 1):
                reached[i] = reached[i] or reached[i - 1]
        else:
            regex = _regex(piece)
            reached = [False] + [
                reached[i] and regex.match(part) is not None for i, part in enumerate(parts)
            ]
    return reached[-1]


@lru_cache(maxsize=512)
def _regex(piece: str) -> re.Pattern[str]:
    return re.compile(translate(piece))


def _expand(pattern: str) -> list[str]:
    """Write ``{a,b}`` out; braces that do not pair or hold no comma stand for themselves."""
    done: list[str] = []
    waiting = [pattern]
    while waiting:
        current = waiting.pop(0)
        match = re.search(r"\{([^{}]*,[^{}]*)\}", current)
        if match is None:
            done.append(current)
        else:
            head, tail = current[: match.start()], current[match.end() :]
            waiting[:0] = [head + choice + tail for choice in match[1].split(",")]
        if len(done) + len(waiting) > MAX_ALTERNATIVES:
            raise WorkspaceError(f"{pattern} has too many alternatives; use a simpler pattern")
    return done
