"""Classes that decide how a few widgets look, set without styling everything below anew."""

from __future__ import annotations

from collections.abc import Iterable

from textual.widget import Widget


def mark(widget: Widget, *names: str, on: bool, decides: Iterable[Widget] = ()) -> None:
    """Set or take off classes, and style the widget and those that they decide about.

    Textual styles the whole subtree at every change of a class, which can take longer than a key
    may; ``decides`` names those below for which a rule mentions the classes.
    """
    if all(widget.has_class(name) == on for name in names):
        return
    widget.set_class(on, *names, update=False)
    if widget.is_attached:
        widget.app.stylesheet.update_nodes([widget, *decides], animate=False)
