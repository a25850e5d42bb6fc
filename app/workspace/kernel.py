"""Opening and renaming in one system call each, where the kernel can: openat2 and renameat2.

Python has no names for them. Everything here imports the standard library only.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Sequence
from functools import cache

_OPENAT2 = 437  # the same on every architecture of Linux but Alpha
_NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH = 0x02, 0x04, 0x08
_NO_REPLACE, _EXCHANGE = 1, 2
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_UNSUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM)


class _How(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


@cache
def has_openat2() -> bool:
    """Whether the kernel resolves a path beneath a folder; old ones and some containers do not."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        os.close(_openat2(-100, ".", _FOLDER))
    except OSError:
        return False
    return True


def open_below(folder: int, parts: Sequence[str], flags: int) -> int:
    """Open what lies below an open folder, through no link at all.

    ``parts`` are plain names, neither ``.`` nor ``..``.
    """
    flags |= os.O_NOFOLLOW | os.O_CLOEXEC
    if has_openat2():
        return _openat2(folder, "/".join(parts), flags)
    current = os.dup(folder)
    try:
        for part in parts[:-1]:
            below = os.open(part, _FOLDER, dir_fd=current)
            os.close(current)
            current = below
        return os.open(parts[-1], flags, dir_fd=current)
    finally:
        os.close(current)


def _openat2(folder: int, path: str, flags: int) -> int:
    how = _How(flags, 0, _BENEATH | _NO_MAGICLINKS | _NO_SYMLINKS)
    while True:
        descriptor = _libc().syscall(
            ctypes.c_long(_OPENAT2),
            ctypes.c_int(folder),
            ctypes.c_char_p(os.fsencode(path)),
            ctypes.byref(how),
            ctypes.c_size_t(ctypes.sizeof(how)),
        )
        if descriptor >= 0:
            return descriptor
        number = ctypes.get_errno()
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number), path)


def exchange(folder: int, one: str, other: str) -> bool:
    """Let two names in a folder change places at once; False where that cannot be done."""
    return _rename(folder, one, other, _EXCHANGE)


def rename_new(folder: int, old: str, new: str) -> None:
    """Give a file a name that must be free; raises FileExistsError where it is not."""
    if _rename(folder, old, new, _NO_REPLACE):
        return
    try:
        os.link(old, new, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        os.replace(old, new, src_dir_fd=folder, dst_dir_fd=folder)
    else:
        os.unlink(old, dir_fd=folder)


def _rename(folder: int, old: str, new: str, flags: int) -> bool:
    renameat2 = getattr(_libc(), "renameat2", None) if sys.platform.startswith("linux") else None
    if renameat2 is None:
        return False
    done = renameat2(
        ctypes.c_int(folder),
        ctypes.c_char_p(os.fsencode(old)),
        ctypes.c_int(folder),
        ctypes.c_char_p(os.fsencode(new)),
        ctypes.c_uint(flags),
    )
    if done == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), new)
