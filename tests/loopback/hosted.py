"""The model behind the loopback service: real sampling, real losses, real gradients.

Shapes: a datum of ``n`` input tokens gives log-probabilities ``[n, v]``, row ``i`` predicting the
token after input ``i``; targets are ``[n]`` or ``[n, k]``.
"""

from __future__ import annotations

import copy
import json
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer

State = dict[str, Tensor]


@dataclass
class Datum:
    """One training example as it came over the wire."""

    tokens: list[int]
    inputs: dict[str, Tensor]


@dataclass
class Adam:
    """Adam's moments, and how many steps they are made of."""

    first: State
    second: State
    steps: int = 0


@dataclass
class Trained:
    """One adapter on the service: its weights, what it has of a gradient, and its optimiser."""

    rank: int
    weights: State
    adam: Adam
    gradient: State = field(default_factory=dict)
    updates: int = 0

    def copy(self) -> Trained:
        """A copy that later steps do not reach."""
        return copy.deepcopy(self)


class BadDatum(ValueError):
    """A request that the service refuses."""


class Hosted:
    """One base model, and any number of adapters of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self.context = int(model.config.max_position_embeddings)
        self.vocabulary = int(model.config.vocab_size)
        self.end = self._end_tokens(model)
        self._base = model.eval()
        self._peft: dict[int, Any] = {}
        self.lock = threading.RLock()

    def _end_tokens(self, model: Any) -> set[int]:
        named = model.generation_config.eos_token_id
        several = named if isinstance(named, list) else [named, self.tokenizer.eos_token_id]
        return {token for token in several if token is not None}

    # --- adapters ---------------------------------------------------------------------

    def _model(self, rank: int) -> Any:
        if rank not in self._peft:
            config = LoraConfig(
                task_type="CAUSAL_LM",
                r=rank,
                lora_alpha=32,
                target_modules="all-linear",
                init_lora_weights=False,
            )
            base = copy.deepcopy(self._base)
            self._peft[rank] = get_peft_model(base, config).eval()
        return self._peft[rank]

    def _parameters(self, rank: int) -> dict[str, torch.nn.Parameter]:
        return {n: p for n, p in self._model(rank).named_parameters() if p.requires_grad}

    def create(self, rank: int, seed: int | None) -> Trained:
        """A new adapter that does nothing yet."""
        generator = torch.Generator().manual_seed(seed or 0)
        weights: State = {}
        for name, parameter in sorted(self._parameters(rank).items()):
            drawn = torch.rand(parameter.shape, generator=generator) * 2 - 1
            fresh = torch.zeros_like(parameter) if ".lora_B." in name else drawn
            weights[name] = (fresh * parameter.shape[-1] ** -0.5).detach()
        zeros = {name: torch.zeros_like(tensor) for name, tensor in weights.items()}
        return Trained(rank, weights, Adam(copy.deepcopy(zeros), zeros))

    def as_peft(self, trained: Trained) -> dict[str, bytes]:
        """The files of an adapter as PEFT reads them."""
        weights = {
            name.replace(".default.", "."): tensor.contiguous()
            for name, tensor in trained.weights.items()
        }
        config = self._model(trained.rank).peft_config["default"].to_dict()
        config |= {"target_modules": sorted(config["target_modules"]), "inference_mode": True}
        return {
            "adapter_config.json": json.dumps(config, default=str).encode(),
            "adapter_model.safetensors": safetensors.torch.save(weights),
        }

    def _with(self, trained: Trained | None) -> Any:
        if trained is None:
            return self._base
        for name, parameter in self._parameters(trained.rank).items():
            parameter.data.copy_(trained.weights[name])
            parameter.grad = None
        return self._model(trained.rank)

    # --- reading and sampling ---------------------------------------------------------

    def logprobs(self, trained: Trained | None, tokens: Sequence[int]) -> Tensor:
        """``[n, v]`` of all rows."""
        if len(tokens) > self.context:
            raise BadDatum(f"prompt of {len(tokens)} tokens is longer than {self.context}")
        logits = self._with(trained)(input_ids=torch.tensor([list(tokens)])).logits[0]
        return logits.float().log_softmax(-1)

    @torch.no_grad()
    def sample(
        self, trained: Trained | None, prompt: Sequence[int], parameters: Mapping[str, Any]
    ) -> tuple[list[int], list[float], bool]:
        """Tokens, their log-probabilities at temperature 1, and whether it ended by itself."""
        model = self._with(trained)
        stop = parameters.get("stop")
        ends = set(stop) if isinstance(stop, list) and stop else self.end
        limit = parameters.get("max_tokens") or 128
        temperature = parameters.get("temperature", 1.0)
        seed = parameters.get("seed")
        generator = torch.Generator().manual_seed(seed) if seed is not None else None
        room = self.context - len(prompt)
        if room <= 0:
            raise BadDatum(f"prompt of {len(prompt)} tokens leaves no room for an answer")
        tokens, logprobs, cache = [], [], None
        pending = torch.tensor([list(prompt)])
        for _ in range(min(limit, room)):
            output = model(input_ids=pending, past_key_values=cache, use_cache=True)
            cache = output.past_key_values
            row = output.logits[0, -1].float().log_softmax(-1)
            if temperature > 0:
                chances = (row / temperature).softmax(-1)
                token = int(torch.multinomial(chances, 1, generator=generator))
            else:
                token = int(row.argmax())
            tokens.append(token)
            logprobs.append(float(row[token]))
            if token in ends:
                return tokens, logprobs, True
            pending = torch.tensor([[token]])
        return tokens, logprobs, False

    # --- training ---------------------------------------------------------------------

    def forward_backward(
        self,
        trained: Trained,
        data: Sequence[Datum],
        loss: str,
        config: Mapping[str, float],
        *,
        forward_only: bool,
    ) -> tuple[list[Tensor], float]:
        """The log-probabilities of each datum's targets, and the summed loss."""
        outputs: list[Tensor] = []
        total = 0.0
        model = self._with(trained)
        for datum in data:
            scored = model(input_ids=torch.tensor([datum.tokens])).logits[0].float()
            targets = datum.inputs["target_tokens"].long()
            if targets.shape[0] != len(datum.tokens):
                raise BadDatum(f"{targets.shape[0]} targets for {len(datum.tokens)} tokens")
            rows = scored.log_softmax(-1)
            wide = targets if targets.ndim == 2 else targets[:, None]
            logprobs = rows.gather(-1, wide)
            logprobs = logprobs if targets.ndim == 2 else logprobs[:, 0]
            value = LOSSES[loss](logprobs, datum.inputs, config)
            if not forward_only:
                value.backward()
            total += float(value.detach())
            outputs.append(logprobs.detach())
        if not forward_only:
            for name, parameter in self._parameters(trained.rank).items():
                if parameter.grad is not None:
                    had = trained.gradient.get(name)
                    trained.gradient[name] = parameter.grad + (0 if had is None else had)
        return outputs, total

    def optim_step(self, trained: Trained, adam: Mapping[str, float]) -> dict[str, float]:
        """One step of Adam on the gradient so far."""
        squares = sum(float(g.square().sum()) for g in trained.gradient.values())
        norm = math.sqrt(squares)
        clip = adam.get("grad_clip_norm") or 0.0
        factor = min(1.0, clip / norm) if clip and norm else 1.0
        b1, b2 = adam["beta1"], adam["beta2"]
        state = trained.adam
        state.steps += 1
        trained.updates += 1
        for name, weight in trained.weights.items():
            gradient = trained.gradient.get(name)
            gradient = torch.zeros_like(weight) if gradient is None else gradient * factor
            state.first[name] = b1 * state.first[name] + (1 - b1) * gradient
            state.second[name] = b2 * state.second[name] + (1 - b2) * gradient.square()
            first = state.first[name] / (1 - b1**state.steps)
            second = state.second[name] / (1 - b2**state.steps)
            decayed = weight * (1 - adam["learning_rate"] * adam.get("weight_decay", 0.0))
            step = adam["learning_rate"] * first / (second.sqrt() + adam["eps"])
            trained.weights[name] = decayed - step
        trained.gradient = {}
        return {"grad_norm": norm}


