"""Which calls run without asking."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from continualcode_tui.app.agent.proposal import Approve, Deny
from continualcode_tui.app.controllers.approval import ApprovalController, spelled_out
from continualcode_tui.app.events import Notice, ProposalMade
from continualcode_tui.app.store.rules import RuleFile
from continualcode_tui.training.protocol import ToolCall

from .support import Stage, call

LS = ToolCall(name="bash", arguments={"command": "ls"})
PWD = ToolCall(name="bash", arguments={"command": "pwd"})


def approval(path: Path) -> ApprovalController:
    return ApprovalController(
        read_only_tools=(), auto_approve_readonly=True, rules=RuleFile(path / "rules.json")
    )


def test_a_rule_for_good_outlives_the_session(tmp_path: Path) -> None:
    assert approval(tmp_path).allow(LS, for_good=True) is None
    approval(tmp_path).allow(PWD)
    later = approval(tmp_path)
    assert later.rule_for(LS) == 'allowed for good: bash(command="ls")'
    assert later.rule_for(PWD) is None


def test_a_denial_takes_the_rule_away_everywhere(tmp_path: Path) -> None:
    one, other = approval(tmp_path), approval(tmp_path)
    one.allow(LS, for_good=True)
    one.allow(LS)
    assert other.rule_for(LS)
    assert other.deny(LS) is None
    assert other.rule_for(LS) is None
    assert approval(tmp_path).rule_for(LS) is None
    approval(tmp_path).allow(LS, for_good=True)
    assert other.rule_for(LS) is None, "what was denied here is not allowed from elsewhere"


def test_rules_are_listed_with_numbers_and_forgotten_by_them(tmp_path: Path) -> None:
    rules = approval(tmp_path)
    assert "No call runs by a rule" in rules.describe()
    rules.allow(PWD)
    rules.allow(LS, for_good=True)
    assert rules.describe().split("\n")[1:] == [
        '1. for good: bash(command="ls")',
        '2. this session: bash(command="pwd")',
    ]
    assert rules.forget(3) == rules.forget(0).replace("rule 0", "rule 3")
    assert 'bash(command="pwd")' in rules.forget(2)
    assert rules.rule_for(PWD) is None
    rules.forget(1)
    assert approval(tmp_path).rule_for(LS) is None


def test_a_file_that_cannot_be_used_leaves_a_rule_for_the_session(tmp_path: Path) -> None:
    (tmp_path / "rules.json").write_text("?")
    rules = approval(tmp_path)
    told = rules.allow(LS, for_good=True)
    assert told is not None
    assert told.startswith("The rule holds for this session only. The rules in")
    assert rules.rule_for(LS) == 'allowed for this session: bash(command="ls")'
    assert "cannot be read" in rules.describe()
    assert "cannot be read" in str(rules.deny(LS))
    assert rules.rule_for(LS) is None


def test_a_call_is_spelled_out_with_nothing_left_open() -> None:
    arguments: dict[str, Any] = {"content": "a \n\n  b\n", "path": "x y", "n": 3}
    assert spelled_out(ToolCall(name="write", arguments=arguments)).split("\n") == [
        "write",
        "  content = 3 lines:",
        "  │ a ",
        "  │ ",
        "  │   b",
        "  n = 3",
        '  path = "x y"',
    ]
    last = spelled_out(ToolCall(name="bash", arguments={"command": "a\nb"}))
    assert "command = 2 lines, no newline at the end:" in last
    assert '"a\\n"' in spelled_out(ToolCall(name="bash", arguments={"command": "a\n"}))


async def test_the_next_session_runs_the_call_without_asking(stage: Stage) -> None:
    same = call("bash", command="echo 1")
    stage.write_script(completions=[same, "Done."])
    await stage.run(Approve(always=True, for_good=True))
    stage.script.with_suffix(".state").unlink()
    await stage.run()
    assert [event.rule for event in stage.seen(ProposalMade)] == [
        None,
        'allowed for good: bash(command="echo 1")',
    ]


async def test_a_rule_that_could_not_be_kept_is_said(stage: Stage) -> None:
    stage.write_script(completions=[call("bash", command="echo 1"), "Done."])
    stage.data.mkdir()
    (stage.data / "rules").write_text("in the way")
    await stage.run(Approve(always=True, for_good=True))
    assert any("for this session only" in event.text for event in stage.seen(Notice))


async def test_a_denial_in_a_session_removes_the_rule_from_the_disk(stage: Stage) -> None:
    same = call("bash", command="echo 1")
    stage.write_script(completions=[same, "Done."])
    await stage.run(Approve(always=True, for_good=True))
    (file,) = stage.data.glob("rules/*/*.json")
    assert RuleFile(file).read()
    stage.script.with_suffix(".state").unlink()
    # The fourth in a row asks in spite of the rule.
    stage.write_script(completions=[same] * 4 + ["Done."], lessons=[{"outcome": "gated"}])
    await stage.run(Deny("enough"))
    assert RuleFile(file).read() == []
