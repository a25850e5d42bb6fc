"""Keys and commands, generated from where they are defined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from ...widgets.sanitise import content, visible
from ..commands import COMMANDS
from ..keys import groups

LEFT = 26


class HelpScreen(ModalScreen[None]):
    """One page that any key closes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,f1,enter", "dismiss", "back", id="help.back"),
    ]
    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen > VerticalScroll {
        width: 92; max-width: 100%; height: auto; max-height: 100%;
        background: $surface; border: round $primary; padding: 0 2;
    }
    """

    def __init__(self, keymap: Mapping[str, str] | None = None) -> None:
        """``keymap`` are the user's own keys by the id of a binding."""
        super().__init__()
        self._keymap = keymap or {}

    def compose(self) -> ComposeResult:
        """The commands, and the keys by the place where they mean something."""
        commands = [(command.title, command.help) for command in COMMANDS]
        keys = [
            (title, [(line.keys, line.words) for line in lines])
            for title, lines in groups(self._keymap)
        ]
        with VerticalScroll() as scroll:
            scroll.border_title = "help"
            scroll.border_subtitle = "Esc closes"
            for title, lines in [*keys[:1], ("Commands", commands), *keys[1:]]:
                if lines:
                    yield Static(content(f"\n{title}", "bold $primary"))
                    yield Static(_table(lines))
            yield Static(
                Content(
                    "\nA denied call teaches: the model sees your correction, compares itself with "
                    "the model that does not, and moves its adapter until the corrected choice "
                    "comes by itself. Only a retry that did not see the correction proves it.\n"
                )
            )

    async def action_dismiss(self, result: None = None) -> None:
        """Close the page."""
        self.dismiss(result)


def _table(rows: list[tuple[str, str]]) -> Table:
    """Two columns, of which each wraps in its own."""
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    table.add_column(max_width=LEFT, min_width=max(min(len(left), LEFT) for left, _ in rows))
    table.add_column(ratio=1)
    for left, right in rows:
        table.add_row(Text(visible(left), style="bold"), Text(visible(right)))
    return table
