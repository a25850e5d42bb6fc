"""R12: a bad step, a bad file and a dead worker cannot destroy the adapter.

Each change to what lies on disk is refused in a sentence, and the last known good is loaded.
Non-finite steps on a service are in tests/hosted/test_dropping.py, imported files in
tests/training/test_imports.py, corrections that hardly are any in
tests/training/test_hard_lessons.py.
"""

from __future__ import annotations

import math
import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from continualcode_tui.training import stepper
from continualcode_tui.training.client import WorkerClient
from continualcode_tui.training.engine import EngineFailure
from continualcode_tui.training.engines.local import LocalEngine
from continualcode_tui.training.manifest import (
    ADAPTER,
    MANIFEST,
    DamagedSnapshot,
    unseal,
)
from continualcode_tui.training.protocol import Undo
from continualcode_tui.training.snapshots import SnapshotStore
from safetensors.torch import load

from tests.training import conftest as training
from tests.training.test_worker import dies, learn, sample
from tests.training.test_worker import load as load_worker

from .mutations import (
    BEFORE,
    FIRST,
    NEWEST,
    Mutation,
    at_random,
    on_purpose,
    pickled,
    resealed,
    snapshot,
    with_number,
)
from .program import TinyEngine, adapter_folder, lesson

slow = pytest.mark.slow

# The fixtures of the tests of training: a tiny model that really learns.
tiny, answers, data = training.tiny, training.answers, training.data
load_request, engine, worker = training.load_request, training.engine, training.worker

