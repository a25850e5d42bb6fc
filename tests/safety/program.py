"""The whole way of a lesson on a real journal and real snapshots, with next to no model.

Everything is the program's own code but the model: learning lesson N adds one to the N-th number
of the adapter, so that a lesson that was lost, or applied twice, is seen in the weights.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, TypeVar
from unittest import mock

import torch
from continualcode_tui.app.controllers.adapter import AdapterController
from continualcode_tui.app.controllers.engine import EngineError
from continualcode_tui.app.controllers.lesson import LessonController
from continualcode_tui.app.controllers.secrets import SecretsController
from continualcode_tui.app.controllers.suite import SuiteController
from continualcode_tui.app.events import Notice
from continualcode_tui.app.store.entries import LessonEntry, decode
from continualcode_tui.app.store.journal import Journal
from continualcode_tui.training.adapter_messages import AdapterList, Undo, Undone
from continualcode_tui.training.engine import EngineFailure, Reply
from continualcode_tui.training.engines import adapter as adapter_module
from continualcode_tui.training.engines import local, policy
from continualcode_tui.training.engines.local import LocalEngine
from continualcode_tui.training.protocol import (
    ChatMessage,
    Completion,
    Lesson,
    LessonResult,
    Load,
    Loaded,
)
from continualcode_tui.training.snapshots import SnapshotStore

ROOM = 512
MODEL = "weights-of-the-model"
NO_SETTINGS = SimpleNamespace(step=SimpleNamespace(kl_budget=1))
T = TypeVar("T")


def lesson(number: int, outcome: str = "learned") -> Lesson:
    """A lesson whose correction says what will come of it."""
    completion = Completion(
        tokens=(1, 2), logprobs=(-0.1, -0.2), text="x", stop_reason="stop", prompt_tokens=3,
        seconds=0.1,
    )  # fmt: skip
    messages = (ChatMessage(role="user", content="fix\r\n the \u2028 test"),)
    return Lesson(
        id=f"l{number}", kind="deny", messages=messages, tools=(), completion=completion,
        correction=outcome,
    )  # fmt: skip


def number_of(identifier: str) -> int:
    """The place of a lesson in the adapter."""
    return int(identifier.removeprefix("l"))


class TinyAdapter:
    """The adapter: a row of numbers, and the interface that the engine asks for."""

    identity: ClassVar[str] = MODEL

    def __init__(self, base: object, settings: adapter_module.AdapterSettings, seed: int) -> None:
        del base, seed
        self.settings = settings
        self.numbers = torch.zeros(ROOM)

    def state(self) -> dict[str, torch.Tensor]:
        return {"numbers": self.numbers.clone()}

    def initial(self) -> dict[str, torch.Tensor]:
        return {"numbers": torch.zeros(ROOM)}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        self.numbers = state["numbers"].clone()

    def fits(self, state: dict[str, torch.Tensor]) -> bool:
        return state.keys() == {"numbers"} and state["numbers"].shape == (ROOM,)

    def base_parameters(self) -> list[torch.Tensor]:
        return []

    def size(self) -> int:
        return ROOM


class TinyEngine(LocalEngine):
    """The local engine but for the model, and for how a lesson is learned."""

    store_class: ClassVar[type[SnapshotStore]] = SnapshotStore

    def begin(self, data: Path, **options: Any) -> Loaded:
        """Load as the worker does."""
        loaded = SimpleNamespace(
            model=None, name="tiny", identity=TinyAdapter.identity, context_tokens=2048,
            device=SimpleNamespace(type="cpu"), source="tiny",
        )  # fmt: skip

        def make_policy(_: object, adapter: TinyAdapter) -> SimpleNamespace:
            return SimpleNamespace(loaded=loaded, adapter=adapter, weights_changed=lambda: None)

        values: dict[str, Any] = {
            "id": 1, "engine": "practice", "repository": "repository", "data_dir": str(data),
        }  # fmt: skip
        request = Load.model_validate(values | options)
        with ExitStack() as stack:
            for where, name, instead in (
                (local, "require_packages", lambda: None),
                (local, "load_model", lambda *_: loaded),
                (local, "SnapshotStore", self.store_class),
                (adapter_module, "Adapter", TinyAdapter),
                (policy, "Policy", make_policy),
                (LocalEngine, "_settings", lambda *_: NO_SETTINGS),
            ):  # fmt: skip
                stack.enter_context(mock.patch.object(where, name, instead))
            return self.load(request, quiet())

    @property
    def numbers(self) -> torch.Tensor:
        """The adapter in memory."""
        assert self.policy is not None
        return self.policy.adapter.numbers  # pyright: ignore[reportAttributeAccessIssue]

    def take(self, wanted: Lesson) -> LessonResult:
        """Learn a lesson with the outcome that it asks for."""
        policy, store, _ = self._trainable()
        if wanted.correction != "learned":
            reason = f"It was {wanted.correction}."
            return LessonResult.model_validate(
                {"lesson": wanted.id, "outcome": wanted.correction, "reason": reason}
            )
        before = policy.adapter.state()
        after = before["numbers"].clone()
        after[number_of(wanted.id)] += 1
        policy.adapter.restore({"numbers": after})
        try:
            manifest = store.commit(
                parent=self._snapshot,
                lesson=wanted.id,
                adapter=policy.adapter.state(),
                optimizer={"average": after / 2},
                describe=self._description(policy),
            )
        except BaseException:
            policy.adapter.restore(before)
            raise
        self._snapshot = manifest.id
        return LessonResult(
            lesson=wanted.id, outcome="learned", reason="It follows.", proved=True,
            snapshot=manifest.id,
        )  # fmt: skip


def quiet() -> Reply:
    """Nobody listens."""
    return Reply(1, lambda _: None)


class Direct:
    """The engine's controller, without a process in between."""

    adapter_on = True

    def __init__(self, engine: TinyEngine, loaded: Loaded) -> None:
        self.engine = engine
        self.loaded = loaded

    def cannot_train(self) -> str | None:
        return self.loaded.read_only

    async def learn(self, wanted: Lesson, on_event: object) -> LessonResult:
        result = self._ask(lambda: self.engine.take(wanted))
        if result.outcome == "learned":
            self._note(wanted.id, result.snapshot)
        return result

    async def undo(self, snapshot: str | None = None, *, before: str | None = None) -> Undone:
        request = Undo(id=1, snapshot=snapshot, before=before)
        undone = self._ask(lambda: self.engine.undo(request, quiet()))
        self._note(undone.lesson, undone.snapshot)
        return undone

    async def adapters(self) -> AdapterList:
        return self._ask(self.engine.adapters)

    def _note(self, name: str | None, snapshot: str | None) -> None:
        update = {"lesson": name, "snapshot": snapshot}
        self.loaded = self.loaded.model_copy(update=update)

    @staticmethod
    def _ask(do: Callable[[], T]) -> T:
        try:
            return do()
        except EngineFailure as failure:
            raise EngineError(failure.message, failure.code) from None


