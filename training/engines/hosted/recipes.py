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

if TYPE_CHECKING:
    from tinker import types

LossName = Literal["cross_entropy", "importance_sampling", "cispo"]
LOSSES: tuple[LossName, ...] = ("cross_entropy", "importance_sampling", "cispo")
RATIO_LOW, RATIO_HIGH = 0.5, 2.0


@dataclass(frozen=True)
class Example:
    """One datum: ``n`` tokens, and for each what is to come after it.

    ``inputs`` are the loss's: ``target_tokens`` ``[n]`` or ``[n, k]``, and ``weights`` of the same
    shape, or ``logprobs`` and ``advantages`` ``[n]``.
    """

    tokens: Tensor
    inputs: dict[str, Tensor]

    def datum(self) -> types.Datum:
        """The datum as the SDK sends it, dense."""
        from tinker import types

        inputs = {
            name: types.TensorData.from_numpy(tensor.numpy())
            for name, tensor in self.inputs.items()
        }
        return types.Datum(
            model_input=types.ModelInput.from_ints(self.tokens.tolist()), loss_fn_inputs=inputs
        )


@dataclass(frozen=True)
class Step:
    """One gradient step: the examples, their loss, and Adam's rate."""

    loss: LossName
    examples: tuple[Example, ...]
    learning_rate: float

    @property
    def config(self) -> dict[str, float] | None:
        """What the loss is told beside its inputs."""
        if self.loss != "cispo":
            return None
        return {"clip_low_threshold": RATIO_LOW, "clip_high_threshold": RATIO_HIGH}

    def adam(self) -> types.AdamParams:
        """Adam without momentum: one correction must not drag the next one along."""
        from tinker import types

        return types.AdamParams(learning_rate=self.learning_rate, beta1=0.0, beta2=0.95, eps=1e-8)


def to_tensors(steps: Sequence[Step]) -> dict[str, Tensor]:
    """A recipe as named tensors."""
    found: dict[str, Tensor] = {"steps": torch.tensor([len(steps)])}
    for at, step in enumerate(steps):
        found[f"{at}.loss"] = torch.tensor([LOSSES.index(step.loss)])
        found[f"{at}.rate"] = torch.tensor([step.learning_rate], dtype=torch.float64)
        for number, example in enumerate(step.examples):
            found[f"{at}.{number}.tokens"] = example.tokens
            for name, tensor in example.inputs.items():
                found[f"{at}.{number}.{name}"] = tensor
    return found


def from_tensors(tensors: Mapping[str, Tensor]) -> list[Step]:
    """The recipe that was written as named tensors."""
    return [_step(tensors, at) for at in range(int(tensors["steps"]))]


def _step(tensors: Mapping[str, Tensor], at: int) -> Step:
    return Step(
        loss=LOSSES[int(tensors[f"{at}.loss"])],
        examples=tuple(_examples(tensors, at)),
        learning_rate=float(tensors[f"{at}.rate"]),
    )


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
