"""Which lessons hold, and how one of them is forgotten, with the fake worker."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from continualcode_tui.app.agent.proposal import Deny
from continualcode_tui.app.controllers import idle
from continualcode_tui.app.controllers.session import SessionController
from continualcode_tui.app.events import AtRest, LessonStarted, Notice, SuiteProgress

from ..support.waiting import until
from .support import Stage, call

WRITE = call("write", path="new.py", content="pass\n")
NAMES = ("alpha", "bravo", "charlie")
LEARNED = [{"outcome": "learned"}] * len(NAMES)


def notices(stage: Stage) -> list[str]:
    return [event.text for event in stage.seen(Notice)]


def state(stage: Stage) -> dict:
    return json.loads(stage.script.with_suffix(".state").read_text())


def standings(session: SessionController) -> dict[str, str]:
    return {record.lesson.correction: record.standing for record in session.lessons()}


@asynccontextmanager
async def taught(
    stage: Stage, *arguments: str, **script: object
) -> AsyncIterator[SessionController]:
    """A session in which three lessons have been learned."""
    stage.write_script(completions=[*[WRITE] * len(NAMES), "Done."], **script)
    session = stage.session(*arguments)
    try:
        assert await session.start()
        for name in NAMES:
            stage.decisions = [Deny(name)]
            await asyncio.wait_for(session.submit("go"), 20)
        yield session
    finally:
        await session.close()


def identifier(session: SessionController, correction: str) -> str:
    return next(r.lesson.id for r in session.lessons() if r.lesson.correction == correction)


async def test_a_check_says_what_holds_and_what_was_lost_to_what(stage: Stage) -> None:
    async with taught(stage, checks=[{"lost": {"alpha": ["charlie"]}}]) as session:
        checked = await session.check()
        assert checked is not None
        assert [check.holds for check in checked.checks] == ["lost", "call", "call"]
        said = notices(stage)[-1]
        assert said.startswith("2 of 3 lessons hold")
        assert "“alpha” no longer holds; it was lost to “charlie”" in said
        assert [record.lost for record in session.lessons()] == [True, False, False]
        assert stage.seen(SuiteProgress)
        assert isinstance(stage.events[-1], AtRest)
        # A lost lesson can be learned again, one that holds need not be.
        assert await session.replay(identifier(session, "bravo")) is None
        result = await session.replay(identifier(session, "alpha"))
        assert result is not None
        assert not any(record.lost for record in session.lessons())
    (request,) = stage.requests("check")
    assert [len(lesson["tokens"]) for lesson in request["lessons"]] == [2, 2, 2]
    assert (
        request["lessons"][0]["denied"]
        == state(stage)["requests"][2]["lesson"]["completion"]["tokens"]
    )
    journal = stage.journal()
    assert journal.lessons()[0].check is None
    assert journal.lessons()[1].check.holds == "call"
    journal.close()


@pytest.mark.parametrize(
    ("suspects", "words"),
    [([], "is unknown"), (["bravo", "charlie"], "one of 2 later lessons")],
)
async def test_what_is_not_known_is_not_made_up(
    stage: Stage, suspects: list[str], words: str
) -> None:
    async with taught(stage, checks=[{"lost": {"alpha": suspects}}]) as session:
        await session.check()
        assert words in notices(stage)[-1]


async def test_without_a_lesson_there_is_nothing_to_check(stage: Stage) -> None:
    session = stage.session()
    assert await session.start()
    assert await session.check() is None
    await session.close()
    assert "no learned lesson" in notices(stage)[-1]
    assert not stage.requests("check")


async def test_the_lessons_are_checked_when_it_is_time_and_the_agent_idle(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle, "IDLE_SECONDS", 0.05)
    lost = {"lost": {"alpha": ["charlie"]}}
    async with taught(stage, "check_every=3", checks=[lost]) as session:
        await until(lambda: any(record.check for record in session.lessons()))
        assert not session.busy
        (told,) = [text for text in notices(stage) if "no longer holds" in text]
        assert "/lessons" in told
        assert not stage.seen(SuiteProgress)
        await asyncio.sleep(0.2)
        assert len(stage.requests("check")) == 1


async def test_a_check_that_nobody_asked_for_delays_no_turn(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle, "IDLE_SECONDS", 0)
    async with taught(stage, "check_every=3", checks=[{"hang": True}]) as session:
        await until(lambda: bool(stage.requests("check")))
        await asyncio.wait_for(session.submit("go on"), 5)
        assert not any("Cancelled" in text for text in notices(stage))


@pytest.mark.parametrize("trouble", [{"die": True}, {"failure": "internal"}])
async def test_a_check_that_nobody_asked_for_fails_in_silence(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, trouble: dict
) -> None:
    monkeypatch.setattr(idle, "IDLE_SECONDS", 0)
    async with taught(stage, "check_every=3", checks=[trouble]) as session:
        await until(lambda: bool(stage.requests("check")))
        await until(lambda: session._idle.task is not None and session._idle.task.done())
        before = notices(stage)
        await session.submit("go on")
        assert len(stage.requests("check")) == 1
        new = notices(stage)[len(before) :]
        assert all("starting another" in text for text in new)


async def test_check_every_zero_is_never(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle, "IDLE_SECONDS", 0)
    async with taught(stage, "check_every=0"):
        await asyncio.sleep(0.1)
    assert not stage.requests("check")


async def test_a_lesson_is_forgotten_and_the_later_ones_learned_again(stage: Stage) -> None:
    again = [{"outcome": "learned"}, {"outcome": "rolled_back"}]
    async with taught(stage, lessons=[*LEARNED, *again]) as session:
        names = [record.lesson.id for record in session.lessons()]
        forgotten = await session.forget(names[0])
        assert forgotten is not None
        assert [result.lesson for result in forgotten.again] == names[1:]
        assert standings(session) == {
            "alpha": "forgotten", "bravo": "learned", "charlie": "rolled_back"
        }  # fmt: skip
        assert "“alpha” is forgotten" in notices(stage)[-1]
        assert "not proved again: “charlie”" in notices(stage)[-1]
        assert session.loaded is not None
        assert session.loaded.lesson == names[1]
        assert await session.forget(names[0]) is None
        assert "does not hold" in notices(stage)[-1]
        assert await session.replay(names[0]) is not None
    assert state(stage)["committed"] == [names[1], names[0]]
    journal = stage.journal()
    assert [record.standing for record in journal.lessons()] == [
        "learned", "learned", "rolled_back"
    ]  # fmt: skip
    journal.close()


@pytest.mark.parametrize("trouble", [{"failure": "out_of_memory"}, {"die": "step"}])
async def test_forgetting_that_fails_in_the_middle_goes_back(stage: Stage, trouble: dict) -> None:
    script = [*LEARNED, {"outcome": "learned"}, trouble, trouble]
    async with taught(stage, lessons=script) as session:
        before = state(stage)["committed"]
        checks = [record.result for record in session.lessons()]
        assert await session.forget(identifier(session, "alpha")) is None
        assert set(standings(session).values()) == {"learned"}
        assert [record.result for record in session.lessons()] == checks
        assert state(stage)["committed"] == before
        assert "was not forgotten" in "".join(notices(stage))
        assert "as it was before" in notices(stage)[-1]
    journal = stage.journal()
    assert journal.forgetting is None
    assert {record.standing for record in journal.lessons()} == {"learned"}
    journal.close()


async def test_forgetting_can_be_stopped_and_goes_back(stage: Stage) -> None:
    script = [*LEARNED, {"outcome": "learned"}, {"hang": "step"}]
    async with taught(stage, lessons=script) as session:
        before = state(stage)["committed"]
        work = asyncio.ensure_future(session.forget(identifier(session, "alpha")))
        await until(lambda: len(stage.seen(LessonStarted)) == 5)
        await session.interrupt()
        assert await asyncio.wait_for(work, 10) is None
        assert set(standings(session).values()) == {"learned"}
        assert state(stage)["committed"] == before


async def test_a_program_that_ends_while_forgetting_goes_back_at_its_next_start(
    stage: Stage,
) -> None:
    """The program is killed when two of three lessons are out of the adapter."""
    script = [*LEARNED, {"hang": "step"}]
    async with taught(stage, lessons=script) as session:
        before = state(stage)["committed"]
        work = asyncio.ensure_future(session.forget(identifier(session, "alpha")))
        await until(lambda: len(stage.seen(LessonStarted)) == 4)
        assert session._engine is not None
        assert session._engine._client is not None
        work.cancel()
        os.kill(session._engine._client.pid or 0, signal.SIGKILL)
        assert session._journal is not None
        session._journal.close()
    assert state(stage)["committed"] == []
    journal = stage.journal()
    assert journal.forgetting is not None
    journal.close()

    session = stage.session()
    assert await session.start()
    assert set(standings(session).values()) == {"learned"}
    assert session.loaded is not None
    assert session.loaded.lesson == before[-1]
    await session.close()
    assert state(stage)["committed"] == before


async def test_where_the_way_back_is_gone_it_is_said(stage: Stage) -> None:
    undos = [{}, {"failure": "bad_adapter", "message": "Snapshot 3 is missing."}]
    script = [*LEARNED, {"failure": "out_of_memory"}]
    async with taught(stage, lessons=script, undos=undos) as session:
        assert await session.forget(identifier(session, "bravo")) is None
        assert "cannot go back" in notices(stage)[-1]
        assert standings(session)["alpha"] == "learned"
        assert standings(session)["bravo"] == "forgotten"
    journal = stage.journal()
    assert journal.forgetting is None
    journal.close()
