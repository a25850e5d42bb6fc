from __future__ import annotations

import asyncio

import pytest
from continualcode_tui.app.agent.proposal import Approve, Decision, Deny, Edit, Proposal
from continualcode_tui.app.events import (
    CallRejected,
    LessonFinished,
    LessonStage,
    LessonStep,
    Notice,
    ProposalMade,
    ToolFinished,
    TurnDropped,
    TurnFinished,
    TurnStarted,
)

from ..support.waiting import until
from .support import Stage, call

WRITE = call("write", path="test_calc.py", content="pass\n")
EDIT = call(
    "edit_lines", path="test_calc.py", start_line=5, end_line=5, content="    assert add(2, 2) == 4"
)


async def test_the_reference_example(stage: Stage) -> None:
    stage.write_script(completions=[WRITE, "Fixed."], lessons=[{"retry": EDIT}])
    session = await stage.run(Deny("use edit_lines; don't overwrite"), Approve())

    assert "== 4" in (stage.folder / "test_calc.py").read_text()
    first, second = stage.seen(ProposalMade)
    assert first.proposal.call.name == "write"
    assert second.proposal.call.name == "edit_lines"
    assert second.proposal.retry
    (learn,) = stage.requests("learn")
    assert "edit_lines; don't" not in str(learn["lesson"]["messages"])
    *_, last = stage.requests("sample")
    assert "don't overwrite" not in str(last["messages"])
    assert "'write'" not in str(last["messages"])
    assert stage.seen(LessonFinished)[0].result.outcome == "learned"
    assert len(stage.seen(LessonStage)) == 7
    assert len(stage.seen(LessonStep)) == len(session.metrics.steps) == 1
    assert stage.events[-1] == TurnFinished()
    (record,) = stage.journal().lessons()
    assert record.standing == "learned"


@pytest.mark.parametrize("outcome", ["gated", "in_context_only", "rolled_back", "failed"])
async def test_what_was_not_learned_stays_in_the_conversation(stage: Stage, outcome: str) -> None:
    stage.write_script(completions=[WRITE, EDIT, "Fixed."], lessons=[{"outcome": outcome}] * 2)
    await stage.run(Deny("use edit_lines"), Approve())

    _, after, *_ = stage.requests("sample")
    *_, denied, answer = after["messages"]
    assert denied["tool_calls"][0]["name"] == "write"
    assert answer["content"] == "denied by the user: use edit_lines"
    assert stage.journal().lessons()[0].standing == outcome
    # The retry that had streamed was taken back.
    assert len(stage.seen(TurnDropped)) == 1
    assert [event.retry for event in stage.seen(TurnStarted)] == [False, True, True, False]


@pytest.mark.parametrize("outcome", ["gated", "in_context_only", "rolled_back"])
async def test_an_approved_retry_is_the_solution_of_what_words_did_not_teach(
    stage: Stage, outcome: str
) -> None:
    lessons = [{"outcome": outcome}, {"retry": EDIT}]
    stage.write_script(completions=[WRITE, EDIT, "Fixed."], lessons=lessons)
    await stage.run(Deny("use edit_lines"), Approve())

    first, second = (request["lesson"] for request in stage.requests("learn"))
    assert first["solution"] is None
    assert second["solution"]["name"] == "edit_lines"
    assert {**second, "solution": None} == first
    (record,) = stage.journal().lessons()
    assert record.standing == "learned"
    assert record.lesson.solution is not None
    # The file was changed once, and the retry of the second lesson is no proposal.
    assert "== 4" in (stage.folder / "test_calc.py").read_text()
    assert len(stage.seen(ProposalMade)) == 2


async def test_a_second_denial_is_a_lesson_of_its_own(stage: Stage) -> None:
    lessons = [{"outcome": "in_context_only"}] * 2
    stage.write_script(completions=[WRITE, WRITE, "Fixed."], lessons=lessons)
    await stage.run(Deny("use edit_lines"), Deny("no, really"))
    first, second = (request["lesson"] for request in stage.requests("learn"))
    assert second["correction"] == "no, really"
    assert second["solution"] is None
    assert first["id"] != second["id"]


async def test_a_call_that_nobody_judged_is_no_solution(stage: Stage) -> None:
    read = call("read", path="calc.py")
    stage.write_script(
        completions=[WRITE, read, EDIT, "Fixed."], lessons=[{"outcome": "in_context_only"}]
    )
    await stage.run(Deny("look first"), Approve())
    assert len(stage.requests("learn")) == 1


