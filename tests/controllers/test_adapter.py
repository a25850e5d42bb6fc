"""Switching, turning off and importing adapters, and what the journal says of it."""

from __future__ import annotations

import asyncio
import json
import os
import signal

import pytest
from continualcode_tui.app.agent.proposal import Deny
from continualcode_tui.app.controllers.session import SessionController
from continualcode_tui.app.events import AtRest, LessonFinished
from continualcode_tui.app.lesson_words import hold, hold_sentence

from .support import Stage
from .test_suite import NAMES, WRITE, identifier, notices, standings, state, taught

LEARNED = dict.fromkeys(NAMES, "learned")


def reread(stage: Stage) -> dict[str, str]:
    """The standings as the journal on disk has them."""
    journal = stage.journal()
    journal.close()
    return {record.lesson.correction: record.standing for record in journal.lessons()}


async def test_the_lessons_follow_the_adapter_back_and_forwards(stage: Stage) -> None:
    async with taught(stage) as session:
        names = [record.lesson.id for record in session.lessons()]
        results = [record.result for record in session.lessons()]
        assert await session.check() is not None
        undone = await session.use_adapter(names[0])
        assert undone is not None
        assert standings(session) == LEARNED | {"bravo": "undone", "charlie": "undone"}
        said = f"The adapter is now snapshot {names[0]}; 2 lessons are taken back."
        assert notices(stage)[-1] == said
        assert isinstance(stage.events[-1], AtRest)
        assert all(record.check is None for record in session.lessons())
        assert session.describe_adapter().endswith(f"snapshot {names[0]}, with one lesson.")
        await session.use_adapter(names[2])
        assert "2 lessons are learned again" in notices(stage)[-1]
        assert standings(session) == LEARNED
        assert [record.result for record in session.lessons()] == results
        # The proofs are there again, in their order.
        assert await session.check() is not None
        assert [each["lesson"] for each in stage.requests("check")[-1]["lessons"]] == names
        await session.use_adapter("base")
        assert set(standings(session).values()) == {"undone"}
        assert "empty: the model is as it came" in session.describe_adapter()
        await session.use_adapter(names[1])
        await session.undo()
        assert "“bravo” was taken back" in notices(stage)[-1]
    assert reread(stage) == LEARNED | {"bravo": "undone", "charlie": "undone"}


@pytest.mark.parametrize(
    ("name", "words"),
    [("zz", "There is no snapshot zz"), ("", "3 snapshots begin with|There is no snapshot")],
)
async def test_a_name_that_is_not_there_is_said_in_words(
    stage: Stage, name: str, words: str
) -> None:
    async with taught(stage) as session:
        assert await session.use_adapter(name) is None
        assert any(each in notices(stage)[-1] for each in words.split("|"))
        current = session.lessons()[-1].lesson.id
        here = await session.use_adapter(current[:12])
        assert here is not None
        assert here.snapshot == current
        assert notices(stage)[-1] == f"The adapter is at {current} already."
        assert not stage.requests("undo")


async def test_what_the_worker_refuses_leaves_the_journal_alone(stage: Stage) -> None:
    pruned = {"failure": "bad_adapter", "message": "Snapshot 1 was pruned: choose another."}
    async with taught(stage, undos=[pruned], imports=[pruned]) as session:
        assert await session.use_adapter("base") is None
        assert await session.import_adapter("somewhere") is None
        assert notices(stage)[-2:] == [pruned["message"]] * 2
        assert standings(session) == LEARNED
    assert reread(stage) == LEARNED


async def test_while_it_is_off_a_denial_stays_in_the_conversation(stage: Stage) -> None:
    async with taught(stage) as session:
        before = state(stage)["committed"]
        await session.turn_adapter(on=False)
        assert notices(stage)[-1] == (
            "The adapter is off: answers come from the base model and nothing is learned until "
            "/adapter on."
        )
        stage.decisions = [Deny("delta")]
        session.clear()
        await asyncio.wait_for(again(stage, session), 20)
        result = stage.seen(LessonFinished)[-1].result
        assert result.outcome == "in_context_only"
        assert result.reason == (
            "The adapter is off; /adapter on turns it on again; the correction stays in the "
            "conversation."
        )
        asked = stage.requests("sample")[-1]["messages"]
        assert any("denied by the user: delta" in message["content"] for message in asked)
        assert len(stage.requests("learn")) == len(NAMES)
        for refused in (session.check(), session.forget(identifier(session, "alpha"))):
            assert await refused is None
            assert notices(stage)[-1] == "The adapter is off; /adapter on turns it on again."
        assert not stage.requests("check")
        assert state(stage)["committed"] == before
        assert "off (answers come from the base model" in session.describe_adapter()
        await session.turn_adapter(on=True)
        assert notices(stage)[-1] == "The adapter is on again, as it was."
        assert await session.check() is not None
    assert reread(stage) == LEARNED | {"delta": "in_context_only"}


