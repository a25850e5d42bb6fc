"""The conversation on disk, written as it goes; a disk that takes nothing is told once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..agent.conversation import Conversation
from ..events import AgentEvent, Notice
from ..store.journal import JournalError
from ..store.paths import DataPaths
from ..store.sessions import SessionFile


class Keeper:
    """Keeps one conversation at a time; `begin` starts a new file."""

    def __init__(self, *, paths: DataPaths, present: Callable[[AgentEvent], None]) -> None:
        self.file: SessionFile | None = None
        self._paths = paths
        self._present = present
        self._told = False

    def begin(self, *, key: str, about: Path) -> None:
        """Keep what comes from now on in a new file, for a repository's key and root."""
        self.file = SessionFile(self._paths.sessions(key), about=about)

    def keep(self, conversation: Conversation, *, model: str) -> None:
        """Put the conversation on disk as it is now."""
        if self.file is None:
            return
        with self.words_for_disk():
            self.file.save(conversation.to_json(), model=model)

    @contextmanager
    def words_for_disk(self) -> Iterator[None]:
        """Tell of a disk that takes nothing, once, and go on."""
        try:
            yield
        except JournalError as error:
            self._tell(str(error))
        except OSError as error:
            self._tell(
                f"The conversation cannot be saved below {self._paths.root}: {error.strerror}; it "
                "goes on in memory."
            )
        else:
            self._told = False

    def _tell(self, words: str) -> None:
        if not self._told:
            self._present(Notice(words, "warning"))
        self._told = True
