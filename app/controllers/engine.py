"""The worker and the model in it: started, loaded, asked, and started again when it dies."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...training.client import (
    STOP_SECONDS,
    WorkerClient,
    WorkerDied,
    WorkerFailure,
    default_worker_command,
)
from ...training.protocol import (
    AdapterEnabled,
    AdapterList,
    Adapters,
    ChatMessage,
    Check,
    Checked,
    Completion,
    EnableAdapter,
    Event,
    FailureCode,
    Import,
    Imported,
    Learn,
    Lesson,
    LessonResult,
    Load,
    Loaded,
    ProgressEvent,
    ProvedLesson,
    Request,
    Result,
    Sample,
    Sampled,
    Save,
    Saved,
    ToolSchema,
    Undo,
    Undone,
)
from ..adapter_words import OFF
from ..events import AgentEvent, EngineFailed, EngineLoading, EngineReady, Notice
from ..store.paths import DataPaths, make_private_folder

if TYPE_CHECKING:
    from ..settings import Settings

RESTARTS = 3
RESTART_WINDOW = 60.0
SAVING_SECONDS = 8.0

OnEvent = Callable[[Event], None]


class EngineError(Exception):
    """The worker refused a request, or cannot be used; one sentence with the way out."""

    def __init__(self, message: str, code: FailureCode = "unavailable") -> None:
        super().__init__(message)
        self.message = message
        self.code: FailureCode = code


class EngineController:
    """One worker at a time; requests go to it one after another.

    What asks the worker raises `EngineError` when it refuses and `WorkerDied` when it is gone;
    `restart` then brings another up from the last snapshot, on or off as the adapter was.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        paths: DataPaths,
        repository: str,
        present: Callable[[AgentEvent], None],
        on_loaded: Callable[[Loaded], None] | None = None,
    ) -> None:
        self.loaded: Loaded | None = None
        self.failure: str | None = None
        self.adapter_on = True
        self._settings = settings
        self._paths = paths
        self._repository = repository
        self._present = present
        self._on_loaded = on_loaded
        self._client: WorkerClient | None = None
        self._restarts: deque[float] = deque()
        self._current: int | None = None
        self._turn = asyncio.Lock()
        self._starting = asyncio.Lock()

    # --- life ---------------------------------------------------------------------------

    async def start(self) -> bool:
        """Start the worker and load the model, however many workers that takes.

        Whoever asks while it starts waits for that start: a second worker would find the
        adapter locked by the first.
        """
        async with self._starting:
            if self.loaded is not None:
                return True
            self._restarts.clear()
            try:
                await self._bring_up()
            except EngineError:
                return False
            return True

    async def restart(self) -> Loaded:
        """Replace a worker that died; EngineError when that happens too often."""
        await self._stop()
        self._count_restart()
        return await self._bring_up()

    async def kill(self) -> None:
        """End a worker that does not answer; whoever waits for it gets `WorkerDied`."""
        await self._stop()

    async def close(self) -> None:
        """End the worker, once it has saved what it wants to."""
        await self._stop(SAVING_SECONDS)

    # --- requests -----------------------------------------------------------------------

    async def sample(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[ToolSchema],
        on_event: OnEvent,
    ) -> Completion:
        """Sample one completion from the student."""
        request = Sample(
            id=self._next_id(),
            messages=tuple(messages),
            tools=tuple(tools),
            temperature=self._settings.temperature,
            max_tokens=self.max_tokens,
        )
        result = await self._ask(request, on_event)
        if not isinstance(result, Sampled):
            raise _unexpected(result)
        return result.completion

    async def learn(self, lesson: Lesson, on_event: OnEvent) -> LessonResult:
        """Learn a lesson that is in the journal."""
        request = Learn(
            id=self._next_id(),
            lesson=lesson,
            temperature=self._settings.temperature,
            max_tokens=self.max_tokens,
        )
        result = await self._ask(request, on_event)
        if not isinstance(result, LessonResult):
            raise _unexpected(result)
        if result.outcome == "learned":
            self._note_committed(lesson.id, result.snapshot)
        return result

    async def undo(self, snapshot: str | None = None, *, before: str | None = None) -> Undone:
        """Go back to before the newest lesson, to a snapshot, or to before a lesson."""
        request = Undo(id=self._next_id(), snapshot=snapshot, before=before)
        result = await self._ask(request, _ignore)
        if not isinstance(result, Undone):
            raise _unexpected(result)
        self._note_committed(result.lesson, result.snapshot)
        return result

    async def check(self, lessons: Sequence[ProvedLesson], on_event: OnEvent) -> Checked:
        """Ask learned lessons again without their corrections."""
        request = Check(id=self._next_id(), lessons=tuple(lessons))
        result = await self._ask(request, on_event)
        if not isinstance(result, Checked):
            raise _unexpected(result)
        return result

    async def save(self, path: str | None = None) -> Saved:
        """Write the adapter as a PEFT folder."""
        result = await self._ask(Save(id=self._next_id(), path=path), _ignore)
        if not isinstance(result, Saved):
            raise _unexpected(result)
        return result

    async def adapters(self) -> AdapterList:
        """List the snapshots that are kept."""
        result = await self._ask(Adapters(id=self._next_id()), _ignore)
        if not isinstance(result, AdapterList):
            raise _unexpected(result)
        return result

    async def enable_adapter(self, *, enabled: bool) -> None:
        """Answer with the adapter or as the base model, from any worker of this session."""
        result = await self._ask(EnableAdapter(id=self._next_id(), enabled=enabled), _ignore)
        if not isinstance(result, AdapterEnabled):
            raise _unexpected(result)
        self.adapter_on = result.enabled

    async def import_adapter(self, path: str) -> Imported:
        """Take up an adapter from a file, as a new snapshot."""
        result = await self._ask(Import(id=self._next_id(), path=path), _ignore)
        if not isinstance(result, Imported):
            raise _unexpected(result)
        self._note_committed(self.loaded.lesson if self.loaded else None, result.snapshot)
        return result

    async def cancel_current(self) -> None:
        """Ask the worker to stop what it does; the request then ends by itself."""
        if self._client is not None and self._current is not None:
            await self._client.cancel(self._current)

    @property
    def asked(self) -> bool:
        """Whether the worker owes an answer."""
        return self._current is not None

    @property
    def max_tokens(self) -> int:
        """The most tokens of one turn, which leave half of the context to the conversation."""
        wanted = self._settings.max_tokens
        context = self.loaded.context_tokens if self.loaded else 0
        return min(wanted, max(1, context // 2)) if context else wanted

    def cannot_train(self) -> str | None:
        """Why corrections do not become lessons now, in a sentence; None when they do."""
        if self.loaded is None:
            return "The engine is not ready."
        if not self._settings.enable_training:
            return "Training is off (enable_training=false)."
        if self.loaded.read_only:
            return self.loaded.read_only
        if not self.loaded.training:
            return f"The engine {self.loaded.engine} does not train this model."
        if not self.adapter_on:
            return OFF
        return None

    # --- within -------------------------------------------------------------------------

    async def _bring_up(self) -> Loaded:
        """Start and load until it works, the worker refuses, or too many have died."""
        self.failure = None
        while True:
            try:
                return await self._start_and_load()
            except WorkerDied as error:
                await self._stop()
                self._count_restart(str(error))
            except EngineError as error:
                await self._stop()
                raise self._fail(error.message, error.code) from None
            except OSError as error:
                await self._stop()
                raise self._fail(f"The worker cannot be started: {error}.") from None

    async def _start_and_load(self) -> Loaded:
        self._present(EngineLoading("starting the worker"))
        folder = self._make_folders()
        command = self._settings.worker_argv() or default_worker_command()
        self._client = WorkerClient(command, cwd=folder, log_path=self._paths.worker_log)
        try:
            await self._client.start()
        except WorkerDied as error:
            # What keeps a worker from its first line keeps the next one from it too.
            raise EngineError(error.message) from None
        result = await self._ask(self._load_request(), self._show_progress)
        if not isinstance(result, Loaded):
            raise _unexpected(result)
        if not self.adapter_on:
            await self.enable_adapter(enabled=False)
        self.loaded = result
        if self._on_loaded is not None:
            self._on_loaded(result)
        self._present(EngineReady(result))
        if result.notice:
            self._present(Notice(result.notice, "warning"))
        return result

    def _make_folders(self) -> Path:
        try:
            make_private_folder(self._paths.logs)
        except OSError as error:
            raise EngineError(
                f"The data folder {self._paths.root} cannot be used: {error.strerror}; "
                "set data_dir to one that can be written.",
                "disk_full",
            ) from None
        return self._paths.root

    def _load_request(self) -> Load:
        settings = self._settings
        elsewhere = settings.worker_command and "data_dir" not in settings.model_fields_set
        return Load(
            id=self._next_id(),
            engine=settings.engine,
            model_name=settings.model_name,
            repository=self._repository,
            data_dir=None if elsewhere else str(settings.data_dir),
            enable_training=settings.enable_training,
            adapter_scope=settings.adapter_scope,
            lora_targets=settings.lora_targets,
            lora_rank=settings.lora_rank,
            objective=settings.objective,
            jsd_alpha=settings.jsd_alpha,
            top_k=settings.top_k,
            support=settings.support,
            token_clip=settings.token_clip,
            teacher=settings.teacher,
            teacher_rate=settings.teacher_rate,
            teacher_sync_every=settings.teacher_sync_every,
            learning_rate=settings.learning_rate,
            kl_coef=settings.kl_coef,
            kl_budget=settings.kl_budget,
            max_steps=settings.max_steps,
            save_every=settings.save_every,
            seed=settings.seed,
            base_url=settings.base_url,
            load_checkpoint_path=settings.load_checkpoint_path,
            teacher_model=settings.teacher_model,
            teacher_checkpoint=settings.teacher_checkpoint,
        )

    async def _ask(self, request: Request, on_event: OnEvent) -> Result:
        async with self._turn:
            client = self._client
            if client is None:
                raise WorkerDied("The worker is not running.")
            self._current = request.id
            try:
                return await client.request(request, on_event)
            except WorkerFailure as error:
                raise EngineError(error.message, error.code) from None
            finally:
                self._current = None

    def _next_id(self) -> int:
        if self._client is None:
            raise WorkerDied("The worker is not running.")
        return self._client.next_id()

    def _show_progress(self, event: Event) -> None:
        if isinstance(event, ProgressEvent):
            self._present(EngineLoading(event.message, event.fraction))

    def _note_committed(self, lesson: str | None, snapshot: str | None) -> None:
        if self.loaded is not None:
            update = {"lesson": lesson, "snapshot": snapshot}
            self.loaded = self.loaded.model_copy(update=update)

    def _count_restart(self, why: str = "") -> None:
        now = time.monotonic()
        while self._restarts and now - self._restarts[0] > RESTART_WINDOW:
            self._restarts.popleft()
        if len(self._restarts) >= RESTARTS:
            raise self._fail(
                f"The worker ended {RESTARTS + 1} times within a minute"
                f"{': ' + why.rstrip('.') if why else ''}; its log is {self._paths.worker_log}."
            )
        self._restarts.append(now)

    def _fail(self, message: str, code: FailureCode = "unavailable") -> EngineError:
        self.failure = message
        self.loaded = None
        self._present(EngineFailed(message))
        return EngineError(message, code)

    async def _stop(self, patience: float = STOP_SECONDS) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.stop(patience)


def _ignore(event: Event) -> None:
    del event


def _unexpected(result: Result) -> EngineError:
    return EngineError(f"The worker answered with {result.type}, which was not asked.", "internal")
