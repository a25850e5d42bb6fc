"""Painting lines for Line-API widgets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.segment import Segment
from textual.content import Content
from textual.selection import Selection
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


def selectable(widget: Widget, strip: Strip, y: int) -> Strip:
    """Mark what is selected of a line, and where in the text it lies for the mouse."""
    selection = widget.text_selection
    span = None if selection is None else selection.get_span(y)
    if span is not None:
        text = strip.text
        start = cell_len(text[: span[0]])
        end = strip.cell_length if span[1] < 0 else cell_len(text[: span[1]])
        style = widget.screen.get_component_rich_style("screen--selection")
        marked = Strip(Segment.apply_style(strip.crop(start, end), post_style=style))
        strip = Strip.join([strip.crop(0, start), marked, strip.crop(end)])
    return strip.apply_offsets(0, y)


class TextRow(NamedTuple):
    """A row as it can be copied: without its gutter, and perhaps the rest of a wrapped line."""

    text: str
    gutter: int = 0
    goes_on: bool = False


def selected_text(rows: Iterable[TextRow], selection: Selection) -> tuple[str, str]:
    """Give what is selected of rows of text, as ``get_selection`` does."""
    parts: list[str] = []
    for y, (text, gutter, goes_on) in enumerate(rows):
        span = selection.get_span(y)
        if span is None:
            continue
        start, end = (max(0, at - gutter) for at in span)
        if parts and not goes_on:
            parts.append("\n")
        parts.append(text[start:] if span[1] < 0 else text[start:end])
    return "".join(parts), "\n"


def wrapped(text: str, starts: Sequence[int], gutter: int) -> list[TextRow]:
    """Give the rows of a line that is cut at ``starts``."""
    ends = [*starts[1:], len(text)]
    return [
        TextRow(text[start:end], gutter, number > 0)
        for number, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]
