"""The tree of committed adapters on disk: written whole or not at all.

A snapshot is a directory ``snapshots/ID`` with ``adapter.safetensors`` and
``manifest.json``, and ``optimizer.safetensors`` where an engine's optimiser has a state that
outlives a lesson; it is written under a temporary name, synced
and renamed into place, and only then does ``current`` name it. Killing the process at any
moment leaves ``current`` on a complete snapshot. ``good`` names the newest whole snapshot before
the current one: the way back where damage hides it. Of a pruned snapshot only the manifest stays.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .durable import (
    DAMAGE,
    WriterLock,
    make_folder,
    read_beneath,
    replace_durably,
    sync_directory,
    write_durably,
)
from .engine import EngineFailure
from .manifest import (
    ADAPTER,
    MANIFEST,
    OPTIMIZER,
    SNAPSHOT_NAME,
    DamagedSnapshot,
    FileName,
    Manifest,
    digest,
    seal,
    unseal,
)
from .pointer import DamagedPointer, line_for, read_pointer, write_pointer

if TYPE_CHECKING:
    from torch import Tensor

CURRENT, GOOD, PINNED = "current", "good", "pinned"
KEEP_LAST = 8
LONGEST_NAME = 100
LAST_NUMBER = 999_999
LOCK_PATIENCE = 2.0
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


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
        self._lock = WriterLock(folder / "lock")

    def open(self) -> None:
        """Take the lock, or note why not, and sweep what a killed process left behind."""
        try:
            make_folder(self.folder)
            make_folder(self.snapshots)
            if self.snapshots.is_symlink():
                raise EngineFailure(
                    "bad_adapter",
                    f"{self.snapshots} is a link, which is not followed: put the folder itself "
                    "there, or set data_dir to where it lies.",
                )
            taken = self._lock.take(LOCK_PATIENCE)
        except OSError as error:
            raise self.disk_failure(error) from error
        if not taken:
            self.read_only = (
                f"Another session (process {self._lock.holder()}) is learning in this repository: "
                "this one can use the adapter but not change it. Close the other session to learn "
                "here."
            )
            return
        with contextlib.suppress(OSError):  # what cannot be swept today is swept tomorrow
            for pointer in (CURRENT, GOOD, PINNED):
                path = self.folder / pointer
                if path.is_dir() and not path.is_symlink():  # which no file can take the place of
                    path.rename(path.with_name(f"{pointer}.damaged-{uuid.uuid4().hex[:8]}"))
            for where in ("*.tmp-*", "snapshots/*.tmp-*", "snapshots/*/*.tmp-*"):
                for stale in list(self.folder.glob(where)):
                    _remove(stale)

    def close(self) -> None:
        """Give the lock back."""
        self._lock.release()

    def require_writable(self) -> None:
        """Fail in words when this session does not hold the lock."""
        if self._lock.held and self.read_only is None:
            return
        raise EngineFailure(
            "read_only",
            self.read_only
            or f"The adapter is read-only here: the lock in {self.folder} is not, or no longer, "
            "this session's. Start the program again to learn.",
        )

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

    def read_failure(self, error: OSError) -> EngineFailure:
        """That the folder cannot be read, in words."""
        return EngineFailure(
            "internal",
            f"{self.folder} cannot be read ({error.strerror}): see who owns it, or try again.",
        )

    # --- reading ----------------------------------------------------------------------

    def current(self) -> str | None:
        """The name of the current snapshot; None is the model as it came.

        Raises ``DamagedPointer``.
        """
        try:
            return read_pointer(self.folder / CURRENT)
        except DamagedPointer:
            if self._names() or os.path.lexists(self.folder / CURRENT):
                raise
            return None  # nothing was ever learned here

    def manifest(self, snapshot: str) -> Manifest:
        """A snapshot's manifest; raises ``DamagedSnapshot``."""
        return unseal(self._read(snapshot, MANIFEST), snapshot)

    def manifests(self) -> Iterator[Manifest]:
        """The manifests that can be read, oldest first."""
        try:
            names = self._names()
        except OSError as error:
            raise self.read_failure(error) from error
        for name in names:
            with contextlib.suppress(DamagedSnapshot):
                yield self.manifest(name)

    def tensors(self, snapshot: str, file: FileName = ADAPTER) -> dict[str, Tensor]:
        """A snapshot's tensors, which are what was written and finite.

        Raises ``DamagedSnapshot``.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load

        manifest = self.manifest(snapshot)
        data = self._read(snapshot, file)
        if digest(data) != manifest.files.get(file):
            raise DamagedSnapshot(snapshot)
        try:
            tensors = load(data)
        except (SafetensorError, ValueError) as error:
            raise DamagedSnapshot(snapshot) from error
        if not all_finite(tensors):
            raise DamagedSnapshot(snapshot)
        return tensors

    def _read(self, snapshot: str, file: str) -> bytes:
        if not SNAPSHOT_NAME.fullmatch(snapshot):
            raise DamagedSnapshot(snapshot)
        try:
            return read_beneath(self.folder, self.snapshots.name, snapshot, file)
        except OSError as error:
            if error.errno not in DAMAGE:
                raise self.read_failure(error) from error
            raise DamagedSnapshot(snapshot) from error

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

    def intact(self, snapshot: str) -> bool:
        """Whether every file of a snapshot is there and what it was."""
        try:
            manifest = self.manifest(snapshot)
            return ADAPTER in manifest.files and all(
                self.tensors(snapshot, file) for file in manifest.files
            )
        except DamagedSnapshot:
            return False

    def newest_intact(self) -> tuple[str | None, list[str]]:
        """The newest whole snapshot at or before ``current``, and what was damaged on the way.

        That is snapshots, and ``current`` where it does not say which one it names.
        """
        damaged: list[str] = []
        try:
            try:
                snapshot = self.current()
            except DamagedPointer:
                damaged.append(CURRENT)
                snapshot = self._good(before=None)
            while snapshot is not None and not self.intact(snapshot):
                damaged.append(snapshot)
                snapshot = self._parent_of(snapshot)
        except OSError as error:
            raise self.read_failure(error) from error
        return snapshot, damaged

    def _parent_of(self, snapshot: str) -> str | None:
        """The parent by the manifest, or where that is damaged the last known to be good."""
        try:
            return self.manifest(snapshot).parent
        except DamagedSnapshot:
            return self._good(before=snapshot)

    def _good(self, before: str | None) -> str | None:
        """What ``good`` names, or where that is of no use the next older snapshot by its number."""
        try:
            good = read_pointer(self.folder / GOOD)
        except DamagedPointer:
            pass
        else:
            if good is None or before is None or good < before:
                return good
        older = [name for name in self._names() if before is None or name < before]
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
        """Write a snapshot and make it current; raises in words with nothing changed."""
        from safetensors.torch import save

        self.require_writable()
        if not all_finite(adapter) or not all_finite(optimizer or {}):
            raise EngineFailure(
                "bad_adapter",
                "The new weights are not finite, so they were not kept and nothing was changed.",
            )
        files: dict[FileName, bytes] = {ADAPTER: save(adapter)}
        if optimizer:
            files[OPTIMIZER] = save(optimizer)
        try:
            manifest = Manifest(
                id=f"{self._next_number():06d}-{digest(lesson.encode())[:8]}",
                parent=parent,
                lesson=lesson,
                created=time.time(),
                files={name: digest(data) for name, data in files.items()},
                **describe,
            )
            self._write(manifest, files)
            try:
                self._point(manifest.id, before=parent)
            except OSError:
                self._take_away(self.snapshots / manifest.id)
                raise
        except OSError as error:
            raise self.disk_failure(error) from error
        self.prune(manifest.id)
        return manifest

    def _next_number(self) -> int:
        names = self._names()
        number = int(names[-1].split("-")[0]) + 1 if names else 1
        if number > LAST_NUMBER:
            raise EngineFailure(
                "bad_adapter",
                f"{self.snapshots / names[-1]} has the last number that a snapshot can have, so "
                "nothing was changed: move it elsewhere and try again.",
            )
        return number

    def _write(self, manifest: Manifest, files: dict[FileName, bytes]) -> None:
        """Put a snapshot in its place, whole or not at all."""
        sealed = seal(manifest)
        unseal(sealed, manifest.id)  # what could not be read again is not written
        if not os.path.lexists(self.folder / CURRENT):
            write_pointer(self.folder / CURRENT, None)
        temporary = self.snapshots / f"{manifest.id}.tmp-{uuid.uuid4().hex[:8]}"
        final = self.snapshots / manifest.id
        try:
            temporary.mkdir(mode=0o700)
            for name, data in {**files, MANIFEST: sealed}.items():
                write_durably(temporary / name, data)
            sync_directory(temporary)
            temporary.rename(final)
        except BaseException:
            _remove(temporary)
            raise
        try:
            sync_directory(self.snapshots)
        except OSError:
            self._take_away(final)
            raise

    @staticmethod
    def _take_away(snapshot: Path) -> None:
        """Remove a snapshot that did not become the current one; never a part of it."""
        temporary = snapshot.with_name(f"{snapshot.name}.tmp-{uuid.uuid4().hex[:8]}")
        with contextlib.suppress(OSError):
            snapshot.rename(temporary)
            _remove(temporary)

    def _point(self, snapshot: str | None, before: str | None) -> None:
        """Name the current snapshot, and first the way back from it.

        Where that fails the old one stays the current one; where it is not known which of the
        two is, nothing more is written until the next start has looked.
        """
        path = self.folder / CURRENT
        write_pointer(self.folder / GOOD, before)
        old, new = self._line(), line_for(snapshot)
        try:
            replace_durably(path, new)
        except OSError as error:
            if self._line() == new and old is not None:
                with contextlib.suppress(OSError):
                    replace_durably(path, old)
            if self._line() == old:
                raise
            self.read_only = (
                f"{self.folder} cannot be written ({error.strerror}), and whether the last change "
                "was kept is not known: start the program again, and it goes on from what is "
                "there."
            )
            raise EngineFailure("disk_full", self.read_only) from error

    def _line(self) -> bytes | None:
        """What ``current`` holds; None where it cannot be read."""
        try:
            return read_beneath(self.folder, CURRENT)
        except OSError:
            return None

    def point(self, snapshot: str | None) -> None:
        """Make a snapshot current; None is the model as it came."""
        self.require_writable()
        older = list(self.chain(snapshot))[1:]
        try:
            self._point(snapshot, next((m.id for m in older if self.intact(m.id)), None))
        except OSError as error:
            raise self.disk_failure(error) from error

    def note_saved(self, snapshot: str, path: str) -> None:
        """Write down where a service keeps the state of a snapshot."""
        self.require_writable()
        manifest = self.manifest(snapshot).model_copy(update={"saved": path})
        try:
            replace_durably(self.snapshots / snapshot / MANIFEST, seal(manifest))
        except OSError as error:
            raise self.disk_failure(error) from error

    def pin(self, snapshot: str | None) -> None:
        """Keep a snapshot, and those before it, until another is pinned or none is."""
        self.require_writable()
        path = self.folder / PINNED
        try:
            if snapshot is None:
                path.unlink(missing_ok=True)
            else:
                write_pointer(path, snapshot)
        except OSError as error:
            raise self.disk_failure(error) from error

    def prune(self, current: str) -> None:
        """Drop the tensors of old snapshots, keeping the last ones and every ``save_every``-th.

        Manifests stay, so that lessons can still be counted and told apart. Nothing is dropped
        where it cannot be read what else is to be kept.
        """
        with contextlib.suppress(OSError, DamagedPointer, EngineFailure):
            names = self._names()
            keep = set(names[-self.keep_last :]) | self._worth_keeping(current)
            if os.path.lexists(self.folder / GOOD):
                keep.add(read_pointer(self.folder / GOOD) or "")
            if os.path.lexists(self.folder / PINNED):
                keep |= self._worth_keeping(read_pointer(self.folder / PINNED))
            for name in names:
                if name not in keep:
                    self._drop_tensors(name)

    def _worth_keeping(self, newest: str | None) -> set[str]:
        """The last of a chain, and every ``save_every``-th of it."""
        chain = list(self.chain(newest))
        depth = len(chain)
        keep = {manifest.id for manifest in chain[: self.keep_last]}
        return keep | {m.id for at, m in enumerate(chain) if (depth - at) % self.save_every == 0}

    def _drop_tensors(self, snapshot: str) -> None:
        folder = self.snapshots / snapshot
        there = [folder / name for name in (ADAPTER, OPTIMIZER) if os.path.lexists(folder / name)]
        if not there:
            return
        try:
            manifest = self.manifest(snapshot)
            if not manifest.pruned:
                pruned = manifest.model_copy(update={"pruned": True})
                replace_durably(folder / MANIFEST, seal(pruned))
            for path in there:
                path.unlink(missing_ok=True)
        except (OSError, DamagedSnapshot):
            return  # what cannot be pruned today is pruned tomorrow


def all_finite(tensors: dict[str, Tensor]) -> bool:
    """Whether there is no infinity and no NaN in any of them."""
    return all(bool(tensor.isfinite().all()) for tensor in tensors.values())


def _remove(path: Path) -> None:
    """Remove a file or a folder; what cannot be removed today is swept tomorrow."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
