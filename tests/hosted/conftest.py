"""One service on loopback for each test, and one model behind all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from continualcode_tui.training.engine import Reply
from continualcode_tui.training.engines.hosted.connection import Connection, Limits
from continualcode_tui.training.engines.hosted.words import KEY as KEY_VARIABLE
from continualcode_tui.training.engines.tinker import TinkerEngine
from continualcode_tui.training.protocol import Completion, Event, Load, Loaded, Sample

from tests.loopback.hosted import Hosted
from tests.loopback.server import KEY, Loopback
from tests.training import make_model
from tests.training.conftest import SHOW, call_of

slow = pytest.mark.slow


@pytest.fixture(scope="session")
def hosted() -> Hosted:
    return Hosted(make_model.FOLDER)


@pytest.fixture
def loopback(hosted: Hosted, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    with Loopback(hosted) as opened:
        yield opened


@pytest.fixture
def reply() -> Reply:
    return quiet()


@pytest.fixture
def brief_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the SDK try again as often as ever, and sooner."""
    sleep = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda seconds, *more: sleep(seconds / 50, *more))
    monkeypatch.setattr("tinker._base_client.INITIAL_RETRY_DELAY", 0.01)


def quiet(
    is_cancelled: Callable[[], bool] = lambda: False, events: list[Event] | None = None
) -> Reply:
    return Reply(1, (lambda _: None) if events is None else events.append, is_cancelled)


@pytest.fixture
def connection(loopback: Loopback, reply: Reply) -> Iterator[Connection]:
    made = Connection(loopback.url)
    made.open(reply)
    yield made
    made.close()


class Starter:
    """Engines on one service, which share one data directory."""

    def __init__(self, options: dict[str, object]) -> None:
        self.options = options
        self.made: list[TinkerEngine] = []
        self.loaded: list[Loaded] = []

    def __call__(
        self, limits: Limits | None = None, reply: Reply | None = None, **options: object
    ) -> TinkerEngine:
        engine = TinkerEngine(limits)
        self.made.append(engine)
        request = Load.model_validate(self.options | options)
        self.loaded.append(engine.load(request, reply or quiet()))
        return engine


Start = Starter


@pytest.fixture
def start(loopback: Loopback, hosted: Hosted, tmp_path: Path) -> Iterator[Start]:
    starter = Starter(
        {
            "id": 1,
            "engine": "tinker",
            "model_name": str(hosted.folder),
            "repository": "repo",
            "data_dir": str(tmp_path),
            "base_url": loopback.url,
            "lora_rank": 8,
        }
    )
    yield starter
    for engine in starter.made:
        engine.close()


def said(engine: TinkerEngine) -> Completion:
    request = Sample(id=1, messages=SHOW, tools=(), temperature=0, max_tokens=60)
    return engine.sample(request, quiet())


def tool(engine: TinkerEngine) -> str:
    return call_of(said(engine)).name
