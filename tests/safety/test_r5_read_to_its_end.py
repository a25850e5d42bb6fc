"""R5: what is long, below the edge or cut off has to be read before it can be approved."""

from __future__ import annotations

import asyncio
import re

import pytest
from continualcode_tui.app.controllers.approval import spelled_out
from continualcode_tui.app.tools import registry
from continualcode_tui.training.protocol import ToolCall
from continualcode_tui.widgets.arguments_editor import ArgumentsEditor
from continualcode_tui.widgets.call_preview import CallPreview
from continualcode_tui.widgets.composer import CodeArea
from continualcode_tui.widgets.proposal_panel import ProposalPanel
from textual.containers import VerticalScroll

from ..widgets.support import Stage, screen_text, settled, until

pytestmark = pytest.mark.slow


def unwrapped(app: Stage) -> str:
    """The screen without what lies between the pieces of a wrapped line."""
    return re.sub(r"[│▕▏▎▁▂▃▄▅▆▇█\s]", "", screen_text(app))


PADDED = {
    "spaces": "true" + " " * 9_000 + "; touch PWNED",
    "lines": "true" + "\n" * 300 + "touch PWNED",
    "letters": "echo " + "x" * 9_000 + "; touch PWNED",
    "blanks": "true " + "\u2800" * 3_000 + "; touch PWNED",
}


@pytest.mark.parametrize("kind", PADDED)
async def test_a_padded_command_cannot_be_approved_before_its_end_is_seen(kind: str) -> None:
    preview = CallPreview("bash", "command", "bash", command=PADDED[kind], folder="/r")
    panel = ProposalPanel(preview, always=PADDED[kind], arm_delay=0, settle=0.01)
    app = Stage(VerticalScroll(panel), focus=ProposalPanel)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(lambda: panel.armed, pilot)
        assert "PWNED" not in screen_text(app)
        for key in "yayy":
            await pilot.press(key)
            await asyncio.sleep(0.05)
            await until(lambda: panel.armed, pilot)
        assert not app.of(ProposalPanel.Approved)
        assert panel.stage == "unseen"
        await pilot.press("end")
        await until(lambda: "PWNED" in unwrapped(app), pilot)
        await until(lambda: panel.seen and panel.armed, pilot)
        await asyncio.sleep(0.05)
        await pilot.press("y")
        await until(lambda: app.of(ProposalPanel.Approved), pilot)


async def test_the_pattern_of_always_is_read_to_its_end_too() -> None:
    always = spelled_out(ToolCall(name="bash", arguments={"command": "x\n" * 90 + "PWNED"}))
    preview = CallPreview("bash", "command", "bash", command="short")
    panel = ProposalPanel(preview, always=always, arm_delay=0, settle=0.01)
    app = Stage(VerticalScroll(panel), focus=ProposalPanel)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(lambda: panel.armed, pilot)
        await pilot.press("a")
        await until(lambda: panel.stage == "always" and panel.armed, pilot)
        for key in "ygyg":
            await asyncio.sleep(0.05)
            await until(lambda: panel.armed, pilot)
            await pilot.press(key)
            await asyncio.sleep(0.05)
        assert not app.of(ProposalPanel.AlwaysRequested)
        await pilot.press("end")
        await until(lambda: "PWNED" in screen_text(app) and panel.armed, pilot)
        await asyncio.sleep(0.05)
        await pilot.press("g")
        await until(lambda: app.of(ProposalPanel.AlwaysRequested), pilot)


@pytest.mark.parametrize("height", [1, 2, 3, 5])
async def test_a_call_below_the_edge_of_the_screen_was_not_seen(height: int) -> None:
    preview = CallPreview("bash", "command", "bash", command="one\ntwo\nPWNED")
    panel = ProposalPanel(preview, arm_delay=0, settle=0.01)
    panel.styles.max_height = 20
    async with Stage(panel).run_test(size=(80, height)) as pilot:
        await settled(pilot)
        seen = "PWNED" in screen_text(pilot.app)
        assert panel.seen == seen
        assert not seen or height == 5


async def test_an_edit_runs_only_once_its_end_was_seen() -> None:
    """To change the first line of a call is not to have read its last one."""
    schema = registry.TOOLS["write"].parameters
    arguments = {"path": "a.sh", "content": "true\n" * 300 + "touch PWNED\n"}
    editor = ArgumentsEditor(dict(schema), arguments, "bash")
    app = Stage(editor)
    async with app.run_test(size=(80, 24)) as pilot:
        area = editor.query_one(CodeArea)
        await until(lambda: area.has_focus, pilot)
        area.insert("#", (0, 0))
        await pilot.press("ctrl+s")
        await until(lambda: "has not been on the screen yet" in screen_text(app), pilot)
        assert not app.of(ArgumentsEditor.Submitted)
        area.focus()
        await pilot.press("ctrl+end")
        await until(lambda: "PWNED" in screen_text(app), pilot)
        await settled(pilot)
        await pilot.press("ctrl+s")
        await until(lambda: app.of(ArgumentsEditor.Submitted), pilot)


async def test_a_path_that_does_not_fit_the_title_stands_above_the_change() -> None:
    path = "docs/" + "x" * 150 + "/../../.git/hooks/pre-commit"
    preview = CallPreview("write", "diff", f"write {path}", path=".git/hooks/pre-commit", after="x")
    app = Stage(ProposalPanel(preview))
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        text = screen_text(app).replace("│", "").replace("\n", "").replace(" ", "")
        assert path in text
        assert "thefileis.git/hooks/pre-commit" in text


async def test_a_working_directory_is_shown_whole() -> None:
    folder = "/" + "d" * 200 + "/end"
    preview = CallPreview("bash", "command", "bash", command="ls", folder=folder)
    app = Stage(ProposalPanel(preview))
    async with app.run_test(size=(60, 24)) as pilot:
        await settled(pilot)
        assert folder in screen_text(app).replace("│", "").replace("\n", "").replace(" ", "")
