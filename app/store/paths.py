"""Where things lie on disk, readable by nobody but the user."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path

APP_NAME = "continualcode-tui"
LONGEST_NAME = 100
NO_FOLDER = "{} is a file or a link that leads nowhere, so move it away or set data_dir"


def safe_name(name: str) -> str:
    """Make a model's name one path component that no other name shares."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name.strip())
    if plain == name and plain.strip(".") and len(plain) <= LONGEST_NAME:
        return plain
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    stem = plain.lstrip(".")[:LONGEST_NAME] or "model"
    return f"{stem}-{digest}"


def make_private_folder(folder: Path) -> Path:
    """Create the folder, and those above it, for the user alone, whatever the umask."""
    missing: list[Path] = []
    part = folder
    while not part.is_dir():
        missing.append(part)
        part = part.parent
    for part in reversed(missing):
        try:
            part.mkdir(mode=0o700, exist_ok=True)
        except FileExistsError:
            raise NotADirectoryError(errno.ENOTDIR, NO_FOLDER.format(part)) from None
        part.chmod(0o700)
        with suppress(PermissionError):  # a folder that may be entered and not listed
            sync_folder(part.parent)
    return folder


def write_private(path: Path, content: bytes) -> None:
    """Replace a file in one step, so that a crash leaves the old one or the new one."""
    # Not the process's number alone: two containers that share a home may have the same.
    beside = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        _write_synced(beside, content)
        beside.replace(path)
    except BaseException:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _write_synced(path: Path, content: bytes) -> None:
    descriptor = _open_private(str(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep_temporaries(folder: Path, *, older_than: float = 0.0) -> None:
    """Remove what a killed `write_private` left in a folder, of at least this age in seconds."""
    with suppress(OSError):  # what cannot be removed today is removed tomorrow
        for stale in folder.glob(".*.tmp"):
            if time.time() - stale.lstat().st_mtime >= older_than:
                stale.unlink()


def open_private_append(path: Path) -> TextIOWrapper:
    """Open a log for appending."""
    make_private_folder(path.parent)
    return open(path, "a", encoding="utf-8", opener=_open_private)


def sync_folder(folder: Path) -> None:
    """Make a created or renamed entry of the folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _open_private(path: str, flags: int) -> int:
    """Open a file that nobody else may read, whatever the umask and whatever it was before."""
    descriptor = os.open(path, flags | os.O_NOFOLLOW, 0o600)
    status = os.fstat(descriptor)
    if stat.S_IMODE(status.st_mode) != 0o600 and status.st_uid == os.geteuid():
        os.fchmod(descriptor, 0o600)
    return descriptor


@dataclass(frozen=True, slots=True)
class DataPaths:
    """The folders and files below the data directory."""

    root: Path

    def journal(self, repository: str, model: str) -> Path:
        """The lessons of a repository and a model."""
        return self.root / "lessons" / safe_name(repository) / safe_name(model) / "journal.jsonl"

    def sessions(self, repository: str) -> Path:
        """The conversations held in a repository."""
        return self.root / "sessions" / safe_name(repository)

    def rules(self, repository: str, checkout: Path) -> Path:
        """The calls that run without asking in one checkout of a repository.

        Clones share their lessons but not these: the same command runs other code there.
        """
        where = hashlib.sha256(os.fsencode(checkout)).hexdigest()[:16]
        return self.root / "rules" / safe_name(repository) / f"{where}.json"

    def history(self, repository: str) -> Path:
        """What the user wrote in a repository's prompt."""
        return self.root / "history" / f"{safe_name(repository)}.jsonl"

    def checkpoints(self, repository: str, root: Path) -> Path:
        """The snapshots of the files below a root, in a repository of their own."""
        place = hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
        return self.root / "checkpoints" / safe_name(repository) / place

    @property
    def welcomed(self) -> Path:
        """An empty file that is there once a first request was sent."""
        return self.root / "welcomed"

    @property
    def logs(self) -> Path:
        """The folder of the logs."""
        return self.root / "logs"

    @property
    def worker_log(self) -> Path:
        """What the worker wrote on its standard error."""
        return self.logs / "worker.log"

    @property
    def app_log(self) -> Path:
        """Where an uncaught error of the program is written."""
        return self.logs / "app.log"
