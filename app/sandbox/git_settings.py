"""The user's own git settings as a command gets them: without anything that opens a door."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from ..workspace.safe_git import run_git

SECTIONS = frozenset(
    {
        "advice", "apply", "branch", "color", "column", "commit", "core", "diff", "filter",
        "format", "init", "log", "merge", "mergetool", "pull", "push", "rebase", "rerere", "safe",
        "stash", "status", "submodule", "tag", "user",
    }
)  # fmt: skip
LEFT_OUT = frozenset(
    {
        "commit.gpgsign", "core.askpass", "core.editor", "core.fsmonitor", "core.hookspath",
        "core.pager", "core.sshcommand", "tag.gpgsign", "user.signingkey",
    }
)  # fmt: skip


@lru_cache(maxsize=4)
def global_settings(home: Path) -> bytes:
    """Write a settings file from the user's own: who commits and how, no credentials, no addresses.

    It is read once; the user's file itself stays out of sight, because addresses and headers in it
    may hold tokens.
    """
    listed = run_git(home, "config", "--global", "--includes", "--list", "-z") or b""
    lines: list[str] = []
    for entry in os.fsdecode(listed).split("\0"):
        key, newline, value = entry.partition("\n")
        section, _, rest = key.partition(".")
        if not newline or section not in SECTIONS or key in LEFT_OUT or "://" in value:
            continue
        inner, _, name = rest.rpartition(".")
        heading = f'[{section} "{_escaped(inner)}"]' if inner else f"[{section}]"
        lines.append(f'{heading}\n\t{name} = "{_escaped(value)}"\n')
    return os.fsencode("".join(lines))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
