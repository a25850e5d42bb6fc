"""A box to tick whose mark can be read without colours."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Checkbox
from typing_extensions import override


class Tick(Checkbox):
    """A Checkbox that is empty until it is ticked; Textual's own only changes its colour."""

    BUTTON_LEFT = BUTTON_RIGHT = ""
    DEFAULT_CSS = """
    Tick {
        & > .toggle--button, &.-on > .toggle--button { color: $foreground; background: $surface; }
        &:focus > .toggle--button { background: $panel; text-style: bold; }
        &:ansi > .toggle--button { background: transparent; text-style: none; }
    }
    """

    def __init__(self, *, value: bool) -> None:
        super().__init__(Content("yes"), value, compact=True)
        self._mark()

    @override
    def watch_value(self) -> None:
        """Show the mark before the change is told."""
        self._mark()
        super().watch_value()

    def _mark(self) -> None:
        self.BUTTON_INNER = "[✓]" if self.value else "[ ]"
