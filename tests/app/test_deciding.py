"""How a call is read, allowed and edited on the program's screen."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from continualcode_tui.app.agent.proposal import Approve, Edit, Proposal
from continualcode_tui.app.external_editor import EditorFailed, command_for, edit
from continualcode_tui.app.screens.call import CallScreen
from continualcode_tui.app.screens.chat import ChatScreen
from continualcode_tui.app.screens.desk import DecisionDesk
from continualcode_tui.app.screens.transcript import outcome_of
from continualcode_tui.app.tools.base import Preview
from continualcode_tui.training.protocol import Completion, ToolCall
from continualcode_tui.widgets.arguments_editor import ArgumentsEditor
from continualcode_tui.widgets.composer import CodeArea, suffix_of
from continualcode_tui.widgets.conversation import Conversation
from continualcode_tui.widgets.correction_box import CorrectionBox
from continualcode_tui.widgets.prompt import Prompt
from continualcode_tui.widgets.proposal_panel import ProposalPanel
from textual.widgets import Input

from ..controllers.support import Stage, call
from .test_screen import WRITE, Driver, changed, running

LONG = call("write", path="long.txt", content="".join(f"line {i}\n" for i in range(80)))
RUN = call("bash", command="echo one\necho two")


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def panel_of(at: Driver) -> ProposalPanel:
    panel = at.chat.query_one(DecisionDesk).panel
    assert panel is not None
    return panel


async def test_the_first_escape_goes_back_to_the_call_and_the_next_one_stops(stage: Stage) -> None:
    stage.write_script(completions=[WRITE])
    async with running(stage) as at:
        await at.ask("fix the test")
        await at.proposal()
        await at.pilot.press("tab")
        assert at.chat.query_one(Prompt).has_focus_within
        await at.type("hm")
        await at.pilot.press("escape")
        assert panel_of(at).has_focus
        assert at.chat.phase == "waiting"
        assert at.chat.query_one(Prompt).text == "hm"
        await at.proposal()
        await at.pilot.press("escape")
        await at.until(lambda: at.chat.phase == "ready", "ready")
        assert not changed(stage)


async def test_escape_from_elsewhere_goes_back_to_the_open_box(stage: Stage) -> None:
    stage.write_script(completions=[WRITE])
    async with running(stage) as at:
        await at.ask("fix the test")
        await at.proposal()
        await at.pilot.press("n")
        await at.box(CorrectionBox)
        await at.type("use")
        at.chat.query_one(Conversation).focus()
        await at.pilot.press("escape")
        await at.box(CorrectionBox)
        assert at.chat.query_one(CorrectionBox).text == "use"
        assert at.chat.phase == "waiting"


@pytest.mark.slow
async def test_the_full_screen_only_shows_and_counts_as_read(stage: Stage) -> None:
    stage.write_script(completions=[LONG, "Done."])
    async with running(stage, size=(80, 24)) as at:
        await at.ask("write it")
        await at.proposal()
        assert not panel_of(at).seen
        await at.pilot.press("f")
        await at.until(lambda: isinstance(at.app.screen, CallScreen), "the call")
        await at.until(lambda: "more lines below" in at.text(), "the rest")
        await at.pilot.press("y", "n", "e", "a", "end")
        await at.until(lambda: "line 79" in at.text(), "the end")
        assert at.chat.phase == "waiting"
        await at.pilot.press("escape")
        await at.until(lambda: isinstance(at.app.screen, ChatScreen), "back")
        assert panel_of(at).seen
        await at.proposal()
        await at.pilot.pause(0.1)
        await at.pilot.press("y")
        await at.until((stage.folder / "long.txt").exists, "the file")


async def test_leaving_the_full_screen_early_does_not_count_as_read(stage: Stage) -> None:
    stage.write_script(completions=[LONG])
    async with running(stage, size=(80, 24)) as at:
        await at.ask("write it")
        await at.proposal()
        await at.pilot.press("f")
        await at.until(lambda: isinstance(at.app.screen, CallScreen), "the call")
        await at.until(lambda: "more lines below" in at.text(), "the rest")
        await at.pilot.press("escape")
        await at.until(lambda: isinstance(at.app.screen, ChatScreen), "back")
        assert not panel_of(at).seen


async def test_a_rule_for_good_is_named_listed_and_forgotten(stage: Stage) -> None:
    stage.write_script(completions=[RUN, RUN, "Done."])
    async with running(stage, size=(100, 40)) as at:
        await at.ask("say it")
        await at.proposal()
        await at.pilot.press("a")
        await at.until(lambda: panel_of(at).stage == "always", "the pattern")
        await at.until(lambda: "│ echo two" in at.text(), "its lines")
        await at.proposal()
        await at.pilot.pause(0.1)
        await at.pilot.press("g")
        await at.until(lambda: at.chat.phase == "ready", "the end")
        assert "always, for good: bash(" in at.text()
        assert "approved by rule: allowed for good: bash(" in at.text()
        await at.ask("/rules")
        await at.until(lambda: "1. for good: bash(" in at.text(), "the rules")
        await at.ask("/rules forget 1")
        await at.until(lambda: "Asks again from now on" in at.text(), "no rule")
        await at.ask("/rules forget it")
        await at.until(lambda: "/rules takes [forget N]" in at.text(), "how it goes")
        assert at.chat.session.approval is not None
        assert "No call runs" in at.chat.session.approval.describe()


async def test_the_live_diff_shows_the_change_that_is_made(stage: Stage) -> None:
    (stage.folder / "long.txt").write_text("".join(f"line {i}\n" for i in range(80)))
    edited = call("edit_lines", path="long.txt", start_line=70, end_line=70, content="new\n")
    stage.write_script(completions=[edited])
    async with running(stage, size=(80, 24)) as at:
        await at.ask("edit it")
        await at.proposal()
        await at.pilot.press("e")
        await at.box(ArgumentsEditor)
        await at.type("er ")
        await at.until(lambda: "+ er new" in at.text(), "the live diff")
        await at.pilot.press("ctrl+r")
        await at.until(lambda: "+ new" in at.text(), "the agent's call again")
        assert at.chat.query_one(CodeArea).value == "new\n"


async def test_a_preview_of_earlier_arguments_says_so(stage: Stage) -> None:
    edited = call("edit_lines", path="calc.py", start_line=1, end_line=1, content="new\n")
    stage.write_script(completions=[edited])
    async with running(stage, size=(80, 24)) as at:
        await at.ask("edit it")
        await at.proposal()
        await at.pilot.press("e")
        await at.box(ArgumentsEditor)
        assert at.chat.query_one(CodeArea).code_language == "python"
        await at.pilot.press("shift+tab", "end", "x")
        await at.until(lambda: "before your last change" in at.text(), "a stale preview")
        await at.pilot.press("backspace")
        await at.until(lambda: "before your last change" not in at.text(), "the preview")
        at.chat.query("ArgumentField Input").first(Input).value = "calc.json"
        await at.until(lambda: at.chat.query_one(CodeArea).code_language == "json", "the language")


async def test_no_editor_where_there_is_no_terminal(stage: Stage) -> None:
    async with running(stage) as at:
        at.chat.query_one(Prompt).text = "keep me"
        await at.pilot.press("ctrl+g")
        await at.until(lambda: list(at.app._notifications), "a sentence")
        (told,) = at.app._notifications
        assert "There is no terminal here" in told.message or "No editor was found" in told.message
        assert at.chat.query_one(Prompt).text == "keep me"


# --- what stays in the transcript ---------------------------------------------------------


def proposal(**arguments: Any) -> Proposal:
    return Proposal(
        number=1,
        call=ToolCall(name="write", arguments=arguments),
        preview=Preview(kind="text", title="write"),
        completion=Completion.model_construct(),
        messages=(),
    )


def test_the_outcome_shows_the_change_and_names_the_rule() -> None:
    before = proposal(path="a", content="a\nb\n")
    outcome = outcome_of(before, Edit({"path": "a", "content": "a\nc\n"}), None)
    assert outcome == ("edited", "content\n a\n-b\n+c\n ")
    assert outcome_of(before, Approve(), None) == ("approved", "")
    assert outcome_of(before, Approve(), "because") == ("rule", "because")
    kept = outcome_of(proposal(path="a"), Approve(always=True, for_good=True), None)
    assert kept == ("approved", 'always, for good: write(path="a")')


# --- the user's editor --------------------------------------------------------------------


class Terminal:
    """As much of an app as an editor needs; counts how often it gave the terminal away."""

    def __init__(self) -> None:
        self.given = 0

    @contextmanager
    def batch_update(self) -> Iterator[None]:
        yield

    @contextmanager
    def suspend(self) -> Iterator[None]:
        self.given += 1
        yield


def editor(tmp_path: Path, code: str) -> dict[str, str]:
    """An editor that is a Python program with the file's path in ``sys.argv[1]``."""
    script = tmp_path / "my editor.py"
    script.write_text("import pathlib, sys\nfile = pathlib.Path(sys.argv[1])\n" + code)
    return {"VISUAL": f"{sys.executable} -S '{script}'", "EDITOR": "never"}


