"""The box for the correction."""

from __future__ import annotations

from continualcode_tui.widgets.call_preview import CallPreview
from continualcode_tui.widgets.composer import Composer
from continualcode_tui.widgets.correction_box import EMPTY, Chips, CorrectionBox
from continualcode_tui.widgets.proposal_panel import ProposalPanel
from textual.containers import Vertical
from textual.widgets import Static

from .support import HOSTILE, Stage, screen_text, settled, until


def submitted(app: Stage) -> list[str]:
    return [message.text for message in app.of(CorrectionBox.Submitted)]


async def test_enter_sends_and_ctrl_j_begins_a_line():
    box = CorrectionBox()
    async with (app := Stage(box)).run_test() as pilot:
        await pilot.press(*"use it", "ctrl+j", *"now", "shift+enter", "!", "enter")
        await until(lambda: submitted(app), pilot)
        assert submitted(app) == ["use it\nnow\n!"]


async def test_an_empty_correction_is_refused_in_place():
    box = CorrectionBox()
    async with (app := Stage(box)).run_test() as pilot:
        assert EMPTY not in screen_text(app)
        await pilot.press("space", "enter")
        await settled(pilot)
        assert EMPTY in screen_text(app)
        await pilot.press("x")
        await settled(pilot)
        assert EMPTY not in screen_text(app)
        assert submitted(app) == []


async def test_phrases_are_inserted_and_never_sent():
    box = CorrectionBox(chips=["Wrong file."], suggestion="lines 40 to 44 do not exist")
    async with (app := Stage(box)).run_test() as pilot:
        await pilot.press(*"No.", "tab", "enter")
        await until(lambda: box.text == "No. Wrong file.", pilot)
        await pilot.press("tab", "right", "enter")
        await until(lambda: box.text.endswith(" lines 40 to 44 do not exist"), pilot)
        assert isinstance(app.focused, Composer)
        assert submitted(app) == []
        await pilot.press("enter")
        await until(lambda: submitted(app), pilot)


async def test_a_click_on_a_phrase_inserts_it():
    box = CorrectionBox(chips=["Wrong file.", "Read it first."])
    async with Stage(box).run_test() as pilot:
        await pilot.click(Chips, offset=(20, 0))
        await until(lambda: box.text == "Read it first.", pilot)


async def test_escape_goes_back():
    async with (app := Stage(CorrectionBox())).run_test() as pilot:
        await pilot.press("x", "escape")
        await until(lambda: app.of(CorrectionBox.Cancelled), pilot)
        assert submitted(app) == []


async def test_no_key_goes_from_the_open_box_to_the_call():
    panel = ProposalPanel(CallPreview("bash", "command", "bash", command="ls"), arm_delay=0.01)
    box = CorrectionBox()
    app = Stage(Vertical(panel, box))
    async with app.run_test() as pilot:
        await pilot.press("y", "tab", "y", "n", "e", "a")
        await pilot.pause(0.1)
        assert box.text == "yynea"
        assert not app.of(ProposalPanel.Approved)
        assert not panel.armed


async def test_pasted_control_characters_are_shown_and_sent_as_they_were():
    from textual.events import Paste

    box = CorrectionBox()
    async with (app := Stage(box)).run_test() as pilot:
        await settled(pilot)
        box.query_one(Composer).post_message(Paste("a\x1b[2J\r\nb"))
        await until(lambda: box.text, pilot)
        assert "a⟨ESC⟩[2J" in screen_text(app)
        await pilot.press("enter")
        await until(lambda: submitted(app), pilot)
        assert submitted(app) == ["a\x1b[2J\nb"]


async def test_hostile_text_is_shown_and_not_obeyed():
    box = CorrectionBox(chips=[HOSTILE], suggestion=HOSTILE)
    async with (app := Stage(box, Static())).run_test(size=(140, 24)) as pilot:
        await settled(pilot)
        assert screen_text(app).count("[/] [red]x[/red] [b +⟨ESC⟩[2J") == 2


def test_snapshot(snap_compare):
    box = CorrectionBox(suggestion="calc.py has 12 lines; lines 40 to 44 do not exist.")
    keys = [*"use edit_lines", "tab", "right"]
    assert snap_compare(Stage(box), terminal_size=(80, 24), press=keys)


def test_snapshot_refused(snap_compare):
    app = Stage(CorrectionBox(), theme="continual-light")
    assert snap_compare(app, terminal_size=(60, 18), press=["enter"])
