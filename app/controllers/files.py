"""The files before and after each call that changes them, so that `/rewind` can bring them back."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from ...training.protocol import ToolCall
from ..events import AgentEvent, Notice
from ..store.paths import DataPaths, make_private_folder, write_private
from ..tools import registry
from ..workspace.beneath import regular_files
from ..workspace.checkpoints import CheckpointError, Checkpoints, Entry, Plan, make_plan
from ..workspace.hard_links import TICK
from ..workspace.repository import Repository
from ..workspace.workspace import Workspace, WorkspaceError

_log = logging.getLogger(__name__)


class ChangedFile(BaseModel):
    """How a call found a file and how it left it; None where there was none."""

    model_config = ConfigDict(frozen=True)

    before: Entry | None
    after: Entry | None


class KeptCall(BaseModel):
    """A call that may have changed files, the request it was for, and the snapshot before it."""

    model_config = ConfigDict(frozen=True)

    request: int
    before: str
    files: dict[str, ChangedFile] = {}


class KeptCalls(BaseModel):
    """The calls of one session, oldest first."""

    calls: list[KeptCall] = []

    @property
    def snapshots(self) -> set[str]:
        """What going back may read."""
        return {call.before for call in self.calls}


class FilesController:
    """Keeps what the calls of one session did to the files, beside the session's file."""

    def __init__(self, *, checkpoints: Checkpoints, present: Callable[[AgentEvent], None]) -> None:
        self._checkpoints = checkpoints
        self._present = present
        self._path: Path | None = None
        self._calls: list[KeptCall] = []
        self._told = False

    @classmethod
    def of(
        cls, repository: Repository, paths: DataPaths, present: Callable[[AgentEvent], None]
    ) -> FilesController:
        """Keep the files of a repository where its snapshots lie."""
        store = paths.checkpoints(repository.key, repository.root)
        checkpoints = Checkpoints(repository.root, store, git=repository.git)
        return cls(checkpoints=checkpoints, present=present)

    def open(self, path: Path) -> None:
        """Go on with what was kept for a session, or begin."""
        self._path = path
        try:
            self._calls = KeptCalls.model_validate_json(path.read_bytes()).calls
        except (OSError, ValidationError):
            self._calls = []

    def prune(self) -> None:
        """Delete the snapshots that no kept session can go back to; it may take a while."""
        if self._path is None or not self._checkpoints.prune_due:
            return
        try:
            kept = KeptCalls(calls=self._calls).snapshots
            for path in self._path.parent.glob("*.files"):
                kept |= KeptCalls.model_validate_json(path.read_bytes()).snapshots
            self._checkpoints.prune(kept)
        except (CheckpointError, OSError, ValidationError) as error:
            # What cannot be read might be needed, so all stays.
            _log.warning("snapshots were not pruned: %s", error)

    # --- keeping ------------------------------------------------------------------------

    @asynccontextmanager
    async def around(self, call: ToolCall, request: int) -> AsyncIterator[None]:
        """Take a snapshot before and after a call that may change files."""
        if registry.TOOLS[call.name].read_only:
            yield
            return
        named = self._named(call)
        # A command may change anything; of what the user did meanwhile the first snapshot tells.
        first = all(each.request != request for each in self._calls)
        only = bool(named)
        before = await self._take(named, only=only and not first)
        began = time.time_ns() - int(TICK * 1e9)
        try:
            yield
        finally:
            after = await self._take(named, only=only) if before else None
            if before and after:
                await asyncio.to_thread(self._note, request, before, after, began)

    def _named(self, call: ToolCall) -> list[str]:
        """The file that a call names, by its real path."""
        path = call.arguments.get("path")
        if not isinstance(path, str):
            return []
        try:
            return [Workspace(self._checkpoints.root).real_path(path)]
        except (OSError, WorkspaceError):
            return []

    async def _take(self, named: list[str], *, only: bool) -> str | None:
        try:
            return await asyncio.to_thread(self._checkpoints.take, named, only=only)
        except (CheckpointError, OSError) as error:
            _log.warning("no snapshot: %s", error)
            if not self._told:
                self._told = True
                self._present(
                    Notice(
                        f"The files could not be kept ({error}); /rewind cannot bring them back.",
                        "warning",
                    )
                )
            return None

    def _note(self, request: int, before: str, after: str, began: int) -> None:
        was, now = self._checkpoints.files(before), self._checkpoints.files(after)
        differ = {path for path in {*was, *now} if was.get(path) != now.get(path)}
        new = regular_files(str(self._checkpoints.root), differ - was.keys())
        changed = {
            path: ChangedFile(before=was.get(path), after=now.get(path))
            for path in differ
            # A file that is new to git may have been there, and ignored until now.
            if path in was or (path in new and new[path].st_ctime_ns >= began)
        }
        self._calls.append(KeptCall(request=request, before=before, files=changed))
        self._save()

    def _save(self) -> None:
        if self._path is None:
            return
        try:
            make_private_folder(self._path.parent)
            write_private(self._path, KeptCalls(calls=self._calls).model_dump_json().encode())
        except OSError as error:
            _log.warning("the calls' files could not be noted: %s", error)

    # --- going back ---------------------------------------------------------------------

    def plan(self, request: int) -> Plan:
        """What brings the files back to before a request; it may take a while."""
        calls = [call for call in self._calls if call.request >= request]
        if not calls:
            return Plan({}, {})
        agent = {path: file.after for call in calls for path, file in call.files.items()}
        now = self._checkpoints.files(self._checkpoints.take(agent))
        if self._checkpoints.git:
            return make_plan(self._checkpoints.files(calls[0].before), now, agent)
        first = {path: file.before for call in reversed(calls) for path, file in call.files.items()}
        then = {path: entry for path, entry in first.items() if entry is not None}
        return make_plan(then, {path: now[path] for path in agent if path in now}, agent)

    def restore(self, plan: Plan, *, yours: bool) -> list[str]:
        """Put the files back; return a sentence for each that could not be."""
        return self._checkpoints.restore(plan, yours=yours)

    def went_back(self, request: int, *, restored: bool) -> None:
        """The conversation is before a request again, and the files with it or not."""
        if restored:
            self._calls = [call for call in self._calls if call.request < request]
        else:
            # What these calls did still stands, so it is now part of the request before.
            self._calls = [
                call.model_copy(update={"request": min(call.request, request - 1)})
                for call in self._calls
            ]
        self._save()
