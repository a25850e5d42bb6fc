from __future__ import annotations

import asyncio
import json
import os
import subprocess
from pathlib import Path

import pytest
from continualcode_tui.app.agent.proposal import Approve, Deny
from continualcode_tui.app.controllers.approval import ApprovalController
from continualcode_tui.app.events import (
    EngineLoading,
    EngineReady,
    LessonFinished,
    LessonStarted,
    Notice,
    TurnFinished,
    UserSaid,
)
from continualcode_tui.training.protocol import ToolCall

from ..support.waiting import until
from .support import TEST, Stage, call

WRITE = call("write", path="new.py", content="pass\n")


def warnings(stage: Stage) -> list[str]:
    return [event.text for event in stage.seen(Notice) if event.severity == "warning"]


def commit_all(folder: Path) -> None:
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "start"]):
        subprocess.run([*git, *arguments], cwd=folder, check=True)


def processes_with(text: str) -> str:
    run = subprocess.run(["pgrep", "-af", "--", text], capture_output=True, text=True, check=False)
    return run.stdout


async def test_a_folder_that_is_not_a_repository_works_and_says_so(stage: Stage) -> None:
    stage.write_script(completions=["Done."])
    session = await stage.run()
    assert session.repository is not None
    assert not session.repository.git
    (notice,) = stage.seen(Notice)
    assert "not a git repository" in notice.text
    assert [type(event) for event in stage.events if isinstance(event, EngineReady)]
    assert any(event.fraction == 0.5 for event in stage.seen(EngineLoading))


async def test_a_request_while_the_engine_loads_waits_for_the_one_worker(stage: Stage) -> None:
    stage.write_script(completions=["Done."])
    session = stage.session()
    try:
        starting = asyncio.ensure_future(session.start())
        await until(lambda: bool(stage.seen(EngineLoading)))
        await session.submit("fix the test")
        assert await starting
        assert len(stage.requests("load")) == 1
        assert stage.seen(TurnFinished)[-1].reason == ""
    finally:
        await session.close()


async def test_lessons_belong_to_the_repository_not_the_folder(stage: Stage) -> None:
    commit_all(stage.folder)
    (stage.folder / "sub").mkdir()
    stage.write_script(completions=[WRITE, "Done."])
    await stage.run(Deny("no"))
    stage.folder /= "sub"
    session = stage.session()
    assert await session.start()
    assert len(session.lessons()) == 1
    await session.close()


async def test_the_settings_reach_the_worker(stage: Stage) -> None:
    session = stage.session("lora_rank=4", "objective=reverse_kl", "seed=7", "temperature=0.9")
    assert await session.start()
    await session.submit("go")
    await session.close()
    (load,) = stage.requests("load")
    assert load["lora_rank"] == 4
    assert load["objective"] == "reverse_kl"
    assert load["data_dir"] == str(stage.data)
    (sample,) = stage.requests("sample")
    assert sample["temperature"] == 0.9
    assert sample["max_tokens"] == 1024
    assert {tool["name"] for tool in sample["tools"]} >= {"read", "write", "edit_lines", "bash"}


async def test_a_small_context_gets_short_turns_and_a_short_prompt(stage: Stage) -> None:
    stage.write_script(loaded={"context_tokens": 512})
    (stage.folder / "AGENTS.md").write_text("rule\n" * 2000)
    session = stage.session()
    assert await session.start()
    await session.submit("go")
    await session.close()
    (sample,) = stage.requests("sample")
    assert sample["max_tokens"] == 256
    assert len(sample["messages"][0]["content"]) <= 600


async def test_undo_takes_the_newest_lesson_back(stage: Stage) -> None:
    stage.write_script(completions=[WRITE, "Done."])
    session = stage.session()
    assert await session.start()
    stage.decisions = [Deny("use edit_lines")]
    await session.submit("go")
    undone = await session.undo()
    assert undone is not None
    assert undone.snapshot is None
    assert session.lessons()[0].standing == "undone"
    assert await session.undo() is not None
    assert "no lesson" in stage.seen(Notice)[-1].text
    await session.replay(session.lessons()[0].lesson.id)
    assert session.lessons()[0].standing == "learned"
    await session.close()
    assert stage.journal().lessons()[0].standing == "learned"