MUTATIONS = [*at_random(), *on_purpose()]


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three lessons and a fourth that was taken back, which is never to come again by itself."""
    folder = tmp_path_factory.mktemp("learned")
    engine = TinyEngine()
    engine.begin(folder)
    for number in (1, 2):
        engine.take(lesson(number))
    engine.take(lesson(100))
    engine.undo(Undo(id=1), training.quiet())
    shutil.rmtree(snapshot(adapter_folder(folder), 3))  # so that the numbers are those of lessons
    engine.take(lesson(3))
    engine.close()
    return folder


def refuse(mutation: Mutation, learned: Path, data: Path) -> None:
    """Change the folder, load it, and see what was taken and what was said."""
    shutil.copytree(learned, data, symlinks=True)
    folder = adapter_folder(data)
    mutation.change(folder)
    engine = TinyEngine()
    loaded = engine.begin(data)
    held = engine.numbers.nonzero()[:, 0].tolist()
    assert held == list(range(1, mutation.loaded + 1))
    assert bool(engine.numbers.isfinite().all())
    assert bool(loaded.notice) == mutation.told
    assert loaded.notice.endswith(".") == mutation.told
    assert "\n" not in loaded.notice
    # Learning goes on from there, and the next start has nothing to complain of.
    engine.take(lesson(200))
    engine.close()
    again = TinyEngine()
    assert again.begin(data).notice == ""
    assert again.numbers.nonzero()[:, 0].tolist() == [*held, 200]
    again.close()
    assert not (folder.parent / "it-ran").exists()


def refuse_all(mutations: list[Mutation], learned: Path, tmp_path: Path) -> int:
    for at, mutation in enumerate(mutations):
        try:
            refuse(mutation, learned, tmp_path / str(at))
        except BaseException as failed:
            failed.add_note(mutation.name)
            raise
    return len(mutations)


@slow
def test_300_of_300_mutations_are_refused_and_the_last_known_good_is_loaded(
    learned: Path, tmp_path: Path
) -> None:
    assert refuse_all(MUTATIONS, learned, tmp_path) >= 300


def test_some_of_them(learned: Path, tmp_path: Path) -> None:
    assert refuse_all(MUTATIONS[::12], learned, tmp_path) > 20


def test_without_the_checks_the_damage_would_be_loaded(learned: Path, tmp_path: Path) -> None:
    """So that the mutations above are ones that do harm."""
    folder = adapter_folder(shutil.copytree(learned, tmp_path / "data"))
    with_number(ADAPTER, math.nan, random.Random(0))(folder)
    assert not load((snapshot(folder, NEWEST) / ADAPTER).read_bytes())["numbers"].isfinite().all()
    pickled(folder, known=True, through_torch=True)
    torch.load(folder.parent / "pickle", weights_only=False)
    assert (folder.parent / "it-ran").exists()


def test_a_whole_adapter_of_another_model_is_refused_and_kept(
    learned: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(learned, tmp_path / "data")
    for number in (FIRST, BEFORE, NEWEST):
        resealed(adapter_folder(data), number, model="another-model")
    before = sorted(path for path in data.rglob("*") if path.name != "lock")
    with pytest.raises(EngineFailure, match="has weights another-model and not") as failure:
        TinyEngine().begin(data)
    assert failure.value.code == "bad_adapter"
    assert sorted(path for path in data.rglob("*") if path.name != "lock") == before


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["adapter", "optimizer"])
def test_numbers_that_are_not_finite_are_never_committed(
    tmp_path: Path, where: str, value: float
) -> None:
    store = SnapshotStore(tmp_path)
    store.open()
    fine, bad = {"a": torch.ones(3)}, {"a": torch.tensor([1.0, value, 2.0])}
    describe = {"model": "m", "rank": 4, "targets": "all", "scope": "answer"}
    first = store.commit(parent=None, lesson="fine", adapter=fine, describe=describe)
    with pytest.raises(EngineFailure, match="not finite"):
        store.commit(
            parent=first.id,
            lesson="bad",
            adapter=bad if where == "adapter" else fine,
            optimizer=bad if where == "optimizer" else None,
            describe=describe,
        )
    assert store.newest_intact() == (first.id, [])
    assert [path.name for path in store.snapshots.iterdir()] == [first.id]
    store.close()


def test_a_link_to_a_disk_that_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(tmp_path / "not mounted")
    with pytest.raises(EngineFailure, match="a link that leads nowhere, so move it away"):
        SnapshotStore(tmp_path / "data" / "adapters").open()


def test_after_a_foreign_folder_with_the_last_number_there_is_a_way_out(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    store.open()
    describe = {"model": "m", "rank": 4, "targets": "all", "scope": "answer"}
    foreign = store.snapshots / "999999-00000000"
    foreign.mkdir()
    with pytest.raises(EngineFailure, match="move it elsewhere"):
        store.commit(parent=None, lesson="a", adapter={"a": torch.ones(3)}, describe=describe)
    foreign.rename(tmp_path / "elsewhere")
    first = store.commit(parent=None, lesson="a", adapter={"a": torch.ones(3)}, describe=describe)
    assert store.newest_intact() == (first.id, [])
    store.close()


def test_a_manifest_of_any_bytes_is_read_or_refused(learned: Path) -> None:
    """Every single bit of it matters."""
    path = snapshot(adapter_folder(learned), NEWEST) / MANIFEST
    data = path.read_bytes()
    assert unseal(data, path.parent.name)
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << at % 8
        with pytest.raises(DamagedSnapshot):
            unseal(bytes(changed), path.parent.name)
        with pytest.raises(DamagedSnapshot):
            unseal(data[:at], path.parent.name)


# --- steps of a real model ----------------------------------------------------------------


def spoil(result: Any, value: float) -> Any:
    """Make the first number of the first tensor another."""
    state = {name: tensor.clone() for name, tensor in result.items()}
    next(iter(state.values())).view(-1)[0] = value
    return state


def bad_loss(engine: LocalEngine, patch: pytest.MonkeyPatch, value: float) -> None:
    real = stepper.Stepper._answer_loss
    patch.setattr(stepper.Stepper, "_answer_loss", lambda *given: real(*given) * value)


def bad_gradient(engine: LocalEngine, patch: pytest.MonkeyPatch, value: float) -> None:
    real = torch.autograd.grad

    def grad(*given: Any, **named: Any) -> Any:
        first, *rest = real(*given, **named)
        return (first * value, *rest)

    patch.setattr(torch.autograd, "grad", grad)


def bad_direction(engine: LocalEngine, patch: pytest.MonkeyPatch, value: float) -> None:
    """What is added to a gradient to keep a lesson to itself."""
    real = stepper.Stepper._kept_to_itself
    patch.setattr(stepper.Stepper, "_kept_to_itself", lambda *given: spoil(real(*given), value))


def bad_weights(engine: LocalEngine, patch: pytest.MonkeyPatch, value: float) -> None:
    """The arithmetic itself goes wrong when the step is taken, not when it is tried."""
    adapter = engine.policy.adapter
    move, calls = adapter.move, []

    def moved(start: Any, direction: Any, scale: float) -> None:
        move(start, direction, scale)
        calls.append(scale)
        with torch.no_grad():
            adapter.parameters[0].view(-1)[0] = value

    patch.setattr(adapter, "move", moved)


def bad_average(engine: LocalEngine, patch: pytest.MonkeyPatch, value: float) -> None:
    """A teacher that outlives the lesson is no number."""
    engine._request = engine._request.model_copy(update={"teacher": "moving_average"})
    real = torch.lerp
    patch.setattr(torch, "lerp", lambda *given, **named: real(*given, **named) * value)


BAD = {
    "loss": bad_loss,
    "gradient": bad_gradient,
    "direction": bad_direction,
    "weights": bad_weights,
    "average": bad_average,
}


@slow
@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_step_that_is_not_finite_never_lands(
    engine: LocalEngine, what: str, value: float
) -> None:
    denied = training.denied_completion(engine)
    first = engine.learn(training.learn_request(training.lesson(denied)), training.quiet())
    assert first.outcome == "learned"
    came, now = training.weights(engine), training.denied_completion(engine)
    with pytest.MonkeyPatch.context() as patch:
        BAD[what](engine, patch, value)
        wanted = training.lesson(now, "use read", id="bad")
        try:
            result = engine.learn(training.learn_request(wanted), training.quiet())
            words = result.reason
            assert result.outcome == "rolled_back"
        except EngineFailure as failure:
            words = failure.message
    assert "finite" in words
    assert training.equal(training.weights(engine), came)
    store = engine.store
    assert store is not None
    assert store.newest_intact() == (first.snapshot, [])
    assert training.denied_completion(engine).tokens == now.tokens


# --- workers that die ---------------------------------------------------------------------

DEATHS = {
    "killed for its memory": ("step", signal.SIGKILL),
    "a driver that crashes": ("step", signal.SIGSEGV),
    "a check that fails": ("guard", signal.SIGABRT),
    "a bad page": ("commit", signal.SIGBUS),
}


@slow
async def test_4_of_4_worker_deaths_leave_the_last_lesson(
    worker: WorkerClient, load_request: Callable[..., Any]
) -> None:
    """One after another: the worker that comes up again is the next to die."""
    await load_worker(worker, load_request())
    first = await learn(worker, await sample(worker))
    assert first.outcome == "learned"
    now = await sample(worker)
    for stage, number in DEATHS.values():
        died = await dies(worker, training.lesson(now, "use read", id="second"), stage, number)
        loaded = await load_worker(worker, load_request())
        assert loaded.read_only is None
        assert loaded.notice == ""
        if loaded.lesson == "second":  # the signal was slower than the commit, which is complete
            assert stage == "commit"
            await worker.request(Undo(id=worker.next_id()))
        else:
            assert signal.Signals(number).name in died
            assert loaded.lesson == "lesson-1"
        again = await sample(worker)
        assert (again.tokens, again.logprobs) == (now.tokens, now.logprobs)
