"""R7: what was allowed once is that call, to the character, and nothing that begins like it."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import pytest
from continualcode_tui.app.agent.proposal import Approve, Deny
from continualcode_tui.app.controllers.approval import (
    READ_ONLY_RULE,
    ApprovalController,
    pattern,
    spelled_out,
)
from continualcode_tui.app.events import ProposalMade, ToolFinished
from continualcode_tui.app.store.rules import RuleFile
from continualcode_tui.app.workspace.secret_names import looks_secret
from continualcode_tui.app.workspace.workspace import Workspace
from continualcode_tui.training.protocol import ToolCall

from ..controllers.support import Stage, call

ALLOWED = "git status"
BWRAP = "sandbox: bwrap · no network"
VARIANTS = {
    "and": "git status && touch PWNED",
    "or": "git status || touch PWNED",
    "semicolon": "git status; touch PWNED",
    "pipe": "git status | sh",
    "background": "git status & touch PWNED",
    "out": "git status > .git/hooks/pre-commit",
    "append": "git status >> ~/.bashrc",
    "in": "git status < /etc/shadow",
    "backquotes": "git status `touch PWNED`",
    "substitution": "git status $(touch PWNED)",
    "process substitution": "git status <(touch PWNED)",
    "newline": "git status\ntouch PWNED",
    "carriage return": "git status\rtouch PWNED",
    "comment": "git status #",
    "environment": "GIT_PAGER='touch PWNED' git status",
    "export": "export GIT_PAGER=x; git status",
    "folder": "cd /tmp && git status",
    "option": "git -c core.fsmonitor='touch PWNED' status",
    "more arguments": "git status --porcelain",
    "fewer": "git statu",
    "prefix": "git",
    "space at the end": "git status ",
    "space before": " git status",
    "two spaces": "git  status",
    "tab": "git\tstatus",
    "line end": "git status\n",
    "no-break space": "git\u00a0status",
    "zero width": "git sta\u200btus",
    "case": "Git status",
    "quotes": "git 'status'",
    "backslash": "git st\\atus",
    "look-alike": "git st\u0430tus",
    "full width": "git ｓtatus",
    "path": "/usr/bin/git status",
    "here document": "git status <<E\nE",
    "brace": "{ git status; touch PWNED; }",
    "subshell": "(git status; touch PWNED)",
    "eval": "eval git status",
    "NUL": "git status\x00",
    "bidi": "git status\u202e",
}  # fmt: skip


def bash(command: str, **more: Any) -> ToolCall:
    return ToolCall(name="bash", arguments={"command": command, **more})


def controller(folder: Path, **more: Any) -> ApprovalController:
    more = {"read_only_tools": (), "auto_approve_readonly": True, **more}
    return ApprovalController(rules=RuleFile(folder / "rules.json"), **more)


class ByPrefix(ApprovalController):
    """A memory of the kind that the known bypasses are of."""

    def rule_for(self, call: ToolCall, terms: str | None = None) -> str | None:
        kept = [rule.call.arguments["command"] for rule in self._allowed.values()]
        command = " ".join(str(call.arguments.get("command", "")).split())
        return "by prefix" if any(command.startswith(each) for each in kept) else None


@pytest.mark.parametrize("for_good", [False, True])
def test_every_variant_of_an_allowed_command_asks(for_good: bool, tmp_path: Path) -> None:
    """40 of 40: 25 and more ways to make something else of an allowed command."""
    rules = controller(tmp_path)
    rules.allow(bash(ALLOWED), for_good=for_good)
    assert rules.rule_for(bash(ALLOWED)) is not None
    asked = [name for name, command in VARIANTS.items() if rules.rule_for(bash(command)) is None]
    assert asked == list(VARIANTS)
    assert len(asked) == 40
    assert len({command.encode("utf-8") for command in VARIANTS.values()}) == 40
    # The same text in another normal form is another text.
    rules.allow(bash("echo \u00e9"))
    assert rules.rule_for(bash(unicodedata.normalize("NFD", "echo \u00e9"))) is None


def test_a_memory_by_prefix_lets_many_of_them_through(tmp_path: Path) -> None:
    """The attack fires."""
    rules = ByPrefix(read_only_tools=(), auto_approve_readonly=False)
    rules.allow(bash(ALLOWED))
    let_through = [name for name, each in VARIANTS.items() if rules.rule_for(bash(each))]
    assert len(let_through) >= 20, let_through


OTHER_CALLS = [
    bash(ALLOWED, network=True),
    bash(ALLOWED, timeout=9),
    bash(ALLOWED, cwd="/tmp"),
    ToolCall(name="Bash", arguments={"command": ALLOWED}),
    ToolCall(name="read", arguments={"command": ALLOWED}),
    ToolCall(name="bash", arguments={"command": [ALLOWED]}),
    ToolCall(name="bash", arguments={"Command": ALLOWED}),
    ToolCall(name="bash", arguments={}),
]


@pytest.mark.parametrize("other", OTHER_CALLS, ids=pattern)
def test_a_call_with_other_arguments_asks(other: ToolCall, tmp_path: Path) -> None:
    rules = controller(tmp_path)
    rules.allow(bash(ALLOWED))
    rules.allow(bash(ALLOWED), for_good=True)
    assert rules.rule_for(other) is None


@pytest.mark.parametrize(
    ("one", "other"), [(1, True), (1, 1.5), (1, "1"), (0, False), (None, "null"), (0, -0.5)]
)
def test_values_that_python_calls_equal_are_told_apart(
    one: object, other: object, tmp_path: Path
) -> None:
    rules = controller(tmp_path)
    rules.allow(ToolCall(name="read", arguments={"path": "a", "offset": one}))
    assert rules.rule_for(ToolCall(name="read", arguments={"path": "a", "offset": other})) is None


@pytest.mark.parametrize("for_good", [False, True])
def test_a_rule_holds_behind_the_boundary_it_was_made_for(for_good: bool, tmp_path: Path) -> None:
    """What may run in a sandbox may not run without one."""
    rules = controller(tmp_path)
    rules.allow(bash("make"), for_good=for_good, terms=BWRAP)
    assert rules.rule_for(bash("make"), BWRAP)
    for terms in (None, "sandbox: none · it can do whatever you can, with network", BWRAP[:-2]):
        assert rules.rule_for(bash("make"), terms) is None
    if for_good:
        later = controller(tmp_path)
        assert later.rule_for(bash("make"), BWRAP)
        assert later.rule_for(bash("make")) is None
        later.allow(bash("make"), for_good=True)
        assert later.rule_for(bash("make"))
        assert later.rule_for(bash("make"), BWRAP) is None
    assert BWRAP in spelled_out(bash("make"), BWRAP)


def test_the_pattern_that_is_shown_is_what_is_remembered() -> None:
    """Two calls that are remembered apart are shown apart, and the other way round."""
    calls = [bash(each) for each in [ALLOWED, *VARIANTS.values()]] + OTHER_CALLS[:3]
    assert len({spelled_out(each) for each in calls}) == len(calls)
    assert len({pattern(each) for each in calls}) == len(calls)


# --- in a session ---------------------------------------------------------------------------


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


async def test_25_variants_ask_again_in_a_session(stage: Stage) -> None:
    """25 of 25 through the whole of the agent's loop, and each denial sticks."""
    commands = [each for each in VARIANTS.values() if "\x00" not in each][:25]
    first = call("bash", command=ALLOWED)
    stage.write_script(
        completions=[first, first, *(call("bash", command=each) for each in commands), "Done."],
        lessons=[{"outcome": "gated"}] * 25,
    )
    await stage.run(Approve(always=True), *[Deny("no")] * 25)
    rules = [event.rule for event in stage.seen(ProposalMade)]
    assert rules[0] is None
    assert rules[1] == f'allowed for this session: bash(command="{ALLOWED}")'
    assert rules[2:] == [None] * 25
    assert len(stage.proposals) == 26
    assert len(stage.seen(ToolFinished)) == 2
    assert not list(stage.folder.rglob("PWNED"))


