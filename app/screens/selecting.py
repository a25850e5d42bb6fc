"""Selecting with the mouse on a screen whose widgets come and go."""

from __future__ import annotations

from textual.geometry import Offset
from textual.screen import Screen
from textual.widget import Widget
from typing_extensions import override


class SelectsWhatIsThere(Screen[None]):
    """A screen on which a press of the mouse never begins on a widget that has just gone.

    Such a widget is where it was until the next frame, and Textual would fail on it.
    """

    @override
    def get_widget_and_offset_at(self, x: int, y: int) -> tuple[Widget | None, Offset | None]:
        widget, offset = super().get_widget_and_offset_at(x, y)
        return (None, None) if widget is not None and not widget.is_attached else (widget, offset)
