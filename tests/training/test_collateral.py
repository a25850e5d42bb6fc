"""Steps that leave other decisions where they are."""

import pytest
import torch
from continualcode_tui.training.collateral import (
    Collateral,
    Decision,
    least_collateral,
    open_decisions,
    turning_point,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.training.conftest import SHOW, quiet


@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(8, 20))
def test_the_step_with_the_least_collateral_is_a_natural_gradient(seed, k, p):
    drawn = torch.Generator().manual_seed(seed)
    gradient = torch.randn(p, generator=drawn, dtype=torch.float64)
    rows = torch.randn(k, p, generator=drawn, dtype=torch.float64)
    found = least_collateral(gradient, rows, 0.1)
    damping = 0.1 * rows.square().sum(-1).mean()
    metric = rows.T @ rows / damping + torch.eye(p, dtype=torch.float64)
    torch.testing.assert_close(found, torch.linalg.solve(metric, gradient))


def test_without_damping_nothing_of_the_others_is_left():
    rows = torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    found = least_collateral(torch.tensor([3.0, 2.0, 5.0]), rows, 1e-6)
    torch.testing.assert_close(found, torch.tensor([0.0, 0.0, 5.0]), atol=1e-4, rtol=0)


def test_rows_without_a_gradient_change_nothing():
    gradient = torch.tensor([1.0, 2.0])
    assert least_collateral(gradient, torch.zeros(3, 2), 0.1) is gradient


@pytest.mark.parametrize("scope", ["answer", "everywhere"])
def test_each_decision_has_the_gradient_that_it_has_alone(load_request, scope):
    from continualcode_tui.training.engines.local import LocalEngine

    engine = LocalEngine()
    engine.load(load_request(adapter_scope=scope), quiet())
    policy = engine.policy
    drawn = torch.Generator().manual_seed(0)
    moved = {
        name: torch.randn(tensor.shape, generator=drawn) * 0.1
        for name, tensor in policy.adapter.state().items()
    }
    policy.adapter.restore(moved)
    policy.weights_changed()
    prompts = [policy.renderer.prompt(messages, ()) for messages in (SHOW, SHOW[:1])]
    decisions = [
        Decision(prompt, policy.prefix(prompt), policy.renderer.encode("<tool_call>")[:n], 7, 9, w)
        for prompt, n, w in zip(prompts, (1, 0), (1.0, 0.5), strict=True)
    ]
    rows = Collateral(policy, decisions).gradients()
    for decision, row in zip(decisions, rows, strict=True):
        scored = policy.score_with_gradient(decision.prompt, (*decision.tokens, 7))[-1]
        margin = decision.weight * (scored[7] - scored[9])
        alone = torch.autograd.grad(margin, policy.adapter.parameters)
        torch.testing.assert_close(row, torch.cat([part.reshape(-1) for part in alone]))
    engine.close()


def test_a_gradient_is_turned_off_the_decisions(engine):
    policy = engine.policy
    prompt = policy.renderer.prompt(SHOW, ())
    decision = Decision(prompt, policy.prefix(prompt), (), 7, 9)
    collateral = Collateral(policy, [decision])
    (row,) = collateral.gradients()
    names = policy.adapter.names
    sizes = [parameter.numel() for parameter in policy.adapter.parameters]
    gradient = {
        name: part.clone().view_as(parameter)
        for name, part, parameter in zip(
            names, row.split(sizes), policy.adapter.parameters, strict=True
        )
    }
    collateral.spare(gradient)
    left = torch.cat([gradient[name].reshape(-1) for name in names])
    assert float(left.norm()) < 0.02 * float(row.norm())
    untouched = {name: part.clone() for name, part in gradient.items()}
    Collateral(policy, []).spare(gradient)
    assert all(torch.equal(gradient[name], untouched[name]) for name in names)


def test_the_least_decided_tokens_come_first(engine):
    bank = engine._bank_for(())
    bank.finish(lambda: None)
    watch = bank.anchors
    keep = watch.mask({watch.ids[0]})
    found = open_decisions(watch.anchors, watch.base, keep, most=5)
    assert len(found) == 5
    weights = [decision.weight for decision in found]
    assert weights == sorted(weights, reverse=True)
    assert all(decision.prompt != watch.anchors[0].prompt for decision in found)
    assert all(decision.chosen != decision.rival for decision in found)


def test_the_turning_point_is_the_first_difference():
    assert turning_point((1, 2, 3), (1, 2, 4)) == 2
    assert turning_point((1, 2), (1, 2, 4)) is None
