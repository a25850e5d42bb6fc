"""An adapter from elsewhere: read from a PEFT folder or a safetensors file, checked, never run."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import torch

from ..adapter_messages import IMPORT_PREFIX
from ..engine import EngineFailure
from ..snapshots import digest
from .adapter import ATTENTION_SUFFIXES, Adapter, State

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
NUMBERS = ("F64", "F32", "F16", "BF16")
MOST = 10**6
LARGEST_CONFIG = 4 * 1024 * 1024
UNCHECKED = (
    f"The file came without {CONFIG}, so its scale and its scope could not be checked; they are "
    "taken to be this session's."
)


@dataclass(frozen=True)
class Found:
    """An adapter that fits: its tensors by their live names, and what the user should know."""

    state: State
    lesson: str
    notice: str


def read_adapter(
    path: Path, adapter: Adapter, header: tuple[int, ...], base: str, *, fresh: bool
) -> Found:
    """Read an adapter that fits the session's, or refuse it in one sentence with the way out.

    ``header`` are the tokens with which an answer begins, ``base`` names the model, and ``fresh``
    says that the session's own adapter is still empty.
    """
    check = _Check(adapter, fresh)
    notice = UNCHECKED
    try:
        weights, described = _locate(path.expanduser())
        if described is not None:
            config = _read_config(described)
            notice = _other_base(config, base)
            check.config(config, header)
        names = check.tensors(weights)
        data = weights.read_bytes()
    except OSError as error:
        raise _refusal(f"{path} cannot be read ({error.strerror or error})") from None
    except RuntimeError:
        raise _refusal(f"There is no home folder for {path}: give the whole path") from None
    return Found(_load(data, names, adapter), IMPORT_PREFIX + digest(data)[:8], notice)


def _refusal(sentence: str) -> EngineFailure:
    return EngineFailure("bad_adapter", f"{sentence}.")


# --- the files ----------------------------------------------------------------------------


def _locate(path: Path) -> tuple[Path, Path | None]:
    """The file with the tensors and the one that describes them, where there is one."""
    if path.is_dir():
        return _in_folder(path)
    if path.suffix in PICKLES:
        raise _pickle(path)
    if not path.exists():
        raise _refusal(f"There is no file or folder {path}: check the path")
    if not path.is_file() or path.suffix != ".safetensors":
        raise _refusal(
            f"{path} is not a .safetensors file: give one, or the folder that PEFT saved"
        )
    beside = path.with_name(CONFIG)
    return path, beside if path.name == WEIGHTS and beside.is_file() else None


def _in_folder(folder: Path) -> tuple[Path, Path]:
    weights, config = folder / WEIGHTS, folder / CONFIG
    if not weights.is_file():
        pickles = [
            each for each in sorted(folder.glob("adapter_model.*")) if each.suffix in PICKLES
        ]
        if pickles:
            raise _pickle(pickles[0])
        raise _refusal(f"{folder} holds no {WEIGHTS}: give a folder that PEFT saved")
    if not config.is_file():
        raise _refusal(
            f"{folder} holds no {CONFIG}: add it, or give the path of {WEIGHTS} itself, whose "
            "scale and scope are then taken to be this session's"
        )
    return weights, config


def _pickle(path: Path) -> EngineFailure:
    return _refusal(
        f"{path} is a pickle, which can run code and is never loaded: save the adapter with "
        "safe_serialization=True"
    )


def _read_config(path: Path) -> dict[str, Any]:
    config = None
    with contextlib.suppress(ValueError, RecursionError):
        config = json.loads(path.read_bytes()) if path.stat().st_size < LARGEST_CONFIG else None
    if not isinstance(config, dict):
        raise _refusal(f"{path} is not readable as a JSON object: save the adapter again")
    return config


def _other_base(config: Mapping[str, Any], base: str) -> str:
    """What to say about an adapter that was made for a model of another name."""
    theirs = config.get("base_model_name_or_path")
    if not isinstance(theirs, str) or Path(theirs).name in ("", Path(base).name):
        return ""
    return f"The adapter says that it was made for {theirs}; this model is {base}."


def _load(data: bytes, names: Mapping[str, str], adapter: Adapter) -> State:
    """The tensors by their live names, as float32 and finite."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(data)
    except (SafetensorError, ValueError) as error:
        raise _damaged(error) from None
    state = {live: tensors[stored].to(torch.float32) for live, stored in names.items()}
    for live, tensor in state.items():
        if not bool(tensor.isfinite().all()):
            raise _refusal(
                f"This adapter holds numbers that are not finite (in {names[live]}): choose one "
                "from before its training went wrong"
            )
    if not adapter.fits(state):
        raise _refusal("The file was changed while it was read: try again")
    return state


def _damaged(error: Exception) -> EngineFailure:
    detail = str(error).strip().splitlines()[0] if str(error).strip() else "unreadable"
    return _refusal(f"The safetensors file is damaged ({detail}): copy it again")


# --- what has to agree --------------------------------------------------------------------


