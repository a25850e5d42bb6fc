"""Learning on a service with real gradients, as far as it differs from learning here."""

from __future__ import annotations

import pytest
from continualcode_tui.training.engine import EngineFailure

from tests.hosted.conftest import Start, quiet, said, slow, tool
from tests.loopback.hosted import Hosted
from tests.loopback.server import Loopback
from tests.loopback.service import Features
from tests.training.conftest import SHOW, call_of, learn_request, lesson


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
    assert start.loaded[-1].objective == objective
    told = start.loaded[-1].server
    assert told["teacher"] == "before"
    assert told["likeliest tokens told"] == ("20" if features.topk_prompt_logprobs else "none")
    assert told["several targets a token"] == ("yes" if features.wide_targets else "no")
    result = engine.learn(learn_request(lesson(said(engine))), quiet())
    assert result.outcome == "learned", result.reason
    assert call_of(result.retry).name == "bash"
    assert tool(engine) == "bash"
    # In a fresh prompt, by the model behind the service itself:
    prompt = engine.reader.renderer.prompt(SHOW, ())
    wanted = engine.reader.renderer.encode('<tool_call>\n{"name": "bash"')
    assert hosted.tokenizer.decode([wanted[-2]]) == "bash"
    (trained,) = loopback.service.books.models.values()
    tokens = [*prompt.tokens, *wanted]
    before, after = (
        float(hosted.logprobs(weights, tokens)[-3, wanted[-2]].detach())
        for weights in (None, trained)
    )
    assert after > before
    # Every token that went through a gradient is counted, and only the answers are scored.
    bodies = [body for kind, body in loopback.service.books.asked if kind == "asample"]
    scores = [body for body in bodies if body.get("prompt_logprobs")]
    if features.last_n:
        assert all(body["prompt_logprobs_last_n"] < 60 for body in scores[-8:])
    assert result.tokens_trained == sum(
        len(example.tokens)
        for step in engine.lineage._ways(result.snapshot)[-1][1]
        for example in step.examples
    )


def test_a_context_that_is_not_told_is_the_models_own(start: Start, loopback: Loopback):
    loopback.service.features = Features(tells_context=False)
    start(enable_training=False)
    assert start.loaded[-1].context_tokens == loopback.service.hosted.context


@pytest.mark.parametrize("features", [Features(wide_targets=False), Features(narrow_answers=True)])
def test_an_objective_that_the_service_cannot_is_refused(
    start: Start, loopback: Loopback, features: Features
):
    loopback.service.features = features
    with pytest.raises(EngineFailure, match="choose objective=importance_sampling"):
        start(objective="jsd")


def test_a_loss_that_is_computed_here_is_refused_where_its_gradient_is_wrong(
    start: Start, loopback: Loopback
):
    """As on a server that divides what it is sent by its own sum."""
    loopback.service.features = Features(mends_weights=True)
    with pytest.raises(EngineFailure, match="choose objective=forward_kl"):
        start(objective="reverse_kl")


@slow
def test_a_teacher_of_its_own_can_teach(start: Start, hosted: Hosted):
    engine = start(teacher_model=str(hosted.folder))
    assert engine.learn(learn_request(lesson(said(engine))), quiet()).proved


@slow
def test_a_checkpoint_can_teach(start: Start):
    first = start()
    path = first.lineage.adapter.client.save_weights_for_sampler("teacher").result().path
    first.close()
    engine = start(teacher_checkpoint=path)
    assert start.loaded[-1].server["teacher"] == path
    assert engine.learn(learn_request(lesson(said(engine))), quiet()).proved


@slow
def test_a_lesson_costs_few_calls(start: Start, loopback: Loopback):
    engine = start()
    denied = said(engine)
    calls = loopback.service.books.calls
    calls.clear()
    result = engine.learn(learn_request(lesson(denied)), quiet())
    assert result.proved
    steps = len(result.steps)
    assert calls["forward_backward"] == calls["optim_step"] == steps
    assert calls["save_weights_for_sampler"] == steps
    assert calls["asample"] <= 20 + 14 * steps
