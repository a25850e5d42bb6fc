"""The panel that asks: only one deliberate key decides."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from continualcode_tui.widgets.call_preview import CallPreview
from continualcode_tui.widgets.command_view import CommandView
from continualcode_tui.widgets.diff import DiffView
from continualcode_tui.widgets.proposal_panel import ProposalPanel
from textual.events import Key, Paste
from textual.widgets import Input, Static

from .support import HOSTILE, Stage, screen_text, settled, until

ARM = 0.08
SETTLE = 0.03
WRITE = CallPreview(
    "write", "diff", "write calc.py", path="calc.py", before="a = 1\n", after="a = 2\n"
)
RUN = CallPreview("bash", "command", "bash", command="pytest -q", folder="/home/ada/project")


def stage(preview: CallPreview = WRITE, always: str | None = "write calc.py", **more: object):
    panel = ProposalPanel(preview, always=always, arm_delay=ARM, settle=SETTLE, **more)
    return Stage(panel, Input(), focus=ProposalPanel), panel


class Clock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def decisions(app: Stage) -> list[str]:
    return [
        type(message).__name__
        for message in app.posted
        if type(message).__name__.endswith(("Approved", "Requested"))
    ]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("y", "Approved"),
        ("n", "DenyRequested"),
        ("e", "EditRequested"),
        ("escape", "StopRequested"),
    ],
)
async def test_an_armed_key_decides_once(key: str, message: str):
    app, panel = stage()
    async with app.run_test() as pilot:
        await until(lambda: panel.armed, pilot)
        await pilot.press(key)
        await until(lambda: decisions(app), pilot)
        assert panel.shut
        await pilot.press("y", "n", "escape")
        await asyncio.sleep(2 * ARM)
        await settled(pilot)
        assert decisions(app) == [message]


async def test_without_a_delay_the_keys_arm_at_once():
    panel = ProposalPanel(RUN, always="this", arm_delay=0)
    app = Stage(panel, focus=ProposalPanel)
    async with app.run_test() as pilot:
        await until(lambda: panel.armed, pilot)


async def test_a_key_before_the_panel_arms_decides_nothing_and_delays_it():
    clock = Clock()
    app, panel = stage(clock=clock)
    async with app.run_test() as pilot:
        for _ in range(5):
            clock.now += ARM * 0.9
            await pilot.press("y")
            assert not panel.armed
        assert "arming" in screen_text(app)
        clock.now += ARM * 1.1
        await until(lambda: panel.armed, pilot)
        await settled(pilot)
        assert "arming" not in screen_text(app)
        assert decisions(app) == []


async def test_keys_that_follow_at_once_decide_nothing():
    app, panel = stage()
    async with app.run_test() as pilot:
        await until(lambda: panel.armed, pilot)
        for key in "yyy":
            app.post_message(Key(key, key))
        await asyncio.sleep(3 * SETTLE)
        await settled(pilot)
        assert decisions(app) == []
        await until(lambda: panel.armed, pilot)


async def test_a_word_typed_into_the_panel_disarms_it():
    app, panel = stage()
    async with app.run_test() as pilot:
        await until(lambda: panel.armed, pilot)
        seen: list[bool] = []
        panel.watch(panel, "armed", lambda armed: seen.append(armed), init=False)  # noqa: PLW0108
        await pilot.press("p")
        assert seen[:1] == [False]
        for key in "lease":
            app.post_message(Key(key, key))
            await asyncio.sleep(SETTLE * 1.2)
        await pilot.pause()
        assert decisions(app) == []


async def test_paste_and_clicks_decide_nothing():
    app, panel = stage()
    async with app.run_test() as pilot:
        await until(lambda: panel.armed, pilot)
        panel.post_message(Paste("y\n"))
        await pilot.pause()
        assert not panel.armed
        for x in (2, 14, 30):
            await pilot.click(panel, offset=(x, panel.outer_size.height - 1))
        await asyncio.sleep(2 * SETTLE)
        assert decisions(app) == []


async def test_typing_elsewhere_keeps_the_panel_from_arming():
    clock = Clock()
    app, panel = stage(clock=clock)
    async with app.run_test() as pilot:
        clock.now += 1
        await until(lambda: panel.armed, pilot)
        panel.note_keystroke()
        assert not panel.armed
        app.query_one(Input).focus()
        await pilot.press("y")
        clock.now += 1
        await asyncio.sleep(2 * ARM)
        await settled(pilot)
        assert not panel.armed
        assert "Tab to this call" in screen_text(app)
        assert app.query_one(Input).value == "y"
        panel.focus()
        await pilot.press("y")
        await asyncio.sleep(2 * SETTLE)
        assert decisions(app) == []


async def test_always_shows_the_pattern_and_asks_again():
    clock = Clock()
    app, panel = stage(always="write path=calc.py [/]", clock=clock)

    async def armed() -> None:
        clock.now += 1
        await until(lambda: panel.armed, pilot)

    async with app.run_test() as pilot:
        await armed()
        await pilot.press("a")
        await until(lambda: panel.stage == "always", pilot)
        assert not panel.armed
        await pilot.press("a")
        await settled(pilot)
        assert decisions(app) == []
        assert "write path=calc.py [/]" in screen_text(app)
        await armed()
        await pilot.press("escape")
        await until(lambda: panel.stage == "call", pilot)
        assert "path=calc.py" not in screen_text(app)
        await armed()
        await pilot.press("a")
        await until(lambda: panel.stage == "always", pilot)
        await armed()
        await pilot.press("n", "e")
        await armed()
        await pilot.press("y")
        await until(lambda: decisions(app), pilot)
        assert decisions(app) == ["AlwaysRequested"]


async def test_always_is_not_offered_without_a_pattern():
    app, panel = stage(always=None)
    async with app.run_test() as pilot:
        await until(lambda: panel.armed, pilot)
        await pilot.press("a")
        await asyncio.sleep(2 * SETTLE)
        assert panel.stage == "call"
        assert "always" not in screen_text(app)


async def test_rearm_offers_the_keys_again_after_a_quiet_time():
    app, panel = stage()
    async with app.run_test() as pilot:
        await until(lambda: panel.armed, pilot)
        await pilot.press("n")
        await until(lambda: panel.shut, pilot)
        panel.rearm()
        panel.focus()
        assert not panel.armed
        await until(lambda: panel.armed, pilot)
        await pilot.press("y")
        await until(lambda: len(decisions(app)) == 2, pilot)
        assert decisions(app) == ["DenyRequested", "Approved"]


async def test_it_shows_what_each_kind_of_call_would_do():
    app, panel = stage(RUN)
    async with app.run_test() as pilot:
        assert panel.query_one(".preview", CommandView).command == "pytest -q"
        assert "in /home/ada/project" in screen_text(app)
        await panel.show_preview(WRITE)
        await settled(pilot)
        assert panel.query_one(DiffView).diff.added == 1
        await panel.show_preview(
            CallPreview("read", "text", "read a", text="Reads a.", problem="No.")
        )
        await settled(pilot)
        assert "Reads a." in screen_text(app)
        assert "No." in screen_text(app)
        assert panel.has_class("-problem")


async def test_what_does_not_fit_is_counted_and_can_be_scrolled_to():
    lines = "".join(f"line {i}\n" for i in range(60))
    app, _ = stage(CallPreview("write", "diff", "write n", before=None, after=lines))
    async with app.run_test(size=(60, 18)) as pilot:
        await settled(pilot)
        assert "more lines below" in screen_text(app)
        assert "line 59" not in screen_text(app)
        await pilot.press("end")
        await until(lambda: "line 59" in screen_text(app), pilot)
        assert "below" not in screen_text(app)


@pytest.mark.parametrize("kind", ["diff", "command", "text"])
async def test_hostile_text_is_shown_and_not_obeyed(kind):
    preview = CallPreview(
        HOSTILE,
        kind,
        HOSTILE,
        path=HOSTILE,
        before=HOSTILE,
        after=HOSTILE + "!",
        command=HOSTILE,
        folder=HOSTILE,
        text=HOSTILE,
    )
    app, panel = stage(preview, always=HOSTILE)
    async with app.run_test(size=(200, 50)) as pilot:
        await until(lambda: panel.armed, pilot)
        await pilot.press("a")
        await until(lambda: panel.stage == "always", pilot)
        await settled(pilot)
        assert screen_text(app).count("[/] [red]x[/red] [b +⟨ESC⟩[2J") == 2
        await panel.show_preview(replace(preview, problem=HOSTILE))
        await settled(pilot)
        assert panel.stage == "call"
        text = screen_text(app)
        assert "[/] [red]x[/red] [b +⟨ESC⟩[2J" in text
        assert not {"\x1b", "\x9b", "\x00", "\u202e", "\u200b"} & set(text)
        assert panel.query(Static)


SNAPSHOTS = {
    "diff": WRITE,
    "command": CallPreview(
        "bash",
        "command",
        "bash",
        command="pytest -q tests/test_calc.py -k 'not slow'  \nrm -rf build\u202e",
        folder="/home/me/project",
    ),
    "problem": CallPreview(
        "edit_lines",
        "text",
        "edit_lines calc.py",
        text="Replaces lines 40 to 44 of calc.py.",
        problem="calc.py has 12 lines; lines 40 to 44 do not exist.",
    ),
}


@pytest.mark.parametrize("name", SNAPSHOTS)
@pytest.mark.parametrize("theme", ["continual-dark", "continual-light"])
def test_snapshot(snap_compare, name: str, theme: str):
    panel = ProposalPanel(SNAPSHOTS[name], always="this", arm_delay=0.01)
    app = Stage(panel, focus=ProposalPanel, theme=theme)

    async def armed(pilot):
        await until(lambda: panel.armed, pilot)

    size = (60, 18) if theme == "continual-light" else (80, 24)
    assert snap_compare(app, terminal_size=size, run_before=armed)


LONG = CallPreview(
    "write", "diff", "write n", before=None, after="".join(f"line {i}\n" for i in range(60))
)


async def test_a_call_that_was_not_read_to_its_end_cannot_be_approved():
    clock = Clock()
    app, panel = stage(LONG, clock=clock)

    async def press(key: str) -> None:
        clock.now += 1
        await until(lambda: panel.armed, pilot)
        clock.now += 1
        await pilot.press(key)
        await asyncio.sleep(2 * SETTLE)
        await settled(pilot)

    async with app.run_test(size=(60, 18)) as pilot:
        for key in "ya":
            await press(key)
            assert panel.stage == "unseen"
            assert "not read yet" in screen_text(app)
            assert decisions(app) == []
            await press("escape")
            assert panel.stage == "call"
        for _ in range(4):
            await press("y")
            assert panel.stage == "unseen"
        assert decisions(app) == []
        await press("end")
        assert panel.stage == "call"
        await press("y")
        assert decisions(app) == ["Approved"]


async def test_reading_to_the_end_is_enough():
    clock = Clock()
    app, panel = stage(LONG, clock=clock)
    async with app.run_test(size=(60, 18)) as pilot:
        clock.now += 1
        await until(lambda: panel.armed, pilot)
        assert not panel.seen
        for _ in range(7):
            clock.now += 1
            await pilot.press("space")
            await settled(pilot)
        assert panel.seen
        assert decisions(app) == []
        clock.now += 1
        await until(lambda: panel.armed, pilot)
        await pilot.press("y")
        await until(lambda: decisions(app) == ["Approved"], pilot)


async def test_an_edited_preview_has_to_be_read_again():
    app, panel = stage(WRITE)
    async with app.run_test(size=(60, 18)) as pilot:
        await until(lambda: panel.seen, pilot)
        await panel.show_preview(LONG)
        await settled(pilot)
        assert not panel.seen
        panel.mark_seen()
        assert panel.seen
        await panel.show_preview(WRITE)
        await panel.show_preview(LONG)
        assert panel.seen, "what was read once is not asked for again"


@pytest.mark.parametrize(("key", "for_good"), [("y", False), ("g", True)])
async def test_always_is_for_the_session_or_for_good(key: str, for_good: bool):
    clock = Clock()
    app, panel = stage(always="bash\n  command = 2 lines:\n  │ one\n  │ two", clock=clock)
    async with app.run_test() as pilot:
        clock.now += 1
        await until(lambda: panel.armed, pilot)
        await pilot.press("g")
        await asyncio.sleep(2 * SETTLE)
        assert decisions(app) == []
        clock.now += 1
        await until(lambda: panel.armed, pilot)
        await pilot.press("a")
        await until(lambda: panel.stage == "always", pilot)
        await settled(pilot)
        assert "│ one" in screen_text(app)
        assert "│ two" in screen_text(app)
        clock.now += 1
        await until(lambda: panel.armed, pilot)
        await pilot.press(key)
        await until(lambda: decisions(app), pilot)
        (message,) = app.of(ProposalPanel.AlwaysRequested)
        assert isinstance(message, ProposalPanel.AlwaysRequested)
        assert message.for_good is for_good


async def test_view_keys_change_the_view_and_decide_nothing():
    preview = replace(LONG, before=LONG.after, after=(LONG.after or "") + "more\n")
    app, panel = stage(preview)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(lambda: panel.armed, pilot)
        await pilot.press("x")
        await settled(pilot)
        assert "line 5" in screen_text(app)
        await asyncio.sleep(2 * SETTLE)
        await pilot.press("t")
        await until(lambda: panel.mode == "split", pilot)
        await asyncio.sleep(2 * SETTLE)
        await pilot.press("f")
        await until(lambda: app.of(ProposalPanel.FullScreenRequested), pilot)
        assert not panel.shut
        assert panel.query_one(DiffView).mode == "split"
        await panel.show_preview(replace(preview, after="other\n"))
        assert panel.query_one(DiffView).mode == "split"
