"""Steps that leave other decisions where they are.

A lesson's gradient lives in the same few directions as the gradients of other decisions. Of all
steps with the same gain, the one that changes the others least is ``(GᵀG + μI)⁻¹ g``, up to its
length: ``g`` ``[p]`` is the lesson's gradient and the rows of ``G`` ``[k, p]`` are those of the
other decisions' margins. It is a natural gradient whose metric is measured on these rows alone;
with ``μ → 0`` it becomes orthogonal gradient descent (Farajtabar et al. 2020).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .engines.batch import Anchor, Batch, rows_at_once

if TYPE_CHECKING:
    from .engines.adapter import State
    from .engines.policy import Policy
    from .engines.prefix import Prefix
    from .engines.rendering import Prompt

DAMPING = 0.01
MOST_OPEN = 24
MOST_NUMBERS = 2**28  # of all rows' gradients together: a GiB
MOST_TOKENS = 8_192  # read for them before every step


@dataclass(frozen=True)
class Decision:
    """A decision that is to stay: after ``tokens`` of an answer ``chosen`` comes, not ``rival``.

    ``weight`` is what a change of the margin between the two counts.
    """

    prompt: Prompt
    prefix: Prefix
    tokens: tuple[int, ...]
    chosen: int
    rival: int
    weight: float = 1.0


def turning_point(said: Sequence[int], wanted: Sequence[int]) -> int | None:
    """Where an answer first differs from the wanted one; None where it does not."""
    for at, (one, other) in enumerate(zip(said, wanted, strict=False)):
        if one != other:
            return at
    return None


def open_decisions(
    anchors: Sequence[Anchor], logprobs: Tensor, keep: Tensor, most: int = MOST_OPEN
) -> list[Decision]:
    """The tokens of the anchors' answers at which least was decided; the rival is the runner-up.

    ``logprobs`` is ``[b, n, v]`` and ``keep`` ``[b]``. Between two choices a change m of the
    margin costs a divergence of p(1 - p)m²/2, so that is its weight.
    """
    answers = [anchor.answer for anchor in anchors]
    weighed: list[tuple[float, int, int]] = []
    for row in keep.nonzero()[:, 0].tolist():
        chosen = torch.tensor(answers[row], device=logprobs.device)
        p = logprobs[row, : len(chosen)].gather(-1, chosen[:, None])[:, 0].exp()
        weights = (p * (1 - p)).clamp_min(0).sqrt().tolist()
        weighed += [(weight, row, at) for at, weight in enumerate(weights)]
    found: list[Decision] = []
    for weight, row, at in sorted(weighed, reverse=True)[:most]:
        chosen = answers[row][at]
        best = logprobs[row, at].topk(2).indices.tolist()
        rival = best[1] if best[0] == chosen else best[0]
        anchor = anchors[row]
        found.append(
            Decision(anchor.prompt, anchor.prefix, answers[row][:at], chosen, rival, weight)
        )
    return found


class Collateral:
    """The decisions that a lesson's steps are to leave alone."""

    def __init__(self, policy: Policy, decisions: Sequence[Decision]) -> None:
        self.policy = policy
        most = MOST_NUMBERS // max(1, policy.adapter.size())
        self.decisions = list(self._affordable(decisions))[:most]

    def _affordable(self, decisions: Sequence[Decision]) -> Iterator[Decision]:
        room = MOST_TOKENS
        for decision in decisions:
            cached = self.policy.scope == "answer"
            before = decision.prompt.header if cached else decision.prompt.tokens
            room -= len(before) + len(decision.tokens)
            if room < 0:
                return
            yield decision

    def spare(self, gradient: State) -> None:
        """Turn a gradient, in place, so that a step along it changes these decisions least."""
        if not self.decisions:
            return
        names = self.policy.adapter.names
        rows = self.gradients()
        flat = torch.cat([gradient[name].reshape(-1).float() for name in names])
        flat = least_collateral(flat, rows, DAMPING)
        for name, part in zip(names, flat.split([gradient[n].numel() for n in names]), strict=True):
            gradient[name].copy_(part.view_as(gradient[name]))

    def gradients(self) -> Tensor:
        """The gradient of each decision's margin, in log-probability: ``[k, p]``."""
        count = rows_at_once(self.policy)
        return torch.cat(
            [
                self._some(self.decisions[first : first + count])
                for first in range(0, len(self.decisions), count)
            ]
        )

    def _some(self, decisions: Sequence[Decision]) -> Tensor:
        batch = Batch(
            self.policy,
            [Anchor("", d.prompt, d.prefix, (*d.tokens, d.chosen)) for d in decisions],
        )
        with _recorded(self.policy.adapter.lora_layers()) as records:
            scored = batch.logprobs()
        rows = range(len(decisions))
        last = scored[rows, [len(d.tokens) for d in decisions]]
        weights = torch.tensor([d.weight for d in decisions], device=last.device)
        chosen, rivals = [d.chosen for d in decisions], [d.rival for d in decisions]
        margins = last[rows, chosen] - last[rows, rivals]
        return _row_gradients((weights * margins).sum(), records, self.policy.adapter.names)


