"""A filter of system calls: what namespaces leave open.

A network namespace does not hold virtual-machine sockets, kernel keyrings belong to no namespace,
and a new user namespace would bring capabilities back.
"""

from __future__ import annotations

import platform
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
LOCAL = (AF_UNIX, AF_INET, AF_INET6, AF_NETLINK)
"""Socket families that a network namespace confines."""
INTERNET = (AF_INET, AF_INET6, AF_NETLINK)

_EPERM, _ENOSYS, _EAFNOSUPPORT = 1, 38, 97
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_CLONE_NEWUSER = 0x10000000
_X32 = 0x40000000

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000
_NUMBER, _MACHINE, _ARGUMENTS = 0, 4, 16


@dataclass(frozen=True, slots=True)
class _Calls:
    machine: int
    socket: int
    clone: int
    clone3: int
    ioctl: int
    unshare: int
    io_uring_setup: int
    refused: tuple[int, ...]
    """keyctl, add_key, request_key, bpf, perf_event_open, userfaultfd, open_by_handle_at, setns"""


_GENERIC = (198, 220, 435, 29, 97, 425, (219, 217, 218, 280, 241, 282, 265, 268))
_CALLS = {
    "x86_64": _Calls(
        0xC000003E, 41, 56, 435, 16, 272, 425, (250, 248, 249, 321, 298, 323, 304, 308)
    ),
    "aarch64": _Calls(0xC00000B7, *_GENERIC),
    "riscv64": _Calls(0xC00000F3, *_GENERIC),
    "loongarch64": _Calls(0xC0000102, *_GENERIC),
}

_Line = tuple[int, int, int, int]


def program(families: Sequence[int], machine: str = "") -> bytes | None:
    """Assemble the filter that allows these socket families; None on an unknown machine.

    What is refused fails with an error number, so that programs can do without it.
    """
    calls = _CALLS.get(machine or platform.machine())
    if calls is None:
        return None
    lines: list[_Line] = [
        (_LOAD, 0, 0, _MACHINE),
        (_EQUAL, 1, 0, calls.machine),
        _fail(_ENOSYS),  # the numbers below mean something else for a program of another machine
        (_LOAD, 0, 0, _NUMBER),
    ]
    if calls.machine == _CALLS["x86_64"].machine:
        lines += [(_AT_LEAST, 0, 1, _X32), _fail(_ENOSYS)]
    for number in calls.refused:
        lines += [(_EQUAL, 0, 1, number), _fail(_EPERM)]
    for number in (calls.clone3, calls.io_uring_setup):
        # Its arguments cannot be looked into; programs fall back on another call.
        lines += [(_EQUAL, 0, 1, number), _fail(_ENOSYS)]
    for number in (calls.clone, calls.unshare):
        lines += _when(number, 0, [(_ANY_BIT, 0, 1, _CLONE_NEWUSER), _fail(_EPERM)])
    terminal = [line for order in (_TIOCSTI, _TIOCLINUX) for line in _refuse(order, _EPERM)]
    lines += _when(calls.ioctl, 1, terminal)
    lines += _when(calls.socket, 0, [*_only(families), _fail(_EAFNOSUPPORT)])
    lines.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("<HBBI", *line) for line in lines)


def _fail(error: int) -> _Line:
    return (_RETURN, 0, 0, _FAIL | error)


def _refuse(value: int, error: int) -> list[_Line]:
    return [(_EQUAL, 0, 1, value), _fail(error)]


def _only(values: Iterable[int]) -> list[_Line]:
    return [line for value in values for line in ((_EQUAL, 0, 1, value), (_RETURN, 0, 0, _ALLOW))]


def _when(number: int, argument: int, body: list[_Line]) -> list[_Line]:
    """For one call, look at the low half of an argument; what falls through is allowed."""
    whole = [(_LOAD, 0, 0, _ARGUMENTS + 8 * argument), *body, (_RETURN, 0, 0, _ALLOW)]
    return [(_EQUAL, 0, len(whole), number), *whole]
