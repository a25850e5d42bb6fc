"""The process above a command where there is no process namespace: nothing outlives it.

It is started by its file name without site-packages and reads its order as JSON from a pipe. It
takes in every orphan below it, and when the command ends, when it is told to end, or when the
program above it dies, it ends them all. What it is to apply to the command and cannot, it does not
run. It knows nothing of the program's other modules.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

TERMINATE_SECONDS = 0.5
FORCE_SECONDS = 5.0
NOT_STARTED = 126

PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 22, 36, 38
SECCOMP_MODE_FILTER, CAPABILITY_VERSION = 2, 0x20080522
LANDLOCK_CREATE, LANDLOCK_ADD, LANDLOCK_RESTRICT = 444, 445, 446  # the same on every machine
LANDLOCK_RULE_PATH = 1
# Executing, reading files and listing folders; then what also fits a rule about a single file.
READ_RIGHTS = 0b1101
FILE_RIGHTS = 0b111 | 1 << 14 | 1 << 15
# All rights of the first version; later ones added moving, truncating and device control.
ALL_RIGHTS = ((1, (1 << 13) - 1), (2, 1 << 13), (3, 1 << 14), (5, 1 << 15))
TCP_RIGHTS, SCOPES = 0b11, 0b11
WAKING = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main() -> NoReturn:
    """Run one command and exit as it did."""
    with os.fdopen(int(sys.argv[1]), encoding="utf-8") as file:
        order = json.load(file)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, WAKING)
    if os.getppid() != order["parent"]:
        os._exit(NOT_STARTED)
    command = os.fork()
    if not command:
        _become(order, libc)
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    status, asked = _wait(command)
    left = _end_all(force_after=TERMINATE_SECONDS)
    with suppress(OSError):
        os.write(order["status"], b"left\n" if left and not asked else b"\n")
    code = os.waitstatus_to_exitcode(status) if status is not None else 128 + signal.SIGTERM
    os._exit(code if code >= 0 else 128 - code)


def _wait(command: int) -> tuple[int | None, bool]:
    """Wait for the command, or for the order to end; tell which it was."""
    while True:
        number = signal.sigwait(WAKING)
        if number != signal.SIGCHLD:
            return None, True
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == command:
                    return status, False
                if not pid:
                    break


def _end_all(force_after: float) -> bool:
    """Ask every descendant to end, then force it; tell whether there was one."""
    began, asked = time.monotonic(), set[int]()
    while (now := time.monotonic()) - began < force_after + FORCE_SECONDS:
        _reap()
        living = _descendants(os.getpid())
        if not living:
            break
        force = now - began >= force_after
        for pid in living:
            if force or pid not in asked:
                asked.add(pid)
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL if force else signal.SIGTERM)
        time.sleep(0.002 if force else 0.01)
    return bool(asked)


def _reap() -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _descendants(top: int) -> list[int]:
    """Every living process below this one; orphans are its children."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - every few milliseconds
        if name.isdigit():
            with suppress(OSError, IndexError, ValueError):
                stat = Path(f"/proc/{name}/stat").read_bytes()
                fields = stat.rpartition(b")")[2].split()
                if fields[0] not in (b"Z", b"X"):
                    parents[int(name)] = int(fields[1])
    found, frontier = list[int](), {top}
    while frontier:
        frontier = {pid for pid, parent in parents.items() if parent in frontier}
        found += frontier
    return found


# --- the command ----------------------------------------------------------------------------


def _become(order: dict[str, Any], libc: ctypes.CDLL) -> NoReturn:
    """Turn this process into the command, behind what was ordered."""
    try:
        os.setsid()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, WAKING)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        for name, limit in order["limits"].items():
            _limit(getattr(resource, name), limit)
        if order["landlock"] is not None:
            _checked(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
            _drop_capabilities(libc)
            _landlock(order["landlock"], libc)
            if order["seccomp"]:
                _seccomp(bytes.fromhex(order["seccomp"]), libc)
        os.execv(order["command"][0], order["command"])  # noqa: S606 - the shell is in it
    except BaseException as error:
        os.write(2, f"the command could not be started: {error}\n".encode("utf-8", "replace"))
    os._exit(NOT_STARTED)


def _limit(which: int, limit: int) -> None:
    _, hard = resource.getrlimit(which)
    allowed = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(which, (allowed, allowed))


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """Root's own; nobody else has any."""
    header = struct.pack("=Ii", CAPABILITY_VERSION, 0)
    _checked(libc.capset(header, bytes(24)))


def _landlock(rules: dict[str, Any], libc: ctypes.CDLL) -> None:
    version = libc.syscall(LANDLOCK_CREATE, None, 0, 1)
    if version < 1:
        raise OSError("Landlock is not available")
    rights = sum(some for since, some in ALL_RIGHTS if version >= since)
    network = TCP_RIGHTS if version >= 4 and not rules["network"] else 0
    scopes = SCOPES if version >= 6 else 0
    attributes = struct.pack("=QQQ", rights, network, scopes)
    attributes = attributes[: 24 if version >= 6 else 16 if version >= 4 else 8]
    ruleset = _checked(libc.syscall(LANDLOCK_CREATE, attributes, len(attributes), 0))
    for kind, allowed in (("read", READ_RIGHTS), ("write", rights)):
        for path in rules[kind]:
            _allow(libc, ruleset, path, allowed & rights)
    _checked(libc.syscall(LANDLOCK_RESTRICT, ruleset, 0))
    os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # it has gone since; then nothing is allowed there
    try:
        if not Path(path).is_dir():
            rights &= FILE_RIGHTS
        rule = struct.pack("=Qi", rights, place)
        _checked(libc.syscall(LANDLOCK_ADD, ruleset, LANDLOCK_RULE_PATH, rule, 0))
    finally:
        os.close(place)


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("lines", ctypes.c_void_p))


def _seccomp(program: bytes, libc: ctypes.CDLL) -> None:
    lines = ctypes.create_string_buffer(program, len(program))
    whole = _Filter(len(program) // 8, ctypes.cast(lines, ctypes.c_void_p))
    _checked(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(whole), 0, 0))


def _checked(answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer


if __name__ == "__main__":
    main()
