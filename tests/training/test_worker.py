"""The real worker process, spoken to through the real client."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import psutil
import pytest
from continualcode_tui.training.client import (
    WorkerClient,
    WorkerDied,
    WorkerFailure,
    default_worker_command,
    worker_environment,
)
from continualcode_tui.training.protocol import (
    Completion,
    Event,
    Lesson,
    LessonResult,
    Load,
    Loaded,
    Sample,
    Sampled,
    Save,
    StageName,
    Undo,
)

from .conftest import SHOW, call_of, learn_request, lesson


async def load(client: WorkerClient, request: Load) -> Loaded:
    await client.start()
    result = await client.request(request.model_copy(update={"id": client.next_id()}))
    assert isinstance(result, Loaded)
    return result


async def sample(client: WorkerClient, on_event: Callable[[Event], None] | None = None, **options):
    values = {"temperature": 0, "max_tokens": 60} | options
    request = Sample(id=client.next_id(), messages=SHOW, tools=(), **values)
    result = await client.request(request, on_event)
    assert isinstance(result, Sampled)
    return result.completion


async def learn(client: WorkerClient, denied: Completion, on_event=None) -> LessonResult:
    request = learn_request(lesson(denied)).model_copy(update={"id": client.next_id()})
    result = await client.request(request, on_event)
    assert isinstance(result, LessonResult)
    return result


async def dies(worker: WorkerClient, wanted: Lesson, stage: str, number: int) -> str:
    """Send a signal to the worker in a stage of a lesson; what is said of its death, if it dies."""

    def kill(event: Event) -> None:
        if event.event == "stage" and event.stage == stage:
            assert worker.pid is not None
            os.kill(worker.pid, number)

    request = learn_request(wanted).model_copy(update={"id": worker.next_id()})
    try:
        await worker.request(request, kill)
    except WorkerDied as died:
        return died.message
    return ""


@pytest.mark.slow
async def test_a_session_from_load_to_save(worker, load_request, tmp_path):
    loaded = await load(worker, load_request())
    assert loaded.device in {"cpu", "cuda", "mps"}
    assert loaded.trainable_parameters > 0
    events: list[Event] = []
    denied = await sample(worker, events.append)
    assert [e.token for e in events if e.event == "token"] == list(denied.tokens)
    assert "".join(e.text for e in events if e.event == "token") == denied.text
    result = await learn(worker, denied)
    assert result.outcome == "learned"
    assert call_of(await sample(worker)).name == "bash"
    await worker.request(Save(id=worker.next_id(), path=str(tmp_path / "peft")))
    assert (tmp_path / "peft" / "adapter_config.json").is_file()
    await worker.request(Undo(id=worker.next_id()))
    assert (await sample(worker)).tokens == denied.tokens


@pytest.mark.slow
async def test_killed_at_any_stage_it_resumes_from_a_committed_adapter(worker, load_request):
    """7 of 7 stages, one after another: the worker that comes up again is the next one killed."""
    await load(worker, load_request())
    denied = await sample(worker)
    for stage in get_args(StageName):
        epitaph = await dies(worker, lesson(denied), stage, signal.SIGKILL)
        loaded = await load(worker, load_request())
        assert loaded.read_only is None
        again = await sample(worker)
        if loaded.snapshot is None:
            assert "SIGKILL" in epitaph
            assert (again.tokens, again.logprobs) == (denied.tokens, denied.logprobs), stage
        else:
            # The signal was slower than the commit, which is then complete.
            assert stage in {"commit", "retry"}
            assert call_of(again).name == "bash"
            await worker.request(Undo(id=worker.next_id()))
            assert (await sample(worker)).tokens == denied.tokens


@pytest.mark.slow
async def test_requests_can_be_cancelled_and_handlers_can_be_slow(worker, load_request):
    await load(worker, load_request())
    denied = await sample(worker)

    # A lesson, cancelled by its id.
    request = learn_request(lesson(denied)).model_copy(update={"id": worker.next_id()})
    cancels: list[asyncio.Task[None]] = []

    def cancel(event: Event) -> None:
        if event.event == "stage" and event.stage == "snapshot":
            cancels.append(asyncio.ensure_future(worker.cancel(request.id)))

    with pytest.raises(WorkerFailure) as failure:
        await worker.request(request, cancel)
    assert failure.value.code == "cancelled"
    assert (await sample(worker)).tokens == denied.tokens

    # A lesson whose asker gives up.
    started = asyncio.Event()
    task = asyncio.create_task(learn(worker, denied, lambda event: started.set()))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await sample(worker)).tokens == denied.tokens

    # A sample gives what there is.
    asked = Sample(
        id=worker.next_id(), messages=SHOW, tools=(), temperature=1.5, max_tokens=900, seed=1
    )
    await worker.cancel(asked.id)
    result = await worker.request(asked)
    assert isinstance(result, Sampled)
    assert result.completion.stop_reason == "cancelled"

    # A handler that does not read holds nobody else up.
    release = asyncio.Event()

    async def slow(event: Event) -> None:
        await release.wait()

    asked = Sample(id=worker.next_id(), messages=SHOW, tools=(), temperature=0, max_tokens=60)
    stuck = asyncio.create_task(worker.request(asked, slow))
    assert (await sample(worker)).stop_reason == "stop"
    assert not stuck.done()
    release.set()
    assert isinstance(await stuck, Sampled)


async def test_failures_come_in_words(worker, load_request, tmp_path):
    await worker.start()
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "noweights").mkdir()
    (tmp_path / "noweights" / "config.json").write_text('{"model_type": "qwen3"}')
    cases = [
        ({"model_name": str(empty)}, "bad_model", "config.json"),
        ({"model_name": str(tmp_path / "noweights")}, "bad_model", "safetensors"),
        ({"model_name": str(tmp_path / "nowhere")}, "bad_model", "no folder"),
        ({"model_name": None}, "bad_model", "model_name"),
        ({"engine": "tinker"}, "unavailable", "engine=practice"),
    ]
    for options, code, words in cases:
        with pytest.raises(WorkerFailure, match=words) as failure:
            await worker.request(load_request(id=worker.next_id(), **options))
        assert failure.value.code == code
    with pytest.raises(WorkerFailure) as failure:
        await sample(worker)
    assert failure.value.code == "not_loaded"


async def test_a_worker_that_is_not_running_says_so(worker):
    with pytest.raises(WorkerDied):
        await sample(worker)
    broken = WorkerClient(
        [sys.executable, "-c", "raise SystemExit(3)"], cwd=worker.cwd, log_path=worker.log_path
    )
    with pytest.raises(WorkerDied, match="code 3"):
        await broken.start()
    missing = WorkerClient(["/no/such/program"], cwd=worker.cwd, log_path=worker.log_path)
    with pytest.raises(WorkerDied):
        await missing.start()


async def test_what_libraries_print_does_not_reach_the_wire(worker):
    program = (
        "import os, sys; from continualcode_tui.training import worker as w;"
        "wire = w.Wire(); os.write(1, b'noise'); print('more noise', flush=True);"
        "wire.send(w.ReadyEvent(pid=os.getpid())); sys.stdin.read(); list(wire.lines)"
    )
    client = WorkerClient(
        [sys.executable, "-P", "-c", program], cwd=worker.cwd, log_path=worker.log_path
    )
    await client.start()
    assert client.running
    await client.stop()
    assert "noisemore noise" in worker.log_path.read_text()


def speak(*lines: str) -> list[dict[str, object]]:
    """Talk to a worker without the client, and close its stdin."""
    done = subprocess.run(
        default_worker_command(),
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=worker_environment(),
    )
    assert done.returncode == 0
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_lines_that_are_no_requests_are_refused_and_survived():
    ready, *answers = speak(
        "not json", '{"type": "load"}', '{"type": "sample", "id": 7}', "[]", '{"id": true}'
    )
    assert ready["event"] == "ready"
    assert [a["code"] for a in answers] == ["bad_request"] * 5
    assert answers[2]["id"] == 7


def test_nothing_heavy_is_imported_by_the_client_or_before_a_load():
    program = (
        "import sys; import continualcode_tui.training.client, continualcode_tui.training.worker;"
        "heavy = ('torch', 'transformers', 'peft', 'numpy', 'tinker');"
        "print([name for name in heavy if name in sys.modules])"
    )
    command = [sys.executable, "-P", "-c", program]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_the_environment_has_no_relative_import_paths(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([".", "", "lib", "/absolute"]))
    environment = worker_environment()
    assert environment["PYTHONPATH"] == "/absolute"
    assert environment["TINKER_TELEMETRY"] == "0"
    monkeypatch.setenv("PYTHONPATH", ".")
    assert "PYTHONPATH" not in worker_environment()


async def test_it_ends_with_its_stdin_and_sits_in_a_session_of_its_own(worker, tmp_path: Path):
    await worker.start()
    pid = worker.pid
    assert pid is not None
    assert os.getsid(pid) == pid
    assert psutil.Process(pid).nice() == min(19, psutil.Process().nice() + 10)
    os.kill(pid, signal.SIGINT)
    await asyncio.sleep(0.2)
    assert worker.running
    await worker.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