async def test_save_says_where_the_adapter_lies(stage: Stage) -> None:
    session = stage.session()
    assert await session.start()
    path = str(stage.data / "mine")
    assert await session.save(path) == path
    assert path in stage.seen(Notice)[-1].text
    await session.close()


@pytest.mark.parametrize(
    ("argument", "loaded", "words"),
    [
        ("enable_training=false", {}, "Training is off"),
        ("seed=0", {"read_only": "Another program trains this adapter."}, "Another program"),
        ("seed=0", {"training": False}, "does not train"),
    ],
)
async def test_without_training_a_correction_stays_in_the_conversation(
    stage: Stage, argument: str, loaded: dict, words: str
) -> None:
    stage.write_script(completions=[WRITE, "Done."], loaded=loaded)
    session = stage.session(argument)
    assert await session.start()
    stage.decisions = [Deny("use edit_lines")]
    await session.submit("go")
    await session.close()
    assert not stage.requests("learn")
    assert not stage.seen(LessonStarted)
    (finished,) = stage.seen(LessonFinished)
    assert finished.result.outcome == "in_context_only"
    assert words in finished.result.reason
    assert stage.requests("sample")[-1]["messages"][-1]["content"].endswith("use edit_lines")
    assert stage.journal().lessons()[0].standing == "in_context_only"


async def test_of_two_instances_one_learns(stage: Stage) -> None:
    stage.write_script(completions=[WRITE, "Done.", WRITE, "Done."])
    first, second = stage.session(), stage.session()
    assert await first.start()
    assert await second.start()
    assert any("Another continualcode-tui" in text for text in warnings(stage))
    stage.decisions = [Deny("no")]
    await second.submit("go")
    (finished,) = stage.seen(LessonFinished)
    assert finished.result.outcome == "in_context_only"
    assert "Another continualcode-tui" in finished.result.reason
    await second.close()
    await first.close()
    assert stage.journal().lessons() == []


async def test_one_request_at_a_time(stage: Stage) -> None:
    stage.write_script(completions=[WRITE, "Done."])
    session = stage.session()
    assert await session.start()
    request = asyncio.create_task(session.submit("go"))
    await asyncio.wait_for(stage.waiting.wait(), 10)
    assert session.busy
    await session.submit("another")
    assert await session.undo() is None
    session.clear()
    assert len(warnings(stage)) == 3
    assert len(stage.seen(UserSaid)) == 1
    await session.close()
    await request


async def test_an_empty_request_is_refused(stage: Stage) -> None:
    session = stage.session()
    assert await session.start()
    await session.submit(" \n")
    assert not stage.seen(UserSaid)
    assert warnings(stage)
    await session.close()


async def test_clear_begins_again(stage: Stage) -> None:
    session = stage.session()
    assert await session.start()
    session.add_note("a note")
    await session.submit("first")
    session.clear()
    assert session.notes == ()
    await session.submit("second")
    await session.close()
    assert "first" not in str(stage.requests("sample")[-1]["messages"])
    assert len(list(stage.data.glob("sessions/*/*.json"))) == 2


async def test_the_conversation_is_on_disk_while_it_goes_on(stage: Stage) -> None:
    stage.write_script(completions=[call("read", path="calc.py"), WRITE])
    session = stage.session()
    assert await session.start()
    request = asyncio.create_task(session.submit("go"))
    await asyncio.wait_for(stage.waiting.wait(), 10)
    (path,) = stage.data.glob("sessions/*/*.json")
    saved = json.loads(path.read_text())
    assert "def add" in str(saved["conversation"])
    await session.close()
    await request


