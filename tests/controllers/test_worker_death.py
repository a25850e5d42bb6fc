from __future__ import annotations

import asyncio
import errno
import os
import resource
import signal
import sys

import pytest
from continualcode_tui.app.agent.proposal import Approve, Deny, Edit
from continualcode_tui.app.events import (
    EngineFailed,
    EngineReady,
    LessonFinished,
    LessonStage,
    LessonStarted,
    Notice,
    TurnFinished,
    TurnStarted,
)
from continualcode_tui.app.store.journal import Journal

from ..support.waiting import until
from .support import Stage, call

WRITE = call("write", path="new.py", content="pass\n")
STAGES = ["prepare", "gate", "snapshot", "step", "guard", "retry", "commit"]


@pytest.mark.parametrize("when", STAGES)
async def test_a_lesson_is_sent_again_after_its_worker_died(stage: Stage, when: str) -> None:
    stage.write_script(completions=[WRITE, "Done."], lessons=[{"die": when}, {"retry": WRITE}])
    await stage.run(Deny("use edit_lines"), Approve())

    first, second = stage.requests("learn")
    assert first["lesson"] == second["lesson"]
    assert [event.attempt for event in stage.seen(LessonStarted)] == [1, 2]
    assert [event.result.outcome for event in stage.seen(LessonFinished)] == ["learned"]
    assert len(stage.seen(EngineReady)) == 2
    (record,) = stage.journal().lessons()
    assert (record.standing, record.attempts) == ("learned", 2)
    assert stage.events[-1] == TurnFinished()


async def test_a_lesson_whose_answer_was_lost_counts_once(stage: Stage) -> None:
    stage.write_script(completions=[WRITE, "Done."], lessons=[{"die": "answer"}])
    await stage.run(Deny("use edit_lines"))

    assert len(stage.requests("learn")) == 1
    (finished,) = stage.seen(LessonFinished)
    assert finished.result.outcome == "learned"
    assert finished.result.snapshot == finished.lesson.id
    # The denied attempt is gone, and the next turn is the retry.
    *_, after = stage.requests("sample")
    assert "new.py" not in str(after["messages"][2:])
    assert [event.retry for event in stage.seen(TurnStarted)][-1]
    assert stage.journal().lessons()[0].standing == "learned"


async def test_a_lesson_that_kills_two_workers_is_given_up(stage: Stage) -> None:
    stage.write_script(
        completions=[WRITE, "Done."], lessons=[{"die": "step"}, {"die": "retry"}, {}]
    )
    await stage.run(Deny("use edit_lines"))

    assert len(stage.requests("learn")) == 2
    (finished,) = stage.seen(LessonFinished)
    assert finished.result.outcome == "failed"
    *_, after = stage.requests("sample")
    assert after["messages"][-1]["content"] == "denied by the user: use edit_lines"
    assert stage.journal().lessons()[0].standing == "failed"
    assert stage.events[-1] == TurnFinished()


async def test_an_edit_survives_the_death_of_its_worker(stage: Stage) -> None:
    stage.write_script(
        completions=[call("bash", command="false"), "Done."], lessons=[{"die": "step"}, {}]
    )
    await stage.run(Edit({"command": "echo once >> log"}))
    assert (stage.folder / "log").read_text() == "once\n"
    assert stage.seen(LessonFinished)[0].result.outcome == "learned"


async def test_a_worker_that_dies_sampling_is_replaced(stage: Stage) -> None:
    stage.write_script(completions=["Done."], sample=[{"die": True}, {}])
    await stage.run()
    assert len(stage.seen(EngineReady)) == 2
    assert stage.events[-1] == TurnFinished()


async def test_workers_are_not_replaced_for_ever(stage: Stage) -> None:
    stage.write_script(sample=[{"die": True}] * 20)
    session = await stage.run()
    assert len(stage.requests("sample")) == 4
    assert len(stage.seen(EngineFailed)) == 1
    last = stage.events[-1]
    assert isinstance(last, TurnFinished)
    assert last.failed
    assert session.failure
    assert "log" in session.failure


async def test_the_next_request_tries_the_engine_again(stage: Stage) -> None:
    stage.write_script(sample=[{"die": True}] * 4, completions=["Done."])
    session = stage.session()
    assert await session.start()
    await session.submit("go")
    assert session.loaded is None
    await session.submit("go")
    assert stage.events[-1] == TurnFinished()
    await session.close()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ({"load": [{"failure": "bad_model", "message": "No such model."}]}, "No such model."),
        ({"load": [{"die": True}] * 9}, "SIGKILL"),
    ],
)
async def test_a_model_that_does_not_load(stage: Stage, script: dict, message: str) -> None:
    stage.write_script(**script)
    session = stage.session()
    assert not await session.start()
    (failed,) = stage.seen(EngineFailed)
    assert message in failed.message
    await session.close()


@pytest.mark.parametrize("command", ["/no/such/program", f"{sys.executable} -c 'raise SystemExit'"])
async def test_a_worker_that_cannot_start(stage: Stage, command: str) -> None:
    session = stage.session(f"worker_command={command}")
    assert not await session.start()
    (failed,) = stage.seen(EngineFailed)
    assert "worker" in failed.message
    await session.close()


async def test_a_data_folder_that_cannot_be_used(stage: Stage) -> None:
    stage.data.write_text("a file")
    session = stage.session()
    assert not await session.start()
    (failed,) = stage.seen(EngineFailed)
    assert "set data_dir" in failed.message
    await session.close()


