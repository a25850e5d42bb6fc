"""The lesson suite on a small model: what holds, what was lost and to what."""

from __future__ import annotations

import pytest
from continualcode_tui.training.engine import Cancelled, EngineFailure
from continualcode_tui.training.engines.local import LocalEngine
from continualcode_tui.training.protocol import (
    Check,
    Checked,
    Event,
    LessonResult,
    ProvedLesson,
    Undo,
)

from .conftest import (
    CAT,
    SHOW,
    denied_completion,
    equal,
    learn_request,
    lesson,
    quiet,
    recording,
    weights,
)


def learn(engine: LocalEngine, correction: str, name: str) -> ProvedLesson:
    """Learn a lesson about the one request; its proof can be asked again."""
    denied = denied_completion(engine)
    wanted = lesson(denied, correction, id=name)
    result: LessonResult = engine.learn(learn_request(wanted), quiet())
    assert result.outcome == "learned"
    assert result.retry is not None
    return ProvedLesson(
        lesson=name,
        messages=SHOW,
        tools=(),
        tokens=result.retry.tokens,
        denied=denied.tokens,
    )


def check(engine: LocalEngine, *lessons: ProvedLesson) -> Checked:
    return engine.check(Check(id=1, lessons=lessons), quiet())


@pytest.mark.slow
def test_a_lesson_holds_until_another_takes_it_back(engine):
    first = learn(engine, CAT, "first")
    (held,) = check(engine, first).checks
    assert held.holds == "call"
    assert held.probability > 0.5
    assert "cat alpha.py" in held.answer
    assert held.suspects == ()
    second = learn(engine, "use read", "second")
    before = weights(engine)
    checked = check(engine, first, second)
    assert [each.holds for each in checked.checks] == ["lost", "call"]
    lost = checked.checks[0]
    assert lost.suspects == ("second",)
    assert lost.probability < 0.5
    assert '"read"' in lost.answer
    assert equal(weights(engine), before)


@pytest.mark.slow
def test_the_search_names_the_lesson_after_which_it_first_failed(engine):
    """Lessons that stay apart are stood in for by committing the same adapter again."""
    first = learn(engine, CAT, "first")
    store, policy = engine.store, engine.policy
    assert store is not None
    assert policy is not None

    def again(name: str) -> str:
        manifest = store.manifest(store.current())
        described = manifest.model_dump(include={"model", "rank", "targets", "scope"})
        engine._snapshot = store.commit(
            parent=manifest.id, lesson=name, adapter=policy.adapter.state(), describe=described
        ).id
        return engine._snapshot

    again("harmless-1")
    again("harmless-2")
    learn(engine, "use read", "culprit")
    harmless = again("harmless-3")
    again("harmless-4")
    assert check(engine, first).checks[0].suspects == ("culprit",)

    # What is pruned in between widens the answer, and no more than it has to.
    store._drop_tensors(store.manifest(harmless).parent)
    assert check(engine, first).checks[0].suspects == ("culprit", "harmless-3")
    stranger = first.model_copy(update={"lesson": "not of this adapter"})
    assert check(engine, stranger).checks[0].suspects == ()


def test_a_check_tells_how_far_it_is_and_can_be_cancelled(engine):
    first = learn(engine, CAT, "first")
    events: list[Event] = []
    engine.check(Check(id=1, lessons=(first, first)), recording(events))
    assert [event.fraction for event in events if event.event == "progress"] == [0, 0.5]
    before = weights(engine)
    with pytest.raises(Cancelled):
        engine.check(Check(id=1, lessons=(first,)), quiet(lambda: True))
    assert equal(weights(engine), before)


def test_the_prefixes_of_the_conversation_stay_where_they_are(engine):
    first = learn(engine, CAT, "first")
    assert engine.policy is not None
    kept = list(engine.policy.prefixes._entries)
    check(engine, first)
    assert list(engine.policy.prefixes._entries) == kept


@pytest.mark.slow
def test_the_newest_kept_snapshot_before_a_lesson_and_back_again(engine):
    came = weights(engine)
    first = learn(engine, CAT, "first")
    after_first = weights(engine)
    learn(engine, "use read", "second")
    third = learn(engine, CAT, "third")
    stood = weights(engine)
    store = engine.store
    assert store is not None
    whole = store.current()

    undone = engine.undo(Undo(id=1, before="second"), quiet())
    assert undone.undone_lessons == ("second", "third")
    assert (undone.lesson, undone.undone_lesson) == ("first", "third")
    assert equal(weights(engine), after_first)
    assert check(engine, first, third).checks[0].holds == "call"

    # However many lessons follow, what was left is kept for the way back.
    store.save_every = 1000
    manifest = store.manifest(undone.snapshot)
    described = manifest.model_dump(include={"model", "rank", "targets", "scope"})
    parent = manifest.id
    for number in range(10):
        parent = store.commit(
            parent=parent, lesson=f"l{number}", adapter=after_first, describe=described
        ).id
    engine._snapshot = parent
    engine.undo(Undo(id=1, snapshot=whole), quiet())
    assert equal(weights(engine), stood)

    # With the snapshots between pruned, it goes back further.
    chain = list(store.chain(whole))
    store._drop_tensors(chain[-1].id)
    undone = engine.undo(Undo(id=1, before="second"), quiet())
    assert undone.undone_lessons == ("first", "second", "third")
    assert undone.snapshot is None
    assert equal(weights(engine), came)
    with pytest.raises(EngineFailure, match="does not hold"):
        engine.undo(Undo(id=1, before="second"), quiet())
