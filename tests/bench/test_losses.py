"""The losses of the other arms, against their formulas in float64."""

from __future__ import annotations

import math

import pytest
import torch
from continualcode_tui.training.bench import losses


def test_advantages_of_a_group_have_mean_zero_and_spread_one() -> None:
    found = losses.group_advantages([1, 0, 0, 0])
    assert math.isclose(sum(found), 0, abs_tol=1e-12)
    assert math.isclose(sum(a * a for a in found) / 4, 1)
    assert found[0] == pytest.approx(math.sqrt(3))


@pytest.mark.parametrize("reward", [0.0, 1.0])
def test_a_group_that_agrees_has_no_advantages(reward: float) -> None:
    assert losses.group_advantages([reward] * 8) == [0.0] * 8


def test_dpo_is_its_formula_and_starts_at_log_two() -> None:
    right, wrong = torch.tensor(-3.0), torch.tensor(-1.0)
    assert float(losses.dpo(right, wrong, right, wrong, 0.1)) == pytest.approx(math.log(2))
    loss = losses.dpo(right, wrong, torch.tensor(-4.0), torch.tensor(-0.5), 0.1)
    margin = 0.1 * ((-3.0 + 4.0) - (-1.0 + 0.5))
    assert float(loss) == pytest.approx(math.log1p(math.exp(-margin)), rel=1e-6)


def test_dpo_raises_the_right_answer_and_lowers_the_wrong_one() -> None:
    right = torch.tensor(-3.0, dtype=torch.float64, requires_grad=True)
    wrong = torch.tensor(-1.0, dtype=torch.float64, requires_grad=True)
    base = torch.tensor(-2.0, dtype=torch.float64)
    losses.dpo(right, wrong, base, base, 0.1).backward()
    assert right.grad is not None
    assert wrong.grad is not None
    assert right.grad < 0 < wrong.grad


def test_the_sampled_surrogate_steps_along_the_advantage() -> None:
    """On its own samples the gradient in log π is −A over the number of tokens."""
    now = torch.tensor([-0.5, -3.0], dtype=torch.float64, requires_grad=True)
    teacher = torch.tensor([-4.0, -0.1], dtype=torch.float64)
    losses.sampled_token(now, now.detach(), teacher).backward()
    assert now.grad is not None
    expected = -(teacher - now.detach()) / 2
    assert torch.allclose(now.grad, expected)


def test_grpo_on_its_own_samples_is_the_policy_gradient_and_clips_beyond() -> None:
    now = torch.tensor([-1.0, -2.0], dtype=torch.float64, requires_grad=True)
    losses.grpo(now, now.detach(), 1.5).backward()
    assert now.grad is not None
    assert torch.allclose(now.grad, torch.full_like(now, -0.75))
    far = torch.tensor([-1.0], dtype=torch.float64, requires_grad=True)
    losses.grpo(far, torch.tensor([-2.0], dtype=torch.float64), 1.0).backward()
    assert far.grad is not None
    assert float(far.grad) == 0


def test_chosen_takes_each_token() -> None:
    logprobs = torch.log(torch.tensor([[0.1, 0.9], [0.6, 0.4]]))
    assert torch.allclose(losses.chosen(logprobs, (1, 0)).exp(), torch.tensor([0.9, 0.6]))