async def test_an_edit_runs_as_edited_and_is_learned(stage: Stage) -> None:
    read = call("read", path="calc.py")
    stage.write_script(completions=[call("bash", command="false"), read, "Done."])
    await stage.run(Edit({"command": "echo edited"}))

    (learn,) = stage.requests("learn")
    lesson = learn["lesson"]
    assert lesson["kind"] == "edit"
    assert lesson["solution"] == {"name": "bash", "arguments": {"command": "echo edited"}}
    assert "echo edited" in lesson["correction"]
    _, after, *_ = stage.requests("sample")
    *_, ran, answer = after["messages"]
    assert ran["tool_calls"][0]["arguments"] == {"command": "echo edited"}
    assert answer["content"].startswith("[the user edited this call before it ran]\nedited")
    # The retry of an edit is proof, not the next turn.
    assert not any(event.retry for event in stage.seen(TurnStarted))


async def test_the_edited_call_runs_while_the_worker_learns(stage: Stage) -> None:
    stage.write_script(
        completions=[call("bash", command="false"), "Done."], lessons=[{"hang": "gate"}]
    )
    session = stage.session()
    stage.decisions = [Edit({"command": "echo edited"})]
    assert await session.start()
    request = asyncio.create_task(session.submit("go"))
    await until(lambda: bool(stage.seen(ToolFinished)))
    assert not stage.seen(LessonFinished)
    await session.interrupt()
    await asyncio.wait_for(request, 10)
    assert stage.seen(LessonFinished)[0].result.outcome == "failed"
    await session.close()


async def test_reading_needs_no_decision_unless_it_is_switched_off(stage: Stage) -> None:
    read = call("read", path="calc.py")
    stage.write_script(completions=[read, "Done."])
    await stage.run()
    (made,) = stage.seen(ProposalMade)
    assert made.rule is not None
    assert not stage.proposals

    stage.events.clear()
    stage.script.with_suffix(".state").unlink()
    session = stage.session("auto_approve_readonly=false")
    stage.decisions = [Approve()]
    assert await session.start()
    await session.submit("again")
    await session.close()
    assert len(stage.proposals) == 1


async def test_a_model_that_repeats_itself_asks(stage: Stage) -> None:
    stage.write_script(completions=[call("read", path="calc.py")])
    session = stage.session()
    assert await session.start()
    request = asyncio.create_task(session.submit("go"))
    await asyncio.wait_for(stage.waiting.wait(), 20)
    assert len(stage.seen(ToolFinished)) == 3
    await session.close()
    await request


async def test_always_covers_exactly_that_call(stage: Stage) -> None:
    same, other = call("bash", command="echo 1"), call("bash", command="echo 1 ")
    stage.write_script(completions=[same, same, other, "Done."])
    await stage.run(Approve(always=True), Approve())
    rules = [event.rule for event in stage.seen(ProposalMade)]
    assert rules == [None, 'allowed for this session: bash(command="echo 1")', None]


async def test_a_denied_call_is_never_approved_by_a_rule(stage: Stage) -> None:
    read = call("read", path="calc.py")
    stage.write_script(completions=[call("bash", command="x"), "Done."], lessons=[{"retry": read}])
    session = stage.session()
    assert await session.start()
    approval_asks: list[Decision] = [Deny("read it"), Approve()]
    stage.decisions = approval_asks
    await session.submit("go")
    assert [event.rule is not None for event in stage.seen(ProposalMade)] == [False, True]
    await session.close()


@pytest.mark.parametrize("bad", [Deny(""), Deny(" \n\t"), Edit({"command": "echo"}), Edit({})])
async def test_a_decision_that_says_nothing_leaves_the_proposal(
    stage: Stage, bad: Decision
) -> None:
    stage.write_script(completions=[call("bash", command="echo"), "Done."])
    await stage.run(bad, Approve())
    assert len(stage.proposals) == 2
    assert stage.proposals[0] is stage.proposals[1]
    assert not stage.requests("learn")
    (notice,) = [event for event in stage.seen(Notice) if event.severity == "warning"]
    assert notice.text


async def test_the_model_is_told_what_was_wrong_three_times(stage: Stage) -> None:
    stage.write_script(completions=["<tool_call>\n{", call("fly", up=True), call("read")])
    await stage.run()
    assert len(stage.seen(CallRejected)) == 3
    _, second, third = stage.requests("sample")
    assert second["messages"][-1]["content"].startswith("error: ")
    assert "fly" in third["messages"][-1]["content"]
    last = stage.events[-1]
    assert isinstance(last, TurnFinished)
    assert last.reason


async def test_notes_strengthen_one_lesson(stage: Stage) -> None:
    stage.write_script(completions=[WRITE], lessons=[{"retry": WRITE}, {}])
    session = stage.session()
    assert await session.start()
    session.add_note("tests are small")
    assert session.notes == ("tests are small",)
    stage.decisions = [Deny("no"), Deny("no")]
    await session.submit("go")
    first, second = stage.requests("learn")
    assert first["lesson"]["notes"] == ["tests are small"]
    assert second["lesson"]["notes"] == []
    assert first["lesson"]["id"] != second["lesson"]["id"]
    await session.close()


