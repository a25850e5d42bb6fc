"""The tree of committed adapters on disk: written whole or not at all.

A snapshot is a directory ``snapshots/ID`` with ``adapter.safetensors`` and
``manifest.json``, and ``optimizer.safetensors`` where an engine's optimiser has a state that
outlives a lesson; it is written under a temporary name, synced
and renamed into place, and only then does ``current`` name it. Killing the process at any
moment leaves ``current`` on a complete snapshot. Of a pruned snapshot only the manifest stays.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .engine import EngineFailure
from .protocol import ChatMessage, ToolSchema

if TYPE_CHECKING:
    from torch import Tensor

ADAPTER, OPTIMIZER, MANIFEST = "adapter.safetensors", "optimizer.safetensors", "manifest.json"
PINNED = "pinned"
KEEP_LAST = 8
LONGEST_NAME = 100
SNAPSHOT_NAME = re.compile(r"\d{6}-[0-9a-f]{8}")
LOCK_PATIENCE = 2.0
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Replay(BaseModel):
    """What later lessons need to see that they do not undo this one."""

    model_config = ConfigDict(frozen=True)

    messages: tuple[ChatMessage, ...]
    tools: tuple[ToolSchema, ...]
    tokens: tuple[int, ...]
    decision: int


class Manifest(BaseModel):
    """What a snapshot is, what it came from and what its files hash to.

    ``saved`` is where a service keeps its weights and optimiser; there the files are a recipe,
    and ``start`` is the checkpoint before the first snapshot of the line, if it began with one.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    parent: str | None
    lesson: str
    created: float
    model: str
    rank: int
    targets: str
    scope: str
    files: dict[str, str]
    pruned: bool = False
    replay: Replay | None = None
    related_anchors: tuple[str, ...] = ()
    figures: dict[str, float] = Field(default_factory=dict)
    saved: str = ""
    start: str = ""


