"""Whole adapters: listed, switched back and forwards, turned off and on."""

from __future__ import annotations

import pytest
import torch
from continualcode_tui.training.adapter_messages import (
    AdapterEnabled,
    AdapterList,
    Adapters,
    EnableAdapter,
    Import,
    Imported,
    Save,
    Undo,
)
from continualcode_tui.training.client import WorkerFailure
from continualcode_tui.training.engine import EngineFailure
from continualcode_tui.training.engines.local import LocalEngine
from continualcode_tui.training.protocol import Check, Completion, Loaded, Sample

from .conftest import SHOW, equal, learn_request, lesson, quiet, weights

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
CLOSE = 1e-4


def disturbed(engine: LocalEngine, seed: int) -> dict[str, torch.Tensor]:
    """Weights that answer otherwise than the base does."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(tensor.shape, generator=generator) * 0.3
        for name, tensor in weights(engine).items()
    }


def grow(engine: LocalEngine, *names: str) -> list[str]:
    """Commit an adapter for each name, as if it had been learned; the snapshots."""
    store, policy = engine.store, engine.policy
    assert store is not None
    assert policy is not None
    grown: list[str] = []
    for name in names:
        state = disturbed(engine, sum(name.encode()))
        described = engine._description(policy)
        manifest = store.commit(
            parent=engine._snapshot, lesson=name, adapter=state, describe=described
        )
        engine._take_up(policy, state, manifest.id)
        grown.append(manifest.id)
    return grown


def answer(engine: LocalEngine) -> Completion:
    request = Sample(id=1, messages=SHOW, tools=(), temperature=0, max_tokens=20)
    return engine.sample(request, quiet()).model_copy(update={"seconds": 0.0})


def switch(engine: LocalEngine, snapshot: str):
    return engine.undo(Undo(id=1, snapshot=snapshot), quiet())


# --- listing and switching ----------------------------------------------------------------


def test_the_list_says_what_is_kept_and_what_is_in_use(engine):
    assert engine.adapters() == AdapterList(snapshots=(), current=None, enabled=True)
    first, second = grow(engine, "one", "two")
    switch(engine, first)
    (third,) = grow(engine, "three")
    listed = engine.adapters()
    assert listed.current == third
    assert [(each.id, each.parent, each.lesson) for each in listed.snapshots] == [
        (first, None, "one"),
        (second, first, "two"),
        (third, first, "three"),
    ]
    assert [each.in_use for each in listed.snapshots] == [True, False, True]
    assert [each.current for each in listed.snapshots] == [False, False, True]
    assert {(each.rank, each.targets, each.scope) for each in listed.snapshots} == {
        (16, "all", "answer")
    }
    assert not any(each.pruned for each in listed.snapshots)


def test_a_session_that_may_not_learn_can_list_what_there_is(load_request):
    watching = LocalEngine()
    watching.load(load_request(enable_training=False), quiet())
    assert watching.adapters().snapshots == ()
    watching.close()


def test_switching_goes_back_forwards_and_to_the_side_bit_for_bit(engine):
    first, second, third = grow(engine, "one", "two", "three")
    newest, said = weights(engine), answer(engine)
    back = switch(engine, first)
    assert (back.snapshot, back.lesson, back.undone_lesson) == (first, "one", "three")
    assert back.undone_lessons == ("two", "three")
    assert back.again == {}
    assert answer(engine) != said
    forth = switch(engine, third)
    assert (forth.lesson, forth.undone_lesson, forth.undone_lessons) == ("three", None, ())
    assert forth.again == {"two": second, "three": third}
    assert equal(weights(engine), newest)
    assert answer(engine) == said
    switch(engine, first)
    (side,) = grow(engine, "four")
    aside = switch(engine, second)
    assert (aside.undone_lessons, aside.again) == (("four",), {"two": second})
    assert switch(engine, side).again == {"four": side}


def test_base_is_the_model_as_it_came_and_the_way_back_stays_open(engine):
    said = answer(engine)
    empty = weights(engine)
    first, second = grow(engine, "one", "two")
    newest = weights(engine)
    gone = switch(engine, "base")
    assert (gone.snapshot, gone.lesson, gone.undone_lessons) == (None, None, ("one", "two"))
    assert equal(weights(engine), empty)
    assert answer(engine) == said
    assert switch(engine, second).again == {"one": first, "two": second}
    assert equal(weights(engine), newest)


def test_a_lesson_that_was_learned_twice_counts_once(engine):
    first, _, third = grow(engine, "one", "two", "one")
    back = switch(engine, first)
    assert back.undone_lessons == ("two", "one")
    assert back.again == {"one": first}
    assert back.lesson == "one"
    assert switch(engine, third).again == {"two": engine.adapters().snapshots[1].id, "one": third}


def test_what_cannot_be_taken_up_is_refused_and_changes_nothing(engine, load_request):
    first, second = grow(engine, "one", "two")
    store = engine.store
    before = weights(engine)
    (store.snapshots / first / "adapter.safetensors").write_bytes(b"no")
    for name, words in [
        (first, "missing or damaged: choose another"),
        ("000009-aaaaaaaa", "missing or damaged"),
        ("../../elsewhere", "missing or damaged"),
        ("", "missing or damaged"),
    ]:
        with pytest.raises(EngineFailure, match=words):
            switch(engine, name)
    store._drop_tensors(first)
    assert engine.adapters().snapshots[0].pruned
    with pytest.raises(EngineFailure, match="pruned, so its weights are gone"):
        switch(engine, first)
    assert store.current() == second
    assert equal(weights(engine), before)
    switch(engine, "base")
    engine.load(load_request(lora_rank=8), quiet())
    empty = weights(engine)
    with pytest.raises(EngineFailure, match=r"rank 16 and not 8: go to base.*lora_rank=16"):
        switch(engine, second)
    assert engine.store.current() is None
    assert equal(weights(engine), empty)


# --- off and on ---------------------------------------------------------------------------


@pytest.mark.parametrize("scope", ["answer", "everywhere"])
def test_off_answers_as_the_base_does_and_on_as_before(engine, load_request, scope):
    engine.load(load_request(adapter_scope=scope), quiet())
    base = answer(engine)
    (first,) = grow(engine, "one")
    ours, taught = weights(engine), answer(engine)
    assert taught != base
    assert engine.enable_adapter(enabled=False) == AdapterEnabled(enabled=False)
    assert answer(engine) == base
    assert equal(weights(engine), ours)
    listed = engine.adapters()
    assert (listed.current, listed.enabled) == (first, False)
    engine.enable_adapter(enabled=True)
    assert answer(engine) == taught


def test_off_nothing_is_learned_or_checked(engine):
    denied = answer(engine)
    engine.enable_adapter(enabled=False)
    before = weights(engine)
    with pytest.raises(EngineFailure, match="The adapter is off") as failure:
        engine.learn(learn_request(lesson(denied)), quiet())
    assert failure.value.code == "unavailable"
    with pytest.raises(EngineFailure, match="The adapter is off"):
        engine.check(Check(id=1, lessons=()), quiet())
    assert equal(weights(engine), before)
    assert engine.store.current() is None


def test_a_new_load_begins_with_the_adapter_on(engine, load_request):
    engine.enable_adapter(enabled=False)
    engine.load(load_request(), quiet())
    assert engine.adapters().enabled


@pytest.mark.slow
async def test_the_same_over_the_wire(worker, load_request, engine, tmp_path):
    grow(engine, "one")
    expected = weights(engine)
    engine.save(Save(id=1, path=str(tmp_path / "out")), quiet())
    switch(engine, "base")
    engine.close()
    await worker.start()
    loaded = await worker.request(load_request(id=worker.next_id()))
    assert isinstance(loaded, Loaded)
    with pytest.raises(WorkerFailure, match="no file or folder") as failure:
        await worker.request(Import(id=worker.next_id(), path="/no/where"))
    assert failure.value.code == "bad_adapter"
    imported = await worker.request(Import(id=worker.next_id(), path=str(tmp_path / "out")))
    assert isinstance(imported, Imported)
    listed = await worker.request(Adapters(id=worker.next_id()))
    assert isinstance(listed, AdapterList)
    assert listed.current == imported.snapshot
    off = await worker.request(EnableAdapter(id=worker.next_id(), enabled=False))
    assert off == AdapterEnabled(enabled=False)
    await worker.stop()
    engine.load(load_request(), quiet())
    assert equal(weights(engine), expected)
