"""From a name or a folder to a tokenizer and a model, with every failure in words."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..engine import EngineFailure, Reply

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PRACTICE_MODEL = Path(__file__).parent.parent / "practice" / "model"
NEEDED = ("torch", "transformers", "peft", "safetensors")
WANTED_FILES = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model")
HASHED_BYTES = 64 * 1024 * 1024
DEFAULT_CONTEXT = 4096
SMALL_MODEL = 50_000_000


@dataclass(frozen=True)
class LoadedModel:
    """The base model as it came, before any adapter."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    device: torch.device
    identity: str
    context_tokens: int
    name: str
    source: str


def require_packages() -> None:
    """Fail in words when the packages of the ``local`` extra are missing."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise EngineFailure(
            "missing_extra",
            f"Local models need {', '.join(missing)}: install them with "
            'pip install "continualcode-tui[local]", or use engine=tinker.',
        )


def find_folder(name: str | None, reply: Reply) -> Path:
    """The folder that holds the model: the practice model's, a given one, or a download."""
    if name is None:
        if not (PRACTICE_MODEL / "config.json").is_file():
            raise EngineFailure(
                "bad_model",
                "The practice model is missing from this installation: install continualcode-tui "
                "again, or use engine=local model_name=NAME.",
            )
        return PRACTICE_MODEL
    folder = Path(name).expanduser()
    if folder.is_absolute():
        if folder.is_dir():
            return folder
        raise EngineFailure("bad_model", f"There is no folder {name}: check model_name.")
    if name.startswith(".") or name.count("/") > 1:
        # A folder of that name in whatever repository the program is used must not be taken.
        raise EngineFailure(
            "bad_model", f"{name} is not a whole path: give model_name one that begins with / or ~."
        )
    return _fetch(name, reply)


def _fetch(name: str, reply: Reply) -> Path:
    """Take a model from the hub's cache; only one that is not there is asked of the hub."""
    from huggingface_hub import errors, snapshot_download

    reply.progress(f"Looking for {name}")
    try:
        cached = snapshot_download(name, allow_patterns=list(WANTED_FILES), local_files_only=True)
    except (errors.LocalEntryNotFoundError, errors.HFValidationError):
        return _download(name, reply)
    folder = Path(cached)
    return folder if _is_whole(folder) else _download(name, reply)


def _is_whole(folder: Path) -> bool:
    """Whether a folder of the cache holds a model, and every part of one that is in parts."""
    needed = {"config.json", "tokenizer_config.json"}
    try:
        index = json.loads((folder / "model.safetensors.index.json").read_text())
        needed |= set(index["weight_map"].values())
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, AttributeError):
        return False
    weights = any(folder.glob("*.safetensors"))
    return weights and all((folder / file).is_file() for file in needed)


def _download(name: str, reply: Reply) -> Path:
    """Fetch a model from the hub."""
    from huggingface_hub import errors, snapshot_download

    try:
        path = snapshot_download(
            name, allow_patterns=list(WANTED_FILES), tqdm_class=_progress_class(name, reply)
        )
    except errors.GatedRepoError:
        message = f"{name} needs permission: accept its terms on the hub and set HF_TOKEN."
        raise EngineFailure("bad_model", message) from None
    except (errors.RepositoryNotFoundError, errors.HFValidationError):
        message = f"The hub knows no model {name}: check model_name, or give a folder."
        raise EngineFailure("bad_model", message) from None
    except errors.LocalEntryNotFoundError:
        message = (
            f"{name} is not on this machine and the hub cannot be reached: connect, or use "
            "engine=practice."
        )
        raise EngineFailure("unavailable", message) from None
    except OSError as error:
        message = f"{name} could not be downloaded ({error}): try again, or use engine=practice."
        raise EngineFailure("unavailable", message) from None
    return Path(path)


class _Nowhere(io.TextIOBase):
    """Where a bar draws itself that is told of in other ways."""

    def write(self, text: str, /) -> int:
        """Take the text for written."""
        return len(text)


def _progress_class(name: str, reply: Reply) -> Any:
    """A tqdm class that reports to the asker, and stops the download on a cancel."""
    from tqdm.auto import tqdm

    class Progress(tqdm):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            options.pop("name", None)
            options["file"] = _Nowhere()
            options["disable"] = False
            super().__init__(*arguments, **options)

        def update(self, n: float | None = 1) -> bool | None:
            reply.check()
            shown = super().update(n)
            if shown and self.total:
                reply.progress(f"Downloading {name}", min(1.0, self.n / self.total))
            return shown

    return Progress


