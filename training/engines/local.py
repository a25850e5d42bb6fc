"""The engine for models that run here: the practice model, a folder, or one from the hub."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

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
    LessonResult,
    Load,
    Loaded,
    Objective,
    Sample,
    ToolSchema,
)
from ..snapshots import DamagedSnapshot, Manifest, SnapshotStore, safe_name
from . import kept
from .loading import load_model, require_packages

if TYPE_CHECKING:
    from ..anchors import Bank
    from ..attempt import Commit
    from ..learner import LearnSettings
    from .adapter import Adapter, State
    from .policy import Policy

DEFAULT_OBJECTIVE: Objective = "forward_kl"
EARLIER_LESSONS = 16


def default_data_dir() -> Path:
    """Where snapshots lie when the app does not say."""
    from platformdirs import user_data_path

    return user_data_path("continualcode-tui")


class LocalEngine:
    """A model on this machine with an adapter that learns."""

    closing_seconds: ClassVar[float] = 0.0
    capabilities = Capabilities(
        full_vocabulary=True,
        answer_scope=True,
        bit_exact_undo=True,
        export=True,
        import_adapter=True,
        adapter_off=True,
    )

    def __init__(self) -> None:
        self.policy: Policy | None = None
        self.store: SnapshotStore | None = None
        self._request: Load | None = None
        self._snapshot: str | None = None
        self._enabled = True
        self._bank: Bank | None = None
        self._bank_folder: Path | None = None

    # --- loading ----------------------------------------------------------------------

    def load(self, request: Load, reply: Reply) -> Loaded:
        """Load the model and resume the adapter of this repository."""
        started = time.monotonic()
        self.close()
        require_packages()
        name = None if request.engine == "practice" else request.model_name
        if request.engine == "local" and not name:
            raise EngineFailure(
                "bad_model", "engine=local needs a model: give model_name=NAME or a folder."
            )
        loaded = load_model(name, reply)
        from .adapter import Adapter, AdapterSettings
        from .policy import Policy

        reply.progress("Attaching the adapter", 0.8)
        settings = AdapterSettings(
            rank=request.lora_rank, targets=request.lora_targets, scope=request.adapter_scope
        )
        adapter = Adapter(loaded.model, settings, request.seed)
        policy = Policy(loaded, adapter)
        data_dir = Path(request.data_dir).expanduser() if request.data_dir else default_data_dir()
        folder = data_dir / "adapters" / safe_name(request.repository) / safe_name(loaded.name)
        store = SnapshotStore(folder, request.save_every)
        try:
            if request.enable_training:
                store.open()
            snapshot, notice = self._resume(store, policy, adapter)
        except BaseException:
            store.close()
            raise
        if notice:
            reply.progress(notice)
        self.policy, self.store, self._request = policy, store, request
        self._snapshot = snapshot
        self._bank_folder = data_dir / "anchors"
        lessons = kept.lessons_in(store.chain(snapshot))
        return Loaded(
            engine=request.engine,
            model_name=loaded.name,
            device=loaded.device.type,
            parameters=sum(p.numel() for p in adapter.base_parameters()),
            trainable_parameters=adapter.size(),
            context_tokens=loaded.context_tokens,
            training=request.enable_training,
            read_only=store.read_only,
            objective=request.objective or DEFAULT_OBJECTIVE,
            adapter_scope=request.adapter_scope,
            snapshot=snapshot,
            lesson=next(reversed(lessons), None),
            lessons=len(lessons),
            kl_budget=self._settings(request).step.kl_budget,
            seconds=time.monotonic() - started,
            notice=notice,
        )

    def _resume(
        self, store: SnapshotStore, policy: Policy, adapter: Adapter
    ) -> tuple[str | None, str]:
        """Put the newest intact snapshot into the adapter; also what the user should know."""
        snapshot, damaged = store.newest_intact()
        notice = kept.damage_in_words(snapshot, damaged)
        refusal: EngineFailure | None = None
        for manifest in store.chain(snapshot):
            try:
                adapter.restore(self._fitting(manifest, policy, store))
            except DamagedSnapshot:
                continue
            except EngineFailure as failure:
                refusal = refusal or failure
                continue
            if refusal is not None:
                strange = f"Snapshot {snapshot} was made otherwise than those before it"
                notice = f"{notice} {strange}; going on from {manifest.id}.".lstrip()
            return manifest.id, notice
        if refusal is not None:
            raise refusal
        return None, notice

    @staticmethod
    def _fitting(manifest: Manifest, policy: Policy, store: SnapshotStore) -> State:
        """The weights of a snapshot; fails in words when it has other settings or weights."""
        for name, word, theirs, ours in kept.differences(manifest, policy):
            again = "" if name == "model" else f"start with {name}={theirs}, or "
            raise EngineFailure(
                "bad_adapter",
                f"The adapter in {store.folder} has {word} {theirs} and not {ours}: {again}move "
                "the folder away to start afresh.",
            )
        state = store.tensors(manifest.id)
        if not policy.adapter.fits(state):
            raise EngineFailure(
                "bad_adapter",
                f"The adapter in {store.folder} does not fit the model: move the folder away "
                "to start afresh.",
            )
        return state

    def _ready(self) -> tuple[Policy, SnapshotStore, Load]:
        if self.policy is None or self.store is None or self._request is None:
            raise EngineFailure("not_loaded", "No model is loaded yet: load one first.")
        return self.policy, self.store, self._request

    def _trainable(self) -> tuple[Policy, SnapshotStore, Load]:
        policy, store, request = self._ready()
        if not request.enable_training:
            raise EngineFailure(
                "unavailable", "Learning is switched off: start with enable_training=true."
            )
        store.require_writable()
        return policy, store, request

    def _require_enabled(self) -> None:
        if not self._enabled:
            raise EngineFailure(
                "unavailable", "The adapter is off, so nothing is learned or checked: turn it on."
            )

    # --- sampling ---------------------------------------------------------------------

    def sample(self, request: Sample, reply: Reply) -> Completion:
        """Sample one completion from the student; a cancel ends it with what there is."""
        policy, _, load = self._ready()
        from .generation import Sampling, generate

        if load.enable_training:
            self._bank_for(request.tools)
        prompt = policy.renderer.prompt(request.messages, request.tools)
        with policy.adapter.active(self._enabled):
            return generate(
                policy,
                prompt,
                Sampling(request.temperature, request.max_tokens, request.seed),
                on_token=reply.token,
                is_cancelled=reply.is_cancelled,
            )

    # --- learning ---------------------------------------------------------------------

    def _bank_for(self, tools: tuple[ToolSchema, ...]) -> Bank:
        """The anchors and probes for these tools; only the newest are kept."""
        policy, _, _ = self._ready()
        from ..anchors import Bank

        if self._bank is None or self._bank.tools != tools:
            self._bank = Bank(policy, tools, self._bank_folder)
        return self._bank

    def _settings(self, request: Load) -> LearnSettings:
        from ..learner import LearnSettings
        from ..objectives import Loss
        from ..stepper import StepSettings
        from ..teachers import TeacherSettings

        def chosen(**named: Any) -> dict[str, Any]:
            return {name: value for name, value in named.items() if value is not None}

        loss = Loss(
            objective=request.objective or DEFAULT_OBJECTIVE,
            **chosen(
                alpha=request.jsd_alpha,
                top_k=request.top_k,
                support=request.support,
                token_clip=request.token_clip,
            ),
        )
        step = chosen(
            learning_rate=request.learning_rate,
            kl_coef=request.kl_coef,
            kl_budget=request.kl_budget,
        )
        teacher = chosen(kind=request.teacher, rate=request.teacher_rate)
        return LearnSettings(
            step=StepSettings(loss=loss, **step),
            teacher=TeacherSettings(**teacher),
            **chosen(max_steps=request.max_steps),
        )

    def _kept_teacher(self, request: Load, lessons: int) -> State | None:
        """The weights of a teacher that outlives lessons, where there are such."""
        policy, store, _ = self._ready()
        kept = store.optimizer(self._snapshot)
        due = kept is None or lessons % request.teacher_sync_every == 0
        return policy.adapter.state() if due and request.teacher == "synced" else kept

    def learn(self, request: Learn, reply: Reply) -> LessonResult:
        """Learn one lesson and commit it, or leave the weights exactly as they were."""
        policy, store, load = self._trainable()
        self._require_enabled()
        from ..learner import Learner

        chain = list(store.chain(self._snapshot))
        learner = Learner(
            policy,
            self._settings(load),
            earlier=[m.replay for m in chain[:EARLIER_LESSONS] if m.replay is not None],
            earlier_related=[name for m in chain for name in m.related_anchors],
            average=self._kept_teacher(load, len(chain)),
        )

        def commit(proved: Commit) -> str:
            manifest = store.commit(
                parent=self._snapshot,
                lesson=request.lesson.id,
                adapter=policy.adapter.state(),
                optimizer=proved.average,
                describe={
                    **self._description(policy),
                    "replay": proved.replay,
                    "related_anchors": proved.related_anchors,
                    "figures": proved.figures,
                },
            )
            self._snapshot = manifest.id
            return manifest.id

        return learner.learn(request, self._bank_for(request.lesson.tools), reply, commit)

    def check(self, request: Check, reply: Reply) -> Checked:
        """Ask lessons again without their corrections; the weights stay as they are."""
        policy, store, _ = self._ready()
        self._require_enabled()
        from ..suite import Suite

        return Suite(policy, store, self._snapshot).check(request, reply)

    # --- the adapter as a whole -------------------------------------------------------

    def undo(self, request: Undo, reply: Reply) -> Undone:
        """Go back to the parent of the current snapshot, or to where the request says."""
        policy, store, _ = self._trainable()
        reply.check()
        chain = list(store.chain(self._snapshot))
        if request.before is not None:
            target = kept.newest_before(store, chain, request.before)
        elif request.snapshot is not None:
            target = None if request.snapshot == BASE else request.snapshot
        elif chain:
            target = chain[0].parent
        else:
            raise EngineFailure("bad_request", "There is no lesson to undo.")
        state = kept.stored(store, policy, target)
        store.pin(self._snapshot if request.before is not None else None)
        store.point(target)
        self._take_up(policy, state, target)
        return kept.moved(chain, list(store.chain(target)))

    def _take_up(self, policy: Policy, state: State, snapshot: str | None) -> None:
        """Work with the weights of what is the current snapshot on disk."""
        policy.adapter.restore(state)
        policy.weights_changed()
        self._snapshot = snapshot

    def adapters(self) -> AdapterList:
        """List the kept snapshots."""
        _, store, _ = self._ready()
        return AdapterList(
            snapshots=kept.listing(store, self._snapshot),
            current=self._snapshot,
            enabled=self._enabled,
        )

    def enable_adapter(self, *, enabled: bool) -> AdapterEnabled:
        """Answer with the adapter or as the base model, until asked again."""
        policy, _, _ = self._ready()
        if enabled != self._enabled:
            self._enabled = enabled
            policy.weights_changed()
        return AdapterEnabled(enabled=self._enabled)

    def import_adapter(self, request: Import, reply: Reply) -> Imported:
        """Take up an adapter from a file as a new snapshot on top of the present one."""
        policy, store, _ = self._trainable()
        from .importing import read_adapter

        reply.check()
        found = read_adapter(
            Path(request.path),
            policy.adapter,
            policy.header_tokens(),
            policy.loaded.source,
            fresh=self._snapshot is None,
        )
        reply.check()
        manifest = store.commit(
            parent=self._snapshot,
            lesson=found.lesson,
            adapter=found.state,
            describe=self._description(policy),
        )
        self._take_up(policy, found.state, manifest.id)
        return Imported(snapshot=manifest.id, notice=found.notice)

    @staticmethod
    def _description(policy: Policy) -> dict[str, Any]:
        """What a manifest says of the adapter itself."""
        settings = policy.adapter.settings
        return {
            "model": policy.loaded.identity,
            "rank": settings.rank,
            "targets": settings.targets,
            "scope": settings.scope,
        }

    def save(self, request: Save, reply: Reply) -> Saved:
        """Write the adapter as a PEFT folder."""
        policy, store, _ = self._ready()
        reply.check()
        default = store.folder / "export" / (self._snapshot or "base")
        folder = Path(request.path).expanduser() if request.path else default
        header = policy.header_tokens()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            policy.adapter.export(folder, header, policy.loaded.source)
        except OSError as error:
            raise store.disk_failure(error) from error
        return Saved(path=str(folder.resolve()))

    # --- the rest ---------------------------------------------------------------------

    def idle(self) -> bool:
        """Prepare a piece of the anchors while nobody asks for anything."""
        return self._bank is not None and self._bank.advance()

    def close(self) -> None:
        """Give back the lock and the model."""
        if self.store is not None:
            self.store.close()
        self.policy = self.store = self._request = None
        self._snapshot = None
        self._enabled = True
        self._bank = None
