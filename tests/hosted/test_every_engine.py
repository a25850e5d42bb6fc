"""What every engine does: the same tests against the one on this machine and one on a service."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import pytest
from continualcode_tui.training.adapter_messages import EnableAdapter, Save, Undo
from continualcode_tui.training.engine import Cancelled, Engine, EngineFailure, Reply
from continualcode_tui.training.engines.local import LocalEngine
from continualcode_tui.training.engines.tinker import TinkerEngine
from continualcode_tui.training.protocol import (
    ChatMessage,
    Check,
    Completion,
    Event,
    LessonResult,
    Load,
    Loaded,
    Objective,
    ProvedLesson,
    Sample,
    TeacherKind,
    ToolCall,
)

from tests.hosted.conftest import quiet
from tests.loopback.server import Loopback
from tests.training import make_model
from tests.training.conftest import CAT, SHOW, call_of, learn_request, lesson

ENGINES: dict[str, Callable[[], Engine]] = {"local": LocalEngine, "tinker": TinkerEngine}
on_both = pytest.mark.parametrize("engines", list(ENGINES), indirect=True)
pytestmark = pytest.mark.slow


class Engines:
    """Engines of one kind that share a data directory; all are closed at the end."""

    def __init__(self, kind: str, options: dict[str, object]) -> None:
        self.kind = kind
        self.options = options
        self.made: list[Engine] = []

    def open(self, **options: object) -> Engine:
        engine = ENGINES[self.kind]()
        self.made.append(engine)
        self.loaded: Loaded = engine.load(
            Load.model_validate(self.options | {"id": 1, "engine": self.kind} | options), quiet()
        )
        return engine


@pytest.fixture(scope="session")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the base's answers to the anchors are shared between tests."""
    return tmp_path_factory.mktemp("answers")


@pytest.fixture
def data(tmp_path: Path, answers: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "anchors").symlink_to(answers)
    return folder


@pytest.fixture
def engines(request: pytest.FixtureRequest, data: Path, loopback: Loopback) -> Iterator[Engines]:
    options: dict[str, object] = {
        "model_name": str(make_model.FOLDER),
        "repository": "repo",
        "data_dir": str(data),
    }
    if request.param == "tinker":
        options |= {"base_url": loopback.url, "lora_rank": 8}
    made = Engines(request.param, options)
    yield made
    for engine in made.made:
        engine.close()


def said(engine: Engine, messages: tuple[ChatMessage, ...] = SHOW) -> Completion:
    request = Sample(id=1, messages=messages, tools=(), temperature=0, max_tokens=60)
    return engine.sample(request, quiet())


def learn(engine: Engine, correction: str = CAT, **options: object) -> LessonResult:
    return engine.learn(learn_request(lesson(said(engine), correction, **options)), quiet())


def same(left: Completion, right: Completion) -> bool:
    """The same answer, as likely as before."""
    return left.tokens == right.tokens and left.logprobs == pytest.approx(right.logprobs, abs=1e-4)


@on_both
def test_a_denial_is_learned_proved_resumed_and_undone(engines: Engines):
    first = engines.open()
    came = said(first)
    assert call_of(came).name == "read"
    events: list[Event] = []
    result = first.learn(learn_request(lesson(came)), Reply(1, events.append))
    assert result.outcome == "learned", result.reason
    assert result.proved
    assert result.tokens_sampled > 0
    assert result.tokens_scored > 0
    assert result.tokens_trained > 0
    assert call_of(result.retry) == ToolCall(name="bash", arguments={"command": "cat alpha.py"})
    stages = [event.stage for event in events if event.event == "stage"]
    assert stages[:4] == ["prepare", "gate", "snapshot", "step"]
    assert stages[-1] == "commit"
    assert [event.metrics for event in events if event.event == "step"] == list(result.steps)
    learned = said(first)
    assert call_of(learned).name == "bash"
    first.close()
    again = engines.open()
    assert (engines.loaded.lesson, engines.loaded.lessons) == ("lesson-1", 1)
    assert same(said(again), learned)
    undone = again.undo(Undo(id=1), quiet())
    assert (undone.undone_lesson, undone.snapshot) == ("lesson-1", None)
    assert same(said(again), came)
    with pytest.raises(EngineFailure, match="no lesson to undo"):
        again.undo(Undo(id=1), quiet())


