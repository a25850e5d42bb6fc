"""The engine for models that a service trains and samples: the hosted trainer, or any server
that speaks its protocol."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

from ..adapter_messages import (
    BASE,
    AdapterEnabled,
    AdapterList,
    Import,
    Imported,
    Save,
    Saved,
    Undo,
    Undone,
)
from ..engine import Capabilities, EngineFailure, Reply
from ..protocol import (
    Check,
    Checked,
    Completion,
    Learn,
    LessonCheck,
    LessonResult,
    Load,
    Loaded,
    Sample,
)
from ..snapshots import DamagedSnapshot, Manifest, SnapshotStore, safe_name
from . import kept
from .hosted.connection import Connection, Limits, address, host_of
from .loading import require_packages
from .local import default_data_dir

T = TypeVar("T")

if TYPE_CHECKING:
    from collections.abc import Callable

    import tinker
    from transformers import PreTrainedTokenizerBase

    from ..anchors import AnswerFile
    from .hosted.adapter import HostedAdapter
    from .hosted.lineage import Lineage
    from .hosted.probes import HostedGuard, Probes
    from .hosted.reader import Reader
    from .hosted.teacher import HostedTeacher

DEFAULT_MODEL = "Qwen/Qwen3-4B-Instruct-2507"
EARLIER_LESSONS = 4
SAVING_SECONDS = 4.0
KEEP_ALL = 1_000_000  # recipes are small, and every one since a saved state is needed


class TinkerEngine:
    """A model on a service, with an adapter that learns there."""

    closing_seconds: ClassVar[float] = 6.0
    capabilities = Capabilities(
        full_vocabulary=False,
        answer_scope=False,
        bit_exact_undo=False,
        export=True,
        import_adapter=False,
        adapter_off=True,
    )

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self.connection: Connection | None = None
        self.adapter: HostedAdapter | None = None
        self.reader: Reader | None = None
        self.store: SnapshotStore | None = None
        self.lineage: Lineage | None = None
        self._request: Load | None = None
        self._enabled = True
        self._probes: Probes | None = None
        self._recent: list[tinker.SamplingClient] = []
        self._other: tinker.SamplingClient | None = None
        self._synced: tuple[str | None, tinker.SamplingClient] | None = None
        self._answers: AnswerFile | None = None

    # --- loading ----------------------------------------------------------------------

    def load(self, request: Load, reply: Reply) -> Loaded:
        """Connect, find the model, and bring the adapter to where it was left."""
        started = time.monotonic()
        self.close()
        require_packages()
        name = request.model_name or DEFAULT_MODEL
        self.connection = Connection(address(request.base_url), self._limits)
        self._request = request
        try:
            self._open(self.connection, name, request, reply)
            notice = self._resume(reply)
            self._find_out(reply)
            self._other = self._other_teacher(reply)
            return self._loaded(notice, started)
        except BaseException:
            self._let_go()
            raise

    def _open(self, connection: Connection, name: str, request: Load, reply: Reply) -> None:
        """Open the model there and the folder of its adapter here."""
        from ..anchors import AnswerFile
        from .hosted import asking
        from .hosted.reader import Named, Reader

        connection.open(reply)
        told = asking.require_model(name, asking.models_of(connection, reply))
        tokenizer = asking.load_tokenizer(name, reply)
        context = told or asking.context_of(name)
        named = Named(name, tokenizer, context)
        self.reader = Reader(connection, named, reply)
        data_dir = Path(request.data_dir).expanduser() if request.data_dir else default_data_dir()
        folder = data_dir / "adapters" / safe_name(request.repository) / safe_name(name)
        self.store = SnapshotStore(folder, request.save_every, keep_last=KEEP_ALL)
        if request.enable_training:
            self.store.open()
        self._answers = AnswerFile(data_dir / "anchors", f"hosted-{safe_name(name)}")

    def _resume(self, reply: Reply) -> str:
        """Bring the adapter to where it was left; returns what the user should know."""
        from .hosted.adapter import HostedAdapter
        from .hosted.lineage import Lineage

        connection, reader, request = self._ready()
        assert self.store is not None
        snapshot, damaged = self.store.newest_intact()
        notice = kept.damage_in_words(snapshot, damaged)
        newest = self.store.manifest(snapshot) if snapshot else None
        start = newest.start if newest else ""
        if request.load_checkpoint_path not in (None, start):
            snapshot, newest, start = None, None, request.load_checkpoint_path or ""
        if newest is not None and newest.rank != request.lora_rank:
            raise EngineFailure(
                "bad_adapter",
                f"The adapter in {self.store.folder} has rank {newest.rank} and not "
                f"{request.lora_rank}: start with lora_rank={newest.rank}, or move the folder "
                "away to start afresh.",
            )
        if not (request.enable_training or snapshot or start):
            return notice
        self.adapter = HostedAdapter(
            connection, reader.loaded.name, request.lora_rank, request.seed
        )
        self.lineage = Lineage(
            self.store, self.adapter, reader, start=start or None, save_every=request.save_every
        )
        return self.lineage.go_to(snapshot, reply) or notice

    def _find_out(self, reply: Reply) -> None:
        """Find out what the service can do, by asking."""
        from .hosted import asking

        connection, reader, request = self._ready()
        token = _some_token(reader.loaded.tokenizer)
        reader.abilities = asking.find_out(connection, reader.base, self.adapter, token, reply)
        computed_here = request.objective in ("reverse_kl", "jsd")
        if computed_here and reader.abilities.wide_targets and self.adapter is not None:
            linear = asking.is_linear(self.adapter, token, reply)
            reader.abilities = dataclasses.replace(reader.abilities, custom_loss=linear)

    def _other_teacher(self, reply: Reply) -> tinker.SamplingClient | None:
        from .hosted import choices

        _, reader, request = self._ready()
        return choices.other_teacher(reader, request, reply)

    def _loaded(self, notice: str, started: float) -> Loaded:
        from .hosted import choices

        connection, reader, request = self._ready()
        assert self.store is not None
        lessons = kept.lessons_in(self.lineage.chain() if self.lineage else ())
        return Loaded(
            engine=request.engine,
            model_name=reader.loaded.name,
            device=host_of(connection.base_url),
            parameters=0,
            trainable_parameters=0,
            context_tokens=reader.context_tokens,
            training=request.enable_training,
            read_only=self.store.read_only,
            objective=choices.objective(reader, request),
            adapter_scope="everywhere",
            snapshot=self._snapshot,
            lesson=next(reversed(lessons), None),
            lessons=len(lessons),
            kl_budget=choices.settings(reader, request).kl_budget,
            seconds=time.monotonic() - started,
            notice=notice,
            server=choices.about_the_server(reader, request),
        )

    @property
    def _snapshot(self) -> str | None:
        return self.lineage.snapshot if self.lineage else None

    # --- what is there ------------------------------------------------------------------

    def _ready(self) -> tuple[Connection, Reader, Load]:
        if self.connection is None or self.reader is None or self._request is None:
            raise EngineFailure("not_loaded", "No model is loaded yet: load one first.")
        return self.connection, self.reader, self._request

    def _trainable(self) -> Lineage:
        _, _, request = self._ready()
        if not request.enable_training or self.lineage is None:
            raise EngineFailure(
                "unavailable", "Learning is switched off: start with enable_training=true."
            )
        self.lineage.store.require_writable()
        return self.lineage

    # --- sampling ---------------------------------------------------------------------

    def sample(self, request: Sample, reply: Reply) -> Completion:
        """Sample one completion from the student; it comes whole."""
        _, reader, _ = self._ready()
        from .generation import Sampling

        reader.reply = reply
        prompt = reader.renderer.prompt(request.messages, request.tools)
        return self._lasting(
            lambda: reader.sample(
                prompt,
                Sampling(request.temperature, request.max_tokens, request.seed),
                client=None if self._enabled else reader.base,
                on_token=reply.token,
            ),
            reply,
        )

    def _lasting(self, do: Callable[[], T], reply: Reply) -> T:
        """Do something; once more in a new session, if the service knows nothing of this one."""
        from .hosted.words import is_gone

        try:
            return do()
        except EngineFailure as failure:
            if not is_gone(failure):
                raise
        self._reopen(reply)
        return do()

    def _reopen(self, reply: Reply) -> None:
        """Begin another session, and go to where this one was."""
        connection, reader, _ = self._ready()
        reply.progress("The service has forgotten this session; opening another")
        connection.close()
        connection.open(reply)
        reader.reply = reply
        reader.open()
        self._recent, self._synced, self._probes = [], None, None
        self._other = self._other_teacher(reply)
        if self.lineage is not None:
            self.lineage.go_to(self.lineage.snapshot, reply)

    # --- learning ---------------------------------------------------------------------

    def learn(self, request: Learn, reply: Reply) -> LessonResult:
        """Learn one lesson and commit it, or bring the adapter back to where it was."""
        lineage = self._trainable()
        reader = lineage.reader
        if not self._enabled:
            raise EngineFailure("unavailable", "The adapter is off: turn it on to learn.")
        reader.reply = reply
        return self._lasting(lambda: self._learn(lineage, request, reply), reply)

    def _learn(self, lineage: Lineage, request: Learn, reply: Reply) -> LessonResult:
        from .hosted import choices
        from .hosted.lesson import HostedLesson

        _, _, load = self._ready()
        adapter, reader = lineage.adapter, lineage.reader
        lineage.return_to_certainty(reply)
        teacher = self._teacher(lineage, reply)
        before = reader.student
        settings = choices.settings(reader, load)
        guard = self._guard(request, lineage, settings.kl_budget)
        lesson = HostedLesson(adapter, reader, teacher, settings, request, reply, guard)
        learned = False
        try:
            result = lesson.learn(lambda proved: lineage.keep(request.lesson.id, proved, reply))
            learned = result.outcome == "learned"
        finally:
            if not learned:
                reader.student = before
                adapter.certain = adapter.certain and not lesson.recipe
        if learned:
            self._recent = [before, *self._recent][:3]
        return result

    def _teacher(self, lineage: Lineage, reply: Reply) -> HostedTeacher:
        from ..teachers import TeacherSettings
        from .hosted.teacher import HostedTeacher

        _, reader, request = self._ready()
        kind, rate = request.teacher or "before", request.teacher_rate
        settings = TeacherSettings(kind) if rate is None else TeacherSettings(kind, rate)
        synced = None
        if kind == "synced":
            synced = self._in_step(lineage, request.teacher_sync_every, reply)
        return HostedTeacher(reader, settings, reader.student, self._recent, synced, self._other)

    def _in_step(self, lineage: Lineage, every: int, reply: Reply) -> tinker.SamplingClient:
        """The student as it was when the teacher last took its weights."""
        here = lineage.snapshot
        chain = [manifest.id for manifest in lineage.chain()]
        since = len(chain) % every
        at = chain[since] if since < len(chain) else None
        if self._synced is None or self._synced[0] != at:
            if since:
                lineage.go_to(at, reply)
            self._synced = (at, lineage.reader.student)
            if since:
                lineage.go_to(here, reply)
        return self._synced[1]

    def _guard(
        self, request: Learn, lineage: Lineage, budget: float
    ) -> Callable[[str], HostedGuard]:
        from .hosted.probes import HostedGuard, Probes

        reader = lineage.reader
        assert self._answers is not None
        replays = [m.replay for m in lineage.chain() if m.replay is not None]
        answers = self._answers

        def make(block: str) -> HostedGuard:
            if self._probes is None or self._probes.tools != request.lesson.tools:
                self._probes = Probes(reader, request.lesson.tools, answers)
            return HostedGuard(reader, self._probes, replays[:EARLIER_LESSONS], block, budget)

        return make

    def check(self, request: Check, reply: Reply) -> Checked:
        """Ask lessons again without their corrections; the weights stay as they are."""
        from .hosted.suite import ask_again

        _, reader, _ = self._ready()
        started = time.monotonic()
        reader.reply = reply
        found: list[LessonCheck] = []
        for number, lesson in enumerate(request.lessons, 1):
            reply.progress(f"Checking lesson {number} of {len(request.lessons)}")
            found.append(ask_again(reader, lesson))
        return Checked(
            checks=tuple(found), snapshot=self._snapshot, seconds=time.monotonic() - started
        )

    # --- the adapter as a whole -------------------------------------------------------

    def undo(self, request: Undo, reply: Reply) -> Undone:
        """Go to another snapshot: its saved state, and the steps since."""
        lineage = self._trainable()
        store, here = lineage.store, lineage.snapshot
        chain = list(lineage.chain())
        if request.before is not None:
            target = kept.newest_before(store, chain, request.before)
        elif request.snapshot is not None:
            target = None if request.snapshot == BASE else request.snapshot
        elif chain:
            target = chain[0].parent
        else:
            raise EngineFailure("bad_request", "There is no lesson to undo.")
        if target is not None:
            self._require_snapshot(store, target)
        try:
            lineage.go_to(target, reply)
            store.pin(here if request.before is not None else None)
            store.point(target)
        except BaseException:
            lineage.snapshot = here
            lineage.adapter.certain = False
            raise
        return kept.moved(chain, list(store.chain(target)))

    @staticmethod
    def _require_snapshot(store: SnapshotStore, target: str) -> Manifest:
        try:
            return store.manifest(target)
        except DamagedSnapshot:
            raise EngineFailure(
                "bad_adapter", f"Snapshot {target} is missing or damaged: choose another."
            ) from None

    def adapters(self) -> AdapterList:
        """List the kept snapshots."""
        self._ready()
        assert self.store is not None
        return AdapterList(
            snapshots=kept.listing(self.store, self._snapshot),
            current=self._snapshot,
            enabled=self._enabled,
        )

    def enable_adapter(self, *, enabled: bool) -> AdapterEnabled:
        """Answer with the adapter or as the base model, until asked again."""
        self._ready()
        self._enabled = enabled
        return AdapterEnabled(enabled=enabled)

    def import_adapter(self, request: Import, reply: Reply) -> Imported:
        """A service takes no weights from outside."""
        del request, reply
        raise EngineFailure(
            "unavailable",
            "A service takes no adapter from a file: give load_checkpoint_path=tinker://… instead.",
        )

    def save(self, request: Save, reply: Reply) -> Saved:
        """Fetch the adapter from the service, and write it as a PEFT folder."""
        lineage = self._trainable()
        connection, reader, _ = self._ready()
        reader.reply = reply
        lineage.return_to_certainty(reply)
        from .hosted.exporting import export

        store = lineage.store
        default = store.folder / "export" / (lineage.snapshot or "base")
        folder = Path(request.path).expanduser() if request.path else default
        try:
            export(connection, lineage.adapter, folder, reply)
        except OSError as error:
            raise store.disk_failure(error) from error
        return Saved(path=str(folder.resolve()))

    # --- the rest ---------------------------------------------------------------------

    def idle(self) -> bool:
        """There is nothing to prepare: everything costs the service's time."""
        return False

    def close(self) -> None:
        """Save the newest state, end the session and give the lock back; takes seconds at most."""
        if self.lineage is not None and self._request is not None and self._request.enable_training:
            began = time.monotonic()
            last = Reply(0, lambda _: None, lambda: time.monotonic() - began > SAVING_SECONDS)
            with contextlib.suppress(EngineFailure):
                self.lineage.save_newest(last)
        self._let_go()

    def _let_go(self) -> None:
        if self.store is not None:
            self.store.close()
        if self.connection is not None:
            self.connection.close()
        self.connection = self.adapter = self.reader = self.store = self.lineage = None
        self._request = self._probes = self._other = self._answers = self._synced = None
        self._recent = []
        self._enabled = True


def _some_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """A token that any prompt may hold."""
    return int(tokenizer.encode("the", add_special_tokens=False)[0])
