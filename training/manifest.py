"""What a snapshot says of itself, sealed so that a changed byte is seen."""

from __future__ import annotations

import hashlib
import re
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from .protocol import ChatMessage, ToolSchema

ADAPTER, OPTIMIZER, MANIFEST = "adapter.safetensors", "optimizer.safetensors", "manifest.json"
SNAPSHOT_NAME = re.compile(r"[0-9]{6}-[0-9a-f]{8}")
SEAL, END = b',\n "checksum": "', b'"\n}\n'

FileName = Literal["adapter.safetensors", "optimizer.safetensors"]


class DamagedSnapshot(Exception):
    """A snapshot whose files are missing, or not what its manifest says."""


class Replay(BaseModel):
    """What later lessons need to see that they do not undo this one."""

    model_config = ConfigDict(frozen=True)

    messages: tuple[ChatMessage, ...]
    tools: tuple[ToolSchema, ...]
    tokens: tuple[int, ...]
    decision: int


class Manifest(BaseModel):
    """What a snapshot is, what it came from and what its files hash to.

    ``saved`` is where a service keeps its weights and optimiser; there the files are a recipe,
    and ``start`` is the checkpoint before the first snapshot of the line, if it began with one.
    """

    model_config = ConfigDict(frozen=True)

    id: str = Field(pattern=f"^{SNAPSHOT_NAME.pattern}$")
    parent: str | None = Field(pattern=f"^{SNAPSHOT_NAME.pattern}$")
    lesson: str
    created: float
    model: str
    rank: int
    targets: str
    scope: str
    files: dict[FileName, str]
    pruned: bool = False
    replay: Replay | None = None
    related_anchors: tuple[str, ...] = ()
    figures: dict[str, float] = Field(default_factory=dict)
    saved: str = ""
    start: str = ""

    @model_validator(mode="after")
    def _comes_after_its_parent(self) -> Self:
        """A chain of parents ends because every one is older."""
        if self.parent is not None and self.parent >= self.id:
            raise ValueError("the parent is not older")
        return self


def digest(data: bytes) -> str:
    """The SHA-256 of some bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def seal(manifest: Manifest) -> bytes:
    """The manifest as it lies on disk: JSON whose last key is the checksum of all before it."""
    body = manifest.model_dump_json(indent=1).encode().removesuffix(b"\n}")
    return body + SEAL + digest(body).encode() + END


def unseal(data: bytes, snapshot: str) -> Manifest:
    """Read a snapshot's manifest; raises ``DamagedSnapshot`` where it is not as it was written."""
    body, _, checksum = data.rpartition(SEAL)
    if checksum != digest(body).encode() + END:
        raise DamagedSnapshot(snapshot)
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        raise DamagedSnapshot(snapshot) from error
    if manifest.id != snapshot:
        raise DamagedSnapshot(snapshot)
    return manifest
