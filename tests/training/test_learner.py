"""The way of a correction on a small model: its outcomes, and what each does to the weights."""

from __future__ import annotations

import pytest
import torch
from continualcode_tui.training import learner, stepper
from continualcode_tui.training.engine import Cancelled, EngineFailure, Reply
from continualcode_tui.training.engines.local import LocalEngine
from continualcode_tui.training.guard import Guard
from continualcode_tui.training.protocol import (
    ChatMessage,
    Event,
    GuardReport,
    Sample,
    ToolCall,
    Undo,
)

from .conftest import (
    CAT,
    SHOW,
    call_of,
    denied_completion,
    equal,
    learn_request,
    lesson,
    quiet,
    recording,
    weights,
)

BRAVO = (SHOW[0], ChatMessage(role="user", content="show bravo.py"))
STAGES = ["prepare", "gate", "snapshot", "step", "guard", "retry", "commit"]


def learn(engine: LocalEngine, correction: str = CAT, **options: object):
    wanted = lesson(denied_completion(engine), correction, **options)
    return engine.learn(learn_request(wanted), quiet())


def test_a_denial_is_learned_and_proved_without_the_correction(engine):
    denied = denied_completion(engine)
    assert call_of(denied).name == "read"
    events: list[Event] = []
    result = engine.learn(learn_request(lesson(denied)), recording(events))
    assert result.outcome == "learned"
    assert result.proved
    assert call_of(result.retry) == ToolCall(name="bash", arguments={"command": "cat alpha.py"})
    assert call_of(denied_completion(engine)).name == "bash"
    stages = [event.stage for event in events if event.event == "stage"]
    assert stages[:3] == STAGES[:3]
    assert stages[3:6] == STAGES[3:6]
    assert stages[-1] == "commit"
    assert result.snapshot is not None
    shown = [event.token for event in events if event.event == "token"]
    assert shown[-len(result.retry.tokens) :] == list(result.retry.tokens)
    assert [event.metrics for event in events if event.event == "step"] == list(result.steps)
    assert set(result.stages) == set(STAGES)


def test_the_lesson_holds_for_a_request_of_the_same_kind(engine):
    assert learn(engine).outcome == "learned"
    request = Sample(id=1, messages=BRAVO, tools=(), temperature=0, max_tokens=60)
    assert call_of(engine.sample(request, quiet())).arguments == {"command": "cat bravo.py"}


def test_the_guard_reports_unrelated_prompts(engine):
    guard = learn(engine).guard
    assert guard is not None
    assert guard.passed
    assert guard.probes >= 6
    assert guard.agreement >= 0.75


def test_undo_is_bit_for_bit(engine):
    came = weights(engine)
    first = learn(engine)
    after_first = weights(engine)
    second = engine.learn(
        learn_request(lesson(denied_completion(engine), "use read", id="lesson-2")), quiet()
    )
    assert (first.outcome, second.outcome) == ("learned", "learned")
    undone = engine.undo(Undo(id=1), quiet())
    assert (undone.undone_lesson, undone.snapshot) == ("lesson-2", first.snapshot)
    assert equal(weights(engine), after_first)
    undone = engine.undo(Undo(id=1), quiet())
    assert (undone.undone_lesson, undone.snapshot) == ("lesson-1", None)
    assert equal(weights(engine), came)
    with pytest.raises(EngineFailure, match="no lesson to undo"):
        engine.undo(Undo(id=1), quiet())
    again = engine.undo(Undo(id=1, snapshot=second.snapshot), quiet())
    assert again.lesson == "lesson-2"


def test_a_new_engine_resumes_where_the_last_one_stood(engine, load_request):
    result = learn(engine)
    stood = weights(engine)
    engine.close()
    again = LocalEngine()
    loaded = again.load(load_request(), quiet())
    assert (loaded.snapshot, loaded.lesson, loaded.lessons) == (result.snapshot, "lesson-1", 1)
    assert equal(weights(again), stood)
    assert call_of(denied_completion(again)).name == "bash"
    again.close()


@pytest.mark.parametrize(
    ("options", "word"),
    [({"lora_rank": 8}, "rank"), ({"lora_targets": "attention"}, "targets")],
)
def test_an_adapter_that_does_not_fit_is_refused_in_words(engine, load_request, options, word):
    learn(engine)
    engine.close()
    with pytest.raises(EngineFailure, match=word) as failure:
        LocalEngine().load(load_request(**options), quiet())
    assert failure.value.code == "bad_adapter"


def test_a_damaged_snapshot_is_told_and_passed_over(engine, load_request):
    result = learn(engine)
    store = engine.store
    assert store is not None
    file = store.snapshots / str(result.snapshot) / "adapter.safetensors"
    file.write_bytes(file.read_bytes()[:-4])
    engine.close()
    again = LocalEngine()
    loaded = again.load(load_request(), quiet())
    assert loaded.snapshot is None
    assert "damaged" in loaded.notice
    again.close()


def test_a_correction_that_changes_nothing_is_gated(engine):
    before = weights(engine)
    result = learn(engine, "use read")
    assert result.outcome == "gated"
    assert result.steps == ()
    assert result.tokens
    assert equal(weights(engine), before)