class Program:
    """One start of the program: adapter and journal are opened and brought together."""

    journal_class: ClassVar[type[Journal]] = Journal
    engine_class: ClassVar[type[TinyEngine]] = TinyEngine

    def __init__(self, data: Path, **options: Any) -> None:
        self.data = data
        self.told: list[str] = []
        self.engine = self.engine_class()
        loaded = self.engine.begin(data, **options)
        self.direct: Any = Direct(self.engine, loaded)
        path = journal_path(data)
        self.journal = self.journal_class(path, look=loaded.read_only or False)
        self.told += filter(None, [loaded.notice, *self.journal.notices, self.journal.read_only])
        self.lessons = LessonController(
            engine=self.direct,
            journal=self.journal,
            present=self._present,
            secrets=SecretsController(present=self._present),
        )
        self.suite = SuiteController(
            engine=self.direct, journal=self.journal, lessons=self.lessons, present=self._present
        )
        self.adapter = AdapterController(
            engine=self.direct, journal=self.journal, present=self._present
        )
        self.adapter.note_loaded(loaded)
        self.lessons.reconcile()
        self.recover()

    def _present(self, event: object) -> None:
        if isinstance(event, Notice):
            self.told.append(event.text)

    def recover(self) -> None:
        """What the session does before it does anything else."""
        if self.journal.forgetting is not None and self.journal.read_only is None:
            self._run(self.suite.recover())
            self.lessons.reconcile()
        if self.journal.forgetting is None:
            self._run(self.adapter.reconcile())

    def _run(self, work: Coroutine[Any, Any, T]) -> T | None:
        try:
            return asyncio.run(work)
        except EngineError as error:
            self.told.append(error.message)
            return None

    # --- what a user does ---------------------------------------------------------------

    def correct(self, wanted: Lesson) -> LessonResult:
        """Deny a call with this correction; what came of it was told in words."""
        result = self._run(self.lessons.learn(wanted, show_retry=False))
        assert result is not None
        assert result.reason.endswith(".")
        self.told.append(result.reason)
        return result

    def replay(self, identifier: str) -> LessonResult | None:
        """Learn a lesson of the journal again."""
        return self._run(self.lessons.replay(identifier))

    def undo(self) -> Undone | None:
        """Take the newest lesson back."""
        return self._run(self.adapter.undo())

    def use(self, snapshot: str) -> Undone | None:
        """Switch to another snapshot."""
        return self._run(self.adapter.use(snapshot))

    def forget(self, identifier: str) -> bool:
        """Take a lesson out of the middle, and say whether it is gone."""
        record = self.journal.lesson(identifier)
        assert record is not None
        return self._run(self.suite.forget(record)) is not None

    def close(self) -> None:
        """Leave the program."""
        self.journal.close()
        self.engine.close()

    def die(self) -> None:
        """Be gone without a last word; of an open file the kernel closes only the handle."""
        self.journal._unwritten.clear()
        self.close()

    # --- what is true -------------------------------------------------------------------

    def held(self) -> list[str]:
        """The lessons in the adapter, oldest first."""
        store = self.engine.store
        assert store is not None
        return [manifest.lesson for manifest in store.chain(self.engine._snapshot)][::-1]

    def require_exactly_once(self, acknowledged: Sequence[str] = ()) -> None:
        """Every acknowledged lesson is there once, and so is what was learned of them."""
        written = Counter(lessons_in(journal_path(self.data)))
        lost = [name for name in acknowledged if not written[name]]
        assert not lost, f"lost: {lost}"
        doubled = [name for name, count in written.items() if count > 1]
        assert not doubled, f"doubled: {doubled}"
        known = [record.lesson.id for record in self.journal.lessons() if record.saved]
        assert sorted(known) == sorted(written)
        held = self.held()
        assert len(set(held)) == len(held)
        assert sorted(held) == sorted(self.journal.learned)
        weights = {number: float(x) for number, x in enumerate(self.engine.numbers) if x}
        assert weights == {number_of(name): 1.0 for name in held}


def journal_path(data: Path) -> Path:
    """Where the journal lies."""
    return data / "lessons" / "repository" / "tiny" / "journal.jsonl"


def adapter_folder(data: Path) -> Path:
    """Where the adapter lies."""
    return data / "adapters" / "repository" / "tiny"


def lessons_in(path: Path) -> list[str]:
    """The lessons that the lines of a journal hold, each as often as it is there."""
    found: list[str] = []
    for line in path.read_bytes().split(b"\n"):
        try:
            _, entry = decode(line)
        except ValueError:
            continue
        if isinstance(entry, LessonEntry):
            found.append(entry.lesson.id)
    return found