def least_collateral(gradient: Tensor, rows: Tensor, damping: float) -> Tensor:
    """``g - Gᵀ(GGᵀ + μI)⁻¹Gg``, with μ as a part of the mean squared length of the rows.

    ``gradient`` is ``[p]`` and ``rows`` ``[k, p]``; the result is ``[p]``.
    """
    among = (rows @ rows.T).double()
    scale = float(among.diagonal().mean())
    if not scale > 0:
        return gradient
    among += damping * scale * torch.eye(len(among), dtype=among.dtype, device=among.device)
    weights = torch.linalg.solve(among, (rows @ gradient).double())
    return gradient - rows.T @ weights.to(rows.dtype)


@dataclass
class _Record:
    """What went through one low-rank layer: ``x [b, t, i]``, ``u [b, t, r]``, ``o [b, t, o]``."""

    name: str
    x: Tensor | None = None
    u: Tensor | None = None
    o: Tensor | None = None

    def through_down(self, _: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        self.x, self.u = given[0].detach(), out

    def through_up(self, _: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        del given
        self.o = out


@contextmanager
def _recorded(layers: dict[str, tuple[nn.Module, nn.Module]]) -> Iterator[list[_Record]]:
    """Keep what goes through each pair of A and B, from which the rows' gradients are made."""
    records: list[_Record] = []
    handles = []
    for name, (down, up) in layers.items():
        record = _Record(name)
        records.append(record)

        handles += [
            down.register_forward_hook(record.through_down),
            up.register_forward_hook(record.through_up),
        ]
    try:
        yield records
    finally:
        for handle in handles:
            handle.remove()


def _row_gradients(total: Tensor, records: Sequence[_Record], names: Sequence[str]) -> Tensor:
    """Each row's own gradient ``[b, p]`` of a sum over rows that know nothing of each other.

    A linear layer's gradient is the sum of outer products over its tokens, so one backward pass
    gives every row's (Goodfellow 2015).
    """
    through: list[Tensor] = []
    for record in records:
        assert record.u is not None
        assert record.o is not None
        through += [record.u, record.o]
    found = torch.autograd.grad(total, through)
    parts: dict[str, Tensor] = {}
    for record, at_u, at_o in zip(records, found[::2], found[1::2], strict=True):
        assert record.x is not None
        assert record.u is not None
        down = torch.einsum("btr,bti->bri", at_u.float(), record.x.float())
        up = torch.einsum("bto,btr->bor", at_o.float(), record.u.detach().float())
        parts[f"{record.name}.lora_A.default.weight"] = down.flatten(1)
        parts[f"{record.name}.lora_B.default.weight"] = up.flatten(1)
    return torch.cat([parts[name] for name in names], dim=1)
