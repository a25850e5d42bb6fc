"""One tiny trained model for the session, and the engines and workers that run it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from continualcode_tui.training.client import WorkerClient, default_worker_command
from continualcode_tui.training.engine import Reply
from continualcode_tui.training.engines.adapter import Adapter, AdapterSettings
from continualcode_tui.training.engines.loading import load_model
from continualcode_tui.training.engines.local import LocalEngine
from continualcode_tui.training.engines.policy import Policy
from continualcode_tui.training.protocol import (
    ChatMessage,
    Completion,
    Event,
    Learn,
    Lesson,
    Load,
    Sample,
    ToolCall,
)

from tests.training import make_model

torch.set_num_threads(1)

SHOW = (
    ChatMessage(role="system", content=make_model.SYSTEM),
    ChatMessage(role="user", content="show alpha.py"),
)
CAT = "use cat"


@pytest.fixture(scope="session")
def tiny() -> Path:
    """A model that reads files by default and follows "use cat"."""
    return make_model.FOLDER


@pytest.fixture(scope="session")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the base's answers to the anchors are shared between tests."""
    return tmp_path_factory.mktemp("answers")


@pytest.fixture
def data(tmp_path: Path, answers: Path) -> Path:
    """A data directory of this test alone, but for the base's answers."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "anchors").symlink_to(answers)
    return folder


@pytest.fixture
def load_request(tiny: Path, data: Path) -> Callable[..., Load]:
    def make(**options: object) -> Load:
        values: dict[str, object] = {
            "id": 1,
            "engine": "local",
            "model_name": str(tiny),
            "repository": "repo",
            "data_dir": str(data),
        }
        return Load.model_validate(values | options)

    return make


def quiet(cancelled: Callable[[], bool] = lambda: False) -> Reply:
    return Reply(1, lambda event: None, cancelled)


def recording(events: list[Event]) -> Reply:
    return Reply(1, events.append)


@pytest.fixture
def engine(load_request: Callable[..., Load]) -> Iterator[LocalEngine]:
    made = LocalEngine()
    made.load(load_request(), quiet())
    yield made
    made.close()


def denied_completion(engine: LocalEngine) -> Completion:
    request = Sample(id=1, messages=SHOW, tools=(), temperature=0, max_tokens=60)
    return engine.sample(request, quiet())


def lesson(completion: Completion, correction: str = CAT, **options: object) -> Lesson:
    values: dict[str, object] = {
        "id": "lesson-1",
        "kind": "deny",
        "messages": SHOW,
        "tools": (),
        "completion": completion,
        "correction": correction,
    }
    return Lesson.model_validate(values | options)


def learn_request(wanted: Lesson, **options: object) -> Learn:
    values: dict[str, object] = {
        "id": 1,
        "lesson": wanted,
        "temperature": 0.3,
        "max_tokens": 60,
        "seed": 0,
    }
    return Learn.model_validate(values | options)


def call_of(completion: Completion | None) -> ToolCall:
    assert completion is not None
    body = completion.text.removeprefix("<tool_call>\n").removesuffix("\n</tool_call>")
    return ToolCall.model_validate_json(body)


def weights(engine: LocalEngine) -> dict[str, torch.Tensor]:
    policy = engine.policy
    assert policy is not None
    return policy.adapter.state()


def equal(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[n], right[n]) for n in left)


@pytest.fixture(scope="session", params=["qwen3", "llama"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model of each kind, whose outputs are anything but flat."""
    tokenizer = make_model.make_tokenizer()
    model = make_model.random_model(request.param, len(tokenizer))
    return make_model.save(model, tokenizer, tmp_path_factory.mktemp(request.param))


@pytest.fixture
def make_policy(folder: Path) -> Callable[..., Policy]:
    """A policy whose adapter has been disturbed, so that on and off differ."""

    def make(scope: str = "answer", disturb: float = 0.3, rank: int = 4) -> Policy:
        loaded = load_model(str(folder), quiet())
        settings = AdapterSettings(rank=rank, targets="all", scope=scope)
        policy = Policy(loaded, Adapter(loaded.model, settings, seed=0))
        generator = torch.Generator().manual_seed(1)
        state = policy.adapter.state()
        for name, tensor in state.items():
            if ".lora_B." in name:
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * disturb)
        policy.adapter.restore(state)
        return policy

    return make


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[WorkerClient]:
    client = WorkerClient(
        default_worker_command(), cwd=tmp_path / "cwd", log_path=tmp_path / "worker.log"
    )
    yield client
    await client.stop()
