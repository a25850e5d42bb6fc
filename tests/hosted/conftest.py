"""One service on loopback for each test, and one model behind all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from continualcode_tui.training.engine import Reply
from continualcode_tui.training.engines.hosted.connection import KEY as KEY_VARIABLE
from continualcode_tui.training.engines.hosted.connection import Connection
from continualcode_tui.training.protocol import Event

from tests.loopback.hosted import Hosted
from tests.loopback.server import KEY, Loopback
from tests.training import make_model


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
