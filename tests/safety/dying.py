"""A write that is killed before its Nth system call, in a process of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from continualcode_tui.app.workspace import replace
from continualcode_tui.app.workspace.workspace import Workspace

CALLS = ("open", "write", "fsync", "replace", "unlink", "mkdir", "fchmod", "fchown", "close")


def _dying(left: list[int], function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)

    return call


def write_and_die(
    root: Path, path: str, data: bytes, *, before: bytes | None, at: int, exchange: bool = True
) -> bool:
    """Replace a file in a child that is killed before its ``at``-th call; True where it was."""
    child = os.fork()
    if child == 0:
        try:
            left = [at]
            if not exchange:
                replace.exchange = lambda *_: False
            for module, names in ((os, CALLS), (replace, ("exchange", "rename_new"))):
                for name in names:
                    setattr(module, name, _dying(left, getattr(module, name)))
            Workspace(root).write_bytes(path, data, before=before)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)
