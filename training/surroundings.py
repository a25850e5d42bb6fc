"""What the worker is given of its surroundings: no telemetry, no keys that are not for it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from .import_paths import kept_import_paths

NO_TELEMETRY = {
    "DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TINKER_TELEMETRY": "0",
    "WANDB_MODE": "disabled",
}
NAME_OF_KEY = re.compile(
    r"API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|_KEY$|^KEY$|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE"
    r"|_PWD$|_PAT$|CREDENTIAL|COOKIE",
    re.IGNORECASE,
)
FOR_THE_WORKER = re.compile(r"TINKER_|HF_|HUGGING_FACE_|TOKENIZERS_")
"""How the names begin of what the trainer and the model hub are asked with."""


def worker_environment(*, ours: bool = True) -> dict[str, str]:
    """The environment of a worker: no import paths in the repository, no telemetry, few keys.

    A command of the user's own, which may be ``ssh``, keeps every key.
    """
    environment = {name: value for name, value in os.environ.items() if not ours or _needed(name)}
    kept = kept_import_paths(environment.pop("PYTHONPATH", ""))
    if kept:
        environment["PYTHONPATH"] = os.pathsep.join(kept)
    return environment | NO_TELEMETRY | {"TOKENIZERS_PARALLELISM": "false", "PYTHONUNBUFFERED": "1"}


def keys_in(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that hold a key, by their names, each with its value."""
    return {name: value for name, value in environ.items() if NAME_OF_KEY.search(name)}


def _needed(name: str) -> bool:
    return bool(FOR_THE_WORKER.match(name)) or not NAME_OF_KEY.search(name)
