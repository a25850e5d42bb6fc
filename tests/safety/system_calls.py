"""The calls of the system on what lies in one folder: counted, and let go wrong at the N-th."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from unittest import mock

READING = ("fstat", "listdir", "lstat", "open", "pread", "read", "scandir", "stat")
WRITING = (
    "fsync", "ftruncate", "mkdir", "pwrite", "rename", "replace", "rmdir", "unlink", "write",
)  # fmt: skip
CREATE = "create"
"""An `open` that may make the file."""
CHANGING = {*WRITING, CREATE, "flock"}
SPACE = {"fsync", "mkdir", CREATE, "pwrite", "write"}
CLOSE = os.close
Kind = Literal["refused", "unsure", "short", "killed", "killed_after"]


class Killed(BaseException):
    """The process is gone: from here on no call does anything."""


@dataclass(frozen=True)
class Fault:
    """What happens at the call of a number.

    ``refused`` does nothing and says so with ``error``; ``unsure`` does it and says the same;
    ``short`` writes a half; ``killed`` and ``killed_after`` end the process. ``lasting`` lets every
    later call that needs room (of a full disk), or every later call that writes, go wrong as well.
    """

    kind: Kind
    at: int
    error: int = errno.EIO
    lasting: bool = False

    @property
    def kills(self) -> bool:
        """Whether the process does not live on."""
        return self.kind.startswith("killed")


class SystemCalls:
    """The calls that a piece of work makes, by their names and in their order."""

    def __init__(self, folder: Path, fault: Fault | None = None) -> None:
        self.folder = str(folder)
        self.fault = fault
        self.names: list[str] = []
        self.dead = False
        self._handles: set[int] = set()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Meet the calls that are made meanwhile."""
        try:
            with ExitStack() as stack:
                for name in (*READING, *WRITING):
                    real = getattr(os, name)
                    stack.enter_context(mock.patch.object(os, name, self._met(name, real)))
                flock = self._met("flock", fcntl.flock)
                stack.enter_context(mock.patch.object(fcntl, "flock", flock))
                stack.enter_context(mock.patch.object(os, "close", self._close))
                yield
        finally:
            for handle in list(self._handles) if self.dead else ():
                self._close(handle)  # as the kernel does, which gives the locks back as well

    def _close(self, handle: int) -> None:
        self._handles.discard(handle)
        CLOSE(handle)

    def _met(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if not self._concerns(arguments, named):
                return real(*arguments, **named)
            if self.dead:
                raise Killed
            creates = name == "open" and arguments[1] & os.O_CREAT
            self.names.append(CREATE if creates else name)
            if not self._due():
                return self._did(name, real(*arguments, **named))
            return self._go_wrong(name, lambda *a: real(*a, **named), arguments)

        return call

    def _concerns(self, arguments: tuple[Any, ...], named: dict[str, Any]) -> bool:
        if named.get("dir_fd") in self._handles:
            return True
        first = arguments[0] if arguments else "."
        if isinstance(first, int):
            return first in self._handles
        try:
            return str(os.fspath(first)).startswith(self.folder)
        except TypeError:
            return False

    def _due(self) -> bool:
        fault, number = self.fault, len(self.names)
        if fault is None or number < fault.at:
            return False
        meant = SPACE if fault.error == errno.ENOSPC else CHANGING
        return number == fault.at or (fault.lasting and self.names[-1] in meant)

    def _did(self, name: str, result: Any) -> Any:
        if name == "open":
            self._handles.add(result)
        return result

    def _go_wrong(self, name: str, real: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        fault = self.fault
        assert fault is not None
        first = len(self.names) == fault.at
        if fault.kills:
            if fault.kind == "killed_after":
                self._did(name, real(*arguments))
            self.dead = True
            raise Killed
        if fault.kind == "short" and first and name in ("write", "pwrite"):
            handle, data, *rest = arguments
            return real(handle, bytes(data)[: len(data) // 2], *rest)
        if fault.kind == "unsure" and first:
            result = real(*arguments)
            if name == "open":
                CLOSE(result)
        raise OSError(fault.error, os.strerror(fault.error))
