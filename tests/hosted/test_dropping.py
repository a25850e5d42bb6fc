"""Connections that drop, steps that come to nothing: a lesson is there once or not at all."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from continualcode_tui.training.adapter_messages import Undo
from continualcode_tui.training.engine import EngineFailure
from continualcode_tui.training.engines.hosted.connection import Limits
from torch import Tensor

from tests.hosted.conftest import Start, quiet, said, slow
from tests.loopback.faults import Fault
from tests.loopback.hosted import Trained
from tests.loopback.server import Loopback
from tests.training.conftest import learn_request, lesson

PLACES = (
    "asample",
    "retrieve_future/asample",
    "forward_backward",
    "retrieve_future/forward_backward",
    "optim_step",
    "retrieve_future/optim_step",
    "save_weights_for_sampler",
    "retrieve_future/save_weights_for_sampler",
    "save_weights",
    "retrieve_future/save_weights",
)


def newest(loopback: Loopback) -> Trained:
    """The adapter on the service that was made last."""
    return list(loopback.service.books.models.values())[-1]


def same_weights(one: Trained, other: Trained) -> bool:
    return all(torch.allclose(one.weights[n], other.weights[n], atol=1e-6) for n in one.weights)


@slow
def test_a_request_that_is_done_twice_would_be_seen(
    start: Start, loopback: Loopback, monkeypatch: pytest.MonkeyPatch
):
    """A service that takes no notice of a request's number, before the drops are tried on ours."""
    engine = start()
    before = said(engine)
    engine.learn(learn_request(lesson(before)), quiet())
    undisturbed = newest(loopback).copy()
    engine.undo(Undo(id=1), quiet())
    service = loopback.service

    def again(body: object, kind: str, do: Callable[[], Any]) -> dict[str, Any]:
        return {"request_id": service._later(kind, do())["request_id"]}

    monkeypatch.setattr(service, "_once", again)
    for _ in range(2):
        service.faults.add("forward_backward", Fault("lose"))
        service.faults.add("optim_step", Fault("lose"))
    engine.learn(learn_request(lesson(before, id="twice")), quiet())
    assert newest(loopback).updates != undisturbed.updates
    assert not same_weights(newest(loopback), undisturbed)


@slow
@pytest.mark.parametrize("quarter", range(4))
def test_a_hundred_drops_leave_every_lesson_applied_once(
    start: Start, loopback: Loopback, brief_waits: None, quarter: int
):
    """R13: wherever the connection drops, a lesson is there once or not at all.

    A hundred connections are really dropped, in four parts. The weights on the service are then
    those of a lesson that was left in peace, after as many updates.
    """
    draw = random.Random(quarter)
    faults = loopback.service.faults
    engine = start(save_every=2)
    before = said(engine)
    engine.learn(learn_request(lesson(before, id="undisturbed")), quiet())
    undisturbed, answer = newest(loopback).copy(), said(engine)
    engine.undo(Undo(id=1), quiet())
    dropped = lessons = learned = 0
    while dropped < 25:
        lessons += 1
        for _ in range(10):
            faults.add(draw.choice(PLACES), Fault(draw.choice(("refuse", "lose"))))
        waiting = sum(map(faults.waiting, PLACES))
        try:
            result = engine.learn(learn_request(lesson(before, id=f"l{lessons}")), quiet())
        except EngineFailure:
            holds = False
        else:
            holds = result.outcome == "learned"
        dropped += waiting - sum(map(faults.waiting, PLACES))
        faults.clear()
        learned += holds
        wanted = answer if holds else before
        assert said(engine).tokens == wanted.tokens
        assert said(engine).logprobs == pytest.approx(wanted.logprobs, abs=1e-4)
        if holds:
            assert newest(loopback).updates == undisturbed.updates
            assert same_weights(newest(loopback), undisturbed)
        held = [one.lesson for one in engine.adapters().snapshots if one.in_use]
        assert held == ([f"l{lessons}"] if holds else [])
        if holds:
            engine.undo(Undo(id=1), quiet())
    assert learned


@slow
@pytest.mark.parametrize("told", [True, False])
def test_a_step_that_is_not_finite_is_taken_back(
    start: Start, loopback: Loopback, monkeypatch: pytest.MonkeyPatch, told: bool
):
    """R12: the weights there really are no numbers; a loss tells it, or the service breaks down."""
    hosted = loopback.service.hosted
    step, backward = hosted.optim_step, hosted.forward_backward
    engine = start(None if told else Limits(sample=2.5))
    before = said(engine)

    def runs_away(trained: Trained, adam: Mapping[str, float]) -> dict[str, float]:
        metrics = step(trained, adam)
        for weight in trained.weights.values():
            weight.fill_(math.nan)
        return metrics

    def reads_nothing(*given: Any, **named: Any) -> tuple[list[Tensor], float]:
        outputs, loss = backward(*given, **named)
        return outputs, math.nan if told else loss

    with monkeypatch.context() as patch:
        patch.setattr(hosted, "optim_step", runs_away)
        patch.setattr(hosted, "forward_backward", reads_nothing)
        if told:
            result = engine.learn(learn_request(lesson(before)), quiet())
            assert result.outcome == "rolled_back"
            assert result.reason == "The step was not finite, so the weights were put back."
        else:
            with pytest.raises(EngineFailure):
                engine.learn(learn_request(lesson(before)), quiet())
    assert not engine.adapters().snapshots
    assert said(engine).logprobs == pytest.approx(before.logprobs, abs=1e-4)
    assert engine.learn(learn_request(lesson(before)), quiet()).proved
