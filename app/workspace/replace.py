"""Atomic and durable replacement of one file in an open folder."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Callable

from .beneath import WorkspaceError
from .kernel import exchange, rename_new

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
TEMPORARY_PREFIX = ".continualcode-"
TEMPORARY_SUFFIX = ".tmp"
LEFTOVER_SECONDS = 60.0
"""After how long a temporary file is left over, whoever made it."""
_ACCESS_LIST = "system.posix_acl_access"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MAKER = re.compile(re.escape(TEMPORARY_PREFIX) + r"(\d{1,9})-")


def is_temporary(name: str) -> bool:
    """Tell whether a file name is one that an interrupted write may have left behind."""
    return name.startswith(TEMPORARY_PREFIX) and name.endswith(TEMPORARY_SUFFIX)


def is_left_over(name: str, status: os.stat_result) -> bool:
    """Tell whether nobody writes a temporary file any more: its process is gone, or it is old."""
    if not is_temporary(name) or not stat.S_ISREG(status.st_mode):
        return False
    if time.time() - status.st_mtime >= LEFTOVER_SECONDS:
        return True
    maker = _MAKER.match(name)
    if maker is None:
        return False
    try:
        os.kill(int(maker[1]), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def replace_file(
    folder: int,
    name: str,
    data: bytes,
    *,
    before: int | None,
    check: Callable[[str], None],
    shown: str,
    executable: bool | None = None,
) -> None:
    """Put ``data`` under ``name``: all of it or nothing, and on disk when this returns.

    ``before`` is the open file that the name stood for; its mode, owner and attributes are
    kept, but for ``executable`` where that is given. ``check`` raises where the file under a name
    is not what is to be replaced. It looks once before, and where the kernel can let two names
    change places once more after, with the old file still there to be put back: so nothing that
    came in between is lost.
    """
    temporary = f"{TEMPORARY_PREFIX}{os.getpid()}-{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
    try:
        descriptor = os.open(temporary, _NEW, 0o666 if before is None else 0o600, dir_fd=folder)
    except OSError as error:
        raise _failed(error, shown) from error
    made = os.fstat(descriptor).st_ino
    try:
        try:
            _fill(descriptor, data, before, executable)
        finally:
            os.close(descriptor)
        check(name)
        _put(folder, temporary, name, new=before is None, check=check, shown=shown)
    except BaseException as error:
        with contextlib.suppress(OSError):
            if os.stat(temporary, dir_fd=folder, follow_symlinks=False).st_ino == made:
                os.unlink(temporary, dir_fd=folder)
        if isinstance(error, OSError):
            raise _failed(error, shown) from error
        raise
    with contextlib.suppress(OSError):  # some file systems cannot sync a folder
        os.fsync(folder)


def _put(
    folder: int, temporary: str, name: str, *, new: bool, check: Callable[[str], None], shown: str
) -> None:
    try:
        if new:
            rename_new(folder, temporary, name)
            return
        if not exchange(folder, temporary, name):
            os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            return
    except (FileExistsError, FileNotFoundError):
        raise WorkspaceError(f"{shown} changed meanwhile; read it again") from None
    try:
        check(temporary)
    except BaseException:
        exchange(folder, temporary, name)
        raise
    os.fsync(folder)  # before the old file goes
    os.unlink(temporary, dir_fd=folder)


def _fill(descriptor: int, data: bytes, before: int | None, executable: bool | None) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    now = os.fstat(descriptor)
    old = now if before is None else os.fstat(before)
    bits = old.st_mode & 0o7777
    if (now.st_uid, now.st_gid) != (old.st_uid, old.st_gid):
        try:
            os.fchown(descriptor, old.st_uid, old.st_gid)
        except PermissionError:
            bits &= ~(stat.S_ISUID | stat.S_ISGID)  # it would run as somebody else
    if before is not None:
        _copy_attributes(before, descriptor)
    if executable is not None:
        bits = bits | (bits & 0o444) >> 2 if executable else bits & ~0o111
    os.fchmod(descriptor, bits)
    os.fsync(descriptor)


def _copy_attributes(old: int, new: int) -> None:
    """Copy access lists and the user's extended attributes, where the system has any.

    What the folder gives to every new file, an access list of its own, the old one did not have.
    """
    if not hasattr(os, "listxattr"):
        return
    with contextlib.suppress(OSError):
        kept = os.listxattr(old)
        for name in kept:
            with contextlib.suppress(OSError):
                os.setxattr(new, name, os.getxattr(old, name))
        if _ACCESS_LIST not in kept and _ACCESS_LIST in os.listxattr(new):
            os.removexattr(new, _ACCESS_LIST)


def _failed(error: OSError, shown: str) -> WorkspaceError:
    if error.errno in _FULL:
        return WorkspaceError(
            f"{shown} could not be written because the disk is full; "
            "the file is as it was, so free some space and try again"
        )
    if error.errno == errno.EROFS:
        return WorkspaceError(f"{shown} could not be written: the file system is read-only")
    why = (error.strerror or "unknown error").lower()
    return WorkspaceError(f"{shown} could not be written: {why}; the file is as it was")