class DamagedSnapshot(Exception):
    """A snapshot whose files are missing or do not hash to what its manifest says."""


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_durably(path: Path, data: bytes) -> None:
    """Write a new file and sync it; a short write is an error."""
    with path.open("wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_durably(path: Path, data: bytes) -> None:
    """Replace a file's content at once: the old or the new, never a mixture."""
    temporary = path.with_name(f"{path.name}.tmp-{uuid.uuid4().hex[:8]}")
    try:
        write_durably(temporary, data)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def digest(data: bytes) -> str:
    """The SHA-256 of some bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def safe_name(name: str) -> str:
    """Make a name one path component that no other name shares."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name.strip())
    if plain == name and plain.strip(".") and len(plain) <= LONGEST_NAME:
        return plain
    stem = plain.lstrip(".")[:LONGEST_NAME] or "model"
    return f"{stem}-{digest(name.encode())[:8]}"


class SnapshotStore:
    """The snapshots of one repository and one model."""

    def __init__(self, folder: Path, save_every: int = 10, keep_last: int = KEEP_LAST) -> None:
        self.folder = folder
        self.keep_last = keep_last
        self.snapshots = folder / "snapshots"
        self.save_every = max(1, save_every)
        self.read_only: str | None = None
        self._lock: int | None = None

    def open(self) -> None:
        """Take the lock, or note why not, and sweep what a killed process left behind."""
        try:
            self.snapshots.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self.disk_failure(error) from error
        if not self._take(lock):
            holder = os.pread(lock, 64, 0).decode(errors="replace").strip() or "unknown"
            os.close(lock)
            self.read_only = (
                f"Another session (process {holder}) is learning in this repository: this one "
                "can use the adapter but not change it. Close the other session to learn here."
            )
            return
        self._lock = lock
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        for stale in [*self.snapshots.glob("*.tmp-*"), *self.folder.glob("current.tmp-*")]:
            if stale.is_dir():
                shutil.rmtree(stale, ignore_errors=True)
            else:
                stale.unlink(missing_ok=True)

    @staticmethod
    def _take(lock: int) -> bool:
        """Try the lock, with patience for a process that is just dying."""
        deadline = time.monotonic() + LOCK_PATIENCE
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.05)
            else:
                return True

    def close(self) -> None:
        """Give the lock back."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def require_writable(self) -> None:
        """Fail in words when another session holds the lock."""
        if self._lock is None:
            raise EngineFailure("read_only", self.read_only or "The adapter is read-only here.")

    def disk_failure(self, error: OSError) -> EngineFailure:
        """An error of the file system in words."""
        if error.errno in FULL:
            return EngineFailure(
                "disk_full",
                f"The disk is full, so nothing was changed: free some space for {self.folder} "
                "and try again.",
            )
        return EngineFailure(
            "disk_full" if error.errno == errno.EIO else "internal",
            f"{self.folder} cannot be written ({error.strerror}), so nothing was changed.",
        )

    # --- reading ----------------------------------------------------------------------

    def current(self) -> str | None:
        """The name of the current snapshot; None is the model as it came."""
        try:
            return (self.folder / "current").read_text().strip() or None
        except FileNotFoundError:
            return None

    def manifest(self, snapshot: str) -> Manifest:
        """A snapshot's manifest; raises ``DamagedSnapshot``."""
        if not SNAPSHOT_NAME.fullmatch(snapshot):
            raise DamagedSnapshot(snapshot)
        path = self.snapshots / snapshot / MANIFEST
        try:
            return Manifest.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise DamagedSnapshot(snapshot) from error

    def manifests(self) -> Iterator[Manifest]:
        """The manifests that can be read, oldest first."""
        for name in self._names():
            with contextlib.suppress(DamagedSnapshot):
                yield self.manifest(name)

    def tensors(self, snapshot: str, file: str = ADAPTER) -> dict[str, Tensor]:
        """A snapshot's tensors, after comparing their hash; raises ``DamagedSnapshot``."""
        from safetensors.torch import load

        manifest = self.manifest(snapshot)
        try:
            data = (self.snapshots / snapshot / file).read_bytes()
        except OSError as error:
            raise DamagedSnapshot(snapshot) from error
        if digest(data) != manifest.files.get(file):
            raise DamagedSnapshot(snapshot)
        return load(data)

    def optimizer(self, snapshot: str | None) -> dict[str, Tensor] | None:
        """What outlives a lesson beside the adapter; None where there is nothing of the kind."""
        try:
            if snapshot is None or OPTIMIZER not in self.manifest(snapshot).files:
                return None
            return self.tensors(snapshot, OPTIMIZER)
        except DamagedSnapshot:
            return None

    def chain(self, snapshot: str | None) -> Iterator[Manifest]:
        """A snapshot's manifest and those it came from, newest first."""
        while snapshot is not None:
            try:
                manifest = self.manifest(snapshot)
            except DamagedSnapshot:
                return
            yield manifest
            snapshot = manifest.parent

    def intact(self, manifest: Manifest) -> bool:
        """Whether the tensors of a snapshot are there and what they were."""
        try:
            return not manifest.pruned and bool(self.tensors(manifest.id))
        except DamagedSnapshot:
            return False

    def newest_intact(self) -> tuple[str | None, list[str]]:
        """The newest readable snapshot at or before ``current``, and the damaged ones passed."""
        damaged: list[str] = []
        snapshot = self.current()
        while snapshot is not None:
            try:
                self.tensors(snapshot)
            except DamagedSnapshot:
                damaged.append(snapshot)
                snapshot = self._parent_of(snapshot)
            else:
                break
        return snapshot, damaged

    def _parent_of(self, snapshot: str) -> str | None:
        """The parent by the manifest, or where that is damaged the next older snapshot."""
        try:
            return self.manifest(snapshot).parent
        except DamagedSnapshot:
            older = [name for name in self._names() if name < snapshot]
            return older[-1] if older else None

    def _names(self) -> list[str]:
        try:
            found = [path.name for path in self.snapshots.iterdir()]
        except FileNotFoundError:
            return []  # nothing was ever learned here, and this session may not write
        return sorted(name for name in found if SNAPSHOT_NAME.fullmatch(name))

    # --- writing ----------------------------------------------------------------------

    def commit(
        self,
        *,
        parent: str | None,
        lesson: str,
        adapter: dict[str, Tensor],
        optimizer: dict[str, Tensor] | None = None,
        describe: dict[str, Any],
    ) -> Manifest:
        """Write a snapshot and make it current; raises ``disk_full`` with nothing changed."""
        from safetensors.torch import save

        self.require_writable()
        files = {ADAPTER: save(adapter)} | ({OPTIMIZER: save(optimizer)} if optimizer else {})
        names = self._names()
        sequence = int(names[-1].split("-")[0]) + 1 if names else 1
        manifest = Manifest(
            id=f"{sequence:06d}-{digest(lesson.encode())[:8]}",
            parent=parent,
            lesson=lesson,
            created=time.time(),
            files={name: digest(data) for name, data in files.items()},
            **describe,
        )
        files[MANIFEST] = manifest.model_dump_json(indent=1).encode()
        temporary = self.snapshots / f"{manifest.id}.tmp-{uuid.uuid4().hex[:8]}"
        final = self.snapshots / manifest.id
        try:
            temporary.mkdir(mode=0o700)
            for name, data in files.items():
                write_durably(temporary / name, data)
            sync_directory(temporary)
            temporary.rename(final)
            sync_directory(self.snapshots)
            self._point(manifest.id)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            if self.current() != manifest.id:
                shutil.rmtree(final, ignore_errors=True)
            raise self.disk_failure(error) from error
        self.prune(manifest.id)
        return manifest

    def _point(self, snapshot: str | None) -> None:
        replace_durably(self.folder / "current", f"{snapshot or ''}\n".encode())

    def point(self, snapshot: str | None) -> None:
        """Make a snapshot current; None is the model as it came."""
        self.require_writable()
        try:
            self._point(snapshot)
        except OSError as error:
            raise self.disk_failure(error) from error

    def note_saved(self, snapshot: str, path: str) -> None:
        """Write down where a service keeps the state of a snapshot."""
        self.require_writable()
        manifest = self.manifest(snapshot).model_copy(update={"saved": path})
        try:
            data = manifest.model_dump_json(indent=1).encode()
            replace_durably(self.snapshots / snapshot / MANIFEST, data)
        except OSError as error:
            raise self.disk_failure(error) from error

    def pin(self, snapshot: str | None) -> None:
        """Keep a snapshot, and those before it, until another is pinned or none is."""
        path = self.folder / PINNED
        try:
            if snapshot is None:
                path.unlink(missing_ok=True)
            else:
                replace_durably(path, f"{snapshot}\n".encode())
        except OSError as error:
            raise self.disk_failure(error) from error

    def prune(self, current: str) -> None:
        """Drop the tensors of old snapshots, keeping the last ones and every ``save_every``-th.

        Manifests stay, so that lessons can still be counted and told apart.
        """
        keep = set(self._names()[-self.keep_last :]) | self._worth_keeping(current)
        with contextlib.suppress(FileNotFoundError):
            keep |= self._worth_keeping((self.folder / PINNED).read_text().strip())
        for name in self._names():
            if name not in keep:
                self._drop_tensors(name)

    def _worth_keeping(self, newest: str) -> set[str]:
        """The last of a chain, and every ``save_every``-th of it."""
        chain = list(self.chain(newest))
        depth = len(chain)
        keep = {manifest.id for manifest in chain[: self.keep_last]}
        return keep | {m.id for at, m in enumerate(chain) if (depth - at) % self.save_every == 0}

    def _drop_tensors(self, snapshot: str) -> None:
        folder = self.snapshots / snapshot
        try:
            manifest = self.manifest(snapshot)
            if manifest.pruned:
                return
            pruned = manifest.model_copy(update={"pruned": True})
            replace_durably(folder / MANIFEST, json.dumps(pruned.model_dump(mode="json")).encode())
            for name in manifest.files:
                (folder / name).unlink(missing_ok=True)
        except (OSError, DamagedSnapshot):
            return  # what cannot be pruned today is pruned tomorrow
