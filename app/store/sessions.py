"""Conversations, saved as they go so that a crash costs none of it."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from .display import DisplayFile, OwnShown, Shown, UserShown, carried
from .paths import make_private_folder, write_private

LONGEST_TITLE = 200


class SessionFacts(BaseModel):
    """What a list says of a conversation."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str
    folder: str
    started: float
    saved: float
    model: str = ""
    title: str = ""
    messages: int = 0
    tokens: int = 0


class SavedSession(SessionFacts):
    """A conversation as it lies on disk."""

    conversation: dict[str, Any]


def title_of(text: str) -> str:
    """A text as a title: one line, not too long."""
    return " ".join(str(carried(text)).split())[:LONGEST_TITLE]


class SessionFile:
    """The files of one conversation; they are written when there is something to keep."""

    def __init__(self, folder: Path, *, about: Path) -> None:
        self.started = time.time()
        stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(self.started))
        self.id = f"{stamp}-{uuid.uuid4().hex[:6]}"
        self.title = ""
        self.tokens = 0
        self._messages = 0
        self._folder = folder
        self._about = str(about)
        self._display: DisplayFile | None = None
        self._early: list[OwnShown] = []

    @classmethod
    def resume(cls, folder: Path, saved: SavedSession) -> SessionFile:
        """Go on with a saved conversation; SessionBusy while another program has it open."""
        file = cls(folder, about=Path(saved.folder))
        file.id, file.started = saved.id, saved.started
        file.title, file.tokens = saved.title, saved.tokens
        file._messages = saved.messages
        file._display = DisplayFile(file.display_path)
        return file

    @property
    def path(self) -> Path:
        """Where the model's messages lie."""
        return self._folder / f"{self.id}.json"

    @property
    def display_path(self) -> Path:
        """Where it lies what the screen showed."""
        return self._folder / f"{self.id}.jsonl"

    @property
    def files_path(self) -> Path:
        """Where it lies which files the calls changed."""
        return self._folder / f"{self.id}.files"

    @property
    def records(self) -> list[Shown]:
        """What the screen showed so far."""
        return self._display.records if self._display else []

    def show(self, record: Shown) -> None:
        """Keep what the screen shows; before the first request only what the user did."""
        if isinstance(record, OwnShown) and self._display is None:
            self._early.append(record)
        if self._display is None:
            if not isinstance(record, UserShown):
                return
            self._display = DisplayFile(self.display_path)
            for earlier in self._early:
                self._display.append(earlier)
        if isinstance(record, UserShown) and not self.title:
            self.title = title_of(record.text)
        self._messages += record.kind in ("user", "words", "call")
        self._display.append(record)

    def cut(self, length: int) -> None:
        """Forget what the screen showed after the first records."""
        if self._display is not None:
            self._display.cut(length)
            kept = self._display.records
            self._messages = sum(record.kind in ("user", "words", "call") for record in kept)

    def save(self, conversation: dict[str, Any], *, model: str = "") -> None:
        """Replace the file in one step; OSError when the disk does not take it."""
        saved = SavedSession(
            id=self.id,
            folder=self._about,
            started=self.started,
            saved=time.time(),
            model=model,
            title=self.title,
            messages=self._messages,
            tokens=self.tokens,
            conversation=conversation,
        )
        make_private_folder(self.path.parent)
        write_private(self.path, saved.model_dump_json().encode())
        if self._display is not None:
            self._display.sync()

    def close(self) -> None:
        """Let another program go on with it."""
        if self._display is not None:
            self._display.close()
            self._display = None


def read_session(path: Path) -> SavedSession | None:
    """A saved conversation; None where the file holds none."""
    try:
        return SavedSession.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def list_sessions(folder: Path) -> list[SessionFacts]:
    """Every conversation that can be read, newest first."""
    found = []
    for path in folder.glob("*.json"):
        try:
            facts = SessionFacts.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            continue
        if facts.id == path.stem:
            found.append(facts)
    return sorted(found, key=lambda session: session.saved, reverse=True)


def rename_session(folder: Path, identifier: str, title: str) -> None:
    """Give a saved conversation another title; SessionBusy while another program has it open."""
    display = DisplayFile(folder / f"{identifier}.jsonl")
    try:
        path = folder / f"{identifier}.json"
        saved = read_session(path)
        if saved is None:
            raise FileNotFoundError(2, "it cannot be read")
        renamed = saved.model_copy(update={"title": title_of(title)})
        write_private(path, renamed.model_dump_json().encode())
    finally:
        display.close()


def delete_session(folder: Path, identifier: str) -> None:
    """Delete a saved conversation; SessionBusy while another program has it open."""
    display = DisplayFile(folder / f"{identifier}.jsonl")
    for suffix in (".json", ".files"):
        (folder / f"{identifier}{suffix}").unlink(missing_ok=True)
    display.remove()
