"""The engine for models that a service trains and samples: the hosted trainer, or any server
that speaks its protocol."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

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
    Objective,
    Sample,
)
from ..snapshots import DamagedSnapshot, Manifest, SnapshotStore, safe_name
from . import kept
from .hosted.connection import Connection, Limits, address, host_of
from .loading import require_packages
from .local import default_data_dir

if TYPE_CHECKING:
    from collections.abc import Callable

    import tinker
    from transformers import PreTrainedTokenizerBase

    from ..anchors import AnswerFile
    from .hosted.adapter import HostedAdapter
    from .hosted.lesson import HostedSettings
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
            self._other = self._other_teacher(request, reply)
            return self._loaded(notice, started)
        except BaseException:
            self._let_go()
            raise

    def _open(self, connection: Connection, name: str, request: Load, reply: Reply) -> None:
        """Open the model there and the folder of its adapter here."""
        from ..anchors import AnswerFile
        from .hosted import asking
        from .hosted.reader import Abilities, Named, Reader

        service = connection.open(reply)
        context = asking.require_model(name, asking.models_of(connection, reply))
        tokenizer = asking.load_tokenizer(name, reply)
        base = connection.wait(
            "Opening the model",
            lambda: service.create_sampling_client(base_model=name),
            reply,
            connection.limits.connect,
        )
        named = Named(name, tokenizer, context)
        self.reader = Reader(connection, named, base, base, Abilities(), reply)
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
        notice = f"Snapshot {damaged[0]} is damaged; going on from before it." if damaged else ""
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
        if request.objective in ("reverse_kl", "jsd") and self.adapter is not None:
            linear = asking.is_linear(self.adapter, token, reply)
            reader.abilities = dataclasses.replace(reader.abilities, custom_loss=linear)

    def _loaded(self, notice: str, started: float) -> Loaded:
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
            objective=self._objective(),
            adapter_scope="everywhere",
            snapshot=self._snapshot,
            lesson=next(reversed(lessons), None),
            lessons=len(lessons),
            seconds=time.monotonic() - started,
            notice=notice,
            server=self._about_the_server(),
        )

    @property
    def _snapshot(self) -> str | None:
        return self.lineage.snapshot if self.lineage else None

    def _about_the_server(self) -> dict[str, str]:
        """What the service can do, in a few words each."""
        connection, reader, request = self._ready()
        abilities = reader.abilities
        teacher = request.teacher_model or request.teacher_checkpoint or request.teacher or "before"
        return {
            "server": host_of(connection.base_url),
            "teacher": teacher,
            "likeliest tokens told": str(abilities.top_k) if abilities.top_k else "none",
            "scores the answer alone": "yes" if abilities.last_n else "no",
            "several targets a token": "yes" if abilities.wide_targets else "no",
        }

    def _other_teacher(self, request: Load, reply: Reply) -> tinker.SamplingClient | None:
        """A teacher with weights of its own, if one was asked for."""
        if not request.teacher_model and not request.teacher_checkpoint:
            return None
        from .hosted import asking

        connection, reader, _ = self._ready()
        if request.teacher_model:
            theirs = asking.load_tokenizer(request.teacher_model, reply)
            asking.require_same_tokenizer(reader.loaded.tokenizer, theirs)
        client = connection.client
        assert client is not None
        return connection.wait(
            "Opening the teacher",
            lambda: client.create_sampling_client(
                model_path=request.teacher_checkpoint, base_model=request.teacher_model
            ),
            reply,
            connection.limits.connect,
        )

    def _objective(self) -> Objective:
        """The objective that was asked for, or the best that the service supports."""
        _, reader, request = self._ready()
        best = reader.abilities.top_k and reader.abilities.wide_targets
        if request.objective in ("forward_kl", "reverse_kl", "jsd") and not best:
            raise EngineFailure(
                "unavailable",
                f"This service cannot train on several targets a token, which "
                f"{request.objective} needs: choose objective=importance_sampling.",
            )
        if request.objective in ("reverse_kl", "jsd") and not reader.abilities.custom_loss:
            raise EngineFailure(
                "unavailable",
                "This service does not give a loss that is computed here the right gradient, and "
                f"{request.objective} is one: choose objective=forward_kl.",
            )
        return request.objective or ("forward_kl" if best else "importance_sampling")

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
        return reader.sample(
            prompt,
            Sampling(request.temperature, request.max_tokens, request.seed),
            client=None if self._enabled else reader.base,
            on_token=reply.token,
        )

    # --- learning ---------------------------------------------------------------------

    def learn(self, request: Learn, reply: Reply) -> LessonResult:
        """Learn one lesson and commit it, or bring the adapter back to where it was."""
        lineage = self._trainable()
        adapter, reader = lineage.adapter, lineage.reader
        if not self._enabled:
            raise EngineFailure("unavailable", "The adapter is off: turn it on to learn.")
        reader.reply = reply
        lineage.return_to_certainty(reply)
        from .hosted.lesson import HostedLesson

        teacher = self._teacher(lineage, reply)
        before = reader.student
        guard = self._guard(request, lineage)
        lesson = HostedLesson(adapter, reader, teacher, self._settings(), request, reply, guard)
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

    def _settings(self) -> HostedSettings:
        from .hosted.lesson import HostedSettings

        _, reader, request = self._ready()
        given = {
            "learning_rate": request.learning_rate,
            "kl_coef": request.kl_coef,
            "kl_budget": request.kl_budget,
            "max_steps": request.max_steps,
        }
        return HostedSettings(
            objective=self._objective(),
            alpha=0.5 if request.jsd_alpha is None else request.jsd_alpha,
            top_k=request.top_k or reader.abilities.top_k,
            **{name: value for name, value in given.items() if value is not None},
        )

    def _guard(self, request: Learn, lineage: Lineage) -> Callable[[str], HostedGuard]:
        from .hosted.probes import HostedGuard, Probes

        reader = lineage.reader
        assert self._answers is not None
        replays = [m.replay for m in lineage.chain() if m.replay is not None]
        answers, budget = self._answers, self._settings().kl_budget

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
