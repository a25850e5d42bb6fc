"""R16: nothing is connected to that the user did not ask for, and nothing is told to anybody."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from continualcode_tui.training.client import default_worker_command
from continualcode_tui.training.engine import EngineFailure
from continualcode_tui.training.engines import loading
from continualcode_tui.training.surroundings import NO_TELEMETRY, keys_in, worker_environment

from tests.hosted.conftest import quiet
from tests.loopback.hosted import Hosted
from tests.loopback.server import KEY, Loopback
from tests.support.network import Watched, namespace_without_routes
from tests.training import make_model
from tests.training.conftest import SHOW, lesson

slow = pytest.mark.slow
PROGRAM = [sys.executable, "-P", "-m", "continualcode_tui.app"]
CALC = "def add(a, b):\n    return a + b\n"
TEST = "from calc import add\n\n\ndef test_add():\n    assert add(2, 2) == 5\n"
DENY = {"decision": "deny", "correction": "use edit_lines; don't overwrite"}


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path / "watched")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    (folder / "calc.py").write_text(CALC)
    (folder / "test_calc.py").write_text(TEST)
    (tmp_path / "feedback").write_text(json.dumps(DENY))
    return folder


def clean_environment() -> dict[str, str]:
    """The test's own environment, without what would already switch telemetry off or on."""
    named = (*NO_TELEMETRY, "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "TINKER_API_KEY")
    return {name: value for name, value in os.environ.items() if name not in named}


def learn_once(
    repository: Path,
    environment: dict[str, str],
    *,
    before: list[str] | None = None,
    umask: int = -1,
) -> list[dict[str, Any]]:
    """One request and one lesson by `exec`, with the practice model in its worker."""
    command = [
        *(before or []), *PROGRAM, "exec", "fix the test", "--feedback",
        str(repository.parent / "feedback"), f"data_dir={repository.parent / 'data'}",
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=repository, env=environment, capture_output=True, text=True, check=True,
        umask=umask,
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines()]


def lessons_in(events: list[dict[str, Any]]) -> list[str]:
    return [event["outcome"] for event in events if event["event"] == "lesson"]


def test_a_connection_is_noted_by_the_watch(watched: Watched):
    """The check's own check: a program that looks a name up and connects is found out."""
    program = (
        "import socket, subprocess, sys\n"
        "for go in (lambda: socket.create_connection(('127.0.0.1', 9)),"
        " lambda: socket.getaddrinfo('localhost', 80)):\n"
        "    try: go()\n"
        "    except OSError: pass\n"
        "subprocess.run([sys.executable, '-c', 'import socket;"
        ' socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9))\'])\n'
    )
    command = [sys.executable, "-c", program]
    subprocess.run(command, env=watched.environment(clean_environment()), check=True)
    kinds = {line.split()[0] for line in watched.connections}
    assert {"socket.connect", "socket.getaddrinfo", "socket.sendto"} <= kinds


@slow
def test_practice_mode_learns_with_no_connection(watched: Watched, repository: Path):
    events = learn_once(repository, watched.environment(clean_environment()))
    assert lessons_in(events) == ["learned"]
    assert sum("continualcode_tui" in program for program in watched.programs) == 2
    assert watched.connections == []


@slow
def test_practice_mode_learns_where_there_is_no_network(repository: Path):
    before = namespace_without_routes()
    if before is None:
        pytest.skip("no network namespace can be made here (unshare --user --net)")
    reach = "import socket; socket.create_connection(('1.1.1.1', 53), 5)"
    command = [*before, sys.executable, "-c", reach]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0
    events = learn_once(repository, clean_environment(), before=before)
    assert lessons_in(events) == ["learned"]


# --- a model of one's own --------------------------------------------------------------


def in_the_hubs_cache(cache: Path, name: str, model: Path) -> None:
    """Put a model where the hub's own library keeps what it has downloaded."""
    folder = cache / f"models--{name.replace('/', '--')}"
    snapshot = folder / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("0" * 40)
    for file in model.iterdir():
        (snapshot / file.name).symlink_to(file)


def ask_worker(environment: dict[str, str], cwd: Path, *requests: dict[str, Any]) -> list[Any]:
    """The results of some requests to a real worker, each of which has to succeed."""
    lines = [
        json.dumps({"id": number, **request}) for number, request in enumerate(requests, start=1)
    ]
    process = subprocess.Popen(
        default_worker_command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True, cwd=cwd, env=environment,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    found: list[Any] = []
    with process:
        for line in lines:
            process.stdin.write(line + "\n")
            process.stdin.flush()
            while True:
                event = json.loads(process.stdout.readline())
                assert event["event"] != "failure", event
                if event["event"] == "result":
                    break
            found.append(event["result"])
        process.stdin.close()
    return found


def a_lesson(completion: dict[str, Any]) -> dict[str, Any]:
    from continualcode_tui.training.protocol import Completion

    taught = lesson(Completion.model_validate(completion)).model_dump(mode="json")
    return {"type": "learn", "lesson": taught, "temperature": 0.3, "max_tokens": 60, "seed": 0}


ASK = {
    "type": "sample",
    "messages": [message.model_dump(mode="json") for message in SHOW],
    "tools": [],
    "temperature": 0,
    "max_tokens": 60,
}


@slow
@pytest.mark.parametrize("how", ["a folder", "a hub name that was downloaded before"])
def test_a_local_model_is_used_with_no_connection(watched: Watched, tmp_path: Path, how: str):
    environment = watched.environment(clean_environment())
    name = str(make_model.FOLDER)
    if how != "a folder":
        name = "somebody/model"
        in_the_hubs_cache(tmp_path / "hub", name, make_model.FOLDER)
        environment["HF_HUB_CACHE"] = str(tmp_path / "hub")
    load = {
        "type": "load", "engine": "local", "model_name": name, "repository": "r",
        "data_dir": str(tmp_path / "data"),
    }  # fmt: skip
    _, sampled = ask_worker(environment, tmp_path, load, ASK)
    results = ask_worker(
        environment, tmp_path, load, a_lesson(sampled["completion"]),
        {"type": "save", "path": str(tmp_path / "saved")},
        {"type": "import", "path": str(tmp_path / "saved")},
        {"type": "undo"}, {"type": "adapters"},
    )  # fmt: skip
    assert results[1]["outcome"] == "learned"
    assert (tmp_path / "saved" / "adapter_model.safetensors").is_file()
    assert sum("training.worker" in program for program in watched.programs) == 2
    assert watched.connections == []


@slow
def test_a_model_that_was_never_downloaded_is_asked_of_the_hub_alone(
    watched: Watched, tmp_path: Path
):
    """The other side: naming a hub model is how a connection is asked for, and it is to the hub."""
    environment = watched.environment(clean_environment())
    environment |= {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_ENDPOINT": "http://127.0.0.1:9"}
    load = {
        "type": "load", "engine": "local", "model_name": "somebody/model",
        "repository": "r", "data_dir": str(tmp_path / "data"),
    }  # fmt: skip
    with pytest.raises(AssertionError, match="hub cannot be reached"):
        ask_worker(environment, tmp_path, load)
    assert watched.connections
    assert all("127.0.0.1" in line for line in watched.connections)


def test_a_folder_of_a_hub_models_name_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """`model_name=org/model` means the hub, whatever the repository has in a folder `org`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org" / "model").mkdir(parents=True)
    asked: list[str] = []
    monkeypatch.setattr(loading, "_fetch", lambda name, _: asked.append(name) or tmp_path)
    loading.find_folder("org/model", quiet())
    assert asked == ["org/model"]
    for relative in ("./org/model", "../x", "a/b/c"):
        with pytest.raises(EngineFailure, match="is not a whole path"):
            loading.find_folder(relative, quiet())


# --- a service ------------------------------------------------------------------------


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    with Loopback(Hosted(make_model.FOLDER)) as opened:
        yield opened


@slow
def test_a_service_is_the_only_one_that_is_asked_and_gets_no_telemetry(
    loopback: Loopback, watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from tinker.lib.telemetry import _is_telemetry_enabled

    monkeypatch.delenv("TINKER_TELEMETRY", raising=False)
    assert _is_telemetry_enabled()  # so the SDK would, if it were left alone
    environment = watched.environment(clean_environment())
    environment |= {"TINKER_API_KEY": KEY, "TINKER_TELEMETRY": "1"}
    load = {
        "type": "load", "engine": "tinker", "model_name": str(make_model.FOLDER), "lora_rank": 8,
        "repository": "r", "data_dir": str(tmp_path / "data"), "base_url": loopback.url,
    }  # fmt: skip
    _, sampled = ask_worker(environment, tmp_path, load, ASK)
    _, learned = ask_worker(environment, tmp_path, load, a_lesson(sampled["completion"]))
    assert learned["outcome"] == "learned"
    port = loopback.url.rsplit(":", 1)[1]
    own = (f"socket.connect ('127.0.0.1', {port})", "socket.getaddrinfo '127.0.0.1'")
    assert set(watched.connections) == set(own)
    assert loopback.service.books.calls["telemetry"] == 0


# --- what the worker is given -----------------------------------------------------------


def test_telemetry_is_off_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch):
    for name in NO_TELEMETRY:
        monkeypatch.setenv(name, "on")
    for ours in (True, False):
        environment = worker_environment(ours=ours)
        assert {name: environment[name] for name in NO_TELEMETRY} == NO_TELEMETRY


def test_a_worker_gets_no_keys_but_the_trainers_and_the_hubs(monkeypatch: pytest.MonkeyPatch):
    keys = {
        "AWS_SECRET_ACCESS_KEY": "a", "OPENAI_API_KEY": "b", "GITHUB_TOKEN": "c",
        "DB_PASSWORD": "d", "TINKER_API_KEY": "e", "HF_TOKEN": "f",
    }  # fmt: skip
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    found = keys_in(worker_environment())
    assert {name for name in keys if name in found} == {"TINKER_API_KEY", "HF_TOKEN"}
    # A command of the user's own, such as ssh, may need any of them.
    assert keys_in(worker_environment(ours=False)).items() >= keys.items()
