"""The mathematics: against float64, against finite differences, and in its signs."""

from __future__ import annotations

import math

import pytest
import torch
from continualcode_tui.training import objectives as ob
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

numbers = st.floats(-8, 8, allow_nan=False, width=32)


def logits(rows: int, columns: int) -> st.SearchStrategy[Tensor]:
    values = st.lists(numbers, min_size=rows * columns, max_size=rows * columns)
    return values.map(lambda v: torch.tensor(v, dtype=torch.float64).view(rows, columns))


@settings(deadline=None, max_examples=30)
@given(logits(3, 6), logits(3, 6))
def test_divergences_are_not_negative_and_vanish_on_equal_distributions(left, right):
    student, teacher = left.log_softmax(-1), right.log_softmax(-1)
    for divergence in (ob.forward_kl, ob.reverse_kl):
        assert (divergence(student, teacher) >= -1e-12).all()
        assert divergence(student, student).abs().max() < 1e-12
    assert torch.allclose(ob.forward_kl(student, teacher), ob.reverse_kl(teacher, student))


@settings(deadline=None, max_examples=30)
@given(logits(2, 5), logits(2, 5))
def test_float32_agrees_with_float64(left, right):
    student, teacher = left.log_softmax(-1), right.log_softmax(-1)
    for divergence in (ob.forward_kl, ob.reverse_kl):
        narrow = divergence(student.float(), teacher.float()).double()
        assert torch.allclose(narrow, divergence(student, teacher), atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("objective", ["forward_kl", "reverse_kl"])
@settings(deadline=None, max_examples=20)
@given(left=logits(2, 5), right=logits(2, 5))
def test_gradients_agree_with_finite_differences(objective, left, right):
    teacher = right.log_softmax(-1)
    tokens = torch.tensor([0, 1])
    sampled = torch.zeros(2, dtype=torch.float64)

    def loss(values: Tensor) -> Tensor:
        student = values.log_softmax(-1)
        return ob.token_loss(objective, student, teacher, tokens, sampled).sum()

    assert torch.autograd.gradcheck(loss, (left.clone().requires_grad_(),), atol=1e-5)


def test_forward_kl_gradient_is_student_minus_teacher():
    values = torch.randn(3, 7, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(3, 7, dtype=torch.float64).log_softmax(-1)
    ob.forward_kl(values.log_softmax(-1), teacher).sum().backward()
    assert values.grad is not None
    assert torch.allclose(values.grad, values.detach().softmax(-1) - teacher.exp())


@pytest.mark.parametrize("objective", ["forward_kl", "reverse_kl", "importance_sampling"])
@pytest.mark.parametrize("probability", [0.001, 0.09, 0.3, 0.6])
def test_a_step_raises_a_token_that_the_teacher_prefers_however_rare(objective, probability):
    rest = (1 - probability) / 2
    values = torch.tensor([[probability, rest, rest]]).log().requires_grad_()
    likelier = probability + 0.5 * (1 - probability)
    teacher = torch.tensor([[likelier, (1 - likelier) / 2, (1 - likelier) / 2]]).log()
    student = values.log_softmax(-1)
    sampled = student.detach()[:, 0]
    loss = ob.token_loss(objective, student, teacher, torch.tensor([0]), sampled)
    loss.sum().backward()
    assert values.grad is not None
    assert values.grad[0, 0] < 0


@settings(deadline=None, max_examples=30)
@given(ratio=st.floats(-30, 30))
def test_the_importance_ratio_is_clamped_and_carries_no_gradient(ratio):
    values = torch.tensor([[0.2, 0.5, 0.3]], dtype=torch.float64).log().requires_grad_()
    student = values.log_softmax(-1)
    teacher = torch.tensor([[0.6, 0.2, 0.2]], dtype=torch.float64).log()
    sampled = student.detach()[:, 0] - ratio
    ob.importance_sampling(student, teacher, torch.tensor([0]), sampled).sum().backward()
    expected = -min(max(math.exp(min(ratio, 20)), 0.5), 2.0) * math.log(3) * 0.8
    assert values.grad is not None
    assert float(values.grad[0, 0]) == pytest.approx(expected)


def test_boilerplate_does_not_dilute_the_decision():
    student = torch.tensor([[0.5, 0.5]] * 20).log()
    teacher = student.clone()
    teacher[7] = torch.tensor([0.99, 0.01]).log()
    per_token = ob.forward_kl(student, teacher)
    keep = ob.informative(student, teacher)
    assert keep.nonzero().tolist() == [[7]]
    assert float(ob.aggregate(per_token, keep)) == pytest.approx(float(per_token[7]))


def test_extreme_logits_stay_finite():
    student = torch.tensor([[1e4, -1e4, 0.0]]).log_softmax(-1).requires_grad_()
    teacher = torch.tensor([[-1e4, 1e4, 0.0]]).log_softmax(-1)
    for objective in ("forward_kl", "reverse_kl", "importance_sampling"):
        loss = ob.token_loss(objective, student, teacher, torch.tensor([0]), torch.zeros(1))
        assert torch.isfinite(loss).all()


def test_entropy_of_a_uniform_distribution():
    uniform = torch.zeros(1, 8).log_softmax(-1)
    assert float(ob.entropy(uniform)) == pytest.approx(math.log(8))