async def test_a_denied_call_asks_again_whatever_allowed_it(stage: Stage) -> None:
    same = call("read", path="calc.py")
    stage.write_script(
        completions=[same] * 4 + [same, "Done."],  # the fourth in a row asks
        lessons=[{"outcome": "gated"}] * 3,
    )
    await stage.run(Deny("no"), Deny("no"))
    rules = [event.rule for event in stage.seen(ProposalMade)]
    assert rules == [READ_ONLY_RULE] * 3 + [None, None]


# --- reading without a question -------------------------------------------------------------

SECRET = [
    ".env", ".env.local", "app/.env.production", "prod.env", "id_rsa", "keys/id_ed25519",
    "server.pem", "tls/private.key", ".netrc", ".npmrc", ".pypirc", ".pgpass", "credentials.json",
    "config/secrets.yml", "aws/credentials", ".aws/config", ".ssh/config", ".git/config",
    "terraform.tfstate", "prod.tfvars", "vault.kdbx", ".git-credentials", "service-account.json",
    "tokens.txt", "db_password.txt", "SECRETS.YAML", ".kube/config", "master.key",
]  # fmt: skip
PLAIN = [
    "calc.py", "README.md", ".env.example", "id_rsa.pub", "secrets.py", "tokenizer.json",
    "environment.yml", "keyboard.py", "docs/tokens.md", "src/credentials.ts", ".github/x.yml",
    "monkey.txt", "password_reset.py",
]  # fmt: skip


