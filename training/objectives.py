"""The losses of on-policy self-distillation, as pure functions of log-probabilities.

Shapes: a completion of ``n`` tokens over a vocabulary of ``v`` gives log-probabilities
``[n, v]``; every loss is one value per token, ``[n]``, in nats. The teacher's side never
carries a gradient.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .protocol import Objective, Support

RATIO_LOW, RATIO_HIGH = 0.5, 2.0
LOG_RATIO_LIMIT = 20.0
INFORMATIVE_PART = 0.05
NOTHING = -1e30  # stands for log 0 where −inf would turn 0·log 0 into a NaN


@dataclass(frozen=True)
class Loss:
    """Which loss, and over which part of the vocabulary.

    ``alpha`` is the weight of the teacher in the mixture of ``jsd``. ``top_k`` 0 is the full
    vocabulary; otherwise the divergence is taken over the ``top_k`` likeliest tokens of
    ``support`` and one bucket for all others. ``token_clip`` bounds a token's loss in nats; 0
    does not.
    """

    objective: Objective = "forward_kl"
    alpha: float = 0.5
    top_k: int = 0
    support: Support = "union"
    token_clip: float = 0.0

    def per_token(
        self, student: Tensor, teacher: Tensor, tokens: Tensor, sampled: Tensor
    ) -> Tensor:
        """The loss of each token, ``[n]``.

        ``tokens`` ``[n]`` were sampled with the log-probabilities ``sampled`` ``[n]``.
        """
        if self.objective == "importance_sampling":
            return importance_sampling(student, teacher, tokens, sampled, self.token_clip)
        if 0 < self.top_k < student.shape[-1]:
            kept, real = top_k_of(student, teacher, self.top_k, self.support)
            student, teacher = with_tail(student, kept, real), with_tail(teacher, kept, real)
        ends = {"forward_kl": 0.0, "reverse_kl": 1.0}
        values = divergence(student, teacher, ends.get(self.objective, self.alpha))
        return bounded(values, self.token_clip)


# --- divergences ------------------------------------------------------------------------


def forward_kl(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher ‖ student) per token; its gradient in the student's logits is S − T."""
    teacher = teacher.detach()
    return (teacher.exp() * (teacher - student)).sum(-1)


def reverse_kl(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(student ‖ teacher) per token."""
    return (student.exp() * (student - teacher.detach())).sum(-1)


def divergence(student: Tensor, teacher: Tensor, alpha: float) -> Tensor:
    """The generalised Jensen-Shannon divergence per token (Agarwal et al. 2023, eq. 1).

    (1 − α)·KL(S ‖ M) + α·KL(T ‖ M) with M = (1 − α)·S + α·T. That vanishes at both ends, so
    α = 0 is defined as the forward KL and α = 1 as the reverse KL, as is usual; values at
    different α are not on one scale. Raises ``ValueError`` for α outside of [0, 1].
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha} and has to lie between 0 and 1")
    if alpha == 0:
        return forward_kl(student, teacher)
    if alpha == 1:
        return reverse_kl(student, teacher)
    teacher = teacher.detach()
    mixture = torch.logaddexp(student + math.log1p(-alpha), teacher + math.log(alpha))
    from_student = (student.exp() * (student - mixture)).sum(-1)
    from_teacher = (teacher.exp() * (teacher - mixture)).sum(-1)
    return (1 - alpha) * from_student + alpha * from_teacher


# --- a part of the vocabulary ---------------------------------------------------------


def top_k_of(student: Tensor, teacher: Tensor, k: int, support: Support) -> tuple[Tensor, Tensor]:
    """The tokens a divergence looks at: ids ``[n, m]`` and which of them count, ``[n, m]``.

    A token that is wanted is often outside of what the student finds likely, and one that is
    to go is outside of what the teacher does; the union has both, and counts a token once.
    """
    picked = {
        "student": lambda: student.topk(k, dim=-1).indices,
        "teacher": lambda: teacher.topk(k, dim=-1).indices,
    }
    if support != "union":
        ids = picked[support]()
        return ids, torch.ones_like(ids, dtype=torch.bool)
    ids = torch.cat([picked["teacher"](), picked["student"]()], dim=-1).sort(dim=-1).values
    real = torch.ones_like(ids, dtype=torch.bool)
    real[:, 1:] = ids[:, 1:] != ids[:, :-1]
    return ids, real


def with_tail(logprobs: Tensor, ids: Tensor, real: Tensor) -> Tensor:
    """Log-probabilities of these tokens and, last, of all others together: ``[n, m + 1]``.

    Without the last bucket a truncated reverse KL would have a gradient of its own that pushes
    mass out of the support. It is added up from the others themselves, in float32 at least:
    1 − Σp would lose its digits where next to nothing is left.
    """
    wide = logprobs.to(torch.promote_types(logprobs.dtype, torch.float32))
    kept = wide.gather(-1, ids).masked_fill(~real, NOTHING)
    others = wide.scatter(-1, ids, NOTHING).logsumexp(-1, keepdim=True)
    return torch.cat([kept, others], dim=-1)


# --- sampled tokens ---------------------------------------------------------------------


def importance_sampling(
    student: Tensor, teacher: Tensor, tokens: Tensor, sampled: Tensor, clip: float = 0.0
) -> Tensor:
    """The sampled-token surrogate −r·A·log π per token.

    ``sampled`` holds the log-probabilities of ``tokens`` when they were sampled; ``clip``
    bounds the advantage A in nats. Both the ratio r, clamped to [0.5, 2], and A are detached:
    a ratio that carries a gradient turns the sign of the step around for tokens rarer than
    1/e.
    """
    chosen = student.gather(-1, tokens[:, None])[:, 0]
    log_ratio = (chosen.detach() - sampled).clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT)
    ratio = log_ratio.exp().clamp(RATIO_LOW, RATIO_HIGH)
    advantage = advantages(student, teacher, tokens)
    if clip > 0:
        advantage = advantage.clamp(-clip, clip)
    return -(ratio * advantage) * chosen


def advantages(student: Tensor, teacher: Tensor, tokens: Tensor) -> Tensor:
    """log p(teacher) − log p(student) of each token, without a gradient."""
    index = tokens[:, None]
    return (teacher.gather(-1, index) - student.gather(-1, index))[:, 0].detach()


def k3(student: Tensor, reference: Tensor, tokens: Tensor) -> Tensor:
    """The estimate exp(Δ) − Δ − 1 of KL(student ‖ reference) from sampled tokens (Schulman 2020).

    Δ = log p(reference) − log p(student); never negative, and unbiased for tokens that the
    student sampled.
    """
    index = tokens[:, None]
    delta = (reference.detach().gather(-1, index) - student.gather(-1, index))[:, 0]
    return delta.clamp(max=LOG_RATIO_LIMIT).exp() - delta - 1


def reference_loss(loss: Loss, student: Tensor, reference: Tensor, tokens: Tensor) -> Tensor:
    """What keeps the student near the reference, per token: exact where the rest of the loss is."""
    if loss.objective == "importance_sampling":
        return k3(student, reference, tokens)
    return reverse_kl(student, reference)


# --- over the tokens --------------------------------------------------------------------


def bounded(per_token: Tensor, clip: float) -> Tensor:
    """Scale down every token whose loss is above ``clip`` nats; 0 leaves all as they are.

    A plain clamp would take such a token's gradient away, and it is the one that matters most.
    """
    if clip <= 0:
        return per_token
    size = per_token.detach().clamp(min=1e-12)
    return per_token * (clip / size).clamp(max=1.0)


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