async def test_the_editor_gets_the_text_and_its_kind_and_gives_it_back(tmp_path: Path) -> None:
    check = (
        "assert file.suffix == '.py' and file.stat().st_mode & 0o077 == 0\n"
        "assert file.parent.stat().st_mode & 0o077 == 0\n"
        "file.write_bytes(file.read_bytes().replace(b'a', b'b') + b'\\n')"
    )
    app: Any = Terminal()
    environ = editor(tmp_path, check)
    assert await edit(app, "a\x1b\udcff\r\n", ".py", environ) == "b\x1b\udcff\r\n\n"
    assert await edit(app, "a", ".py", environ) == "b"
    assert app.given == 2


@pytest.mark.parametrize(
    ("code", "why"),
    [("file.write_text('lost'); sys.exit(3)", "status 3"), ("file.unlink()", "could not be used")],
)
async def test_an_editor_that_fails_changes_nothing(tmp_path: Path, code: str, why: str) -> None:
    app: Any = Terminal()
    with pytest.raises(EditorFailed, match=why):
        await edit(app, "kept", ".txt", editor(tmp_path, code))


async def test_the_program_goes_on_while_the_editor_is_open(tmp_path: Path) -> None:
    app: Any = Terminal()
    go = tmp_path / "go"
    code = f"import time\nwhile not pathlib.Path({str(go)!r}).exists(): time.sleep(0.01)"
    opened = asyncio.create_task(edit(app, "x", ".txt", editor(tmp_path, code)))
    await asyncio.sleep(0.1)
    assert app.given == 1
    assert not opened.done()
    go.touch()
    assert await asyncio.wait_for(opened, 10) == "x"


