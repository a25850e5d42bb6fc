"""What the mouse selects of a diff, a command or a heatmap, and what is copied of it."""

from __future__ import annotations

from continualcode_tui.widgets.command_view import CommandView
from continualcode_tui.widgets.diff import DiffView
from continualcode_tui.widgets.heatmap import Heatmap, TokenCell
from textual.pilot import Pilot
from textual.widget import Widget

from .support import Stage, settled


async def drag(pilot: Pilot[None], start: tuple[int, int], end: tuple[int, int]) -> str:
    """Select with the mouse from one place on the screen to another."""
    await pilot.pause()
    await pilot.mouse_down(offset=start)
    await pilot.hover(offset=end)
    await pilot.mouse_up(offset=end)
    await settled(pilot)
    return pilot.app.screen.get_selected_text() or ""


def marked(widget: Widget, y: int) -> str:
    """The part of a row that is painted as selected."""
    selection = widget.screen.get_component_rich_style("screen--selection")
    row = widget.render_line(y)
    return "".join(s.text for s in row if s.style and s.style.bgcolor == selection.bgcolor)


async def test_a_diff_is_copied_without_its_line_numbers() -> None:
    before = "def add(a, b):\n    return a - b\n"
    diff = DiffView(before, before.replace("-", "+"), "calc.py", show_summary=False)
    async with Stage(diff).run_test(size=(60, 12)) as pilot:
        text = await drag(pilot, (1, 0), (58, 2))
        assert text == "def add(a, b):\n    return a - b\n    return a + b"
        assert marked(diff, 2).strip().endswith("return a + b")


async def test_a_part_of_a_wrapped_command_is_copied_as_one_line() -> None:
    command = CommandView("echo one two three four five six\nls", "/tmp")
    async with Stage(command).run_test(size=(20, 12)) as pilot:
        text = await drag(pilot, (7, 1), (19, 3))
        assert text.split("\n")[0] == "one two three four five six"[: len(text.split("\n")[0])]
        assert text.startswith("one two three four")
        assert "in /tmp" not in text
        assert await drag(pilot, (0, 0), (19, 5)) == "in /tmp\necho one two three four five six\nls"


async def test_tokens_are_copied_as_the_text_that_they_are() -> None:
    tokens = ["edit", "_lines", "\n", "path"]
    heatmap = Heatmap([TokenCell(text, 1.0, 0.1, 0.2, text) for text in tokens])
    async with Stage(heatmap).run_test(size=(60, 12)) as pilot:
        assert await drag(pilot, (0, 0), (3, 1)) == "edit_lines\npath"[: len("edit_lines\npat") + 1]