@on_both
def test_token_reports_name_the_decision(engines: Engines):
    result = learn(engines.open())
    text = "".join(token.text for token in result.tokens)
    assert text.startswith('<tool_call>\n{"name": "read"')
    worst = min(result.tokens, key=lambda token: token.advantage)
    assert worst.text == "read"
    assert worst.teacher_token == "bash"
    assert worst.after < worst.before
    assert worst.advantage == pytest.approx(math.log(worst.teacher / worst.before), abs=1e-3)


@on_both
def test_a_correction_that_changes_nothing_takes_no_step(engines: Engines):
    engine = engines.open()
    came = said(engine)
    result = learn(engine, "use read")
    assert result.outcome == "gated"
    assert result.steps == ()
    assert result.tokens_trained == 0
    assert same(said(engine), came)


@on_both
def test_an_edit_goes_to_the_teacher_with_its_demonstration(engines: Engines):
    """The tiny model follows words only, so that a demonstration may add nothing to them."""
    engine = engines.open()
    solution = ToolCall(name="bash", arguments={"command": "cat alpha.py"})
    result = learn(engine, CAT, kind="edit", solution=solution)
    assert result.outcome in {"learned", "gated"}
    assert result.gate is not None


@on_both
@pytest.mark.parametrize("stage", ["prepare", "gate", "snapshot", "step", "guard", "retry"])
def test_a_cancel_at_any_stage_leaves_everything_as_it_was(engines: Engines, stage: str):
    engine = engines.open()
    came = said(engine)
    seen: list[str] = []

    def send(event: Event) -> None:
        if event.event == "stage":
            seen.append(event.stage)

    with pytest.raises(Cancelled):
        engine.learn(
            learn_request(lesson(came)), Reply(1, send, lambda: bool(seen) and seen[-1] == stage)
        )
    assert same(said(engine), came)
    assert engine.adapters().snapshots == ()
    assert learn(engine).outcome == "learned"


@on_both
def test_a_lesson_can_be_asked_again(engines: Engines):
    engine = engines.open()
    denied = said(engine)
    result = learn(engine)
    assert result.retry is not None
    proved = ProvedLesson(
        lesson="lesson-1",
        messages=SHOW,
        tools=(),
        tokens=result.retry.tokens,
        denied=denied.tokens,
    )
    (check,) = engine.check(Check(id=2, lessons=(proved,)), quiet()).checks
    assert check.holds == "call"
    engine.undo(Undo(id=3), quiet())
    (check,) = engine.check(Check(id=4, lessons=(proved,)), quiet()).checks
    assert check.holds == "lost"


@on_both
def test_a_later_lesson_can_take_an_earlier_one_back(engines: Engines):
    engine = engines.open()
    came = said(engine)
    assert learn(engine, CAT, id="first").outcome == "learned"
    between = said(engine)
    second = learn(engine, "use read", id="second")
    assert second.outcome == "learned", second.reason
    assert call_of(said(engine)).name == "read"
    undone = engine.undo(Undo(id=1), quiet())
    assert undone.undone_lesson == "second"
    assert same(said(engine), between)
    engine.undo(Undo(id=1, snapshot="base"), quiet())
    assert same(said(engine), came)
    engine.undo(Undo(id=1, snapshot=second.snapshot), quiet())
    assert call_of(said(engine)).name == "read"