async def test_a_full_disk_does_not_stop_the_conversation(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = stage.session()
    assert await session.start()

    def refuse(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("continualcode_tui.app.store.sessions.write_private", refuse)
    await session.submit("first")
    await session.submit("second")
    assert [event.reason for event in stage.seen(TurnFinished)] == ["", ""]
    assert len(warnings(stage)) == 1
    await session.close()


async def test_closing_ends_the_worker(stage: Stage) -> None:
    stage.write_script(completions=[call("bash", command="sleep 61.5")])
    session = stage.session()
    assert await session.start()
    stage.decisions = [Approve()]
    request = asyncio.create_task(session.submit("go"))
    await until(lambda: bool(stage.proposals) and not stage.decisions)
    await asyncio.sleep(0.1)
    await session.close()
    await request
    assert processes_with("sleep 61.5") == ""
    assert processes_with(str(stage.script)) == ""


async def test_metrics_add_up(stage: Stage) -> None:
    stage.write_script(completions=[WRITE, WRITE, "Done."], lessons=[{}, {"outcome": "gated"}])
    session = stage.session()
    assert await session.start()
    for _ in range(2):
        stage.decisions = [Deny("no")]
        await session.submit("go")
    await session.close()
    metrics = session.metrics
    assert [record.index for record in metrics.steps] == [1, 2]
    assert [record.lesson for record in metrics.steps] == [
        record.lesson.id for record in session.lessons()
    ]
    assert [mark.steps_before for mark in metrics.lessons] == [0, 1]
    assert metrics.count("learned") == 1
    assert metrics.last_step is not None
    assert metrics.stages["step"] == pytest.approx(0.6)
    assert metrics.tokens_scored == 100
    assert metrics.tokens_sampled > 10


def test_rules_cover_whole_calls_only() -> None:
    approval = ApprovalController(read_only_tools={"read"}, auto_approve_readonly=True)
    read = ToolCall(name="read", arguments={"path": "a"})
    run = ToolCall(name="bash", arguments={"command": "ls"})
    assert approval.rule_for(read)
    assert approval.rule_for(run) is None
    approval.allow(run)
    assert approval.rule_for(run) == 'allowed for this session: bash(command="ls")'
    assert approval.rule_for(run.model_copy(update={"arguments": {"command": "ls -l"}})) is None
    approval.deny(run)
    approval.deny(read)
    assert approval.rule_for(run) is None
    assert approval.rule_for(read) is None
    assert approval.rule_for(ToolCall(name="read", arguments={"path": "b"}))


def test_nothing_outside_the_data_folder_is_written(stage: Stage, tmp_path: Path) -> None:
    stage.write_script(completions=["Done."])
    asyncio.run(stage.run())
    assert sorted(path.name for path in stage.folder.iterdir()) == ["calc.py", "test_calc.py"]
    loose = [path for path in stage.data.rglob("*") if path.stat().st_mode & 0o077]
    assert loose == []


def left_behind(folder: Path) -> Path:
    """A repository with what a write leaves that is killed."""
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    left = folder / ".continualcode-0011223344556677.tmp"
    left.write_text("half a file")
    os.utime(left, (0, 0))
    return left


async def test_what_a_killed_write_left_behind_is_removed_at_the_start(stage: Stage) -> None:
    left = left_behind(stage.folder)
    session = stage.session()
    await session.start()
    await session.close()
    assert not left.exists()


async def hold_with_a_change(stage: Stage, digit: int) -> str:
    """Hold a session in which the agent changes the test; return its id."""
    session = stage.session()
    assert await session.start()
    stage.decisions = [Approve()]
    await session.submit(f"make it {digit}")
    assert session.sessions is not None
    identifier = session.sessions.current
    await session.close()
    return identifier


async def test_only_what_no_listed_session_can_go_back_to_is_pruned(stage: Stage) -> None:
    commit_all(stage.folder)
    test = stage.folder / "test_calc.py"
    completions: list[str] = []
    for digit in (6, 7):
        content = TEST.replace("5", str(digit))
        completions += [call("write", path="test_calc.py", content=content), "Done."]
    stage.write_script(completions=completions)
    listed, deleted = [await hold_with_a_change(stage, digit) for digit in (6, 7)]
    (store,) = stage.data.glob("checkpoints/*/*")
    for path in store.rglob("*"):
        if path.is_file():
            os.utime(path, (0, 0))
    before = len(list(store.glob("objects/??/*")))
    session = stage.session()
    assert await session.start()
    assert session.sessions is not None
    assert session.sessions.delete(deleted) is None
    await session.close()
    os.utime(store / "pruned", (0, 0))
    assert len(list(store.glob("objects/??/*"))) == before
    session = stage.session()
    assert await session.start(listed)
    assert session.sessions is not None
    assert len(list(store.glob("objects/??/*"))) < before
    await session.rewind(0, session.sessions.plan(0), yours=True)
    assert test.read_text() == TEST
    await session.close()
