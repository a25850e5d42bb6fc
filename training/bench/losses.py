"""The losses of the other ways of learning, as pure functions of log-probabilities.

The divergences are those of ``training/objectives.py``, and so are the shapes: a completion of
``n`` tokens over a vocabulary of ``v`` gives ``[n, v]``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

RATIO_CLIP = 0.2


def chosen(logprobs: Tensor, tokens: Sequence[int]) -> Tensor:
    """The log-probability of each token of a completion."""
    index = torch.tensor(list(tokens), device=logprobs.device)[:, None]
    return logprobs.gather(-1, index)[:, 0]


def sampled_token(now: Tensor, sampled: Tensor, teacher: Tensor) -> Tensor:
    """The reference implementation's surrogate −r·A, a mean over the tokens.

    All are log-probabilities of the sampled tokens, ``[n]``. The ratio carries the gradient and
    the advantage does not; there is no clipping.
    """
    advantage = (teacher - now).detach()
    return -((now - sampled).exp() * advantage).mean()


def dpo(
    right: Tensor, wrong: Tensor, right_base: Tensor, wrong_base: Tensor, beta: float
) -> Tensor:
    """Direct preference optimisation, from the log-probabilities of two whole answers."""
    margin = (right - right_base.detach()) - (wrong - wrong_base.detach())
    return -torch.nn.functional.logsigmoid(beta * margin)


def group_advantages(rewards: Sequence[float]) -> list[float]:
    """Each reward's distance from the group's mean in standard deviations; 0 where all agree."""
    mean = sum(rewards) / len(rewards)
    spread = math.sqrt(sum((reward - mean) ** 2 for reward in rewards) / len(rewards))
    return [(reward - mean) / spread if spread > 0 else 0.0 for reward in rewards]


def grpo(now: Tensor, sampled: Tensor, advantage: float) -> Tensor:
    """The clipped surrogate of one answer of a group, a mean over its tokens."""
    ratio = (now - sampled).clamp(-20.0, 20.0).exp()
    clipped = ratio.clamp(1 - RATIO_CLIP, 1 + RATIO_CLIP)
    return -torch.minimum(ratio * advantage, clipped * advantage).mean()
