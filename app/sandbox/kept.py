"""Commands without a namespace of their own: a keeper ends what they start.

With Landlock and a filter of system calls this is the partial boundary; without them it is none.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import secrets
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from typing_extensions import override

from . import keeper
from .launch import TERMINATE_SECONDS, Launch, read_all
from .policy import Policy
from .seccomp import INTERNET, program

PATIENCE = TERMINATE_SECONDS + 2.0
MARK = "_CONTINUALCODE_TUI_COMMAND"
LIMITS = {"RLIMIT_CORE": 0, "RLIMIT_FSIZE": 32 * 2**30}
DEVICES = ("/dev/full", "/dev/null", "/dev/random", "/dev/urandom", "/dev/zero")
IS_LINUX = sys.platform == "linux"


class Kept(Launch):
    """Ends through its keeper, which has every descendant below it."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        fds: Sequence[int],
        status: int,
        held: ExitStack,
    ) -> None:
        self._mark = secrets.token_hex(16)
        super().__init__(command, {**environment, MARK: self._mark}, fds=fds, held=held)
        self._status = status
        held.callback(os.close, status)

    @override
    async def end(self, process: asyncio.subprocess.Process) -> bool:
        self.close_fds()
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(PATIENCE):
                    await process.wait()
            except TimeoutError:  # a command can stop its keeper
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
            except BaseException:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
                self._end_marked()
                raise
        if process.returncode is not None and process.returncode < 0:
            # Somebody killed the keeper; what it kept still carries the mark.
            await asyncio.to_thread(self._end_marked)
        return read_all(self._status) == b"left\n"

    def _end_marked(self) -> None:
        mark = f"{MARK}={self._mark}".encode()
        for _ in range(100):
            marked = [pid for pid in _processes() if mark in _environment_of(pid)]
            if not marked:
                return
            for pid in marked:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)


def keep(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    held: ExitStack | None = None,
    limits: Mapping[str, int] | None = None,
    landlock: Mapping[str, Any] | None = None,
    filtered: bytes | None = None,
) -> Launch:
    """Make a command ready to run below a keeper; without Linux, in a process group of its own."""
    held = held or ExitStack()
    if not IS_LINUX:
        return Launch(command, environment, held=held)
    status, status_in = os.pipe()
    order = {
        "command": list(command),
        "parent": os.getpid(),
        "status": status_in,
        "limits": dict(limits or {}),
        "landlock": landlock,
        "seccomp": filtered.hex() if filtered else "",
    }
    reading = os.memfd_create("order")
    os.write(reading, json.dumps(order).encode("ascii"))
    os.lseek(reading, 0, os.SEEK_SET)
    start = [sys.executable, "-I", "-S", "-X", "utf8", str(keeper.__file__), str(reading)]
    return Kept(start, environment, fds=(status_in, reading), status=status, held=held)


def landlock_version() -> int:
    """The version of Landlock that this kernel offers; 0 without any."""
    if not IS_LINUX:
        return 0
    libc = ctypes.CDLL(None, use_errno=True)
    return max(0, libc.syscall(keeper.LANDLOCK_CREATE, None, 0, 1))


def confine_partly(
    command: Sequence[str],
    policy: Policy,
    environment: Mapping[str, str],
    *,
    network: bool,
    held: ExitStack,
) -> Launch:
    """Make a command ready to run behind Landlock; ``held`` is let go after it."""
    temporary = held.enter_context(
        TemporaryDirectory(prefix="command-", ignore_cleanup_errors=True)
    )
    writable = [path for path, mode in policy.modes.items() if mode == "write"]
    rules = {
        "read": [str(path) for path in _readable(policy)],
        "write": [*map(str, writable), temporary, *DEVICES],
        "network": network,
    }
    # Landlock holds neither datagrams nor sockets with a path; so there are none at all.
    filtered = program(INTERNET if network else ())
    return keep(
        command,
        {**environment, "TMPDIR": temporary},
        held=held, limits=LIMITS, landlock=rules, filtered=filtered,
    )  # fmt: skip


def _readable(policy: Policy) -> Iterator[Path]:
    """What may be read: all but the hidden folders, as rules can only add."""
    shut = [*policy.hidden, *policy.masked, Path("/dev")]  # of which one is the user's terminal
    yield from _outside(Path("/"), shut)
    for path in policy.readable:
        yield from _outside(path, list(policy.masked))
    yield from (path for path, mode in policy.modes.items() if mode == "read")


def _outside(folder: Path, shut: Sequence[Path]) -> Iterator[Path]:
    if any(folder == each or folder.is_relative_to(each) for each in shut):
        return
    if not any(each.is_relative_to(folder) for each in shut):
        yield folder
        return
    with suppress(OSError):
        for inner in sorted(folder.iterdir()):
            if not inner.is_symlink():
                yield from _outside(inner, shut)


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208


def _environment_of(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/environ").read_bytes()
    except OSError:
        return b""