class _Check:
    """Compares an adapter with the session's before a number of it is read."""

    def __init__(self, adapter: Adapter, fresh: bool) -> None:
        self._adapter = adapter
        self._settings = adapter.settings
        self._first = "" if fresh else "go to base, which is the model as it came, and then "

    def config(self, config: Mapping[str, Any], header: tuple[int, ...]) -> None:
        """The kind, the rank, the scale and the scope."""
        kind = config.get("peft_type", "LORA")
        if kind != "LORA" or config.get("use_dora"):
            name = "DORA" if config.get("use_dora") else kind
            raise _refusal(f"This adapter is of the kind {name}: import a plain LoRA adapter")
        rank, alpha = config.get("r"), config.get("lora_alpha")
        if not (_is_number(rank) and _is_number(alpha) and rank == int(rank)):
            raise _refusal(f"{CONFIG} names no rank r or no lora_alpha: save the adapter again")
        self._rank(int(rank))
        self._scale(config, int(rank), float(alpha))
        self._scope(config.get("alora_invocation_tokens"), header)

    def _rank(self, rank: int) -> None:
        if rank != self._settings.rank:
            raise _refusal(
                f"This adapter has rank {rank} and this session's has {self._settings.rank}: "
                f"{self._first}start with lora_rank={rank}"
            )

    def _scale(self, config: Mapping[str, Any], rank: int, alpha: float) -> None:
        patterns = [name for name in ("rank_pattern", "alpha_pattern") if config.get(name)]
        if patterns:
            raise _refusal(
                f"Its {patterns[0]} lets this adapter's layers differ: import one with the same "
                "rank and scale in every layer"
            )
        theirs = alpha / (rank**0.5 if config.get("use_rslora") else rank)
        ours = self._settings.alpha / self._settings.rank
        plain = " and use_rslora=false" if config.get("use_rslora") else ""
        if theirs != ours:
            raise _refusal(
                f"This adapter has the scale {theirs:g} (lora_alpha={alpha:g}) and this session's "
                f"has {ours:g}: multiply its lora_B tensors by {theirs / ours:g} and set "
                f"lora_alpha={self._settings.alpha}{plain} in {CONFIG}"
            )

    def _scope(self, invocation: object, header: tuple[int, ...]) -> None:
        scope = "answer" if invocation else "everywhere"
        if scope != self._settings.scope:
            raise _refusal(
                f"This adapter has the scope {scope} and this session's has "
                f"{self._settings.scope}: {self._first}start with adapter_scope={scope}"
            )
        if scope == "answer" and invocation != list(header):
            raise _refusal(
                "This adapter becomes active at other tokens than those with which this model's "
                "answers begin: import one that was saved with this model"
            )

    def tensors(self, path: Path) -> dict[str, str]:
        """The file's names by the live ones, after comparing names, shapes and kinds."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                stored = file.keys()
                slices = {name: file.get_slice(name) for name in stored}
                found = {
                    name: (tuple(part.get_shape()), part.get_dtype())
                    for name, part in slices.items()
                }
        except (SafetensorError, ValueError) as error:
            raise _damaged(error) from None
        names = {live: _saved(live) for live in self._adapter.names}
        if found.keys() == names.keys():
            names = {live: live for live in names}  # the file of a snapshot
        self._same_names(set(found), set(names.values()))
        for live, parameter in zip(self._adapter.names, self._adapter.parameters, strict=True):
            shape, kind = found[names[live]]
            self._same_shape(names[live], shape, tuple(parameter.shape))
            if kind not in NUMBERS:
                raise _refusal(
                    f"This adapter holds {kind} numbers (in {names[live]}): save it as float32"
                )
        return names

    def _same_names(self, found: set[str], wanted: set[str]) -> None:
        if found == wanted:
            return
        theirs, ours = _modules(found), _modules(wanted)
        other = "attention" if self._settings.targets == "all" else "all"
        attention = {name for name in ours if name.endswith(ATTENTION_SUFFIXES)}
        if theirs == attention or (other == "all" and theirs > ours and found > wanted):
            raise _refusal(
                f"This adapter changes {_few(theirs)} and this session's {_few(ours)}: "
                f"{self._first}start with lora_targets={other}"
            )
        strange, missing = found - wanted, wanted - found
        what = f"has {_few(strange)}" if strange else f"lacks {_few(missing)}"
        raise _refusal(
            f"This adapter {what}, unlike an adapter of this model: import one that was made for it"
        )

    def _same_shape(self, name: str, shape: tuple[int, ...], ours: tuple[int, ...]) -> None:
        if shape == ours:
            return
        at = 0 if ".lora_A." in name else -1
        if len(shape) == len(ours) == 2 and shape[at + 1] == ours[at + 1]:
            self._rank(shape[at])
        raise _refusal(
            f"In this adapter {name} is {_size(shape)} and in this model {_size(ours)}: import an "
            "adapter that was made for this model"
        )


def _is_number(value: object) -> TypeGuard[float]:
    """Whether something from a JSON file is a number that a rank or a scale can be made of."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < MOST


def _saved(live: str) -> str:
    """The name under which PEFT saves a tensor of its adapter ``default``."""
    return live.removesuffix(".default.weight") + ".weight"


def _modules(names: set[str]) -> set[str]:
    """The last names of the layers that tensors of an adapter belong to."""
    layers = {name.partition(".lora_")[0] for name in names if ".lora_" in name}
    return {layer.rsplit(".", 1)[-1] for layer in layers}


def _few(names: set[str]) -> str:
    """A set of names in a sentence, cut where it is long."""
    listed = sorted(names)
    more = f" and {len(listed) - 3} more" if len(listed) > 4 else ""
    return (", ".join(listed[:3] if more else listed) + more) or "nothing"


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a single number"
