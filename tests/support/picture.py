"""What a screen looks like, as text that can be kept, compared and read.

First the characters, then for every line the styles of its cells: `a12 b3` are twelve cells in
style a and three in style b; the styles are named at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from string import ascii_letters

from rich.cells import cell_len
from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.app import App

FLAGS = ("bold", "dim", "italic", "underline", "reverse", "strike")
Lines = list[list[Segment]]


def lines_of(app: App[object]) -> Lines:
    """The segments of each line of the screen, with what lies below a dialogue."""
    update = app.screen._compositor.render_update(
        full=True, screen_stack=app._background_screens, simplify=True
    )
    return [[segment for strip in line for segment in strip] for line in update.strips]


def text_of(lines: Lines) -> str:
    """What can be read."""
    return "\n".join("".join(segment.text for segment in line).rstrip() for line in lines)


def picture(app: App[object]) -> str:
    """Everything that can be seen on the screen of a running app."""
    lines = lines_of(app)
    names: dict[str, str] = {}
    rows = [" ".join(_runs(line, names)) for line in lines]
    styles = [f"{name} {style}" for style, name in names.items()]
    return "\n".join([text_of(lines), "", *rows, "", *styles, ""])


def _runs(line: list[Segment], names: dict[str, str]) -> Iterator[str]:
    cells = [(_words(segment), cell_len(segment.text)) for segment in line]
    for style, run in groupby(cells, key=lambda cell: cell[0]):
        width = sum(cell[1] for cell in run)
        if width:
            yield f"{names.setdefault(style, _name(len(names)))}{width}"


def _name(number: int) -> str:
    first, second = divmod(number, len(ascii_letters))
    return ascii_letters[second] if not first else ascii_letters[first - 1] + ascii_letters[second]


def _words(segment: Segment) -> str:
    style = segment.style or Style()
    ink, ground = _colour(style.color), _colour(style.bgcolor)
    # Of a blank nothing is seen but its ground, unless a line goes through it.
    if segment.text.isspace() and not (style.underline or style.strike):
        return f"on {ink if style.reverse else ground}"
    flags = "".join(f" {flag}" for flag in FLAGS if getattr(style, flag))
    return f"{ink} on {ground}{flags}"


def _colour(colour: Color | None) -> str:
    if colour is None:
        return "default"
    return colour.triplet.hex if colour.triplet else colour.name
