"""The adapter's line of snapshots: how it came to be what it is, and the way to any other place.

A snapshot of a lesson on a service is the recipe of its steps and, for some, the path of a saved
state. A place is reached from the nearest saved state before it, by the steps since.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...engine import EngineFailure
from ...snapshots import DamagedSnapshot, Manifest, SnapshotStore, safe_name
from .recipes import from_tensors, to_tensors

if TYPE_CHECKING:
    from ...engine import Reply
    from .adapter import HostedAdapter
    from .lesson import Proved
    from .reader import Reader
    from .recipes import Step

STATE_IS_GONE = "A saved state is gone from the service; the lessons since were learned again."


@dataclass(frozen=True)
class Kept:
    """A lesson as it was kept: its snapshot, and where its state is saved, if it is."""

    snapshot: str
    saved: str


class Lineage:
    """Moves the adapter and the student between snapshots, and keeps what is learned.

    ``start`` is the checkpoint before the first snapshot, if it is not a fresh adapter; a state
    is saved on the service every ``save_every`` lessons.
    """

    def __init__(
        self,
        store: SnapshotStore,
        adapter: HostedAdapter,
        reader: Reader,
        *,
        start: str | None,
        save_every: int,
    ) -> None:
        self.store = store
        self.adapter = adapter
        self.reader = reader
        self.start = start
        self.save_every = save_every
        self.snapshot: str | None = None

    def chain(self) -> Iterator[Manifest]:
        """The snapshots that the adapter holds, newest first."""
        return self.store.chain(self.snapshot)

    def depth(self) -> int:
        """How many snapshots it holds."""
        return sum(1 for _ in self.chain())

    # --- places -----------------------------------------------------------------------

    def go_to(self, snapshot: str | None, reply: Reply) -> str:
        """Bring the adapter and the student to a snapshot; returns what the user should know.

        Raises ``EngineFailure``; the adapter's state is then in doubt.
        """
        ways = self._ways(snapshot)
        for at, (saved, recipe) in enumerate(ways):
            try:
                self.adapter.restore(saved, recipe, reply)
            except EngineFailure as failure:
                if failure.code == "cancelled" or at == len(ways) - 1:
                    raise
                continue
            self.reader.student = self.adapter.publish(reply)
            self.snapshot = snapshot
            return STATE_IS_GONE if at else ""
        raise EngineFailure(
            "bad_adapter",
            "Neither a saved state nor the steps of the newest lessons can be found: undo to an "
            "earlier snapshot, or move the adapter's folder away to start afresh.",
        )

    def return_to_certainty(self, reply: Reply) -> None:
        """Go back to where the adapter was, if its state is in doubt."""
        if not self.adapter.certain:
            self.go_to(self.snapshot, reply)

    def _ways(self, snapshot: str | None) -> list[tuple[str | None, list[Step]]]:
        """The ways to a snapshot: saved states, newest first, with the steps since each."""
        ways: list[tuple[str | None, list[Step]]] = []
        since: list[Step] = []
        for manifest in self.store.chain(snapshot):
            if manifest.saved:
                ways.append((manifest.saved, list(since)))
            try:
                since = [*from_tensors(self.store.tensors(manifest.id)), *since]
            except DamagedSnapshot:
                return ways
        return [*ways, (self.start, since)]

    # --- keeping ----------------------------------------------------------------------

    def keep(self, lesson: str, proved: Proved, reply: Reply) -> Kept:
        """Write a proved lesson's recipe, with a saved state every so many lessons."""
        due = (self.depth() + 1) % self.save_every == 0
        saved = self.adapter.save(safe_name(lesson), reply) if due else ""
        manifest = self.store.commit(
            parent=self.snapshot,
            lesson=lesson,
            adapter=to_tensors(proved.recipe),
            describe={
                "model": self.adapter.model,
                "rank": self.adapter.rank,
                "targets": "all",
                "scope": "everywhere",
                "replay": proved.replay,
                "figures": proved.figures,
                "saved": saved,
                "start": self.start or "",
            },
        )
        self.snapshot = manifest.id
        return Kept(manifest.id, saved)

    def save_newest(self, reply: Reply) -> None:
        """Save the state of the newest snapshot, unless it is saved, or known no more."""
        if self.snapshot is None or not self.adapter.certain or self.store.read_only:
            return
        manifest = self.store.manifest(self.snapshot)
        if not manifest.saved:
            path = self.adapter.save(safe_name(manifest.lesson), reply)
            self.store.note_saved(self.snapshot, path)
