"""One session in one folder: everything that a screen, or `exec`, drives the agent with.

    session = SessionController(settings=…, folder=…, present=…, decide=…)
    await session.start()            # EngineLoading… EngineReady, or EngineFailed
    await session.submit("fix it")   # UserSaid, TurnStarted… TurnFinished
    await session.close()

``present`` is called with every event of ``app/events.py``, in order, on the event loop and
never from a thread. ``decide`` is awaited when a proposal needs the user; it is cancelled when
the session is interrupted. ``ask`` is awaited about a secret that would be kept; without it every
one is redacted. Nothing here raises because of what the user, the model, the worker or the disk
did: that is told as ``Notice``, ``EngineFailed`` or ``TurnFinished(reason)``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ...training.client import WorkerDied
from ...training.protocol import AdapterList, Checked, Imported, LessonResult, Loaded, Undone
from ..agent.conversation import Conversation
from ..agent.proposal import Decision, Proposal
from ..agent.system_prompt import read_prompt
from ..events import AgentEvent, AtRest, Notice
from ..store.journal import Journal, LessonRecord
from ..store.log import log_to
from ..store.paths import DataPaths
from ..store.rules import RuleFile
from ..tools import registry
from ..workspace.checkpoints import Plan
from ..workspace.repository import Repository, inspect
from ..workspace.workspace import Workspace
from .adapter import AdapterController, absolute
from .approval import ApprovalController
from .chores import do_chores
from .engine import EngineController, EngineError
from .files import FilesController
from .idle import IdleCheck
from .keeping import Keeper
from .lesson import LessonController
from .metrics import Metrics
from .secrets import Asker, SecretsController
from .sessions import BUSY, SessionPorts, SessionsController
from .suite import Forgotten, SuiteController
from .toolbox import Toolbox
from .turn import Ports, TurnController, carried

if TYPE_CHECKING:
    from ..settings import Settings

Presenter = Callable[[AgentEvent], None]
Decider = Callable[[Proposal], Awaitable[Decision]]

T = TypeVar("T")

CLOSING_SECONDS = 5.0
SYSTEM = "AGENTS.md, or the name of a file,"


class SessionController:
    """Builds the engine, the tools and the stores from the settings, and runs requests."""

    def __init__(
        self,
        *,
        settings: Settings,
        folder: Path,
        present: Presenter,
        decide: Decider,
        ask: Asker | None = None,
    ) -> None:
        self.settings = settings
        self.folder = folder
        self.metrics = Metrics()
        self.repository: Repository | None = None
        self.opened = asyncio.Event()
        """Set as soon as ``repository`` is known."""
        self.sessions: SessionsController | None = None
        self._presenter = present
        self._decide = decide
        self._paths = DataPaths(settings.data_dir)
        self.toolbox = Toolbox(settings, self._present)
        self._engine: EngineController | None = None
        self._journal: Journal | None = None
        self._lessons: LessonController | None = None
        self._suite: SuiteController | None = None
        self._adapter: AdapterController | None = None
        self._idle = IdleCheck()
        self._turn: TurnController | None = None
        self._conversation = Conversation("")
        self.secrets = SecretsController(present=self._present, ask=ask)
        self._keeper = Keeper(paths=self._paths, present=self._present, secrets=self.secrets)
        self._files: FilesController | None = None
        self._approval: ApprovalController | None = None
        self._task: asyncio.Task[Any] | None = None
        self._interrupts = 0

    # --- what can be read at any time -------------------------------------------------

    @property
    def loaded(self) -> Loaded | None:
        """What the engine loaded; None until it is ready."""
        return self._engine.loaded if self._engine else None

    @property
    def kl_budget(self) -> float | None:
        """How far a lesson may move unrelated answers, once the engine says so."""
        return self.loaded.kl_budget if self.loaded else None

    @property
    def failure(self) -> str | None:
        """Why the engine cannot be used, if it cannot."""
        return self._engine.failure if self._engine else None

    @property
    def busy(self) -> bool:
        """Whether a request, or anything else with the worker, is under way."""
        return self._task is not None

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes that wait for the next correction."""
        return self._conversation.notes

    @property
    def approval(self) -> ApprovalController | None:
        """Which calls run without asking; None until the folder is open."""
        return self._approval

    @property
    def context(self) -> tuple[str, ...]:
        """The commands whose output goes to the model with the next request."""
        return self._conversation.context

    def lessons(self) -> list[LessonRecord]:
        """Every lesson of this repository and model, oldest first, with its standing."""
        return self._journal.lessons() if self._journal else []

    @property
    def learned(self) -> tuple[str, ...]:
        """The lessons that stand, in the order in which they were learned."""
        return self._journal.learned if self._journal else ()

    @property
    def adapter_on(self) -> bool:
        """Whether answers come from the adapter, as far as there is one."""
        return self._engine is None or self._engine.adapter_on

    def describe_adapter(self) -> str:
        """The adapter in a sentence: which snapshot is current, and whether it is on."""
        return self._adapter.describe() if self._adapter else "The engine is still starting."

    # --- what can be asked --------------------------------------------------------------

    async def start(self, resume: str = "") -> bool:
        """Open the folder, start the worker and load the model; False when that failed.

        ``resume`` is the id of a saved session to go on with.
        """
        log_to(self._paths.app_log)
        self.repository = await asyncio.to_thread(inspect, self.folder)
        self._approval = ApprovalController(
            read_only_tools={name for name, tool in registry.TOOLS.items() if tool.read_only},
            auto_approve_readonly=self.settings.auto_approve_readonly,
            rules=RuleFile(self._paths.rules(self.repository.key, self.repository.root)),
            workspace=Workspace(self.repository.root),
        )
        self._engine = EngineController(
            settings=self.settings,
            paths=self._paths,
            repository=self.repository.key,
            present=self._present,
            on_loaded=self._open_journal,
        )
        files = self._open_sessions(self.repository, resume)
        self.toolbox.open(self.repository.root)
        # What the first call needs is imported while the model loads.
        _, _, started = await asyncio.gather(
            do_chores(self.repository, self.settings.data_dir, self._present, files),
            self.toolbox.ready(),
            self._engine.start(),
        )
        await self._recover()
        self._check_when_idle()
        return started

    async def submit(self, text: str) -> None:
        """Put a request to the agent and return when it waits for the user again."""
        if not text.strip():
            self._present(Notice("The request is empty; say what you want.", "warning"))
            return
        await self._alone(self._answer(carried(text)))

    async def interrupt(self) -> None:
        """Stop sampling, the waiting proposal, the tool or the lesson, whichever is under way.

        A second call while the worker does not answer the first ends the worker; another is
        started, and the adapter is then the last committed one.
        """
        if self._engine is None or not self.busy:
            return
        self._interrupts += 1
        if self._lessons is not None:
            self._lessons.stop()
        self.secrets.stop()
        if self._turn is not None:
            self._turn.interrupt()
        if self._interrupts > 1 and self._engine.asked:
            await self._engine.kill()
        else:
            await self._engine.cancel_current()

    async def undo(self) -> Undone | None:
        """Take back the newest lesson, or an import above it; None when there is nothing."""
        return await self._alone(self._with_adapter(lambda it: it.undo()), rest=True)

    async def check(self) -> Checked | None:
        """Ask every learned lesson again without its correction; None when that failed."""
        return await self._alone(self._check(), rest=True)

    async def forget(self, lesson: str) -> Forgotten | None:
        """Take one lesson out and learn the later ones again; None when it is still there."""
        return await self._alone(self._forget(lesson), rest=True)

    def add_note(self, text: str) -> None:
        """Keep a note for the teacher of the next correction."""
        if not text.strip():
            self._present(Notice("The note is empty; write what the teacher should know."))
            return
        self._conversation.add_note(carried(text))
        self._present(Notice("The note goes to the teacher of the next correction."))

    def add_context(self, title: str, text: str) -> None:
        """Give the model a text with the next request."""
        self._conversation.add_context(title, carried(text))

    def drop_context(self) -> None:
        """Let the next request go alone."""
        self._conversation.drop_context()

    def clear(self) -> None:
        """Begin a new conversation; the adapter and the lessons stay."""
        if self.busy:
            self._present(Notice(BUSY, "warning"))
            return
        self._conversation.clear()
        self._turn = None
        self._begin_file()

    async def rewind(self, number: int, plan: Plan | None = None, *, yours: bool = False) -> None:
        """Go back to before a request, by its place; ``plan`` is what happens to the files."""
        if self.sessions is not None:
            await self._alone(self.sessions.go_back(number, plan, yours=yours), rest=True)

    async def save(self, path: str | None = None) -> str | None:
        """Write the adapter as a PEFT folder and say where it lies; None when that failed."""
        return await self._alone(self._save(absolute(path) if path else None))

    async def adapters(self) -> AdapterList | None:
        """List the snapshots that are kept; None when that failed."""
        return await self._alone(self._with_engine(lambda it: it.adapters()))

    async def use_adapter(self, snapshot: str) -> Undone | None:
        """Switch to a kept snapshot, by the beginning of its name; None when that failed."""
        return await self._alone(self._with_adapter(lambda it: it.use(snapshot)), rest=True)

    async def turn_adapter(self, *, on: bool) -> None:
        """Answer with the adapter or, for this session, with the base model."""
        await self._alone(self._with_adapter(lambda it: it.enable(enabled=on)), rest=True)

    async def import_adapter(self, path: str) -> Imported | None:
        """Take up an adapter from a file or a PEFT folder; None when that failed."""
        where = absolute(path)
        return await self._alone(self._with_adapter(lambda it: it.take_in(where)), rest=True)

    async def replay(self, lesson: str) -> LessonResult | None:
        """Learn a lesson of the journal again; None when it was not tried."""
        return await self._alone(self._replay(lesson), rest=True)

    async def close(self) -> None:
        """Stop what runs, keep the conversation, end the worker."""
        self._idle.end()
        task = self._task
        if task is not None:
            await self.interrupt()
            await asyncio.wait([task], timeout=CLOSING_SECONDS)
            task.cancel()
        if self._engine is not None:
            await self._engine.close()
        if self._journal is not None:
            self._journal.close()
        self._keeper.close()

    # --- one thing at a time ------------------------------------------------------------

    async def _alone(self, work: Coroutine[Any, Any, T], *, rest: bool = False) -> T | None:
        """Do one thing with the worker and return what came of it; None while another goes on.

        ``rest`` says afterwards that the agent waits again, where the work does not.
        """
        if self.busy:
            work.close()
            self._present(Notice(BUSY, "warning"))
            return None
        self._interrupts = 0
        self._idle.leave()
        self._task = task = asyncio.ensure_future(work)
        try:
            return await task
        finally:
            self._task = None
            if rest and self.loaded is not None:
                self._present(AtRest())
            self._check_when_idle()

    def _check_when_idle(self) -> None:
        """Ask the lessons again when it is time and nobody wants anything else."""
        if self.loaded is not None:
            self._idle.begin(self._suite, self.settings.check_every)

    async def _ready(self) -> EngineController | None:
        """The engine, started once more if it had failed."""
        if self._engine is None:
            self._present(Notice("The engine is still starting.", "warning"))
            return None
        if self._engine.loaded is None and not await self._engine.start():
            return None
        await self._recover()
        return self._engine

    async def _recover(self) -> None:
        """Bring to its end what was cut short while a lesson was being forgotten."""
        journal, lessons, suite = self._journal, self._lessons, self._suite
        if journal is None or lessons is None or suite is None or self.loaded is None:
            return
        if journal.forgetting is not None and journal.read_only is None:
            await suite.recover()
            lessons.reconcile()
        if self._adapter is not None and journal.forgetting is None:
            await self._adapter.reconcile()

    async def _answer(self, text: str) -> None:
        if await self._ready() is None:
            return
        if self._turn is None:
            self._turn = await self._new_turn()
        await self._conversation.change_context(self.secrets.clean_command)
        text = await self.secrets.clean(text, "Your request")
        if self._interrupts:
            self._present(AtRest())
        else:
            await self._turn.run(text)

    async def _with_engine(
        self, work: Callable[[EngineController], Coroutine[Any, Any, T]]
    ) -> T | None:
        engine = await self._ready()
        return await self._try(engine, work(engine)) if engine else None

    async def _with_adapter(
        self, work: Callable[[AdapterController], Coroutine[Any, Any, T]]
    ) -> T | None:
        engine = await self._ready()
        if engine is None or self._adapter is None:
            return None
        return await self._try(engine, work(self._adapter))

    async def _save(self, where: str | None) -> str | None:
        saved = await self._with_engine(lambda it: it.save(where))
        if saved is None:
            return None
        self._present(Notice(f"The adapter was written to {saved.path}."))
        return saved.path

    async def _check(self) -> Checked | None:
        engine = await self._ready()
        if engine is None or self._suite is None:
            return None
        return await self._try(engine, self._suite.check())

    async def _forget(self, lesson: str) -> Forgotten | None:
        engine = await self._ready()
        record = self._journal.lesson(lesson) if self._journal else None
        if engine is None or self._suite is None:
            return None
        if record is None:
            self._present(Notice("There is no such lesson in the journal.", "warning"))
            return None
        return await self._suite.forget(record)

    async def _replay(self, lesson: str) -> LessonResult | None:
        engine = await self._ready()
        if engine is None or self._lessons is None:
            return None
        return await self._lessons.replay(lesson)

    async def _try(self, engine: EngineController, request: Coroutine[Any, Any, T]) -> T | None:
        """Ask the worker; what goes wrong is told in words."""
        try:
            return await request
        except EngineError as error:
            self._present(Notice(error.message, "warning"))
        except WorkerDied as error:
            self._present(Notice(str(error), "warning"))
            with suppress(EngineError, WorkerDied):
                await engine.restart()
        return None

    # --- building -----------------------------------------------------------------------

    def _open_journal(self, loaded: Loaded) -> None:
        """Open the model's journal when it is first loaded, and settle what was left open."""
        if self._lessons is not None:
            self._lessons.settle(loaded)
        if self._adapter is not None:
            self._adapter.note_loaded(loaded)
        if self._journal is not None or self._engine is None or self.repository is None:
            return
        # Whoever may change the adapter here is the one that writes the journal.
        look = False if self.settings.worker_command else loaded.read_only or False
        path = self._paths.journal(self.repository.key, loaded.model_name)
        self._journal = journal = Journal(path, look=look)
        engine, tell = self._engine, self._present
        self._lessons = LessonController(
            engine=engine, journal=journal, present=tell, secrets=self.secrets
        )
        self._suite = SuiteController(
            engine=engine, journal=journal, lessons=self._lessons, present=tell
        )
        self._adapter = AdapterController(engine=engine, journal=journal, present=tell)
        self._adapter.note_loaded(loaded)
        for notice in filter(None, [*journal.notices, journal.read_only]):
            self._present(Notice(notice, "warning"))
        self._lessons.reconcile()
        self.metrics.seed(journal.lessons())

    async def _new_turn(self) -> TurnController:
        repository, files, approval = self.repository, self._files, self._approval
        if not (self._engine and self._lessons and approval and repository and files):
            raise RuntimeError("the session has not been started")
        room = self.loaded.context_tokens * 3 // 4 if self.loaded else 0
        system = await asyncio.to_thread(read_prompt, repository, room)
        self._conversation.system = await self.secrets.clean(system, SYSTEM)
        return TurnController(
            engine=self._engine,
            lessons=self._lessons,
            approval=approval,
            conversation=self._conversation,
            workspace=Workspace(repository.root),
            tools=await self.toolbox.ready(),
            ports=Ports(self._present, self._decide, self._keep, files.around, self.secrets),
        )

    def _open_sessions(self, repository: Repository, resume: str) -> FilesController:
        self._files = files = FilesController.of(repository, self._paths, self._present)
        self.sessions = SessionsController(
            paths=self._paths,
            keeper=self._keeper,
            repository=repository,
            files=files,
            ports=SessionPorts(
                present=self._present,
                conversation=lambda: self._conversation,
                replace=self._replace_conversation,
                keep=self._keep,
                loaded=lambda: self.loaded,
                busy=lambda: self.busy,
                secrets=self.secrets,
            ),
        )
        self._begin_file()
        problem = self.sessions.resume(resume) if resume else None
        if problem is not None:
            self._present(Notice(problem, "warning"))
        self.opened.set()
        return files

    def _replace_conversation(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._turn = None

    def _begin_file(self) -> None:
        if self.repository is not None and self.sessions is not None:
            self._keeper.begin(key=self.repository.key, about=self.repository.root)
            self.sessions.begin()

    def _keep(self) -> None:
        model = self.loaded.model_name if self.loaded else ""
        self._keeper.keep(self._conversation, model=model)

    def _present(self, event: AgentEvent) -> None:
        self.metrics.observe(event)
        if self.sessions is not None:
            self.sessions.observe(event)
        self._keeper.observe(event)
        self._presenter(event)