@pytest.mark.slow
async def test_a_second_interrupt_ends_a_worker_that_does_not_answer(stage: Stage) -> None:
    stage.write_script(completions=[WRITE], lessons=[{"hang": "step"}])
    stage.decisions = [Deny("no")]
    session = stage.session()
    assert await session.start()
    request = asyncio.create_task(session.submit("go"))
    await until(lambda: any(event.stage == "step" for event in stage.seen(LessonStage)))
    client = session._engine._client
    os.kill(client.pid, signal.SIGSTOP)
    await session.interrupt()
    await asyncio.sleep(0.1)
    assert not request.done()
    await session.interrupt()
    await asyncio.wait_for(request, 10)
    assert len(stage.requests("learn")) == 1
    assert stage.seen(LessonFinished)[0].result.outcome == "failed"
    assert len(stage.seen(EngineReady)) == 2
    await session.close()


async def test_a_lesson_cut_short_by_the_end_of_the_program(stage: Stage) -> None:
    stage.write_script(completions=[WRITE, "Done."])
    await stage.run(Deny("first"))
    journal = stage.journal()
    lesson = journal.lessons()[0].lesson
    journal.add_lesson(lesson.model_copy(update={"id": "cut-short"}))
    journal.add_attempt("cut-short")
    journal.close()

    stage.events.clear()
    session = stage.session()
    assert await session.start()
    assert [record.standing for record in session.lessons()] == ["learned", "failed"]
    assert any("cut short" in event.text for event in stage.seen(Notice))
    await session.replay("cut-short")
    assert session.lessons()[1].standing == "learned"
    await session.close()
    assert stage.journal().lessons()[1].standing == "learned"


async def test_a_committed_lesson_without_its_result_is_learned(stage: Stage) -> None:
    stage.write_script(completions=[WRITE, "Done."])
    await stage.run(Deny("first"))
    (path,) = stage.data.glob("lessons/*/*/journal.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    journal = Journal(path)
    assert journal.lessons()[0].standing == "pending"
    journal.close()

    session = stage.session()
    assert await session.start()
    assert session.lessons()[0].standing == "learned"
    await session.close()


async def test_a_committed_lesson_whose_worker_could_not_be_replaced(stage: Stage) -> None:
    dying = [{"die": True}] * 3
    stage.write_script(
        completions=[WRITE, "Done."], lessons=[{"die": "answer"}], load=[{}, *dying, {}]
    )
    session = stage.session()
    assert await session.start()
    stage.decisions = [Deny("use edit_lines")]
    await session.submit("go")
    last = stage.events[-1]
    assert isinstance(last, TurnFinished)
    assert last.failed
    assert session.lessons()[0].standing == "pending"
    await session.submit("go on")
    assert session.lessons()[0].standing == "learned"
    assert any("learned after all" in event.text for event in stage.seen(Notice))
    await session.close()
    assert stage.journal().lessons()[0].standing == "learned"


async def test_an_undo_that_the_journal_missed(stage: Stage) -> None:
    stage.write_script(completions=[WRITE])
    session = stage.session()
    assert await session.start()
    for correction in ("one", "two"):
        stage.decisions = [Deny(correction)]
        await session.submit("go")
    await session.undo()
    await session.close()
    (path,) = stage.data.glob("lessons/*/*/journal.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))

    session = stage.session()
    assert await session.start()
    assert [record.standing for record in session.lessons()] == ["learned", "undone"]
    await session.close()


async def test_a_disk_that_is_full_costs_no_correction(stage: Stage) -> None:
    stage.write_script(completions=[WRITE, "Done.", WRITE, "Done."])
    session = stage.session()
    assert await session.start()
    stage.decisions = [Deny("remember me")]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
        await session.submit("go")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert not stage.requests("learn")
    (finished,) = stage.seen(LessonFinished)
    assert finished.result.outcome == "in_context_only"
    assert "allowed size" in finished.result.reason
    *_, after = stage.requests("sample")
    assert after["messages"][-1]["content"] == "denied by the user: remember me"

    # With room again, the next lesson takes the unwritten one along.
    stage.decisions = [Deny("again")]
    await session.submit("go")
    await session.close()
    records = stage.journal().lessons()
    assert [record.lesson.correction for record in records] == ["remember me", "again"]
    assert [record.standing for record in records] == ["in_context_only", "learned"]


async def test_a_result_that_ends_the_journal_is_told(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither written nor cut back: from then on the journal is only read."""
    stage.write_script(completions=[WRITE, "Done."])
    session = stage.session()
    assert await session.start()
    stage.decisions = [Deny("use edit_lines")]
    real, calls = os.fsync, []

    def refuse(descriptor: int) -> None:
        if session._journal is not None and descriptor == session._journal._descriptor:
            calls.append(descriptor)
            if len(calls) > 2:  # the lesson and the attempt are written, the result is not
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    await session.submit("go")
    monkeypatch.undo()
    assert any("could not be written" in event.text for event in stage.seen(Notice))
    await session.close()
    session = stage.session()
    assert await session.start()
    assert session.lessons()[0].standing == "learned"
    await session.close()


async def test_the_journal_is_taken_up_when_the_other_program_has_ended(stage: Stage) -> None:
    stage.write_script(completions=[WRITE, "Done."], sample=[{"die": True}])
    session = stage.session()
    assert await session.start()
    (path,) = stage.data.glob("lessons/*/*/journal.jsonl")
    await session.close()
    other = Journal(path)
    session = stage.session()
    assert await session.start()
    assert session._journal is not None
    assert session._journal.read_only is not None
    other.close()
    stage.decisions = [Deny("use edit_lines")]
    await session.submit("go")  # its worker dies, and the next one may write
    assert any("can be written again" in event.text for event in stage.seen(Notice))
    await session.close()
    assert [record.standing for record in stage.journal().lessons()] == ["learned"]
