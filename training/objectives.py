"""The losses of on-policy self-distillation, as pure functions of log-probabilities.

Shapes: a completion of ``n`` tokens over a vocabulary of ``v`` gives log-probabilities
``[n, v]``; every loss is one value per token, ``[n]``, in nats. The teacher's side never
carries a gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .protocol import Objective

RATIO_LOW, RATIO_HIGH = 0.5, 2.0
INFORMATIVE_PART = 0.05


def forward_kl(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher ‖ student) per token; its gradient in the student's logits is S − T."""
    teacher = teacher.detach()
    return (teacher.exp() * (teacher - student)).sum(-1)


def reverse_kl(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(student ‖ teacher) per token."""
    return (student.exp() * (student - teacher.detach())).sum(-1)


def importance_sampling(
    student: Tensor, teacher: Tensor, tokens: Tensor, sampled: Tensor
) -> Tensor:
    """The sampled-token surrogate −r·A·log π per token.

    ``sampled`` holds the log-probabilities of ``tokens`` when they were sampled. Both the
    ratio r, clamped to [0.5, 2], and the advantage A are detached: a ratio that carries a
    gradient turns the sign of the step around for tokens rarer than 1/e.
    """
    chosen = student.gather(-1, tokens[:, None])[:, 0]
    ratio = (chosen.detach() - sampled).clamp(-20.0, 20.0).exp().clamp(RATIO_LOW, RATIO_HIGH)
    advantage = advantages(student, teacher, tokens)
    return -(ratio * advantage) * chosen


def advantages(student: Tensor, teacher: Tensor, tokens: Tensor) -> Tensor:
    """log p(teacher) − log p(student) of each token, without a gradient."""
    index = tokens[:, None]
    return (teacher.gather(-1, index) - student.gather(-1, index))[:, 0].detach()


def entropy(logprobs: Tensor) -> Tensor:
    """The entropy of each token's distribution, in nats."""
    return -(logprobs.exp() * logprobs).sum(-1)


def informative(student: Tensor, teacher: Tensor) -> Tensor:
    """Which tokens the teacher has something to say about, as a boolean ``[n]``.

    A call is mostly braces and quotes on which both agree; a mean over all of them would
    shrink the one decision that matters. A token counts when its forward KL is at least a
    twentieth of the largest.
    """
    gap = forward_kl(student.detach(), teacher)
    return gap >= INFORMATIVE_PART * gap.max().clamp(min=1e-12)


def aggregate(per_token: Tensor, keep: Tensor) -> Tensor:
    """The mean over the kept tokens; over all of them when none is kept."""
    weights = keep.to(per_token.dtype)
    if not bool(keep.any()):
        weights = torch.ones_like(per_token)
    return (per_token * weights).sum() / weights.sum()


def token_loss(
    objective: Objective, student: Tensor, teacher: Tensor, tokens: Tensor, sampled: Tensor
) -> Tensor:
    """The loss of each token under the chosen objective."""
    if objective == "forward_kl":
        return forward_kl(student, teacher)
    if objective == "reverse_kl":
        return reverse_kl(student, teacher)
    return importance_sampling(student, teacher, tokens, sampled)
