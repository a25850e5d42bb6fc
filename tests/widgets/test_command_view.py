"""A command with every byte visible."""

from __future__ import annotations

import pytest
from continualcode_tui.widgets.command_view import CommandView

from .support import Stage, screen_text, settled


@pytest.mark.parametrize("width", [20, 40, 100])
async def test_the_whole_command_is_on_the_screen(width: int):
    command = "echo " + "x" * 130 + " && rm -rf /tmp/thing"
    async with Stage(CommandView(command, "/work")).run_test(size=(width, 40)) as pilot:
        await settled(pilot)
        lines = screen_text(pilot.app).rstrip().split("\n")
        assert lines[0] == "in /work"
        assert "".join(line[2:].ljust(width - 2) for line in lines[1:]).rstrip() == command
        assert [line[:2] for line in lines[1:]] == ["$ "] + ["  "] * (len(lines) - 2)


async def test_hidden_characters_spaces_at_the_end_and_hard_lines_are_marked():
    view = CommandView("ls\u200b -l \x1b]0;x\x07  \nrm\tx")
    async with Stage(view).run_test() as pilot:
        await settled(pilot)
        text = screen_text(pilot.app)
        assert "$ ls⟨U+200B⟩ -l ⟨ESC⟩]0;x⟨BEL⟩··" in text
        assert "> rm⟨TAB⟩x" in text


def test_snapshot(snap_compare):
    command = "pytest -q tests/test_calc.py -k 'not slow' && echo \"done\"  \nrm -rf build\u202e/"
    assert snap_compare(Stage(CommandView(command, "/home/me/project")), terminal_size=(60, 18))
