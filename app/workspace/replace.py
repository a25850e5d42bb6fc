"""Atomic and durable replacement of one file in an open folder."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Callable

from .beneath import WorkspaceError

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
TEMPORARY_PREFIX = ".continualcode-"
TEMPORARY_SUFFIX = ".tmp"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def is_temporary(name: str) -> bool:
    """Tell whether a file name is one that an interrupted write may have left behind."""
    return name.startswith(TEMPORARY_PREFIX) and name.endswith(TEMPORARY_SUFFIX)


def replace_file(
    folder: int,
    name: str,
    data: bytes,
    *,
    before: os.stat_result | None,
    check: Callable[[], None],
    shown: str,
) -> None:
    """Put ``data`` under ``name``: all of it or nothing, and on disk when this returns.

    ``before`` is what the name was; its mode and owner are kept. ``check`` runs last before
    the rename and raises where the file is no longer what it was.
    """
    temporary = f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
    try:
        descriptor = os.open(temporary, _NEW, 0o666 if before is None else 0o600, dir_fd=folder)
    except OSError as error:
        raise _failed(error, shown) from error
    try:
        try:
            _fill(descriptor, data, before)
        finally:
            os.close(descriptor)
        check()
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        if isinstance(error, OSError):
            raise _failed(error, shown) from error
        raise
    with contextlib.suppress(OSError):  # some file systems cannot sync a folder
        os.fsync(folder)


def _fill(descriptor: int, data: bytes, before: os.stat_result | None) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    if before is not None:
        now = os.fstat(descriptor)
        if (now.st_uid, now.st_gid) != (before.st_uid, before.st_gid):
            with contextlib.suppress(PermissionError):
                os.fchown(descriptor, before.st_uid, before.st_gid)
        os.fchmod(descriptor, before.st_mode & 0o7777)
    os.fsync(descriptor)


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