async def test_what_no_file_can_hold_stays_in_its_box(tmp_path: Path) -> None:
    app: Any = Terminal()
    with pytest.raises(EditorFailed, match="no file can hold"):
        await edit(app, "\ud800", ".txt", editor(tmp_path, ""))
    assert app.given == 0


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({"VISUAL": "no-such-editor -w"}, "was not found; set another"),
        ({"EDITOR": "vi 'x"}, "its quotes do not match"),
        ({"EDITOR": "./tests/__init__.py"}, "was not found"),
    ],
)
def test_an_editor_that_cannot_be_started_is_said(environ: dict[str, str], why: str) -> None:
    with pytest.raises(EditorFailed, match=why):
        command_for(environ)


def test_where_no_editor_is_named_a_common_one_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EditorFailed, match=r"set \$VISUAL or \$EDITOR"):
        command_for({"VISUAL": " "})
    (tmp_path / "nano").touch(0o755)
    assert command_for({}) == [str(tmp_path / "nano")]


def test_each_language_has_the_ending_its_editors_know() -> None:
    names = ("python", "bash", "json", "markdown", "text", "no such language", None)
    assert [suffix_of(name) for name in names] == [
        ".py", ".sh", ".json", ".md", ".txt", ".txt", ".txt",
    ]  # fmt: skip
