"""Every way in which a service can fail at the door, in words and in time."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from continualcode_tui.training.engine import Cancelled, EngineFailure
from continualcode_tui.training.engines.hosted.connection import Connection, Limits
from continualcode_tui.training.engines.hosted.words import KEY
from continualcode_tui.training.protocol import ProgressEvent

from tests.hosted.conftest import quiet
from tests.loopback.faults import Fault
from tests.loopback.server import Loopback


def failure(connection: Connection, within: float) -> str:
    began = time.monotonic()
    with pytest.raises(EngineFailure) as caught:
        connection.open(quiet())
    assert time.monotonic() - began < within
    assert "\n" not in caught.value.message
    connection.close()
    return caught.value.message


@pytest.mark.parametrize("key", ["", "sk-something", "  "])
def test_a_key_that_cannot_be_one_is_known_at_once(loopback, monkeypatch, key):
    monkeypatch.setenv(KEY, key)
    assert "does not look like a key" in failure(Connection(loopback.url), within=1)
    assert not loopback.service.books.calls


def test_no_key_at_all_is_known_at_once(loopback, monkeypatch, tmp_path):
    monkeypatch.delenv(KEY)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "There is no key" in failure(Connection(loopback.url), within=1)


def test_a_rejected_key_is_known_within_two_seconds(loopback, monkeypatch):
    monkeypatch.setenv(KEY, "tml-wrong")
    message = failure(Connection(loopback.url), within=2)
    assert message == f"The service rejected the key: check {KEY}."


@pytest.mark.parametrize("endpoint", ["client/config", "get_server_capabilities"])
def test_an_unpaid_account_is_known_within_two_seconds(loopback, endpoint):
    loopback.service.faults.always(endpoint, Fault("status", code=402))
    assert "no credit" in failure(Connection(loopback.url), within=2)


def test_a_host_that_is_not_there_is_known_within_five_seconds(monkeypatch):
    monkeypatch.setenv(KEY, "tml-x")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    assert "cannot be reached" in failure(Connection(f"http://127.0.0.1:{port}"), within=5)


@pytest.mark.slow
def test_a_host_that_never_answers_is_known_within_five_seconds(monkeypatch):
    monkeypatch.setenv(KEY, "tml-x")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert "cannot be reached" in failure(Connection(f"http://127.0.0.1:{port}"), within=5)


def test_an_address_that_is_none_is_told_in_words(monkeypatch):
    monkeypatch.setenv(KEY, "tml-x")
    assert "cannot be reached" in failure(Connection("nonsense"), within=5)


def test_a_service_that_is_not_well_is_told_so(loopback):
    loopback.service.faults.always("healthz", Fault("status", code=503))
    assert "not well (503)" in failure(Connection(loopback.url), within=2)


def test_a_version_that_is_too_old_says_upgrade(loopback):
    old = '{"detail": "Your SDK version is no longer supported"}'
    loopback.service.faults.always("client/config", Fault("status", code=400, body=old))
    assert "upgrade continualcode-tui" in failure(Connection(loopback.url), within=2)


def test_the_key_is_in_no_failure(loopback, monkeypatch):
    monkeypatch.setenv(KEY, "tml-secret")
    said = '{"detail": "who is tml-secret?"}'
    loopback.service.faults.always("client/config", Fault("status", code=403, body=said))
    message = failure(Connection(loopback.url), within=2)
    assert "tml-secret" not in message
    assert "[key]" in message


def test_a_call_is_given_up_when_its_time_is_over(loopback):
    loopback.service.faults.always("client/config", Fault("delay", seconds=3))
    connection = Connection(loopback.url, Limits(connect=0.5))
    assert "Connecting took longer than" in failure(connection, within=1.5)


def test_a_call_is_given_up_when_the_user_says_so(loopback):
    loopback.service.faults.always("client/config", Fault("delay", seconds=3))
    began = time.monotonic()
    with pytest.raises(Cancelled):
        Connection(loopback.url).open(quiet(lambda: time.monotonic() - began > 0.4))
    assert time.monotonic() - began < 1


@pytest.mark.slow
def test_waiting_is_told_with_the_reason_of_the_queue(connection, hosted, loopback: Loopback):
    events = []
    loopback.service.queue = ("paused_capacity", "all machines are busy")

    def go_on() -> None:
        time.sleep(2.4)
        loopback.service.queue = None

    threading.Thread(target=go_on, daemon=True).start()
    connection.wait(
        "Making an adapter",
        lambda: connection.client.create_lora_training_client(str(hosted.folder), rank=4),
        quiet(events=events),
        10,
    )
    told = [event.message for event in events if isinstance(event, ProgressEvent)]
    assert "Making an adapter, 1 s: waiting, all machines are busy" in told


@pytest.mark.slow
def test_a_poll_that_fails_is_not_repeated_in_a_busy_loop(connection, hosted, loopback: Loopback):
    kind = "retrieve_future/create_model"
    loopback.service.faults.always(kind, Fault("status", code=500))
    with pytest.raises(EngineFailure, match="took longer"):
        connection.wait(
            "Making an adapter",
            lambda: connection.client.create_lora_training_client(str(hosted.folder), rank=4),
            quiet(),
            3,
        )
    polls = loopback.service.books.calls[kind]
    assert 1 < polls < 12
    time.sleep(1)
    assert loopback.service.books.calls[kind] <= polls + 1
