"""The diff as it is painted."""

from __future__ import annotations

import pytest
from continualcode_tui.widgets.diff import DiffView
from textual.containers import VerticalScroll

from .support import HOSTILE, Stage, screen_text, settled, until

BEFORE = '''import os

LIMIT = 10


def add(a, b):
    """Add two numbers."""
    return a - b


def name(path):
    # what the file is called
    return os.path.basename(str(path))


class Thing:
    def __init__(self):
        self.x = 1
        self.y = 2
'''
AFTER = (
    BEFORE.replace("a - b", "a + b")
    .replace("LIMIT = 10", "LIMIT = 25  # per page, because the server refuses more")
    .replace(
        "        self.y = 2\n", "        self.y = 2\t\n\n    def area(self):\n        return 0"
    )
)


@pytest.mark.parametrize("width", [20, 30, 60, 200])
async def test_everything_that_would_be_written_is_on_the_screen(width: int):
    text = "".join(f"{i} " + "wörd 日本 " * i + "\n" for i in range(12))
    view = DiffView(None, text, "notes.txt")
    async with Stage(view).run_test(size=(width, 120)) as pilot:
        await settled(pilot)
        lines = screen_text(pilot.app).split("\n")[1:]
        gutter = 2 * 2 + 4
        painted = "".join(line[gutter:] for line in lines).replace(" ", "").replace("·", "")
        assert painted.rstrip() == text.replace(" ", "").replace("\n", "")


async def test_signs_and_numbers_read_without_colour():
    async with Stage(DiffView(BEFORE, AFTER, "calc.py")).run_test(size=(90, 40)) as pilot:
        await settled(pilot)
        text = screen_text(pilot.app)
        assert " 8    -     return a - b" in text
        assert "    8 +     return a + b" in text
        assert "no newline at the end" in text
        assert "⋯ " in text


async def test_white_space_changes_can_be_seen():
    view = DiffView("a\n\tb\nc\n", "a\n    b\nc  \n", "x.txt")
    async with Stage(view).run_test() as pilot:
        await settled(pilot)
        text = screen_text(pilot.app)
        assert "- →   b" in text
        assert "+     b" in text
        assert "+ c··" in text


async def test_hostile_text_is_shown_and_not_obeyed():
    async with Stage(DiffView("a\n", HOSTILE, HOSTILE)).run_test(size=(160, 10)) as pilot:
        await settled(pilot)
        text = screen_text(pilot.app)
        assert "[/] [red]x[/red] [b +⟨ESC⟩[2J⟨U+009B⟩31m⟨NUL⟩⟨U+202E⟩abc⟨U+200B⟩⟨0xFF⟩" in text


async def test_showing_another_text_changes_the_height():
    view = DiffView("a\n", "b\n", "x.py")
    async with Stage(VerticalScroll(view)).run_test() as pilot:
        await settled(pilot)
        assert view.size.height == 3
        view.show("a\n", "b\nc\nd\n")
        await settled(pilot)
        assert view.size.height == 5
        assert view.summary == "+3 −1"


async def test_a_long_file_is_shown_at_once_and_coloured_later():
    text = "def f(x):\n    return x\n" * 2_000
    view = DiffView(None, text, "long.py")
    async with Stage(VerticalScroll(view)).run_test() as pilot:
        await settled(pilot)
        assert "def f(x):" in screen_text(pilot.app)

        def coloured() -> bool:
            return any(str(segment.text) == "def" for segment in view.render_line(1))

        await until(coloured, pilot)


@pytest.mark.parametrize("size", [(60, 18), (80, 24), (120, 40)])
def test_snapshot(snap_compare, size):
    app = Stage(VerticalScroll(DiffView(BEFORE, AFTER, "calc.py")))
    assert snap_compare(app, terminal_size=size)


def test_snapshot_light(snap_compare):
    views = [
        DiffView(None, "print('new')\u202e\n", "n.py"),
        DiffView("a\nb\n", "a\r\nb\r\n", "n.txt"),
        DiffView("\ufeffa", "a\n", "n.txt"),
        DiffView("gone\n", None, "n.txt"),
    ]
    app = Stage(VerticalScroll(*views), theme="continual-light")
    assert snap_compare(app, terminal_size=(80, 24))