async def again(stage: Stage, session: SessionController) -> None:
    """A request whose first answer is denied, by a worker whose script begins anew."""
    await session._engine.kill()
    script = stage.script
    stage.write_script(completions=[WRITE, "Done."])
    used = state(stage) | {"used": {}}
    script.with_suffix(".state").write_text(json.dumps(used))
    await session._engine.restart()
    await session.submit("go")


async def test_it_stays_off_when_the_worker_dies(stage: Stage) -> None:
    async with taught(stage) as session:
        await session.turn_adapter(on=False)
        os.kill(session._engine._client.pid, signal.SIGKILL)
        await session.adapters()
        assert not session.adapter_on
        assert [each["enabled"] for each in stage.requests("enable_adapter")] == [False, False]
        listed = await session.adapters()
        assert listed is not None
        assert not listed.enabled


async def test_an_import_is_no_lesson_and_can_be_taken_back(stage: Stage) -> None:
    script = {"imports": [{"notice": "Its scale could not be checked."}]}
    lost = {"lost": {"alpha": ["an import"]}}
    async with taught(stage, checks=[{}, lost], **script) as session:
        await session.check()
        imported = await session.import_adapter("~/adapter")
        assert imported is not None
        assert stage.requests("import")[0]["path"].startswith("/")
        said = notices(stage)
        assert f"imported as snapshot {imported.snapshot}" in said[-3]
        assert said[-2] == "Its scale could not be checked."
        assert "Earlier lessons may not hold under it" in said[-1]
        assert standings(session) == LEARNED
        assert all(record.check is None for record in session.lessons())
        assert not session.metrics.lessons[len(NAMES) :]
        assert session.loaded is not None
        assert session.loaded.snapshot == imported.snapshot
        # A check says what it did to the lessons before it.
        corrections = state(stage)["corrections"] | {imported.snapshot: "an import"}
        kept = state(stage) | {"corrections": corrections}
        await restarted(stage, session, kept)
        await session.check()
        record = session.lessons()[0]
        assert "it was lost to an imported adapter" in notices(stage)[-1]
        assert hold(record) == "lost to an import"
        assert "lost to an imported adapter" in hold_sentence(record, session.lessons())
        # A lesson below it cannot be forgotten, and says why.
        assert await session.forget(record.lesson.id) is None
        assert any("an adapter was imported after it" in text for text in notices(stage))
        assert standings(session) == LEARNED
        undone = await session.undo()
        assert undone is not None
        assert notices(stage)[-1] == "The imported adapter was taken back."
        assert standings(session) == LEARNED
        assert not any(record.check for record in session.lessons())
    assert reread(stage) == LEARNED


async def restarted(stage: Stage, session: SessionController, kept: dict) -> None:
    """Give the worker another past."""
    await session._engine.kill()
    stage.script.with_suffix(".state").write_text(json.dumps(kept))
    await session._engine.restart()


async def test_a_switch_that_did_not_reach_the_journal_is_made_good(stage: Stage) -> None:
    async with taught(stage) as session:
        names = [record.lesson.id for record in session.lessons()]
        await session.use_adapter(names[0])
    for chain, expected in [
        (names, LEARNED),
        (names[:1], LEARNED | {"bravo": "undone", "charlie": "undone"}),
        ([], dict.fromkeys(NAMES, "undone")),
        (names[:2], LEARNED | {"charlie": "undone"}),
    ]:
        kept = state(stage) | {"committed": chain}
        stage.script.with_suffix(".state").write_text(json.dumps(kept))
        session = stage.session()
        assert await session.start()
        assert standings(session) == expected
        await session.close()
        assert reread(stage) == expected


async def test_lessons_that_the_adapter_never_heard_of_are_left_alone(stage: Stage) -> None:
    async with taught(stage):
        pass
    kept = state(stage) | {"committed": [], "chains": {}}
    stage.script.with_suffix(".state").write_text(json.dumps(kept))
    session = stage.session()
    assert await session.start()
    assert standings(session) == LEARNED
    await session.close()


async def test_while_something_goes_on_nothing_is_switched(stage: Stage) -> None:
    stage.write_script(completions=[WRITE])
    session = stage.session()
    assert await session.start()
    work = asyncio.ensure_future(session.submit("go"))
    await asyncio.wait_for(stage.waiting.wait(), 20)
    await session.turn_adapter(on=False)
    assert await session.use_adapter("base") is None
    assert await session.adapters() is None
    assert [text for text in notices(stage) if "at work" in text] == [
        "The agent is at work; stop it with Esc first."
    ] * 3
    assert session.adapter_on
    await session.interrupt()
    await work
    await session.close()
