"""Lessons as recipes: every step of a lesson, so that it can be taken again exactly once.

The weights lie on the service and nobody can look at them. What is known for certain is the state
that was saved last, and which steps were committed since; taking those again from that state
gives the same weights, whatever happened to the connection in between.

A recipe is kept as named tensors: the tokens and loss inputs of every datum of every step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from ... import objectives

if TYPE_CHECKING:
    from tinker import types

LossName = Literal["cross_entropy", "importance_sampling", "cispo", "divergence"]
LOSSES: tuple[LossName, ...] = ("cross_entropy", "importance_sampling", "cispo", "divergence")
SENT = ("target_tokens", "weights")  # of a loss that is computed here, only these leave
RATIO_LOW, RATIO_HIGH = 0.5, 2.0
LEAST_REST = 1e-6


@dataclass(frozen=True)
class Example:
    """One datum: ``n`` tokens, and for each what is to come after it.

    ``inputs`` are the loss's: ``target_tokens`` ``[n]`` or ``[n, k]``, and ``weights`` of the same
    shape; or ``logprobs`` and ``advantages`` ``[n]``; or, for a divergence that is computed here,
    the ``teacher``'s log-probabilities of the targets ``[n, k]`` and each row's ``share`` ``[n]``.
    """

    tokens: Tensor
    inputs: dict[str, Tensor]

    def datum(self) -> types.Datum:
        """The datum as the SDK sends it, dense."""
        from tinker import types

        sent = self.inputs if "share" not in self.inputs else {n: self.inputs[n] for n in SENT}
        inputs = {name: types.TensorData.from_numpy(t.numpy()) for name, t in sent.items()}
        return types.Datum(
            model_input=types.ModelInput.from_ints(self.tokens.tolist()), loss_fn_inputs=inputs
        )


@dataclass(frozen=True)
class Step:
    """One gradient step: the examples, their loss, and Adam's rate.

    ``alpha`` is that of a divergence: 0 is forward KL, 1 reverse KL, between them JSD.
    """

    loss: LossName
    examples: tuple[Example, ...]
    learning_rate: float
    alpha: float = 0.0

    @property
    def tokens(self) -> int:
        """How many tokens go through the gradient, prompts included."""
        return sum(len(example.tokens) for example in self.examples)

    @property
    def config(self) -> dict[str, float] | None:
        """What the loss is told beside its inputs."""
        if self.loss != "cispo":
            return None
        return {"clip_low_threshold": RATIO_LOW, "clip_high_threshold": RATIO_HIGH}

    def loss_of(self, outputs: Sequence[Mapping[str, types.TensorData]]) -> float:
        """The summed loss from the log-probabilities of the targets, where a server tells none."""
        total = 0.0
        for example, output in zip(self.examples, outputs, strict=True):
            inputs = example.inputs
            logprobs = output["logprobs"].to_torch().reshape(inputs["target_tokens"].shape)
            if "advantages" in inputs:
                ratio = (logprobs - inputs["logprobs"]).exp().clamp(RATIO_LOW, RATIO_HIGH)
                total -= float((ratio * logprobs * inputs["advantages"]).sum())
            else:
                total -= float((inputs["weights"] * logprobs).sum())
        return total

    def divergence(self, _: object, logprobs: Sequence[Tensor]) -> tuple[Tensor, dict[str, float]]:
        """The divergence on the targets and a bucket for all others, from the student's side."""
        total = torch.zeros(())
        for example, student in zip(self.examples, logprobs, strict=True):
            share = example.inputs["share"]
            rows = share > 0
            between = objectives.divergence(
                with_rest(student[rows]), with_rest(example.inputs["teacher"][rows]), self.alpha
            )
            total = total + (between * share[rows]).sum()
        return total, {}

    def adam(self) -> types.AdamParams:
        """Adam without momentum: one correction must not drag the next one along."""
        from tinker import types

        return types.AdamParams(learning_rate=self.learning_rate, beta1=0.0, beta2=0.95, eps=1e-8)


def with_rest(logprobs: Tensor) -> Tensor:
    """Log-probabilities ``[n, k]`` of some tokens and, last, of all others: ``[n, k + 1]``."""
    told = logprobs.exp().sum(-1, keepdim=True).clamp(max=1 - LEAST_REST)
    return torch.cat([logprobs, torch.log1p(-told)], dim=-1)


def to_tensors(steps: Sequence[Step]) -> dict[str, Tensor]:
    """A recipe as named tensors."""
    found: dict[str, Tensor] = {"steps": torch.tensor([len(steps)])}
    for at, step in enumerate(steps):
        found[f"{at}.loss"] = torch.tensor([LOSSES.index(step.loss)])
        figures = [step.learning_rate, step.alpha]
        found[f"{at}.figures"] = torch.tensor(figures, dtype=torch.float64)
        for number, example in enumerate(step.examples):
            found[f"{at}.{number}.tokens"] = example.tokens
            for name, tensor in example.inputs.items():
                found[f"{at}.{number}.{name}"] = tensor
    return found


def from_tensors(tensors: Mapping[str, Tensor]) -> list[Step]:
    """The recipe that was written as named tensors."""
    return [_step(tensors, at) for at in range(int(tensors["steps"]))]


def _step(tensors: Mapping[str, Tensor], at: int) -> Step:
    rate, alpha = tensors[f"{at}.figures"].tolist()
    loss = LOSSES[int(tensors[f"{at}.loss"])]
    return Step(loss, tuple(_examples(tensors, at)), rate, alpha)


def _examples(tensors: Mapping[str, Tensor], at: int) -> Iterator[Example]:
    number = 0
    while f"{at}.{number}.tokens" in tensors:
        start = f"{at}.{number}."
        named: dict[str, Any] = {
            name.removeprefix(start): tensor
            for name, tensor in tensors.items()
            if name.startswith(start)
        }
        yield Example(named.pop("tokens"), named)
        number += 1
