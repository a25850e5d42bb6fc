from __future__ import annotations

from continualcode_tui.app.agent.proposal import Approve, Deny, Edit
from continualcode_tui.app.events import (
    LessonFinished,
    LessonStage,
    LessonStep,
    ProposalMade,
    TurnFinished,
)

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
    assert '"write"' not in str(last["messages"])
    assert stage.seen(LessonFinished)[0].result.outcome == "learned"
    assert len(stage.seen(LessonStage)) == 7
    assert len(stage.seen(LessonStep)) == len(session.metrics.steps) == 1
    assert stage.events[-1] == TurnFinished()
    (record,) = stage.journal().lessons()
    assert record.standing == "learned"
