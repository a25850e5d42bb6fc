"""The last line of a screen: its keys, all of them, also where it is narrow."""

from __future__ import annotations

from textual import events
from textual.widgets import Footer

CLOSE_BELOW = 80


class KeyFooter(Footer):
    """Shows the keys of a screen, closer together below 80 columns."""

    DEFAULT_CSS = """
    KeyFooter.-compact { padding: 0 0 0 1; }
    """

    def __init__(self) -> None:
        super().__init__(show_command_palette=False)

    def on_resize(self, event: events.Resize) -> None:
        """Leave out the spaces that there is no room for."""
        self.compact = event.size.width < CLOSE_BELOW
