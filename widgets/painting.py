"""Painting lines for Line-API widgets."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from textual.content import Content
from textual.strip import Strip
from textual.style import Style
from textual.widget import Widget


def component_style(widget: Widget, name: str) -> Style:
    """Give only what a component class sets, to be laid over another style."""
    styles = widget.get_component_styles(name)
    text = styles.text_style
    return Style(
        styles.background if styles.has_rule("background") else None,
        styles.color if styles.has_rule("color") else None,
        bold=text.bold,
        dim=text.dim,
        italic=text.italic,
        underline=text.underline,
        underline2=text.underline2,
        reverse=text.reverse,
        strike=text.strike,
    )


def paint(
    widget: Widget, text: Content, style: Style, width: int, gutter: Sequence[Segment] = ()
) -> Strip:
    """Paint one line of content after its gutter, filled up or cut to the width."""
    segments = list(gutter)
    for piece, piece_style in text.render(style, end="", parse_style=widget._get_style):
        segments.append(Segment(piece, (style + piece_style).rich_style))
    return Strip(segments).extend_cell_length(width, style.rich_style).crop(0, width)
