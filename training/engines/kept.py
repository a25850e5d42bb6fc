"""The kept snapshots of an adapter: listed, compared with the session, and taken up again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..adapter_messages import AdapterSnapshot, Undone, is_import
from ..engine import EngineFailure
from ..snapshots import CURRENT, DamagedSnapshot, Manifest, SnapshotStore

if TYPE_CHECKING:
    from .adapter import State
    from .policy import Policy


def damage_in_words(snapshot: str | None, damaged: Sequence[str]) -> str:
    """What was damaged on the way to a snapshot, and that it goes on from there; empty if nothing.

    ``damaged`` are snapshots, and ``current`` where it does not say which one it names.
    """
    if not damaged:
        return ""
    where = f"snapshot {snapshot}" if snapshot else "the model as it came"
    if damaged[0] == CURRENT:
        what = "The file that names the current snapshot is damaged"
        damaged = damaged[1:]
        more = f", and so {_are(damaged)}" if damaged else ""
        return f"{what}{more}; going on from {where}, the last known to be good."
    before = "the snapshot before it" if snapshot and len(damaged) == 1 else where
    return f"Snapshot{'s' if damaged[1:] else ''} {_are(damaged)} damaged; going on from {before}."


def _are(names: Sequence[str]) -> str:
    few = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")
    return f"{few} {'are' if names[1:] else 'is'}"


def listing(store: SnapshotStore, current: str | None) -> tuple[AdapterSnapshot, ...]:
    """Every snapshot whose manifest can be read, oldest first."""
    in_use = {manifest.id for manifest in store.chain(current)}
    return tuple(
        AdapterSnapshot(
            id=manifest.id,
            parent=manifest.parent,
            lesson=manifest.lesson,
            created=manifest.created,
            rank=manifest.rank,
            targets=manifest.targets,
            scope=manifest.scope,
            current=manifest.id == current,
            in_use=manifest.id in in_use,
            pruned=manifest.pruned,
        )
        for manifest in store.manifests()
    )


def lessons_in(chain: Iterable[Manifest]) -> dict[str, str]:
    """The lessons of a chain that is given newest first: oldest first, with their snapshots.

    Of a lesson that was learned twice the later place counts; an import is no lesson.
    """
    newest: dict[str, str] = {}
    for manifest in chain:
        if not is_import(manifest.lesson):
            newest.setdefault(manifest.lesson, manifest.id)
    return dict(reversed(newest.items()))


def newest_before(store: SnapshotStore, chain: Sequence[Manifest], lesson: str) -> str | None:
    """The newest kept snapshot before a lesson; None is the model as it came."""
    places = [at for at, manifest in enumerate(chain) if manifest.lesson == lesson]
    if not places:
        raise EngineFailure("bad_request", "The adapter does not hold this lesson.")
    return next((m.id for m in chain[places[-1] + 1 :] if store.intact(m.id)), None)


def stored(store: SnapshotStore, policy: Policy, target: str | None) -> State:
    """The weights of a snapshot, or those with which the model is as it came."""
    if target is None:
        return policy.adapter.initial()
    try:
        manifest = store.manifest(target)
        if manifest.pruned:
            raise EngineFailure(
                "bad_adapter",
                f"Snapshot {target} was pruned, so its weights are gone: choose another.",
            )
        state = store.tensors(target)
    except DamagedSnapshot:
        raise EngineFailure(
            "bad_adapter", f"Snapshot {target} is missing or damaged: choose another."
        ) from None
    _require_same_kind(manifest, policy)
    if not policy.adapter.fits(state):
        raise EngineFailure(
            "bad_adapter", f"Snapshot {target} does not fit the model: choose another."
        )
    return state


def _require_same_kind(manifest: Manifest, policy: Policy) -> None:
    """Refuse a snapshot that was made with other settings or another model."""
    for name, word, theirs, ours in differences(manifest, policy):
        if name == "model":
            way_out = "choose another"
        else:
            way_out = f"go to base, which is the model as it came, and start with {name}={theirs}"
        raise EngineFailure(
            "bad_adapter", f"Snapshot {manifest.id} has {word} {theirs} and not {ours}: {way_out}."
        )


def differences(manifest: Manifest, policy: Policy) -> list[tuple[str, str, object, object]]:
    """What a snapshot was made with and the session was not: setting, word, theirs and ours."""
    settings = policy.adapter.settings
    pairs = (
        ("model", "weights", manifest.model, policy.loaded.identity),
        ("lora_rank", "rank", manifest.rank, settings.rank),
        ("lora_targets", "targets", manifest.targets, settings.targets),
        ("adapter_scope", "scope", manifest.scope, settings.scope),
    )
    return [pair for pair in pairs if pair[2] != pair[3]]


def moved(before: Sequence[Manifest], after: Sequence[Manifest]) -> Undone:
    """What became of the lessons on the way from one chain to another, both newest first."""
    held, holds = lessons_in(before), lessons_in(after)
    staying = {manifest.id for manifest in after}
    return Undone(
        snapshot=after[0].id if after else None,
        lesson=next(reversed(holds), None),
        undone_lesson=before[0].lesson if before and before[0].id not in staying else None,
        undone_lessons=tuple(m.lesson for m in reversed(before) if m.id not in staying),
        again={name: where for name, where in holds.items() if held.get(name) != where},
    )
