"""The conversation on disk, written as it goes; a disk that takes nothing is told once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..agent.conversation import Conversation
from ..events import AgentEvent, Notice
from ..store.display import Shown
from ..store.journal import JournalError
from ..store.paths import DataPaths, sweep_temporaries
from ..store.sessions import SavedSession, SessionFile
from .recorder import Recorder
from .secrets import SecretsController

STALE = 3600.0
"""Seconds after which a temporary file is nobody's any more; writing one takes milliseconds."""


class Keeper:
    """Keeps one conversation at a time; `begin` starts a new file, `resume` goes on with one."""

    def __init__(
        self,
        *,
        paths: DataPaths,
        present: Callable[[AgentEvent], None],
        secrets: SecretsController,
    ) -> None:
        self.file: SessionFile | None = None
        self._paths = paths
        self._present = present
        self._secrets = secrets
        self._recorder = Recorder()
        self._told = False

    @property
    def records(self) -> tuple[Shown, ...]:
        """What the screen showed of the conversation so far."""
        return tuple(self.file.records) if self.file else ()

    def begin(self, *, key: str, about: Path) -> None:
        """Keep what comes from now on in a new file, for a repository's key and root."""
        folder = self._paths.sessions(key)
        sweep_temporaries(folder, older_than=STALE)
        self._take(SessionFile(folder, about=about))

    def resume(self, saved: SavedSession, *, key: str) -> None:
        """Keep what comes from now on in a saved conversation's file; may raise SessionBusy."""
        self._take(SessionFile.resume(self._paths.sessions(key), saved))

    def _take(self, file: SessionFile) -> None:
        self.close()
        self.file = file
        self._recorder = Recorder()

    def observe(self, event: AgentEvent) -> None:
        """Keep what the screen shows of an event."""
        record = self._recorder.take(event)
        if record is not None and self.file is not None:
            with self.words_for_disk():
                self.file.show(self._secrets.scrub_record(record))

    def keep(self, conversation: Conversation, *, model: str) -> None:
        """Put the conversation on disk as it is now."""
        if self.file is None:
            return
        with self.words_for_disk():
            self.file.save(self._secrets.scrub_all(conversation.to_json()), model=model)
            self._told = False

    def cut(self, length: int) -> None:
        """Forget what the screen showed after the first records."""
        if self.file is not None:
            with self.words_for_disk():
                self.file.cut(length)

    def close(self) -> None:
        """Let another program go on with the conversation."""
        if self.file is not None:
            self.file.close()

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

    def _tell(self, words: str) -> None:
        if not self._told:
            self._told = True
            self._present(Notice(words, "warning"))
