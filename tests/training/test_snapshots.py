"""The snapshot tree: whole or not at all, one writer, and every failure in words."""

from __future__ import annotations

import contextlib
import resource
from pathlib import Path

import pytest
import torch
from continualcode_tui.training import snapshots
from continualcode_tui.training.engine import EngineFailure
from continualcode_tui.training.snapshots import DamagedSnapshot, SnapshotStore, safe_name

DESCRIBE = {"model": "m", "rank": 4, "targets": "all", "scope": "answer"}


@pytest.fixture
def store(tmp_path: Path):
    made = SnapshotStore(tmp_path / "adapter", save_every=5)
    made.open()
    yield made
    made.close()


def state(value: float, size: int = 64) -> dict[str, torch.Tensor]:
    return {"layer.lora_A.weight": torch.full((size, 4), value)}


def commit(store: SnapshotStore, number: int, parent: str | None, size: int = 64) -> str:
    manifest = store.commit(
        parent=parent, lesson=f"l{number}", adapter=state(number, size), describe=DESCRIBE
    )
    return manifest.id


def grow(store: SnapshotStore, count: int) -> list[str]:
    names: list[str] = []
    for number in range(count):
        names.append(commit(store, number, names[-1] if names else None))
    return names


def test_a_commit_is_current_and_reads_back_bit_for_bit(store):
    first, second = grow(store, 2)
    assert store.current() == second
    assert store.manifest(second).parent == first
    assert torch.equal(store.tensors(first)["layer.lora_A.weight"], state(0)["layer.lora_A.weight"])
    assert [m.lesson for m in store.chain(second)] == ["l1", "l0"]


def test_nothing_there_is_the_model_as_it_came(store):
    assert store.current() is None
    assert store.newest_intact() == (None, [])


def test_after_an_undo_the_tree_branches(store):
    first, second = grow(store, 2)
    store.point(first)
    third = commit(store, 7, first)
    assert third > second
    assert [m.id for m in store.chain(third)] == [third, first]
    assert store.tensors(second)


@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "manifest"])
def test_a_damaged_snapshot_is_passed_over_to_its_parent(store, damage):
    first, second = grow(store, 2)
    file = store.snapshots / second / "adapter.safetensors"
    data = file.read_bytes()
    if damage == "flip":
        file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif damage == "cut":
        file.write_bytes(data[: len(data) // 2])
    elif damage == "gone":
        file.unlink()
    else:
        (store.snapshots / second / "manifest.json").write_text("{")
    with pytest.raises(DamagedSnapshot):
        store.tensors(second)
    assert store.newest_intact() == (first, [second])


def test_half_written_snapshots_are_swept_at_the_start(store, tmp_path):
    stale = store.snapshots / "000009-aaaaaaaa.tmp-1234"
    stale.mkdir()
    (stale / "adapter.safetensors").write_bytes(b"half")
    (store.folder / "current.tmp-1").write_text("x")
    store.close()
    again = SnapshotStore(tmp_path / "adapter")
    again.open()
    assert not stale.exists()
    assert not (store.folder / "current.tmp-1").exists()
    again.close()


def test_pruning_keeps_the_newest_and_every_fifth_and_all_manifests(store):
    names = grow(store, 22)
    whole = [n for n in names if (store.snapshots / n / "adapter.safetensors").exists()]
    assert names[-snapshots.KEEP_LAST :] == whole[-snapshots.KEEP_LAST :]
    assert [names.index(n) % 5 for n in whole[: -snapshots.KEEP_LAST]] == [4, 4]
    assert len(list(store.chain(names[-1]))) == 22
    assert store.manifest(names[0]).pruned


def test_the_second_session_reads_only(store, tmp_path, monkeypatch):
    monkeypatch.setattr(snapshots, "LOCK_PATIENCE", 0.1)
    grow(store, 1)
    second = SnapshotStore(tmp_path / "adapter")
    second.open()
    assert second.read_only is not None
    assert "Another session" in second.read_only
    assert second.newest_intact()[0] == store.current()
    for change in (lambda: commit(second, 1, None), lambda: second.point(None)):
        with pytest.raises(EngineFailure) as failure:
            change()
        assert failure.value.code == "read_only"
    store.close()
    third = SnapshotStore(tmp_path / "adapter")
    third.open()
    assert third.read_only is None
    third.close()


@contextlib.contextmanager
def small_files(limit: int):
    """Every file that grows beyond the limit is cut there, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("limit", [0, 1000])
def test_a_full_disk_is_told_and_leaves_the_last_snapshot(store, limit):
    (first,) = grow(store, 1)
    with small_files(limit), pytest.raises(EngineFailure) as failure:
        commit(store, 2, first, size=4096)
    assert failure.value.code == "disk_full"
    assert store.current() == first
    assert [p.name for p in store.snapshots.iterdir()] == [first]
    second = commit(store, 3, first)
    assert store.current() == second


def test_a_crash_before_the_rename_leaves_the_last_snapshot(store, monkeypatch):
    (first,) = grow(store, 1)
    monkeypatch.setattr(Path, "rename", lambda *a: (_ for _ in ()).throw(SystemExit))
    with pytest.raises(SystemExit):
        commit(store, 2, first)
    assert store.newest_intact() == (first, [])


def test_names_of_models_do_not_meet():
    names = ["practice", "Qwen/Qwen3-0.6B", "Qwen_Qwen3-0.6B", "../x", "a b", "x" * 300]
    made = [safe_name(name) for name in names]
    assert len(set(made)) == len(names)
    assert all("/" not in name and name.strip(".") for name in made)
    assert made[0] == "practice"


def test_files_are_private(store):
    (first,) = grow(store, 1)
    for path in (store.snapshots / first).iterdir():
        assert path.stat().st_mode & 0o077 == 0
