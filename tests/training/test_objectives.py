"""The mathematics: against float64, against finite differences, and in its signs."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from continualcode_tui.training import objectives as ob
from continualcode_tui.training.protocol import Objective, Support
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


@pytest.mark.parametrize(
    "loss_of",
    [
        ob.Loss("forward_kl"),
        ob.Loss("reverse_kl"),
        ob.Loss("jsd"),
        ob.Loss("jsd", alpha=0.1),
    ],
    ids=str,
)
@settings(deadline=None, max_examples=20)
@given(left=logits(2, 5), right=logits(2, 5))
def test_gradients_agree_with_finite_differences(loss_of, left, right):
    teacher = right.log_softmax(-1)
    tokens = torch.tensor([0, 1])
    sampled = torch.zeros(2, dtype=torch.float64)

    def loss(values: Tensor) -> Tensor:
        student = values.log_softmax(-1)
        return loss_of.per_token(student, teacher, tokens, sampled).sum()

    assert torch.autograd.gradcheck(loss, (left.clone().requires_grad_(),), atol=1e-5)


def test_forward_kl_gradient_is_student_minus_teacher():
    values = torch.randn(3, 7, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(3, 7, dtype=torch.float64).log_softmax(-1)
    ob.forward_kl(values.log_softmax(-1), teacher).sum().backward()
    assert values.grad is not None
    assert torch.allclose(values.grad, values.detach().softmax(-1) - teacher.exp())


@pytest.mark.parametrize("objective", get_args(Objective))
@pytest.mark.parametrize("probability", [0.001, 0.09, 0.3, 0.6])
def test_a_step_raises_a_token_that_the_teacher_prefers_however_rare(objective, probability):
    rest = (1 - probability) / 2
    values = torch.tensor([[probability, rest, rest]]).log().requires_grad_()
    likelier = probability + 0.5 * (1 - probability)
    teacher = torch.tensor([[likelier, (1 - likelier) / 2, (1 - likelier) / 2]]).log()
    student = values.log_softmax(-1)
    sampled = student.detach()[:, 0]
    loss = ob.Loss(objective).per_token(student, teacher, torch.tensor([0]), sampled)
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
    for objective in get_args(Objective):
        for top_k in (0, 1, 2):
            loss = ob.Loss(objective, top_k=top_k).per_token(
                student, teacher, torch.tensor([0]), torch.zeros(1)
            )
            assert torch.isfinite(loss).all()
            (gradient,) = torch.autograd.grad(loss.sum(), student, retain_graph=True)
            assert torch.isfinite(gradient).all()


def test_entropy_of_a_uniform_distribution():
    uniform = torch.zeros(1, 8).log_softmax(-1)
    assert float(ob.entropy(uniform)) == pytest.approx(math.log(8))


# --- the Jensen-Shannon family ------------------------------------------------------------


@settings(deadline=None, max_examples=30)
@given(logits(3, 6), logits(3, 6), st.floats(0, 1))
def test_a_divergence_is_positive_and_its_ends_are_the_two_kls(left, right, alpha):
    student, teacher = left.log_softmax(-1), right.log_softmax(-1)
    assert (ob.divergence(student, teacher, alpha) >= -1e-12).all()
    assert torch.equal(ob.divergence(student, teacher, 0), ob.forward_kl(student, teacher))
    assert torch.equal(ob.divergence(student, teacher, 1), ob.reverse_kl(student, teacher))
    mirrored = ob.divergence(teacher, student, 1 - alpha)
    if 0.01 < alpha < 0.99:
        assert torch.allclose(ob.divergence(student, teacher, alpha), mirrored)


def test_half_and_half_is_a_quarter_of_the_kl_of_close_distributions():
    torch.manual_seed(0)
    student = torch.randn(4, 9, dtype=torch.float64).log_softmax(-1)
    teacher = (student + 1e-3 * torch.randn(4, 9, dtype=torch.float64)).log_softmax(-1)
    quarter = ob.divergence(student, teacher, 0.5) / ob.forward_kl(student, teacher)
    assert torch.allclose(quarter, torch.full_like(quarter, 0.25), atol=1e-3)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, math.nan])
def test_an_alpha_outside_of_its_range_is_refused(alpha):
    with pytest.raises(ValueError, match="between 0 and 1"):
        ob.divergence(torch.zeros(1, 2), torch.zeros(1, 2), alpha)


# --- a part of the vocabulary --------------------------------------------------------------


@settings(deadline=None, max_examples=30)
@given(logits(3, 8), logits(3, 8), st.integers(1, 7), st.sampled_from(get_args(Support)))
def test_top_k_with_its_tail_never_says_more_than_the_whole(left, right, k, support):
    student, teacher = left.float().log_softmax(-1), right.float().log_softmax(-1)
    ids, real = ob.top_k_of(student, teacher, k, support)
    narrow_s, narrow_t = ob.with_tail(student, ids, real), ob.with_tail(teacher, ids, real)
    for narrow in (narrow_s, narrow_t):
        assert torch.allclose(narrow.exp().sum(-1), torch.ones(3), atol=1e-5)
    for alpha in (0.0, 0.5, 1.0):
        whole = ob.divergence(student, teacher, alpha)
        assert (ob.divergence(narrow_s, narrow_t, alpha) <= whole + 1e-4).all()


@settings(deadline=None, max_examples=30)
@given(logits(3, 8), logits(3, 8), st.integers(1, 7))
def test_the_union_holds_both_sides_and_counts_a_token_once(left, right, k):
    student, teacher = left.log_softmax(-1), right.log_softmax(-1)
    ids, real = ob.top_k_of(student, teacher, k, "union")
    for row in range(3):
        kept = ids[row][real[row]].tolist()
        assert len(kept) == len(set(kept))
        wanted = {*student[row].topk(k).indices.tolist(), *teacher[row].topk(k).indices.tolist()}
        assert set(kept) == wanted


@pytest.mark.parametrize("objective", ["forward_kl", "reverse_kl", "jsd"])
def test_top_k_of_nearly_everything_is_the_full_vocabulary(objective):
    torch.manual_seed(1)
    values = torch.randn(5, 40, requires_grad=True)
    teacher = torch.randn(5, 40).log_softmax(-1)
    tokens, sampled = torch.zeros(5, dtype=torch.long), torch.zeros(5)

    def of(top_k: int) -> tuple[Tensor, Tensor]:
        loss = ob.Loss(objective, top_k=top_k).per_token(
            values.log_softmax(-1), teacher, tokens, sampled
        )
        return loss, torch.autograd.grad(loss.sum(), values)[0]

    for full, narrow in zip(of(0), of(39), strict=True):
        assert torch.allclose(full, narrow, atol=1e-4)


def test_a_truncated_reverse_kl_with_its_tail_has_no_pull_of_its_own():
    """Where student and teacher agree on the kept tokens and on the rest, nothing moves."""
    values = torch.tensor([[2.0, 1.0, -1.0, -1.5]], requires_grad=True)
    teacher = torch.tensor([[2.0, 1.0, -1.5, -1.0]]).log_softmax(-1)
    loss = ob.Loss("reverse_kl", top_k=2, support="student").per_token(
        values.log_softmax(-1), teacher, torch.tensor([0]), torch.zeros(1)
    )
    (gradient,) = torch.autograd.grad(loss.sum(), values)
    assert gradient.abs().max() < 1e-6


# --- clips and the reference ------------------------------------------------------------


def test_a_clip_bounds_a_token_and_keeps_its_direction():
    values = torch.tensor([[4.0, 0.0, 0.0], [0.1, 0.0, 0.0]], requires_grad=True)
    teacher = torch.tensor([[0.0, 9.0, 0.0], [0.0, 0.1, 0.0]]).log_softmax(-1)
    tokens, sampled = torch.tensor([0, 0]), torch.zeros(2)
    free = ob.Loss().per_token(values.log_softmax(-1), teacher, tokens, sampled)
    held = ob.Loss(token_clip=0.5).per_token(values.log_softmax(-1), teacher, tokens, sampled)
    assert float(held.detach()[0]) == pytest.approx(0.5)
    assert float(held.detach()[1]) == pytest.approx(float(free.detach()[1]))
    of_free = torch.autograd.grad(free[0], values, retain_graph=True)[0][0]
    of_held = torch.autograd.grad(held[0], values)[0][0]
    assert torch.allclose(of_held, of_free * 0.5 / free.detach()[0], atol=1e-6)


def test_a_clip_bounds_the_advantage_of_a_sampled_token():
    student = torch.tensor([[0.99, 0.01]]).log()
    teacher = torch.tensor([[1e-9, 1 - 1e-9]]).log()
    sampled = student[:, 0]
    loss = ob.importance_sampling(student, teacher, torch.tensor([0]), sampled, clip=2.0)
    assert float(loss[0]) == pytest.approx(2.0 * math.log(0.99))


def test_k3_estimates_the_divergence_without_a_bias():
    torch.manual_seed(2)
    student = torch.randn(1, 6, dtype=torch.float64).log_softmax(-1)
    reference = torch.randn(1, 6, dtype=torch.float64).log_softmax(-1)
    each = torch.stack([ob.k3(student, reference, torch.tensor([t]))[0] for t in range(6)])
    assert (each >= 0).all()
    assert float((student[0].exp() * each).sum()) == pytest.approx(
        float(ob.reverse_kl(student, reference)[0])
    )


def test_the_reference_is_compared_exactly_where_the_whole_distribution_is_known():
    student, reference = torch.randn(2, 5).log_softmax(-1), torch.randn(2, 5).log_softmax(-1)
    tokens = torch.tensor([1, 2])
    exact = ob.reference_loss(ob.Loss(), student, reference, tokens)
    estimate = ob.reference_loss(ob.Loss("importance_sampling"), student, reference, tokens)
    assert torch.allclose(exact, ob.reverse_kl(student, reference))
    assert torch.allclose(estimate, ob.k3(student, reference, tokens))
