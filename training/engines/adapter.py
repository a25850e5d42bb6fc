"""The LoRA adapter: made by PEFT, read and written as a flat dictionary of tensors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..engine import EngineFailure
from ..protocol import LoraTargets

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

ATTENTION_SUFFIXES = (
    "q_proj",
    "k_proj",
    "v_proj",
    "o_proj",
    "qkv_proj",
    "c_attn",
    "query_key_value",
)
State = dict[str, Tensor]


@dataclass(frozen=True)
class AdapterSettings:
    """What has to agree for an adapter to be loaded again."""

    rank: int
    targets: LoraTargets
    scope: str

    @property
    def alpha(self) -> int:
        """Twice the rank, so that the adapter's scale does not depend on it."""
        return 2 * self.rank


def linear_names(model: PreTrainedModel, targets: LoraTargets) -> list[str]:
    """The names of the linear layers to adapt, without the output layer."""
    output = model.get_output_embeddings()
    names = [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not output
    ]
    if targets == "attention":
        names = [name for name in names if name.endswith(ATTENTION_SUFFIXES)]
    if not names:
        raise EngineFailure(
            "bad_model",
            "The model has no linear layers that an adapter fits: choose another model.",
        )
    return sorted({name.rsplit(".", 1)[-1] for name in names})


class Adapter:
    """One LoRA adapter on a base model, and the switch that turns it on and off."""

    def __init__(self, base: PreTrainedModel, settings: AdapterSettings, seed: int) -> None:
        from peft import LoraConfig, get_peft_model
        from peft.tuners.tuners_utils import BaseTunerLayer

        self.settings = settings
        self.target_modules = linear_names(base, settings.targets)
        config = LoraConfig(
            task_type="CAUSAL_LM",
            r=settings.rank,
            lora_alpha=settings.alpha,
            lora_dropout=0.0,
            target_modules=self.target_modules,
        )
        self.model: PeftModel = get_peft_model(base, config)  # pyright: ignore[reportAttributeAccessIssue]
        self.model.eval()
        self._parameters = {
            name: parameter
            for name, parameter in sorted(self.model.named_parameters())
            if parameter.requires_grad
        }
        self.names = list(self._parameters)
        self.parameters = list(self._parameters.values())
        self._layers = [m for m in self.model.modules() if isinstance(m, BaseTunerLayer)]
        self._off = False
        self._initialise(seed)
        self._initial = self.state()

    def _initialise(self, seed: int) -> None:
        """Draw A from the seed and set B to zero, so that the adapter begins as nothing."""
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                if ".lora_B." in name:
                    parameter.zero_()
                    continue
                bound = parameter.shape[-1] ** -0.5
                values = torch.rand(parameter.shape, generator=generator) * 2 - 1
                parameter.copy_(values * bound)

    def lora_layers(self) -> dict[str, tuple[torch.nn.Module, torch.nn.Module]]:
        """The pair of A and B in each adapted layer, by the layer's name."""
        return {
            name: (module.lora_A["default"], module.lora_B["default"])
            for name, module in self.model.named_modules()
            if module in self._layers
        }

    def size(self) -> int:
        """How many numbers the adapter holds."""
        return sum(parameter.numel() for parameter in self.parameters)

    def base_parameters(self) -> Iterator[torch.nn.Parameter]:
        """The base model's own tensors."""
        for name, parameter in self.model.named_parameters():
            if name not in self._parameters:
                yield parameter

    def state(self) -> State:
        """A copy of every tensor."""
        return {name: tensor.detach().clone() for name, tensor in self._parameters.items()}

    def initial(self) -> State:
        """The state in which the adapter does nothing."""
        return self._initial

    def restore(self, state: State) -> None:
        """Put every tensor back, bit for bit."""
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(state[name])

    def fits(self, state: State) -> bool:
        """Whether a stored state has the same tensors in the same shapes."""
        return state.keys() == self._parameters.keys() and all(
            state[name].shape == parameter.shape for name, parameter in self._parameters.items()
        )

    def is_finite(self) -> bool:
        """Whether every number of it is one."""
        return all(bool(parameter.isfinite().all()) for parameter in self.parameters)

    def move(self, start: State, direction: State, scale: float) -> None:
        """Set the tensors to ``start + scale · direction``."""
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                torch.add(start[name], direction[name], alpha=scale, out=parameter.data)

    @contextmanager
    def holding(self, state: State) -> Iterator[None]:
        """Work with another state for a moment."""
        current = self.state()
        self.restore(state)
        try:
            yield
        finally:
            self.restore(current)

    @contextmanager
    def active(self, active: bool) -> Iterator[None]:
        """Compute with the adapter or as the base; inside ``active(False)`` it stays off."""
        if active or self._off:
            yield
            return
        self._off = True
        try:
            # PEFT's own context manager looks over the whole model each time: 10 ms of a lesson's
            # hundreds of small readings.
            for layer in self._layers:
                layer.enable_adapters(False)
            yield
        finally:
            for layer in self._layers:
                layer.enable_adapters(True)
            self._off = False

    def export(self, folder: Path, header: tuple[int, ...], base_name: str) -> None:
        """Write a folder that ``PeftModel.from_pretrained`` loads."""
        from peft import LoraConfig

        config = self.model.peft_config["default"]
        assert isinstance(config, LoraConfig)
        previous: dict[str, Any] = {
            "alora_invocation_tokens": config.alora_invocation_tokens,
            "base_model_name_or_path": config.base_model_name_or_path,
        }
        if self.settings.scope == "answer":
            config.alora_invocation_tokens = list(header)
        config.base_model_name_or_path = base_name
        try:
            # Else PEFT asks the hub how large the base model's vocabulary is.
            self.model.save_pretrained(
                str(folder), safe_serialization=True, save_embedding_layers=False
            )
        finally:
            for name, value in previous.items():
                setattr(config, name, value)
