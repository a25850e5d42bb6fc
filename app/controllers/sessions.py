"""The kept conversations of a repository: listed, renamed, deleted, gone on with, shortened.

What cannot be done is said in one sentence, which is returned; None means that it is done.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ...training.protocol import Loaded
from ..agent.conversation import Conversation
from ..events import (
    AgentEvent,
    ContextCounted,
    ConversationReplaced,
    Notice,
    OwnCommandRan,
    TurnSampled,
)
from ..lesson_words import when
from ..store.display import SessionBusy, Shown, starts_of
from ..store.paths import DataPaths
from ..store.sessions import (
    SessionFacts,
    delete_session,
    list_sessions,
    read_session,
    rename_session,
    title_of,
)
from ..tools import registry
from ..workspace.checkpoints import Plan
from ..workspace.repository import Repository, inspect
from .files import FilesController
from .keeping import Keeper
from .secrets import SecretsController

BUSY = "The agent is at work; stop it with Esc first."
ELSEWHERE = "Another continualcode-tui has this session open; leave it there first."
GONE = "This session cannot be read any more; /sessions lists those that can."
TURNS_TO_KEEP = (6, 3, 1)
LONGEST_DIGEST = 4_000
TOKENS_A_CHARACTER = 0.3
SHORT_TITLE = 60


@dataclass(frozen=True, slots=True)
class SessionPorts:
    """What this needs of the session that is open: to be shown, read, replaced and kept."""

    present: Callable[[AgentEvent], None]
    conversation: Callable[[], Conversation]
    replace: Callable[[Conversation], None]
    keep: Callable[[], None]
    loaded: Callable[[], Loaded | None]
    busy: Callable[[], bool]
    secrets: SecretsController


class SessionsController:
    """Knows the sessions of one repository, and goes on with one of them."""

    def __init__(
        self,
        *,
        paths: DataPaths,
        keeper: Keeper,
        repository: Repository,
        files: FilesController,
        ports: SessionPorts,
    ) -> None:
        self.folder = paths.sessions(repository.key)
        self._key = repository.key
        self._keeper = keeper
        self._files = files
        self._ports = ports
        self._rate = TOKENS_A_CHARACTER

    # --- all of them --------------------------------------------------------------------

    @property
    def current(self) -> str:
        """The id of the session that is open here."""
        return self._keeper.file.id if self._keeper.file else ""

    @property
    def records(self) -> tuple[Shown, ...]:
        """What the screen showed of the session that is open."""
        return self._keeper.records

    def saved(self) -> list[SessionFacts]:
        """Every session of the repository, newest first; it reads the disk, so use a thread."""
        return list_sessions(self.folder)

    def rename(self, identifier: str, title: str) -> str | None:
        """Give a session another title."""
        title = self._ports.secrets.scrub(title)
        if not title_of(title):
            return "The title is empty; write a few words."
        if identifier == self.current and self._keeper.file is not None:
            self._keeper.file.title = title_of(title)
            self._ports.keep()
            return None
        return _try(lambda: rename_session(self.folder, identifier, title))

    def delete(self, identifier: str) -> str | None:
        """Delete a session and what the screen showed of it."""
        if identifier == self.current:
            return "This session is open; /clear begins another, then it can be deleted."
        return _try(lambda: delete_session(self.folder, identifier))

    # --- the one that is open -----------------------------------------------------------

    def observe(self, event: AgentEvent) -> None:
        """Learn from each turn how many tokens the conversation takes."""
        if isinstance(event, TurnSampled):
            completion = event.completion
            if completion.prompt_tokens:
                self._rate = completion.prompt_tokens / self._size()
            if self._keeper.file is not None:
                self._keeper.file.tokens = completion.prompt_tokens + len(completion.tokens)

    def note(self, ran: OwnCommandRan) -> None:
        """Keep what a command of the user's own did, for when the session is resumed."""
        self._ports.present(ran)

    def begin(self) -> None:
        """Note the files of the session that is open now."""
        if self._keeper.file is not None:
            self._files.open(self._keeper.file.files_path)

    def resume(self, identifier: str) -> str | None:
        """Go on with a saved session, in place of the one that is open."""
        if self._ports.busy():
            return BUSY
        if identifier == self.current:
            return None
        saved = read_session(self.folder / f"{identifier}.json")
        if saved is None:
            return GONE
        saved = saved.model_copy(update={"title": self._ports.secrets.scrub(saved.title)})
        try:
            conversation = Conversation.from_json(self._ports.secrets.adopt(saved.conversation))
        except ValueError:
            return "This session was kept by another version of the program; it cannot be resumed."
        problem = _try(lambda: self._keeper.resume(saved, key=self._key))
        if problem is not None:
            return problem
        self.begin()
        self._ports.replace(conversation)
        if saved.tokens:
            self._rate = saved.tokens / self._size()
        self._show()
        self._tell(_resumed(saved, self._ports.loaded(), shown=bool(self._keeper.records)))
        return None

    def compact(self) -> str | None:
        """Shorten what the model sees to the newest turns and a digest of the rest."""
        if self._ports.busy():
            return BUSY
        conversation, loaded, before = (
            self._ports.conversation(),
            self._ports.loaded(),
            self._size(),
        )
        limit = min(LONGEST_DIGEST, loaded.context_tokens) if loaded else LONGEST_DIGEST
        kept = next((n for n in TURNS_TO_KEEP if conversation.compact(n, limit)), None)
        if kept is None:
            return "There is nothing to shorten; the model sees little more than the newest turn."
        self._ports.keep()
        fewer = max(0, round((before - self._size()) * self._rate))
        self._count()
        turns = "newest turn" if kept == 1 else f"{kept} newest turns"
        self._tell(
            f"The model now sees the {turns} and a digest of what came before: about {fewer:,} "
            "tokens fewer. The screen keeps everything."
        )
        return None

    def requests(self) -> tuple[str, ...]:
        """The requests to which the conversation can go back, oldest first."""
        return self._ports.conversation().requests

    def plan(self, number: int) -> Plan:
        """What going back to before a request does to the files; use a thread."""
        return self._files.plan(self._request(number))

    async def go_back(self, number: int, plan: Plan | None, *, yours: bool) -> None:
        """Put the conversation back to before a request, whose text becomes the draft.

        With a plan the files go back too, those that the user changed only with ``yours``.
        """
        conversation = self._ports.conversation()
        requests = conversation.requests
        problems: list[str] = []
        if plan is not None:
            problems = await asyncio.to_thread(self._files.restore, plan, yours=yours)
        self._files.went_back(self._request(number), restored=plan is not None)
        start = starts_of(requests, self._keeper.records)[number]
        draft = conversation.go_back(number)
        if start is not None:
            self._keeper.cut(start)
        self._ports.replace(conversation)
        self._ports.keep()
        self._show(draft)
        self._tell(_went_back(plan, yours=yours, problems=len(problems)))
        for problem in problems:
            self._ports.present(Notice(problem, "warning"))

    def _request(self, number: int) -> int:
        """The request's number among all that there were."""
        conversation = self._ports.conversation()
        return conversation.count - len(conversation.requests) + number + 1

    def _show(self, draft: str = "") -> None:
        self._ports.present(ConversationReplaced(self._keeper.records, draft))
        self._count()

    def _count(self) -> None:
        tokens = round(self._size() * self._rate)
        if self._keeper.file is not None:
            self._keeper.file.tokens = tokens
        self._ports.present(ContextCounted(tokens))

    def _size(self) -> int:
        return self._ports.conversation().size + _schemas_size()

    def _tell(self, words: str) -> None:
        self._ports.present(Notice(words))


