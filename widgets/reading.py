"""Whether a text has been on the screen to its end."""

from __future__ import annotations

from textual.errors import NoWidget
from textual.widget import Widget
from textual.widgets import TextArea

from .diff import DiffView


def end_in_view(widget: Widget) -> bool:
    """Say whether the last line of a widget is on the screen now.

    A widget below the edge of the screen, behind another screen or not laid out yet is not.
    """
    screen = widget.screen
    if not screen.is_current or not widget.size.height:
        return False
    if isinstance(widget, DiffView) and not widget.ready:
        return False
    if isinstance(widget, TextArea) and round(widget.max_scroll_y - widget.scroll_y) > 0:
        return False
    try:
        place = screen.find_widget(widget)
    except NoWidget:
        return False
    return place.clip.y < place.region.bottom <= place.clip.bottom
