"""From what the teacher says of an answer to what a service trains on.

Shapes: a prompt of ``p`` tokens and an answer of ``n`` make ``p + n - 1`` rows, of which the last
``n`` predict the answer's tokens; rows of the prompt weigh nothing. ``student`` is ``[n, v]``
log-probabilities.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ... import objectives
from .recipes import Example

if TYPE_CHECKING:
    from ...case import Sampled


def soft_targets(answer: Sampled, student: Tensor, *, top_k: int, kl_coef: float) -> Example:
    """Forward KL on the teacher's ``top_k`` as cross-entropy with soft targets.

    Its gradient in the logits is Σw·S − w. What the teacher gives to other tokens is taken to be
    as the student has it, which has no gradient; so the weights are not scaled up to one.
    ``kl_coef`` mixes in the reference: a forward KL to it, at that part of the weight.
    """
    keep = objectives.informative(student, answer.teacher)
    values, ids = answer.teacher.topk(top_k, dim=-1)
    weights = values.exp()
    if kl_coef:
        assert answer.reference is not None
        more = kl_coef * answer.reference.gather(-1, ids).exp()
        weights = (weights + more) / (1 + kl_coef)
    weights = weights * keep[:, None] / max(1, int(keep.sum()))
    before = len(answer.prompt) - 1
    return Example(
        torch.tensor([*answer.prompt.tokens, *answer.tokens[:-1]]),
        {
            "target_tokens": torch.cat([torch.zeros(before, top_k, dtype=torch.long), ids]),
            "weights": torch.cat([torch.zeros(before, top_k), weights.float()]),
        },
    )


def sampled_tokens(answer: Sampled, student: Tensor, *, kl_coef: float) -> Example:
    """The sampled-token surrogate: advantages log T − log S − β·(log S − log R) per token.

    The service takes its ratio to the log-probabilities with which the tokens were drawn. On an
    on-policy step the folded KL is that of the reference implementation.
    """
    assert answer.reference is not None
    keep = objectives.informative(student, answer.teacher)
    index = torch.tensor(list(answer.tokens))[:, None]
    own, taught, base = (
        each.gather(-1, index)[:, 0] for each in (student, answer.teacher, answer.reference)
    )
    advantages = (taught - own) - kl_coef * (own - base)
    before = torch.zeros(len(answer.prompt) - 1)
    return Example(
        torch.tensor([*answer.prompt.tokens, *answer.tokens[:-1]]),
        {
            "target_tokens": torch.tensor([*answer.prompt.tokens[1:], *answer.tokens]),
            "logprobs": torch.cat([before, answer.logprobs.float()]),
            "advantages": torch.cat([before, advantages * keep / max(1, int(keep.sum()))]),
        },
    )


def divergence_targets(answer: Sampled, student: Tensor, *, top_k: int, kl_coef: float) -> Example:
    """The teacher's ``top_k`` with its log-probabilities, for a divergence that is taken here.

    ``kl_coef`` mixes the reference into the teacher.
    """
    keep = objectives.informative(student, answer.teacher)
    values, ids = answer.teacher.topk(top_k, dim=-1)
    if kl_coef:
        assert answer.reference is not None
        more = answer.reference.gather(-1, ids).exp() * kl_coef
        mixed = (values.exp() + more) / (1 + kl_coef)
        values = mixed.clamp(min=torch.finfo(mixed.dtype).tiny).log()  # a recipe is finite
    before = len(answer.prompt) - 1
    share = keep.float() / max(1, int(keep.sum()))
    # Targets of the prompt's rows are all different, as a service may want of a support.
    unused = torch.arange(top_k).expand(before, -1)
    return Example(
        torch.tensor([*answer.prompt.tokens, *answer.tokens[:-1]]),
        {
            "target_tokens": torch.cat([unused, ids]),
            "weights": torch.ones(before + len(ids), top_k),
            "teacher": torch.cat([torch.zeros(before, top_k), values.float()]),
            "share": torch.cat([torch.zeros(before), share]),
        },
    )