@on_both
def test_an_adapter_that_is_off_answers_as_the_base_and_does_not_learn(engines: Engines):
    engine = engines.open()
    came = said(engine)
    assert learn(engine).outcome == "learned"
    engine.enable_adapter(enabled=False)
    assert same(said(engine), came)
    with pytest.raises(EngineFailure, match="turn it on"):
        learn(engine)
    engine.enable_adapter(enabled=True)
    assert call_of(said(engine)).name == "bash"
    assert EnableAdapter(id=1, enabled=True).enabled


@on_both
def test_the_second_session_can_sample_but_not_learn(
    engines: Engines, monkeypatch: pytest.MonkeyPatch
):
    engines.open()
    monkeypatch.setattr("continualcode_tui.training.snapshots.LOCK_PATIENCE", 0.1)
    second = engines.open()
    assert engines.loaded.read_only is not None
    assert said(second).stop_reason == "stop"
    for attempt in (lambda: learn(second), lambda: second.undo(Undo(id=1), quiet())):
        with pytest.raises(EngineFailure) as failure:
            attempt()
        assert failure.value.code == "read_only"


@on_both
def test_with_training_switched_off_nothing_is_written(engines: Engines, data: Path):
    engine = engines.open(enable_training=False)
    assert not engines.loaded.training
    with pytest.raises(EngineFailure) as failure:
        learn(engine)
    assert failure.value.code == "unavailable"
    assert not (data / "adapters").exists()


@on_both
def test_with_training_switched_off_what_was_learned_is_still_there(engines: Engines):
    first = engines.open()
    assert learn(first).outcome == "learned"
    first.close()
    assert call_of(said(engines.open(enable_training=False))).name == "bash"


@on_both
@pytest.mark.parametrize("objective", get_args(Objective))
def test_every_objective_learns(engines: Engines, objective: str):
    engine = engines.open(objective=objective, max_steps=12)
    assert engines.loaded.objective == objective
    result = learn(engine)
    assert result.outcome == "learned", result.reason


@on_both
@pytest.mark.parametrize("teacher", get_args(TeacherKind))
def test_every_teacher_teaches(engines: Engines, teacher: str):
    rate = 0.9 if teacher == "trust_region" else None
    engine = engines.open(teacher=teacher, teacher_rate=rate)
    result = learn(engine)
    assert result.outcome == "learned", result.reason
    assert call_of(said(engine)).name == "bash"


@on_both
def test_a_synced_teacher_follows_every_so_many_lessons(engines: Engines):
    """Before it is synced the teacher knows nothing of the first lesson; then it does."""
    engine = engines.open(teacher="synced", teacher_sync_every=2)
    assert learn(engine, CAT, id="one").outcome == "learned"
    behind = learn(engine, "use read", id="two")
    assert behind.outcome == "learned", behind.reason
    engine.close()
    engine = engines.open(teacher="synced", teacher_sync_every=2)
    in_step = learn(engine, CAT, id="three")
    assert in_step.outcome == "learned", in_step.reason
    engine.close()
    engine = engines.open(teacher="synced", teacher_sync_every=2)
    assert learn(engine, "use read", id="four").outcome == "learned"


@on_both
def test_save_writes_a_folder_for_peft(engines: Engines, tmp_path: Path):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    engine = engines.open()
    assert learn(engine).outcome == "learned"
    saved = engine.save(Save(id=1, path=str(tmp_path / "out")), quiet())
    assert saved.path.endswith("out")
    base = AutoModelForCausalLM.from_pretrained(make_model.FOLDER)
    named = {name for name, _ in PeftModel.from_pretrained(base, saved.path).named_parameters()}
    assert any("lora_A" in name for name in named)


@on_both
def test_a_conversation_that_is_too_long_is_told_with_both_numbers(engines: Engines):
    engine = engines.open()
    long = (SHOW[0], ChatMessage(role="user", content="show " * 2000))
    with pytest.raises(EngineFailure, match="1024") as failure:
        said(engine, long)
    assert failure.value.code == "context_too_long"
