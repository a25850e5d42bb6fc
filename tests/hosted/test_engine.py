"""The engine against a service with real gradients: learning, undoing, resuming, failing."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from continualcode_tui.training.adapter_messages import Undo
from continualcode_tui.training.engine import Cancelled, EngineFailure
from continualcode_tui.training.engines.hosted.connection import KEY
from continualcode_tui.training.engines.tinker import TinkerEngine
from continualcode_tui.training.protocol import Check, Completion, Load, ProvedLesson, Sample

from tests.hosted.conftest import quiet
from tests.loopback.faults import Fault
from tests.loopback.hosted import Hosted
from tests.loopback.server import Features, Loopback
from tests.training.conftest import SHOW, call_of, learn_request, lesson

Start = Callable[..., TinkerEngine]
slow = pytest.mark.slow


@pytest.fixture
def start(loopback: Loopback, hosted: Hosted, tmp_path: Path):
    """Engines on the service of this test, which share one data directory."""
    made: list[TinkerEngine] = []

    def begin(**options: object) -> TinkerEngine:
        values: dict[str, object] = {
            "id": 1,
            "engine": "tinker",
            "model_name": str(hosted.folder),
            "repository": "repo",
            "data_dir": str(tmp_path),
            "base_url": loopback.url,
            "lora_rank": 8,
        }
        engine = TinkerEngine()
        made.append(engine)
        engine.load(Load.model_validate(values | options), quiet())
        return engine

    yield begin
    for engine in made:
        engine.close()


def said(engine: TinkerEngine) -> Completion:
    request = Sample(id=1, messages=SHOW, tools=(), temperature=0, max_tokens=60)
    return engine.sample(request, quiet())


def tool(engine: TinkerEngine) -> str:
    return call_of(said(engine)).name


@pytest.mark.parametrize(
    ("features", "objective"),
    [
        (Features(), "forward_kl"),
        pytest.param(Features(last_n=False), "forward_kl", marks=slow),
        pytest.param(Features(mean_reduction=True), "forward_kl", marks=slow),
        pytest.param(Features(wide_targets=False), "importance_sampling", marks=slow),
        pytest.param(Features(topk_prompt_logprobs=False), "importance_sampling", marks=slow),
    ],
)
def test_a_lesson_is_learned_by_the_best_objective_of_the_server(
    start: Start, loopback: Loopback, hosted: Hosted, features: Features, objective: str
):
    loopback.service.features = features
    engine = start()
    assert engine._objective() == objective
    told = engine._about_the_server()
    assert told["teacher"] == "before"
    assert told["likeliest tokens told"] == ("20" if features.topk_prompt_logprobs else "none")
    assert told["several targets a token"] == ("yes" if features.wide_targets else "no")
    denied = said(engine)
    result = engine.learn(learn_request(lesson(denied)), quiet())
    assert result.outcome == "learned", result.reason
    assert result.proved
    assert call_of(result.retry).name == "bash"
    assert tool(engine) == "bash"
    assert result.tokens_sampled > 0
    assert result.tokens_scored > 0
    # In a fresh prompt, by the model behind the service itself:
    prompt = engine.reader.renderer.prompt(SHOW, ())
    wanted = engine.reader.renderer.encode('<tool_call>\n{"name": "bash"')
    assert hosted.tokenizer.decode([wanted[-2]]) == "bash"
    (trained,) = loopback.service.books.models.values()
    tokens = [*prompt.tokens, *wanted]
    before, after = (
        float(hosted.logprobs(weights, tokens)[-3, wanted[-2]]) for weights in (None, trained)
    )
    assert after > before


def test_an_engine_that_comes_back_is_where_it_was(start: Start):
    first = start()
    assert first.learn(learn_request(lesson(said(first))), quiet()).proved
    answer = said(first)
    first.close()
    again = start()
    assert said(again).tokens == answer.tokens
    assert [one.current for one in again.adapters().snapshots] == [True]


@slow
def test_a_saved_state_that_is_gone_is_learned_again(start: Start, loopback: Loopback):
    first = start(save_every=1)
    assert first.learn(learn_request(lesson(said(first))), quiet()).proved
    answer = said(first)
    first.close()
    asked = loopback.service.books.calls
    saved = asked["save_weights"]
    assert saved == 1
    back = start(save_every=1)
    assert said(back).tokens == answer.tokens
    assert asked["load_weights"] == 1
    back.close()
    loopback.service.books.states.clear()
    again = start(save_every=1)
    assert said(again).tokens == answer.tokens


def test_undo_goes_back_to_the_model_as_it_came(start: Start):
    engine = start()
    before = said(engine)
    assert engine.learn(learn_request(lesson(before)), quiet()).proved
    undone = engine.undo(Undo(id=2), quiet())
    assert undone.undone_lesson == "lesson-1"
    assert said(engine).tokens == before.tokens
    with pytest.raises(EngineFailure, match="no lesson to undo"):
        engine.undo(Undo(id=3), quiet())


@slow
def test_a_lesson_can_be_asked_again(start: Start):
    engine = start()
    denied = said(engine)
    result = engine.learn(learn_request(lesson(denied)), quiet())
    proved = ProvedLesson(
        lesson="lesson-1",
        messages=SHOW,
        tools=(),
        tokens=result.retry.tokens,
        denied=denied.tokens,
    )
    (check,) = engine.check(Check(id=2, lessons=(proved,)), quiet()).checks
    assert check.holds == "call"
    engine.undo(Undo(id=3), quiet())
    (check,) = engine.check(Check(id=4, lessons=(proved,)), quiet()).checks
    assert check.holds == "lost"


def test_a_correction_that_changes_nothing_takes_no_step(start: Start, loopback: Loopback):
    engine = start()
    request = learn_request(lesson(said(engine), "use read"))
    assert engine.learn(request, quiet()).outcome == "gated"
    assert not loopback.service.books.calls["optim_step"]


@slow
@pytest.mark.parametrize("objective", ["reverse_kl", "jsd", "importance_sampling"])
def test_every_objective_can_be_chosen(start: Start, objective: str):
    engine = start(objective=objective, max_steps=8)
    result = engine.learn(learn_request(lesson(said(engine))), quiet())
    assert result.outcome in ("learned", "in_context_only")
    assert max(step.follow for step in result.steps) > 0.4


def test_an_objective_that_the_service_cannot_is_refused(start: Start, loopback: Loopback):
    loopback.service.features = Features(wide_targets=False)
    message = refused(start, 10, objective="jsd")
    assert "choose objective=importance_sampling" in message


@slow
@pytest.mark.parametrize("teacher", ["live", "frozen", "moving_average", "trust_region"])
def test_every_teacher_can_teach(start: Start, teacher: str):
    engine = start(teacher=teacher, teacher_rate=0.9, max_steps=2)
    result = engine.learn(learn_request(lesson(said(engine))), quiet())
    assert result.outcome in ("learned", "in_context_only")
    assert result.steps[-1].follow > 0.2


@slow
def test_a_teacher_of_its_own_can_teach(start: Start, hosted: Hosted):
    engine = start(teacher_model=str(hosted.folder))
    assert engine.learn(learn_request(lesson(said(engine))), quiet()).proved


@slow
def test_a_cancelled_lesson_leaves_the_adapter_as_it_was(start: Start):
    engine = start()
    before = said(engine)
    steps: list[int] = []

    def cancelled() -> bool:
        return bool(steps) or engine.adapter.certain is False

    with pytest.raises(Cancelled):
        engine.learn(learn_request(lesson(before)), quiet(cancelled))
    assert said(engine).tokens == before.tokens
    assert engine.learn(learn_request(lesson(before)), quiet()).proved


# --- what bad input gets --------------------------------------------------------------


def refused(start: Start, within: float, **options: object) -> str:
    began = time.monotonic()
    with pytest.raises(EngineFailure) as caught:
        start(**options)
    assert time.monotonic() - began < within
    return caught.value.message


def test_an_unknown_model_is_known_within_five_seconds(start: Start):
    message = refused(start, 5, model_name="Qwen/Qwen3-4B")
    assert message.startswith("The service has no model Qwen/Qwen3-4B: choose model_name=")


def test_an_unknown_model_is_known_on_servers_that_take_any_name(start: Start, loopback: Loopback):
    loopback.service.features = Features(any_model_name=True)
    loopback.service.name = "something-else"
    message = refused(start, 5, model_name="no/such-model")
    assert "no/such-model" in message


def test_a_tokenizer_that_cannot_be_loaded_is_known_within_five_seconds(
    start: Start, loopback: Loopback, tmp_path: Path
):
    (tmp_path / "empty").mkdir()
    loopback.service.name = str(tmp_path / "empty")
    message = refused(start, 5, model_name=str(tmp_path / "empty"))
    assert "could not be loaded" in message


def test_a_checkpoint_that_does_not_exist_is_told_in_words(start: Start):
    message = refused(start, 10, load_checkpoint_path="tinker://run/weights/nothing")
    assert "Restoring the adapter was refused" in message or "Restoring the adapter" in message


def test_a_teacher_with_another_tokenizer_is_refused(start: Start, hosted: Hosted):
    practice = Path(__file__).parents[2] / "training" / "practice" / "model"
    message = refused(start, 10, teacher_model=str(practice))
    assert "another tokenizer" in message


@pytest.mark.parametrize(
    ("endpoint", "fault"),
    [
        ("retrieve_future/asample", Fault("nan")),
        pytest.param("retrieve_future/asample", Fault("missing"), marks=slow),
        pytest.param("asample", Fault("status", code=400), marks=slow),
        pytest.param("retrieve_future/forward_backward", Fault("status", code=404), marks=slow),
        pytest.param("optim_step", Fault("status", code=400), marks=slow),
    ],
)
def test_a_failure_in_the_middle_leaves_the_adapter_as_it_was(
    start: Start, loopback: Loopback, endpoint: str, fault: Fault
):
    engine = start()
    before = said(engine)
    at = 12 if endpoint.endswith("asample") else 1
    endpoints = loopback.service.faults
    original, count = endpoints.take, 0

    def take(name: str) -> Fault | None:
        nonlocal count
        count += name == endpoint
        return fault if name == endpoint and count == at else original(name)

    endpoints.take = take
    with pytest.raises(EngineFailure) as caught:
        engine.learn(learn_request(lesson(before)), quiet())
    assert "\n" not in caught.value.message
    endpoints.take = original
    assert said(engine).tokens == before.tokens
    assert engine.learn(learn_request(lesson(before)), quiet()).proved


@slow
def test_a_response_that_is_lost_after_a_step_is_taken_once(start: Start, loopback: Loopback):
    engine = start()
    before = said(engine)
    loopback.service.faults.add("optim_step", Fault("lose"))
    result = engine.learn(learn_request(lesson(before)), quiet())
    assert result.proved
    engine.close()
    again = start()
    assert tool(again) == "bash"


@slow
def test_a_hundred_drops_leave_every_lesson_applied_once(start: Start, loopback: Loopback):
    """Wherever the connection drops, a lesson is there once or not at all."""
    draw = random.Random(0)
    places = ("asample", "retrieve_future/asample", "forward_backward", "optim_step")
    places += ("retrieve_future/forward_backward", "retrieve_future/optim_step")
    places += ("save_weights_for_sampler", "save_weights")
    engine = start(save_every=2)
    before = said(engine)
    for number in range(25):
        for _ in range(4):
            kind = draw.choice(("refuse", "lose"))
            loopback.service.faults.add(draw.choice(places), Fault(kind))
        try:
            result = engine.learn(learn_request(lesson(before, id=f"l{number}")), quiet())
        except EngineFailure:
            learned = False
        else:
            learned = result.outcome == "learned"
        loopback.service.faults.clear()
        assert (tool(engine) == "bash") == learned
        held = [one.lesson for one in engine.adapters().snapshots if one.in_use]
        assert held == ([f"l{number}"] if learned else [])
        if learned:
            engine.undo(Undo(id=1), quiet())
        assert said(engine).tokens == before.tokens


def test_the_key_reaches_no_file(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    engine = start()
    engine.learn(learn_request(lesson(said(engine))), quiet())
    engine.close()
    import os

    key = os.environ[KEY].encode()
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or key not in path.read_bytes()
