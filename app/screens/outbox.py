"""The outbox: the prompt, what waits above it, and where each text goes.

/command ─────────▶ commands.run
!command ─────────▶ ShellController, into the conversation; with !! also to the model
anything else ────▶ the session, or the queue until the agent comes to rest
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.css.query import NoMatches
from textual.widgets import Static

from ...widgets.completions import Completion
from ...widgets.conversation import Conversation
from ...widgets.file_index import FileIndex
from ...widgets.history_search import HistorySearch
from ...widgets.prompt import Prompt
from ...widgets.queue_list import QueueList
from ...widgets.sanitise import one_line
from .. import commands
from ..controllers.queue import MessageQueue
from ..controllers.shell import ShellController, as_context
from ..events import AgentEvent, AtRest, OwnCommandRan, TurnFinished, UserSaid
from ..state import Phase
from ..store.display import Output
from ..store.history import PromptHistory
from ..store.paths import DataPaths
from ..welcome_words import example_request
from .chat_layout import GIVES_ROOM
from .desk import DecisionDesk
from .welcome import EmptyPage

if TYPE_CHECKING:
    from .chat import ChatScreen

OWN = "your command; Esc stops it"


class Outbox(Vertical):
    """Takes what the user writes, and sends it when its time has come."""

    DEFAULT_CSS = """
    Outbox { height: auto; }
    Outbox.-searching > Prompt, Outbox.-searching > QueueList { display: none; }
    Outbox > .context { height: auto; padding: 0 1 0 2; color: $quiet; display: none; }
    Outbox > .context.-some { display: block; }
    """

    def __init__(self, chat: ChatScreen) -> None:
        super().__init__(classes=GIVES_ROOM)
        self._chat = chat
        self._queue = MessageQueue()
        self._shell = ShellController()
        self._history: PromptHistory | None = None
        self._writing = asyncio.Lock()
        self._started = False
        self._sending = False
        self._files_known = False
        self._commands = 0

    def compose(self) -> ComposeResult:
        """What waits stands above the prompt."""
        yield QueueList()
        yield Static(classes="context")
        yield HistorySearch()
        yield Prompt(
            [Completion(f"/{c.name}", c.help, takes_text=c.takes_text) for c in commands.COMMANDS]
        )

    @property
    def prompt(self) -> Prompt:
        """Where the user writes."""
        return self.query_one(Prompt)

    @property
    def writing(self) -> bool:
        """Whether a text is begun or searched for, so that the focus should stay."""
        search = self.query_one(HistorySearch)
        return search.searching or (self.prompt.has_focus_within and bool(self.prompt.text.strip()))

    async def open(self) -> None:
        """Take up what was written in this repository before, once it is known."""
        session = self._chat.session
        await session.opened.wait()
        assert session.repository is not None
        paths = DataPaths(self._chat.settings.data_dir)
        self._history = PromptHistory(paths.history(session.repository.key))
        try:
            earlier = await asyncio.to_thread(self._history.load)
        except OSError as error:
            self._cannot_remember(error)
        else:
            self.prompt.remember(earlier)
        await self._list_files()

    # --- what the session says ----------------------------------------------------------

    def note(self, event: TurnFinished) -> None:
        """Keep back what waits when the agent did not simply finish; called at once."""
        if event.reason:
            self._queue.hold()

    def hear(self, event: AgentEvent) -> None:
        """Follow what the agent does."""
        if isinstance(event, (AtRest, TurnFinished)):
            self._files_known = False
        if isinstance(event, UserSaid):
            self._chat.query_one(EmptyPage).note_request()
        if isinstance(event, (AtRest, TurnFinished, UserSaid)):
            self._show()

    def hold(self) -> None:
        """The user stops the agent, or there is none: nothing is sent by itself any more."""
        self._queue.hold()
        self._show()

    def stop_command(self) -> bool:
        """Stop the user's own command; say whether one ran."""
        return self._shell.stop()

    def begin(self) -> None:
        """The session has started: what was written until now may go."""
        self._started = True
        self.come_to_rest()

    def come_to_rest(self) -> None:
        """Send the message whose turn it is, if the agent can take one."""
        if self.is_attached and self._resting:
            text = self._queue.next()
            if text is not None:
                self._send(text)
        self._show()

    @property
    def _resting(self) -> bool:
        busy = self._chat.session.busy or self._sending or self._shell.running
        return self._started and not busy

    def _show(self) -> None:
        # On the way out of the program parts of it are gone already.
        with suppress(NoMatches):
            self._fill()

    def _fill(self) -> None:
        if not self.is_attached:
            return
        self.query_one(QueueList).show(self._queue.texts, held=self._queue.held)
        self.prompt.queued = bool(self._queue.texts)
        self.prompt.busy = not self._resting
        if self._shell.running and self._chat.phase == "ready":
            # The model was ready, or the agent came to rest, while the command ran.
            self._chat.set_phase("running", OWN)
        titles = self._chat.session.context
        line = self.query_one(".context", Static)
        line.set_class(bool(titles), "-some")
        what = titles[0] if len(titles) == 1 else f"{len(titles)} commands"
        line.update(Content(f"+ with your next request: {one_line(what, 60)} · !! drops it"))

    # --- what the user writes -----------------------------------------------------------

    def on_prompt_submitted(self, message: Prompt.Submitted) -> None:
        """Bring the text to where it belongs."""
        message.stop()
        text = message.text
        self._chat.query_one(EmptyPage).note_action()
        self.run_worker(self._remember(text), group="history", description="keep the history")
        if text.startswith("/"):
            self.run_worker(
                self._run_slash(text), group="command", exit_on_error=True,
                description="run a command",
            )  # fmt: skip
        elif text.startswith("!"):
            self._own_command(text)
        elif self._resting:
            self._send(text)
        else:
            self._queue.add(text)
        self._show()

    def on_prompt_enter_pressed(self, message: Prompt.EnterPressed) -> None:
        """Let the messages go that were held; on the first run, write an example request."""
        message.stop()
        if not self._queue.texts and self._chat.query_one(EmptyPage).offers_example:
            repository = self._chat.session.repository
            git = repository is not None and repository.git
            self.prompt.text = example_request(
                self._chat.settings.engine, self.prompt.files, git=git
            )
            return
        self._queue.release()
        self.come_to_rest()

    def _send(self, text: str) -> None:
        self._sending = True
        self.run_worker(
            self._submit(text), group="turn", exit_on_error=True, description="answer a request"
        )

    async def _submit(self, text: str) -> None:
        try:
            await self._chat.session.submit(text)
        finally:
            self._sending = False
        self.come_to_rest()

    async def _run_slash(self, text: str) -> None:
        await commands.run(self._chat, text)
        self.come_to_rest()

    # --- commands of the user's own -----------------------------------------------------

    def _own_command(self, text: str) -> None:
        shared = text.startswith("!!")
        command = text.lstrip("!").strip() if shared else text[1:].strip()
        problem = self._problem_with(command)
        if shared and not command:
            self._chat.session.drop_context()
        elif problem is not None:
            self._chat.say(problem, "warning")
            self.prompt.text = text
        else:
            self.run_worker(
                self._run_own(command, shared=shared), group="own", exit_on_error=True,
                description="run the user's own command",
            )  # fmt: skip

    def _problem_with(self, command: str) -> str | None:
        session = self._chat.session
        if not command:
            return "Write a command after the !; !! gives its output to the model as well."
        if session.repository is None:
            return "The repository is not known yet; try again in a moment."
        if self._shell.running:
            return "Your last command still runs; Esc stops it."
        if session.busy and self._chat.phase != "waiting":
            return "The agent is at work; your command can run when it rests or a call waits."
        return None

    async def _run_own(self, command: str, *, shared: bool) -> None:
        chat, conversation = self._chat, self._chat.query_one(Conversation)
        session = chat.session
        assert session.repository is not None
        # Calls of the agent are numbered from 1 on, or not at all.
        self._commands -= 1
        number = self._commands
        conversation.add_call("!!" if shared else "!", command, "own", number=number)
        conversation.follow()
        before = chat.phase, chat.detail
        chat.set_phase("running", OWN)
        output = Output()

        def printed(text: str) -> None:
            output.add(text)
            conversation.add_output(text, number=number)

        running = self._shell.run(
            command,
            session.repository.root,
            printed,
            shared=shared,
            keep=session.loaded.context_tokens if session.loaded else 0,
        )
        self.call_later(self._show)
        ran = await running
        if shared and ran.output is not None:
            session.add_context(command, as_context(command, ran))
        if ran.words == "stopped":
            conversation.mark_call("stopped", number=number)
        conversation.end_call(
            ran.ok or ran.words == "stopped", ran.seconds,
            "" if ran.words == "stopped" else ran.words, number=number,
        )  # fmt: skip
        if session.sessions is not None:
            session.sessions.note(
                OwnCommandRan(command, shared, str(output), ran.ok, ran.words, ran.seconds)
            )
        self._files_known = False
        if chat.detail == OWN:
            chat.set_phase(*(before if session.loaded is None else self._phase_without()))
        self.come_to_rest()

    def _phase_without(self) -> tuple[Phase, str]:
        """What the agent does when no command of the user's runs."""
        waits = self._chat.query_one(DecisionDesk).panel is not None
        return ("waiting", "your decision") if waits else ("ready", "")

    # --- the queue ----------------------------------------------------------------------

    def on_prompt_take_back(self, message: Prompt.TakeBack) -> None:
        """Put the newest message back into the prompt."""
        message.stop()
        self._take_back(-1)

    def on_queue_list_edited(self, message: QueueList.Edited) -> None:
        """Put a message back into the prompt, before what is written there."""
        message.stop()
        self._take_back(message.index)

    def on_queue_list_dropped(self, message: QueueList.Dropped) -> None:
        """Forget a message."""
        message.stop()
        self._queue.take(message.index)
        self._show()
        if not self._queue.texts:
            self.prompt.focus()

    def on_queue_list_left(self, message: QueueList.Left) -> None:
        """Go back to the prompt."""
        message.stop()
        self.prompt.focus()

    def _take_back(self, index: int) -> None:
        text = self._queue.take(index)
        if text is not None:
            draft = self.prompt.text
            self.prompt.text = f"{text}\n{draft}" if draft.strip() else text
            self.prompt.focus()
        self._show()

    # --- the history --------------------------------------------------------------------

    async def _remember(self, text: str) -> None:
        if self._history is None:
            return
        async with self._writing:
            try:
                await asyncio.to_thread(self._history.add, text)
            except OSError as error:
                self._cannot_remember(error)

    def _cannot_remember(self, error: OSError) -> None:
        self._history = None
        self._chat.say(
            f"What you write is not kept for the next time: {error.strerror}, below "
            f"{self._chat.settings.data_dir}.",
            "warning",
        )

    def on_prompt_search_wanted(self, message: Prompt.SearchWanted) -> None:
        """Open the search in place of the prompt."""
        message.stop()
        self.add_class("-searching")
        self.query_one(HistorySearch).open(message.history)

    def on_history_search_taken(self, message: HistorySearch.Taken) -> None:
        """Put the text into the prompt."""
        message.stop()
        self.remove_class("-searching")
        self.prompt.recall(message.text)
        self.prompt.focus()

    def on_history_search_closed(self, message: HistorySearch.Closed) -> None:
        """Go back to the prompt."""
        message.stop()
        self.remove_class("-searching")
        if message.back:
            self.prompt.focus()

    # --- the files ----------------------------------------------------------------------

    def on_prompt_files_wanted(self, message: Prompt.FilesWanted) -> None:
        """Look again which files there are, if they may have changed."""
        message.stop()
        if not self._files_known:
            self.run_worker(
                self._list_files(), group="files", exclusive=True, exit_on_error=False,
                description="list the repository's files",
            )  # fmt: skip

    async def _list_files(self) -> None:
        from ..workspace.repository import list_files

        repository = self._chat.session.repository
        if repository is None:
            return
        self._files_known = True
        self.prompt.files = await asyncio.to_thread(
            lambda: FileIndex(list_files(repository.root).paths)
        )