def choose(data_dir: Path, folder: Path, wanted: str | None) -> SessionFacts | str:
    """The saved session with this id, or the newest of the folder; else a sentence on why none."""
    repository = inspect(folder)
    every = list_sessions(DataPaths(data_dir).sessions(repository.key))
    if wanted is None:
        here = [each for each in every if each.folder == str(repository.root)]
        if here:
            return here[0]
        return f"there is no session of {repository.root} yet; start without --continue."
    found = [each for each in every if each.id == wanted]
    found = found or [each for each in every if each.id.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    how_many = "several sessions begin with" if found else "there is no session"
    return f"{how_many} {wanted!r} in this repository; --resume without an id lists them."


def _resumed(saved: SessionFacts, loaded: Loaded | None, *, shown: bool) -> str:
    title = saved.title[:SHORT_TITLE] or "a session"
    words = f"Resumed “{title}” of {when(saved.saved)}."
    if loaded is not None and saved.model and loaded.model_name != saved.model:
        words += f" It was held with {saved.model}; {loaded.model_name} answers now."
    if not shown:
        words += " What the screen showed was not kept; the model still sees the conversation."
    return words


def _went_back(plan: Plan | None, *, yours: bool, problems: int) -> str:
    words = "Went back to before this request, which is in the prompt again; "
    if plan is None:
        return f"{words}the files are as they are."
    count = len(plan.write) + len(plan.remove) + (len(plan.yours) if yours else 0) - problems
    return f"{words}{count} file{' is' if count == 1 else 's are'} as before it."


def _try(work: Callable[[], None]) -> str | None:
    try:
        work()
    except SessionBusy:
        return ELSEWHERE
    except OSError as error:
        return f"The session cannot be changed: {error.strerror or error}."
    return None


@cache
def _schemas_size() -> int:
    return len(json.dumps([schema.model_dump() for schema in registry.schemas()]))