def test_files_that_are_secret_by_name_are_known() -> None:
    assert [path for path in SECRET if not looks_secret(path)] == []
    assert [path for path in PLAIN if looks_secret(path)] == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    (root / "src").mkdir(parents=True)
    (root / "src" / "a.py").write_text("a = 1\n")
    (root / ".env").write_text("KEY=hunter2\n")
    (root / "notes.txt").symlink_to(".env")
    (root / "out").symlink_to("/etc")
    return root


def reading(folder: Path, *, auto: bool = True) -> ApprovalController:
    return ApprovalController(
        read_only_tools={"read", "grep", "glob"},
        auto_approve_readonly=auto,
        workspace=Workspace(folder),
    )


def read(path: str, **more: Any) -> ToolCall:
    return ToolCall(name="read", arguments={"path": path, **more})


@pytest.mark.parametrize(
    "path",
    [".env", "./.env", "src/../.env", "notes.txt", "/etc/passwd", "../x", "out/passwd", "out",
     "src/../../x", "~/.ssh/id_rsa/../../../etc/passwd/..", "/proc/self/environ", "a\x00b"],
)  # fmt: skip
def test_reading_outside_or_of_secrets_asks(path: str, folder: Path) -> None:
    assert reading(folder).rule_for(read("src/a.py")) == READ_ONLY_RULE
    asked = reading(folder).rule_for(read(path))
    assert asked is None or path.startswith("~")  # a folder called ~ is inside
    assert reading(folder).rule_for(ToolCall(name="write", arguments={"path": "a"})) is None
    assert reading(folder, auto=False).rule_for(read("src/a.py")) is None


def test_what_was_denied_is_not_read_under_another_name(folder: Path) -> None:
    rules = reading(folder)
    (folder / "b.py").symlink_to("src/a.py")
    ways = [
        read("src/a.py"), read("./src/a.py"), read("src/../src/a.py"), read("src/a.py", offset=2),
        read("b.py"), read(str(folder / "src" / "a.py")),
        ToolCall(name="grep", arguments={"pattern": "."}),
        ToolCall(name="grep", arguments={"pattern": "a", "path": "src"}),
        ToolCall(name="glob", arguments={"pattern": "**/*"}),
    ]  # fmt: skip
    assert all(rules.rule_for(each) == READ_ONLY_RULE for each in ways)
    rules.deny(read("src/a.py"))
    assert [rules.rule_for(each) for each in ways] == [None] * len(ways)
    rules.allow(read("src/a.py"))
    assert rules.rule_for(read("src/a.py", offset=2)) == READ_ONLY_RULE


async def test_a_search_leaves_secrets_out_unless_they_are_named(stage: Stage) -> None:
    (stage.folder / "settings.txt").write_text("KEY=open\n")
    (stage.folder / ".env").write_text("KEY=hunter2\n")
    stage.write_script(
        completions=[
            call("grep", pattern="KEY"), call("grep", pattern="KEY", path=".env"), "Done.",
        ],
    )  # fmt: skip
    await stage.run(Approve())
    first, second = stage.seen(ToolFinished)
    assert "settings.txt" in first.result.output
    assert "hunter2" not in first.result.output
    assert "secret by name" in first.result.output
    assert "hunter2" in second.result.output
    assert [event.rule for event in stage.seen(ProposalMade)] == [READ_ONLY_RULE, None]
