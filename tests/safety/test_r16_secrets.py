"""R16: a secret is kept nowhere unless the user said so, and nothing is trained on it."""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest
from continualcode_tui.app import cli
from continualcode_tui.app.agent.proposal import Approve, Decision, Deny, Edit
from continualcode_tui.app.controllers import secrets as controller
from continualcode_tui.app.controllers.secrets import SecretFound, SecretsController
from continualcode_tui.app.controllers.session import SessionController
from continualcode_tui.app.events import (
    AgentEvent,
    CallRejected,
    LessonFinished,
    Notice,
    ToolFinished,
)
from continualcode_tui.app.screens.secret import SecretPanel, SecretScreen
from continualcode_tui.app.settings import load_settings
from continualcode_tui.app.store.history import PromptHistory
from continualcode_tui.app.store.paths import DataPaths
from continualcode_tui.training import redaction
from continualcode_tui.training.protocol import Completion, Lesson

from tests.app.test_screen import Driver, running
from tests.controllers.support import Stage, call
from tests.support.terminal import Terminal

MIXED = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7cF0hL3oR6"
PLACES = (
    "request", "correction", "output", "file", "agents", "note", "edit", "answer", "command",
    "environment",
)  # fmt: skip


def canary(place: str) -> str:
    """A token that is unlike any other, and says where it was planted."""
    return f"ghp_{(place + MIXED)[:36]}"


CANARIES = {place: canary(place) for place in PLACES}


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setenv("PLANTED_TOKEN", CANARIES["environment"])
    made = Stage(tmp_path)
    (made.folder / "AGENTS.md").write_text(f"Deploy with {CANARIES['agents']}.\n")
    (made.folder / "deploy.sh").write_text(f"#!/bin/sh\nTOKEN={CANARIES['file']}\n")
    half = CANARIES["output"]
    # The command itself must not hold it: what a command prints is not known before it runs.
    made.write_script(
        completions=[
            call("read", path="deploy.sh"),
            call("bash", command=f"printf %s%s {half[:10]} {half[10:]}"),
            call("write", path="a.txt", content=CANARIES["answer"]),
            call("write", path="b.txt", content="b"),
            call("bash", command="true"),
            "Done.",
        ],
        lessons=[{"outcome": "in_context_only"}] * 3,
    )
    return made


DECISIONS: tuple[Decision, ...] = (
    Approve(),
    Deny(f"not like that, the key is {CANARIES['correction']}"),
    Deny(f"use {CANARIES['correction']}"),
    Edit({"command": f"echo {CANARIES['edit']}"}),
)


async def go_through(
    stage: Stage, ask: Callable[[SecretFound], Awaitable[bool]] | None = None
) -> SessionController:
    """A session that meets a secret in every place."""
    stage.decisions = list(DECISIONS)
    session = SessionController(
        settings=load_settings(stage.arguments(), environ={}),
        folder=stage.folder,
        present=stage.events.append,
        decide=stage.decide,
        ask=ask,
    )
    try:
        assert await session.start()
        session.add_note(f"the note says {CANARIES['note']}")
        session.add_context("env", f"I ran a command myself:\n{CANARIES['command']}")
        await asyncio.wait_for(session.submit(f"deploy with {CANARIES['request']}"), 30)
    finally:
        await session.close()
    PromptHistory(DataPaths(stage.data).history("key")).add(CANARIES["request"])
    return session


def kept(stage: Stage, *, checkpoints: bool = False) -> dict[str, set[str]]:
    """Which canaries lie below the data directory, by the folder they lie in."""
    found: dict[str, set[str]] = {}
    for path in stage.data.rglob("*"):
        folder = path.relative_to(stage.data).parts[0]
        if path.is_file() and (checkpoints or folder != "checkpoints"):
            content = path.read_bytes().decode("utf-8", "replace")
            for place, value in CANARIES.items():
                if value in content:
                    found.setdefault(folder, set()).add(place)
    return found


def without_the_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "find_secrets", lambda *_: [])
    monkeypatch.setattr(controller, "find_secrets", lambda *_: [])


