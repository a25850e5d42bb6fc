"""The losses against TRL's, on random logits, where TRL has the same objective."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from continualcode_tui.training import objectives as ob

pytestmark = pytest.mark.slow
ROWS, VOCABULARY = 12, 300


@pytest.fixture(scope="module")
def trl() -> Any:
    with warnings.catch_warnings(action="ignore"):  # it says that these interfaces may change
        from trl.experimental.sdpo import loss_utils
    return loss_utils


@pytest.fixture(params=range(3))
def pair(request: pytest.FixtureRequest) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(request.param)
    spread = 1.0 + 2 * request.param
    return (
        spread * torch.randn(ROWS, VOCABULARY, generator=generator, dtype=torch.float64),
        spread * torch.randn(ROWS, VOCABULARY, generator=generator, dtype=torch.float64),
    )


def loss_and_gradient(compute: Any, student: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    values = student.clone().requires_grad_()
    loss = compute(values)
    return loss.detach(), torch.autograd.grad(loss.sum(), values)[0]


def assert_same(ours: Any, theirs: Any, student: torch.Tensor) -> None:
    for mine, other in zip(
        loss_and_gradient(ours, student), loss_and_gradient(theirs, student), strict=True
    ):
        assert torch.allclose(mine, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_full_vocabulary(trl, pair, alpha):
    student, teacher = pair
    assert_same(
        lambda values: ob.divergence(values.log_softmax(-1), teacher.log_softmax(-1), alpha),
        lambda values: trl.compute_full_logit_self_distillation_loss(
            values, teacher, distillation_alpha=alpha
        ),
        student,
    )


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("k", [1, 20, 100])
def test_the_students_top_k_with_a_tail(trl, pair, alpha, k):
    student, teacher = pair
    loss = ob.Loss("jsd", alpha=alpha, top_k=k, support="student")
    tokens, sampled = torch.zeros(ROWS, dtype=torch.long), torch.zeros(ROWS)
    assert_same(
        lambda values: loss.per_token(
            values.log_softmax(-1), teacher.log_softmax(-1), tokens, sampled
        ),
        lambda values: trl.compute_topk_self_distillation_loss(
            values,
            teacher,
            distillation_topk=k,
            distillation_alpha=alpha,
            distillation_add_tail=True,
        ),
        student,
    )


def test_sampled_tokens_and_their_importance_ratio(trl, pair):
    student, teacher = pair
    tokens = torch.arange(ROWS)
    old = student.log_softmax(-1).gather(-1, tokens[:, None])[:, 0] + torch.linspace(
        -0.6, 3, ROWS, dtype=torch.float64
    )

    def theirs(values: torch.Tensor) -> torch.Tensor:
        loss = trl.compute_sampled_token_self_distillation_loss(
            values[None], teacher[None], tokens[None], distillation_alpha=1.0
        )
        chosen = values.log_softmax(-1).gather(-1, tokens[:, None])[:, 0]
        return trl.apply_importance_sampling_clipping(loss[0], chosen, old, 2.0)

    # TRL clamps the ratio above only; rows whose ratio is below our lower end are left out.
    ratio = (student.log_softmax(-1).gather(-1, tokens[:, None])[:, 0] - old).exp()
    same = ratio >= ob.RATIO_LOW
    assert int(same.sum()) >= 3
    assert_same(
        lambda values: ob.importance_sampling(
            values.log_softmax(-1), teacher.log_softmax(-1), tokens, old
        )[same],
        lambda values: theirs(values)[same],
        student,
    )
