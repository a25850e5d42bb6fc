"""The engine for models that a service trains and samples: the hosted trainer, or any server
that speaks its protocol."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING

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
from .hosted.connection import Connection, address, host_of
from .loading import require_packages
from .local import default_data_dir

if TYPE_CHECKING:
    from collections.abc import Callable

    import tinker
    from transformers import PreTrainedTokenizerBase

    from ..anchors import AnswerFile
    from .hosted.adapter import HostedAdapter
    from .hosted.lesson import HostedSettings, Proved
    from .hosted.probes import HostedGuard, Probes
    from .hosted.reader import Reader
    from .hosted.recipes import Step
    from .hosted.teacher import HostedTeacher

DEFAULT_MODEL = "Qwen/Qwen3-4B-Instruct-2507"
EARLIER_LESSONS = 4
KEEP_ALL = 1_000_000  # recipes are small, and every one since a saved state is needed


class TinkerEngine:
    """A model on a service, with an adapter that learns there."""

    capabilities = Capabilities(
        full_vocabulary=False,
        answer_scope=False,
        bit_exact_undo=False,
        export=True,
        import_adapter=False,
        adapter_off=True,
    )

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.adapter: HostedAdapter | None = None
        self.reader: Reader | None = None
        self.store: SnapshotStore | None = None
        self._request: Load | None = None
        self._snapshot: str | None = None
        self._enabled = True
        self._probes: Probes | None = None
        self._recent: list[tinker.SamplingClient] = []
        self._other: tinker.SamplingClient | None = None
        self._answers: AnswerFile | None = None

    # --- loading ----------------------------------------------------------------------

    def load(self, request: Load, reply: Reply) -> Loaded:
        """Connect, find the model, and bring the adapter to where it was left."""
        started = time.monotonic()
        self.close()
        require_packages()
        name = request.model_name or DEFAULT_MODEL
        connection = Connection(address(request.base_url))
        try:
            return self._load(connection, name, request, reply, started)
        except BaseException:
            if self.store is not None:
                self.store.close()
                self.store = None
            connection.close()
            raise

    def _load(
        self, connection: Connection, name: str, request: Load, reply: Reply, started: float
    ) -> Loaded:
        from ..anchors import AnswerFile
        from .hosted import asking
        from .hosted.adapter import HostedAdapter
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
        reader = Reader(connection, Named(name, tokenizer, context), base, base, Abilities(), reply)
        data_dir = Path(request.data_dir).expanduser() if request.data_dir else default_data_dir()
        folder = data_dir / "adapters" / safe_name(request.repository) / safe_name(name)
        self.store = SnapshotStore(folder, request.save_every, keep_last=KEEP_ALL)
        if request.enable_training:
            self.store.open()
        self.connection, self.reader, self._request = connection, reader, request
        self._answers = AnswerFile(data_dir / "anchors", f"hosted-{safe_name(name)}")
        adapter = HostedAdapter(connection, name, request.lora_rank, request.seed)
        self._snapshot, damaged = self.store.newest_intact()
        notice = f"Snapshot {damaged[0]} is damaged; going on from before it." if damaged else ""
        if request.enable_training or self._snapshot or request.load_checkpoint_path:
            self.adapter = adapter
            notice = self._go_to(self._snapshot, reply) or notice
        reader.abilities = asking.find_out(
            connection, base, self.adapter, _some_token(tokenizer), reply
        )
        if request.objective in ("reverse_kl", "jsd") and self.adapter is not None:
            linear = asking.is_linear(adapter, _some_token(tokenizer), reply)
            reader.abilities = dataclasses.replace(reader.abilities, custom_loss=linear)
        self._other = self._other_teacher(request, reply)
        lessons = kept.lessons_in(self.store.chain(self._snapshot))
        return Loaded(
            engine=request.engine,
            model_name=name,
            device=host_of(connection.base_url),
            parameters=0,
            trainable_parameters=0,
            context_tokens=context,
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

    # --- where the adapter is ---------------------------------------------------------

    def _place(self, snapshot: str | None) -> list[tuple[str | None, list[Step]]]:
        """The ways to a snapshot: saved states, newest first, with the steps since each."""
        from .hosted.recipes import from_tensors

        assert self.store is not None
        assert self._request is not None
        ways: list[tuple[str | None, list[Step]]] = []
        since: list[Step] = []
        for manifest in self.store.chain(snapshot):
            if manifest.saved:
                ways.append((manifest.saved, list(since)))
            try:
                since = [*from_tensors(self.store.tensors(manifest.id)), *since]
            except DamagedSnapshot:
                return ways
        return [*ways, (self._request.load_checkpoint_path or None, since)]

    def _go_to(self, snapshot: str | None, reply: Reply) -> str:
        """Bring the adapter and the student to a snapshot; returns what the user should know."""
        _, reader, _ = self._ready()
        adapter = self._adapter()
        ways = self._place(snapshot)
        for at, (saved, recipe) in enumerate(ways):
            try:
                adapter.restore(saved, recipe, reply)
            except EngineFailure as failure:
                if failure.code == "cancelled" or at == len(ways) - 1:
                    raise
                continue
            reader.student = adapter.publish(reply)
            self._snapshot = snapshot
            lost = "A saved state is gone from the service; the lessons since were learned again."
            return lost if at else ""
        raise EngineFailure(
            "bad_adapter",
            "Neither a saved state nor the steps of the newest lessons can be found: undo to an "
            "earlier snapshot, or move the adapter's folder away to start afresh.",
        )

    def _ready(self) -> tuple[Connection, Reader, Load]:
        if self.connection is None or self.reader is None or self._request is None:
            raise EngineFailure("not_loaded", "No model is loaded yet: load one first.")
        return self.connection, self.reader, self._request

    def _adapter(self) -> HostedAdapter:
        if self.adapter is None:
            raise EngineFailure(
                "unavailable", "Learning is switched off: start with enable_training=true."
            )
        return self.adapter

    def _trainable(self) -> tuple[Reader, SnapshotStore, Load]:
        _, reader, request = self._ready()
        if not request.enable_training:
            raise EngineFailure(
                "unavailable", "Learning is switched off: start with enable_training=true."
            )
        assert self.store is not None
        self.store.require_writable()
        return reader, self.store, request

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
        reader, store, _ = self._trainable()
        if not self._enabled:
            raise EngineFailure("unavailable", "The adapter is off: turn it on to learn.")
        adapter = self._adapter()
        reader.reply = reply
        if not adapter.certain:
            self._go_to(self._snapshot, reply)
        from .hosted.lesson import HostedLesson

        before = reader.student
        lesson = HostedLesson(
            adapter, reader, self._teacher(), self._settings(), request, reply, self._guard(request)
        )

        def commit(proved: Proved) -> str:
            self._snapshot = self._keep(request.lesson.id, proved, store, reply)
            return self._snapshot

        try:
            result = lesson.learn(commit)
        except BaseException:
            reader.student = before
            adapter.certain = adapter.certain and not lesson.recipe
            raise
        if result.outcome == "learned":
            self._recent = [before, *self._recent][:3]
        else:
            reader.student = before
            if lesson.recipe:
                adapter.certain = False
        return result

    def _teacher(self) -> HostedTeacher:
        from ..teachers import TeacherSettings
        from .hosted.teacher import HostedTeacher

        _, reader, request = self._ready()
        kind, rate = request.teacher or "before", request.teacher_rate
        settings = TeacherSettings(kind) if rate is None else TeacherSettings(kind, rate)
        return HostedTeacher(reader, settings, reader.student, self._recent, self._other)

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

    def _guard(self, request: Learn) -> Callable[[], HostedGuard]:
        from .hosted.probes import HostedGuard, Probes

        _, reader, _ = self._ready()
        assert self.store is not None
        assert self._answers is not None
        replays = [m.replay for m in self.store.chain(self._snapshot) if m.replay is not None]
        answers, budget = self._answers, self._settings().kl_budget

        def make() -> HostedGuard:
            if self._probes is None or self._probes.tools != request.lesson.tools:
                self._probes = Probes(reader, request.lesson.tools, answers)
            return HostedGuard(reader, self._probes, replays[:EARLIER_LESSONS], budget)

        return make

    def _keep(self, lesson: str, proved: Proved, store: SnapshotStore, reply: Reply) -> str:
        """Write a proved lesson's recipe, with a saved state every so many lessons."""
        from .hosted.recipes import to_tensors

        _, _, request = self._ready()
        adapter = self._adapter()
        depth = sum(1 for _ in store.chain(self._snapshot)) + 1
        saved = adapter.save(safe_name(lesson), reply) if depth % request.save_every == 0 else ""
        manifest = store.commit(
            parent=self._snapshot,
            lesson=lesson,
            adapter=to_tensors(proved.recipe),
            describe={
                "model": adapter.model,
                "rank": adapter.rank,
                "targets": "all",
                "scope": "everywhere",
                "replay": proved.replay,
                "figures": proved.figures,
                "saved": saved,
            },
        )
        return manifest.id

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
        _, store, _ = self._trainable()
        chain = list(store.chain(self._snapshot))
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
        before = self._snapshot
        try:
            self._go_to(target, reply)
        except BaseException:
            self._snapshot = before
            self._adapter().certain = False
            raise
        store.pin(before if request.before is not None else None)
        store.point(target)
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
        """Save the adapter on the service, and say where."""
        self._trainable()
        return Saved(path=self._adapter().save(request.path or "adapter", reply))

    # --- the rest ---------------------------------------------------------------------

    def idle(self) -> bool:
        """There is nothing to prepare: everything costs the service's time."""
        return False

    def close(self) -> None:
        """End the session and give the lock back."""
        if self.store is not None:
            self.store.close()
        if self.connection is not None:
            self.connection.close()
        self.connection = self.adapter = self.reader = self.store = None
        self._request = self._snapshot = self._probes = self._other = self._answers = None
        self._recent = []
        self._enabled = True


def _some_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """A token that any prompt may hold."""
    return int(tokenizer.encode("the", add_special_tokens=False)[0])