async def test_without_the_guard_every_secret_is_kept(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    """The check's own check: nine of nine are found in the files, and the model saw them."""
    without_the_guard(monkeypatch)
    await go_through(stage)
    found = kept(stage)
    assert set(PLACES) - {"environment"} == set.union(*found.values())
    assert {"sessions", "lessons", "history"} <= found.keys()
    assert {"request", "output", "file", "agents", "correction"} <= seen_by_the_model(stage)


def seen_by_the_model(stage: Stage) -> set[str]:
    """Which canaries the worker was sent."""
    sent = json.dumps(stage.requests("sample") + stage.requests("learn"))
    return {place for place, value in CANARIES.items() if value in sent}


async def test_unasked_no_secret_is_kept_and_each_is_told(stage: Stage):
    """0 of 10 canaries, as `exec` and every run without a screen does it."""
    await go_through(stage)
    assert kept(stage) == {}
    assert seen_by_the_model(stage) == set()
    told = [event.text for event in stage.seen(Notice) if "redacted" in event.text]
    for where in (
        "Your request", "What your command printed", "AGENTS.md", "The output of read",
        "The output of bash", "The model's answer", "Your correction", "Your edit", "Your note",
    ):  # fmt: skip
        assert any(text.startswith(where) for text in told), where
    assert not any(value in text for value in CANARIES.values() for text in told)
    # What runs is what was shown: the file has the real text.
    outputs = [event.result.output for event in stage.seen(ToolFinished)]
    assert "[redacted: GitHub token]" in outputs[0]


async def test_the_user_is_asked_once_for_each_and_what_is_kept_is_kept(stage: Stage):
    asked: list[str] = []

    async def keep_the_request(found: SecretFound) -> bool:
        asked.append(found.sentence)
        return found.where == "Your request"

    await go_through(stage, keep_the_request)
    assert len(asked) == len(set(asked)) == 9
    assert set.union(*kept(stage).values()) == {"request"}
    assert "history" not in kept(stage)
    assert seen_by_the_model(stage) == {"request"}
    assert all(value not in sentence for value in CANARIES.values() for sentence in asked)


async def test_nothing_is_trained_where_redaction_would_alter_what_the_student_sampled(
    stage: Stage,
):
    await go_through(stage)
    first, second, third = stage.seen(LessonFinished)
    assert first.result.outcome == "in_context_only"
    assert "nothing is trained on it" in first.result.reason
    # The other denied answer holds none, so it went to the worker, with the correction redacted.
    assert "nothing is trained on it" not in second.result.reason
    assert third.result.reason.startswith("The call that you gave")
    (learned,) = stage.requests("learn")
    assert learned["lesson"]["correction"] == "use [redacted: GitHub token]"
    assert learned["lesson"]["completion"]["tokens"]
    journal = stage.journal()
    records = journal.lessons()
    journal.close()
    assert [bool(record.lesson.completion.tokens) for record in records] == [False, True, False]


def test_a_lesson_that_redaction_does_not_touch_keeps_its_tokens():
    said = Completion(
        tokens=(1, 2), logprobs=(-0.1, -0.2), text="plain", stop_reason="stop", prompt_tokens=1,
        seconds=0.0,
    )  # fmt: skip
    lesson = Lesson(
        id="a", kind="deny", messages=(), tools=(), completion=said,
        correction=f"it is {CANARIES['correction']}",
    )  # fmt: skip
    sealed, why = SecretsController(present=lambda _: None).seal(lesson)
    assert why is None
    assert sealed.completion == said
    assert sealed.correction == "it is [redacted: GitHub token]"


async def test_a_mark_is_never_written_in_place_of_a_secret(stage: Stage):
    stage.write_script(
        completions=[
            call("read", path="deploy.sh"),
            call("write", path="deploy.sh", content="TOKEN=[redacted: GitHub token]\n"),
            "I cannot.",
        ]
    )
    await stage.run(request="tidy deploy.sh")
    (rejected,) = stage.seen(CallRejected)
    assert "a secret that you cannot see" in rejected.problem
    assert CANARIES["file"] in (stage.folder / "deploy.sh").read_text()


async def test_a_call_with_a_secret_is_not_written_down_as_a_rule(stage: Stage):
    bash = call("bash", command=f"true {CANARIES['answer']}")
    stage.write_script(completions=[bash, bash, "Done."])
    session = await stage.run(Approve(always=True, for_good=True), request="go")
    assert len(stage.proposals) == 1  # it holds for this session all the same
    assert session.approval is not None
    assert kept(stage) == {}
    assert any("holds for this session only" in event.text for event in stage.seen(Notice))


async def test_a_session_that_is_gone_on_with_is_redacted_too(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    """Also one that an older version kept with everything in it."""
    with monkeypatch.context() as patch:
        without_the_guard(patch)
        session = await go_through(stage)
        assert session.sessions is not None
        identifier = session.sessions.current
    (path,) = stage.data.glob(f"sessions/*/{identifier}.json")
    assert CANARIES["request"] in path.read_text()
    again = stage.session()
    assert await again.start(identifier)
    await again.submit("go on")
    await again.close()
    assert not any(value in path.read_text() for value in CANARIES.values())


# --- logs, crash reports, command lines ---------------------------------------------------

TELLS_ALL = """
import os, sys
sys.stderr.write("environment: " + repr(dict(os.environ)) + "\\n")
sys.stderr.write("-----BEGIN PRIVATE KEY-----\\n")
sys.stderr.flush()
for _ in range(3):
    sys.stderr.write("{mixed}" * 2 + "\\n")
    sys.stderr.flush()
sys.stderr.write("-----END PRIVATE KEY-----\\nthe last words")
sys.exit(3)
"""


def test_a_worker_that_tells_all_would_tell_the_environment(stage: Stage):
    """The check's own check."""
    command = [sys.executable, "-c", TELLS_ALL.format(mixed=MIXED)]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    assert CANARIES["environment"] in told
    assert MIXED in told


async def test_a_workers_log_holds_no_secret_whatever_it_prints(stage: Stage):
    command = shlex.join([sys.executable, "-c", TELLS_ALL.format(mixed=MIXED)])
    session = SessionController(
        settings=load_settings([f"worker_command={command}", f"data_dir={stage.data}"], environ={}),
        folder=stage.folder,
        present=stage.events.append,
        decide=stage.decide,
    )
    await session.start()
    await session.close()
    log = (stage.data / "logs" / "worker.log").read_text()
    assert "the last words" in log
    assert "environment: " in log
    assert MIXED not in log
    assert kept(stage) == {}


def test_a_stream_is_redacted_however_it_is_cut():
    text = f"one\nTOKEN={CANARIES['output']}\n-----BEGIN PRIVATE KEY-----\n{MIXED * 2}\n"
    text += f"{MIXED}\n-----END PRIVATE KEY-----\nlast\n"
    for size in (1, 2, 7, 50, 10_000):
        stream = redaction.StreamRedactor()
        data = text.encode()
        parts = [stream.feed(data[at : at + size]) for at in range(0, len(data), size)]
        told = b"".join([*parts, stream.finish()]).decode()
        assert told == redaction.redact(text)
        assert MIXED not in told


def test_a_crash_is_written_down_without_secrets(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def fail(_: list[str]) -> int:
        raise RuntimeError(f"no {CANARIES['request']} in {CANARIES['environment']}")

    monkeypatch.setattr(cli, "_run", fail)
    assert cli._guarded([f"data_dir={stage.data}"]) == 1
    log = (stage.data / "logs" / "app.log").read_text()
    assert "RuntimeError: no [redacted: GitHub token]" in log
    assert kept(stage) == {}
    told = capsys.readouterr()
    assert not any(value in told.err for value in CANARIES.values())
    assert "[redacted: GitHub token]" in told.err


CRASHES = """
import sys
from continualcode_tui.app import cli, tui

def on_mount(self):
    conversation = ["{canary}"]
    raise RuntimeError("it broke")

tui.ContinualCode.on_mount = on_mount
sys.exit(cli.main(["data_dir={data}"]))
"""


@pytest.mark.slow
def test_a_crash_of_the_screen_tells_no_values_of_variables(stage: Stage):
    """Textual's own report prints every variable of every frame."""
    program = CRASHES.format(canary=CANARIES["request"], data=stage.data)
    with Terminal([sys.executable, "-P", "-c", program], cwd=stage.folder) as terminal:
        terminal.wait("RuntimeError: it broke")
        assert CANARIES["request"].encode() not in terminal.raw
    log = (stage.data / "logs" / "app.log").read_text()
    assert "it broke" in log
    assert "conversation" in log or "on_mount" in log
    assert kept(stage) == {}


async def test_no_secret_is_on_the_command_line_or_in_the_environment_of_a_child(stage: Stage):
    stage.write_script(completions=[call("bash", command="sleep 1"), "Done."])
    seen: list[tuple[list[str], str]] = []

    def look(event: AgentEvent) -> None:
        stage.events.append(event)

    session = SessionController(
        settings=load_settings(stage.arguments(), environ={}),
        folder=stage.folder, present=look, decide=stage.decide,
    )  # fmt: skip
    stage.decisions = [Approve()]
    assert await session.start()
    asked = asyncio.ensure_future(session.submit(f"wait with {CANARIES['request']}"))
    while not any("sleep 1" in " ".join(line) for line, _ in seen):
        await asyncio.sleep(0.02)
        for child in psutil.Process().children(recursive=True):
            try:
                seen.append((child.cmdline(), str(child.environ())))
            except psutil.Error:
                continue
    await asked
    await session.close()
    assert len(seen) > 2
    for line, environment in seen:
        assert not any(value in " ".join(line) for value in CANARIES.values())
        # The worker of this test is a command of the user's own, which keeps its environment, and
        # `env -i` is what takes it away from git.
        keeps = "fake_worker" in " ".join(line) or line[:2] == ["/usr/bin/env", "-i"]
        assert keeps or CANARIES["environment"] not in environment


# --- the question -------------------------------------------------------------------------


def question(at: Driver) -> SecretPanel | None:
    screen = at.app.screen
    return screen.query_one(SecretPanel) if isinstance(screen, SecretScreen) else None


async def asked_about(at: Driver, *, armed: bool = True) -> SecretPanel:
    def there() -> bool:
        panel = question(at)
        return panel is not None and (panel.armed or not armed)

    await at.until(there, "the question")
    panel = question(at)
    assert panel is not None
    return panel


@pytest.mark.parametrize(("key", "stays"), [("r", False), ("k", True), ("escape", False)])
async def test_one_key_answers_the_question(stage: Stage, key: str, stays: bool):
    (stage.folder / "AGENTS.md").unlink()
    stage.write_script(completions=["Done."])
    async with running(stage) as at:
        await at.ask(f"deploy with {CANARIES['request']}")
        await asked_about(at)
        assert "Your request holds what looks like a GitHub token (ghp_…)." in at.text()
        await at.pilot.press(key)
        await at.until(lambda: question(at) is None, "an answer")
        await at.until(lambda: ("Kept as it is" if stays else "Redacted:") in at.text(), "a notice")
        await at.until(lambda: "deploy with" in at.text() and "Done." in at.text(), "the answer")
        assert (CANARIES["request"] in at.text()) is stays
    assert ("request" in set().union(*kept(stage).values())) is stays


async def test_what_is_typed_when_the_question_comes_answers_nothing(stage: Stage):
    (stage.folder / "AGENTS.md").unlink()
    stage.write_script(completions=["Done."])
    async with running(stage, "arm_delay=0.3") as at:
        await at.ask(f"deploy with {CANARIES['request']}")
        await asked_about(at, armed=False)
        await at.type("kick")
        await at.pilot.pause(0.1)
        assert question(at) is not None
        await asked_about(at)
        await at.pilot.press("k", "k")  # a repeated key is none that was meant
        await at.pilot.pause(0.4)
        assert question(at) is not None
        await at.pilot.press("escape")
        await at.until(lambda: at.chat.phase == "ready", "the end")
    assert kept(stage) == {}


async def test_leaving_while_the_question_is_open_redacts(stage: Stage):
    (stage.folder / "AGENTS.md").unlink()
    async with running(stage) as at:
        await at.ask(f"deploy with {CANARIES['request']}")
        await asked_about(at)
        await at.chat.session.close()
        await at.until(lambda: question(at) is None, "the question gone")
    assert kept(stage) == {}
