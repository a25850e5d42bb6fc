"""Conversations, saved as they go so that a crash costs none of it."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ...training.protocol import Wire
from .paths import make_private_folder, write_private


class SavedSession(Wire):
    """A conversation as it lies on disk."""

    id: str
    folder: str
    started: float
    saved: float
    model: str = ""
    conversation: dict[str, Any]


class SessionFile:
    """The file of one conversation; it is written when there is something to keep."""

    def __init__(self, folder: Path, *, about: Path) -> None:
        self.started = time.time()
        stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(self.started))
        self.id = f"{stamp}-{uuid.uuid4().hex[:6]}"
        self.path = folder / f"{self.id}.json"
        self._about = str(about)

    def save(self, conversation: dict[str, Any], *, model: str = "") -> None:
        """Replace the file in one step; OSError when the disk does not take it."""
        saved = SavedSession(
            id=self.id,
            folder=self._about,
            started=self.started,
            saved=time.time(),
            model=model,
            conversation=conversation,
        )
        make_private_folder(self.path.parent)
        write_private(self.path, saved.model_dump_json().encode())


def list_sessions(folder: Path) -> list[SavedSession]:
    """Every conversation that can be read, newest first."""
    found = []
    for path in folder.glob("*.json"):
        try:
            found.append(SavedSession.model_validate_json(path.read_bytes()))
        except (OSError, ValidationError):
            continue
    return sorted(found, key=lambda session: session.saved, reverse=True)