Loss = Callable[[Tensor, Mapping[str, Tensor], Mapping[str, float]], Tensor]


def _cross_entropy(lp: Tensor, inputs: Mapping[str, Tensor], config: Mapping[str, float]) -> Tensor:
    del config
    return -(inputs["weights"].reshape(lp.shape) * lp).sum()


def _importance(lp: Tensor, inputs: Mapping[str, Tensor], config: Mapping[str, float]) -> Tensor:
    del config
    return -((lp - inputs["logprobs"]).exp() * inputs["advantages"]).sum()


def _ppo(lp: Tensor, inputs: Mapping[str, Tensor], config: Mapping[str, float]) -> Tensor:
    low, high = config.get("clip_low_threshold", 0.8), config.get("clip_high_threshold", 1.2)
    ratio, gained = (lp - inputs["logprobs"]).exp(), inputs["advantages"]
    return -torch.minimum(ratio * gained, ratio.clamp(low, high) * gained).sum()


def _cispo(lp: Tensor, inputs: Mapping[str, Tensor], config: Mapping[str, float]) -> Tensor:
    low, high = config.get("clip_low_threshold", 0.8), config.get("clip_high_threshold", 1.2)
    ratio = (lp - inputs["logprobs"]).exp().clamp(low, high).detach()
    return -(ratio * lp * inputs["advantages"]).sum()


LOSSES: dict[str, Loss] = {
    "cross_entropy": _cross_entropy,
    "importance_sampling": _importance,
    "ppo": _ppo,
    "cispo": _cispo,
}