@pytest.mark.slow
def test_without_a_proof_the_weights_are_as_before(engine, monkeypatch):
    monkeypatch.setattr(learner.cases, "follow_reason", lambda *args: "never good enough")
    before = weights(engine)
    events: list[Event] = []
    wanted = lesson(denied_completion(engine))
    result = engine.learn(learn_request(wanted), recording(events))
    assert result.outcome == "in_context_only"
    assert not result.proved
    assert result.snapshot is None
    assert equal(weights(engine), before)
    assert all(token.after == pytest.approx(token.before) for token in result.tokens)
    dropped = [event for event in events if event.event == "retry_dropped"]
    assert len(dropped) == len(result.steps) >= 2
    assert engine.store is not None
    assert engine.store.current() is None


def test_a_gradient_that_is_not_finite_is_rolled_back(engine, monkeypatch):
    monkeypatch.setattr(stepper.objectives, "forward_kl", lambda s, t: (s * float("nan")).sum(-1))
    before = weights(engine)
    result = learn(engine)
    assert result.outcome == "rolled_back"
    assert "finite" in result.reason
    assert equal(weights(engine), before)


def test_a_guard_that_complains_rolls_back(engine, monkeypatch):
    bad = GuardReport(kl=9.0, agreement=0.1, probes=24, passed=False, reason="22 of 24 changed")
    monkeypatch.setattr(Guard, "look", lambda self: bad)
    before = weights(engine)
    result = learn(engine)
    assert result.outcome == "rolled_back"
    assert "22 of 24" in result.reason
    assert result.guard == bad
    assert equal(weights(engine), before)


@pytest.mark.parametrize("stage", STAGES)
def test_a_cancel_at_any_stage_leaves_everything_as_it_was(engine, stage):
    before = weights(engine)
    denied = denied_completion(engine)
    seen: list[str] = []

    def send(event: Event) -> None:
        if event.event == "stage":
            seen.append(event.stage)

    # The stage's own work has begun when the cancel comes; the commit is past cancelling.
    reply = Reply(1, send, lambda: bool(seen) and seen[-1] == stage)
    request = learn_request(lesson(denied))
    if stage == "commit":
        assert engine.learn(request, reply).outcome == "learned"
        return
    with pytest.raises(Cancelled):
        engine.learn(request, reply)
    assert equal(weights(engine), before)
    assert engine.store is not None
    assert engine.store.current() is None


def test_a_disk_that_is_full_leaves_the_weights_unharmed(engine):
    from .test_snapshots import small_files

    before = weights(engine)
    with pytest.raises(EngineFailure) as failure, small_files(4096):
        learn(engine)
    assert failure.value.code == "disk_full"
    assert equal(weights(engine), before)
    assert learn(engine).outcome == "learned"


@pytest.mark.slow
def test_an_adapter_that_is_active_everywhere_learns_too(load_request):
    engine = LocalEngine()
    engine.load(load_request(adapter_scope="everywhere", repository="everywhere"), quiet())
    came = weights(engine)
    result = learn(engine)
    assert result.outcome == "learned"
    assert call_of(denied_completion(engine)).name == "bash"
    engine.undo(Undo(id=1), quiet())
    assert equal(weights(engine), came)
    assert call_of(denied_completion(engine)).name == "read"
    engine.close()


@pytest.mark.parametrize(
    "options",
    [
        {"objective": "reverse_kl"},
        {"objective": "importance_sampling", "token_clip": 5.0},
        {"objective": "jsd", "jsd_alpha": 0.3, "top_k": 20},
    ],
    ids=lambda options: options["objective"],
)
def test_every_objective_learns(load_request, options):
    engine = LocalEngine()
    loaded = engine.load(load_request(repository="objective", **options), quiet())
    assert loaded.objective == options["objective"]
    assert learn(engine).outcome == "learned"
    engine.close()


def test_the_moving_average_is_kept_with_the_snapshot(load_request):
    engine = LocalEngine()
    engine.load(load_request(repository="average", teacher="moving_average"), quiet())
    assert learn(engine).outcome == "learned"
    store = engine.store
    assert store is not None
    learned = weights(engine)
    average = store.optimizer(store.current())
    assert average is not None
    for name, part in average.items():
        start = engine.policy.adapter.initial()[name] if engine.policy else part
        assert torch.allclose(part, start + 0.05 * (learned[name] - start), atol=1e-6), name
    engine.close()

    engine.load(load_request(repository="average", teacher="moving_average"), quiet())
    engine.undo(Undo(id=1), quiet())
    assert engine.store is not None
    assert engine.store.optimizer(engine.store.current()) is None
    engine.close()


def test_a_lesson_is_the_same_twice(load_request):
    results: list[tuple[object, ...]] = []
    for name in ("one", "two"):
        engine = LocalEngine()
        engine.load(load_request(repository=name), quiet())
        result = learn(engine)
        results.append((result.retry and result.retry.tokens, result.loss, result.kl))
        engine.close()
    assert results[0] == results[1]


@pytest.mark.slow
def test_the_anchors_answers_are_made_once(engine, answers):
    learn(engine)
    files = list(answers.glob("*.json"))
    stamp = files[0].stat().st_mtime_ns
    learn(engine, "use read")
    assert [f.stat().st_mtime_ns for f in answers.glob("*.json")] == [stamp] * len(files)
    assert torch.get_num_threads() == 1