async def test_a_fault_in_a_tool_costs_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async def broken(*arguments: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("continualcode_tui.app.tools.registry.run", broken)
    stage.write_script(completions=[WRITE, "Done."])
    await stage.run(Approve())
    assert "RuntimeError" in stage.requests("sample")[-1]["messages"][-1]["content"]
    log = stage.data / "logs" / "app.log"
    assert "Traceback" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600
    assert capfd.readouterr().err == ""
    assert stage.events[-1] == TurnFinished()


async def test_what_no_wire_can_carry_is_replaced(stage: Stage) -> None:
    stage.write_script(completions=[WRITE, "Done."])
    session = stage.session()
    assert await session.start()
    session.add_note("note \udcff")
    stage.decisions = [Deny("correction \ud800")]
    await session.submit("request \udcfe")
    (learn,) = stage.requests("learn")
    assert learn["lesson"]["correction"] == "correction ?"
    assert learn["lesson"]["notes"] == ["note ?"]
    assert learn["lesson"]["messages"][-1]["content"] == "request ?"
    assert stage.events[-1] == TurnFinished()
    await session.close()


async def test_a_long_conversation_is_trimmed(stage: Stage) -> None:
    stage.write_script(
        completions=["One.", "Two."], sample=[{}, {"failure": "context_too_long"}, {}]
    )
    session = stage.session()
    assert await session.start()
    await session.submit("first request")
    await session.submit("second request")
    *_, last = stage.requests("sample")
    assert "first request" not in str(last["messages"])
    assert stage.events[-1] == TurnFinished()
    await session.close()


async def test_an_engine_that_refuses_ends_the_request_in_words(stage: Stage) -> None:
    stage.write_script(sample=[{"failure": "out_of_memory", "message": "Too little memory."}])
    await stage.run()
    assert stage.events[-1] == TurnFinished("Too little memory.", failed=True)


@pytest.mark.parametrize("where", ["sample", "proposal", "tool", "lesson"])
async def test_everything_can_be_interrupted(stage: Stage, where: str) -> None:
    sleep = call("bash", command="sleep 60")
    stage.write_script(
        completions=["Done."] if where == "sample" else [sleep, "Done."],
        sample=[{"hang": True}] if where == "sample" else [],
        lessons=[{"hang": "step"}],
    )
    stage.decisions = {"tool": [Approve()], "lesson": [Deny("no")]}.get(where, [])
    session = stage.session()
    assert await session.start()
    request = asyncio.create_task(session.submit("go"))
    reached = {
        "sample": lambda: bool(stage.requests("sample")),
        "proposal": stage.waiting.is_set,
        "tool": lambda: bool(stage.proposals) and not stage.decisions,
        "lesson": lambda: any(event.stage == "step" for event in stage.seen(LessonStage)),
    }[where]
    await until(lambda: bool(stage.seen(TurnStarted)))
    await until(reached)
    await asyncio.sleep(0.1)
    await session.interrupt()
    await asyncio.wait_for(request, 10)
    assert stage.events[-1] == TurnFinished("You stopped it.")
    if where == "lesson":
        assert stage.journal().lessons()[0].standing == "failed"

    await asyncio.wait_for(session.submit("and now"), 10)
    assert stage.events[-1] in (TurnFinished(), TurnFinished("You stopped it."))
    *_, last = stage.requests("sample")
    shown = str(last["messages"])
    assert "go" in shown
    assert ("denied by the user: no" in shown) == (where == "lesson")
    assert ("the user stopped the call" in shown) == (where == "tool")
    await session.close()


async def test_a_file_that_changed_since_the_call_was_shown_is_shown_again(stage: Stage) -> None:
    stage.write_script(completions=[WRITE, "Done."])
    file = stage.folder / "test_calc.py"

    async def decide(proposal: Proposal) -> Decision:
        stage.proposals.append(proposal)
        if len(stage.proposals) == 1:
            file.write_text("the user's own work\n")
        elif len(stage.proposals) == 2:
            assert file.read_text() == "the user's own work\n"
        return Approve()

    stage.decide = decide
    await stage.run()
    first, second = stage.proposals
    assert first.call == second.call
    assert second.preview.before == "the user's own work\n"
    assert [made.proposal for made in stage.seen(ProposalMade)] == [first, second]
    assert any("shown again" in notice.text for notice in stage.seen(Notice))
    (ran,) = stage.seen(ToolFinished)
    assert ran.result.ok
    assert ran.proposal == second