def identity_of(folder: Path) -> str:
    """A hash of what the model is: its configuration and its weights.

    Files above 64 MiB count with their size and their first and last MiB.
    """
    digest = hashlib.sha256()
    for path in [*sorted(folder.glob("*.safetensors")), folder / "config.json"]:
        size = path.stat().st_size
        digest.update(f"{path.name}:{size}\n".encode())
        with path.open("rb") as file:
            if size <= HASHED_BYTES:
                digest.update(file.read())
            else:
                digest.update(file.read(2**20))
                file.seek(-(2**20), os.SEEK_END)
                digest.update(file.read())
    return digest.hexdigest()[:16]


def pick_device() -> torch.device:
    """CUDA, else MPS, else the CPU."""
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def _check_folder(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text())
    except (OSError, ValueError):
        raise EngineFailure(
            "bad_model",
            f"{folder} is not a model: it has no readable config.json. Give the folder that "
            "holds config.json, the tokenizer and *.safetensors.",
        ) from None
    if not any(folder.glob("*.safetensors")):
        raise EngineFailure(
            "bad_model",
            f"{folder} holds no *.safetensors file, and no other kind of weights is ever loaded: "
            "convert the model, or choose another.",
        )
    return config


def _check_memory(folder: Path, config: dict[str, Any], device: torch.device) -> None:
    """Compare the weights with the free memory before touching either."""
    import torch

    stored = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    wide = str(config.get("dtype", config.get("torch_dtype", "float32"))) == "float32"
    if device.type == "cuda":
        need, free = stored // (2 if wide else 1), torch.cuda.mem_get_info(device)[0]
    else:
        need = stored * (1 if wide else 2)
        try:
            free = _available_memory()
        except (ValueError, OSError):
            return
    if need > free:
        raise EngineFailure(
            "out_of_memory",
            f"The model needs {need / 2**30:.1f} GiB and {free / 2**30:.1f} GiB are free: "
            "close other programs or choose a smaller model.",
        )


def _available_memory() -> int:
    """Free bytes, counting what the kernel would give back."""
    info = Path("/proc/meminfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")


def set_threads(parameters: int) -> None:
    """Give torch the cores that this process may use, unless the environment says how many.

    A small model gains nothing from more than two threads.
    """
    import torch

    if "OMP_NUM_THREADS" in os.environ:
        return
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    torch.set_num_threads(min(cores, 2) if parameters < SMALL_MODEL else cores)


def load_model(name: str | None, reply: Reply) -> LoadedModel:
    """Load tokenizer and weights; only safetensors, and never code from the model's folder."""
    require_packages()
    folder = find_folder(name, reply)
    config = _check_folder(folder)
    reply.progress("Starting torch")
    import torch
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    transformers.utils.logging.disable_progress_bar()
    reply.check()
    device = pick_device()
    _check_memory(folder, config, device)
    shown = "the practice model" if name is None else name
    reply.progress(f"Loading {shown}", 0.5)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
        )
        model = model.to(device)  # pyright: ignore[reportArgumentType]
    except (torch.OutOfMemoryError, MemoryError):
        message = f"{shown} does not fit into the memory of {device.type}: choose a smaller model."
        raise EngineFailure("out_of_memory", message) from None
    except EngineFailure:
        raise
    except Exception as error:
        detail = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        message = f"{shown} could not be loaded ({detail}): choose another model_name."
        raise EngineFailure("bad_model", message) from error
    if not tokenizer.chat_template:
        message = f"{shown} has no chat template: choose an instruction-tuned model."
        raise EngineFailure("bad_model", message)
    model.eval()
    model.requires_grad_(requires_grad=False)
    set_threads(model.num_parameters())
    text_config = model.config.get_text_config(decoder=True)
    context = int(getattr(text_config, "max_position_embeddings", None) or DEFAULT_CONTEXT)
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        device=device,
        identity=identity_of(folder),
        context_tokens=context,
        name="practice" if name is None else name,
        source=str(folder) if name is None else name,
    )
