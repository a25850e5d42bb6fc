"""How one line of a diff is painted: its numbers, its sign, its colours and its marks."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from textual.content import Content, Span
from textual.highlight import highlight
from textual.strip import Strip
from textual.style import Style
from textual.widget import Widget

from ..themes.syntax import SyntaxTheme
from .cells import cut_points
from .diff_rows import Row, split_lines
from .languages import language_of_path
from .painting import TextRow, component_style, paint, wrapped
from .sanitise import shown_row

Colours = tuple[list[Content], list[Content]]

SIGNS = {"added": "+", "removed": "-", "context": " ", "fold": " "}
SIGN_WIDTH = 2
# Beyond this many characters Pygments, which reads about 200 kB a second, is spared the work.
LONGEST_HIGHLIGHTED = 300_000
ENDING_MARKS = {"\r\n": "⟨CR⟩⟨LF⟩", "\n": "⟨LF⟩", "\r": "⟨CR⟩"}
NO_ENDING = " ⟵ no newline at the end"
# Of a line that stays or goes no more characters are shown.
LONGEST_UNWRITTEN = 10_000


class RowPainter:
    """Paints the rows of one diff for a widget that has the component classes of ``DiffView``.

    ``colours`` are the coloured lines of both sides, empty as long as they are not known.
    """

    def __init__(self, widget: Widget, *, mark_endings: bool, mixed_endings: bool = False) -> None:
        self._widget = widget
        self._mark_endings = mark_endings
        self._mixed_endings = mixed_endings
        self.colours: Colours = ([], [])

    def style(self, *names: str) -> Style:
        """The widget's style with these component classes laid over it."""
        style = self._widget.visual_style
        for name in names:
            style += component_style(self._widget, f"diff--{name}")
        return style

    def height(self, row: Row, room: int) -> int:
        """How many lines a row takes when its text has this room."""
        return len(cut_points(_display(row)[0] + self._ending(row), max(1, room)))

    def rows(self, row: Row, gutter: int, room: int) -> list[TextRow]:
        """A row as it can be copied, wrapped as it is painted after a gutter."""
        text = _display(row)[0] + self._ending(row)
        return wrapped(text, cut_points(text, max(1, room)), gutter)

    def paint(self, row: Row, lines: Sequence[int | None], digits: int, width: int) -> list[Strip]:
        """Paint a row after its line numbers, wrapped to the width."""
        numbers = "".join(f"{line:>{digits}d} " if line else " " * (digits + 1) for line in lines)
        base = self.style(row.kind)
        body = self._coloured(row)
        starts = cut_points(body.plain, max(1, width - len(numbers) - SIGN_WIDTH))
        pieces = body.divide(starts[1:]) if len(starts) > 1 else [body]
        number_style = self.style(row.kind, "number")
        sign_style = base if row.kind == "context" else self.style(row.kind, f"{row.kind}-sign")
        strips: list[Strip] = []
        for i, piece in enumerate(pieces):
            gutter = [
                Segment(numbers if i == 0 else " " * len(numbers), number_style.rich_style),
                Segment(f"{SIGNS[row.kind] if i == 0 else ' '} ", sign_style.rich_style),
            ]
            strips.append(paint(self._widget, piece, base, width, gutter))
        return strips

    def paint_words(self, text: Content, width: int, name: str) -> Strip:
        """Paint one line of words, cut to the width."""
        return paint(self._widget, text.truncate(width, ellipsis=True), self.style(name), width)

    def _ending(self, row: Row) -> str:
        if row.ending == "":
            return NO_ENDING
        if row.kind in ("added", "removed") and self._mixed_endings and row.ending != "\n":
            return ENDING_MARKS[row.ending]
        return ENDING_MARKS[row.ending] if row.ending_changed and self._mark_endings else ""

    def _coloured(self, row: Row) -> Content:
        """Give a row's text with syntax colours and its changed characters marked."""
        text, offsets = _display(row)
        old, new = self.colours
        lines, number = (old, row.old) if row.kind == "removed" else (new, row.new)
        spans: list[Span] = []
        if number is not None and number <= len(lines):
            spans = [span for span in lines[number - 1].spans if span.style != "$text"]
        shown = Content(text, spans=spans)
        mark = Style.null()
        if row.kind in ("added", "removed"):
            mark = component_style(self._widget, f"diff--{row.kind}-changed")
        for start, end in row.changed:
            if offsets is None:
                shown = shown.stylize(mark, start, end)
            else:
                shown = shown.stylize(mark, offsets[start], offsets[end])
        ending = self._ending(row)
        if ending:
            style = mark if row.ending_changed else component_style(self._widget, "diff--fold")
            shown = shown.append_text(ending, style)
        return shown


def prepare_colours() -> None:
    """Do what the first coloured file would have to wait for; for a thread, while nobody waits."""
    highlight_lines("x = 1\n", "a.py")


def highlight_lines(text: str, path: str) -> list[Content]:
    """Give the lines of a text as they are shown, with syntax colours."""
    if not text or len(text) > LONGEST_HIGHLIGHTED:
        return []
    shown = "\n".join(shown_row(line.text, changed=False)[0] for line in split_lines(text))
    coloured = highlight(shown, language=language_of_path(path, text), theme=SyntaxTheme)
    return coloured.split("\n", allow_blank=True)


def _display(row: Row) -> tuple[str, list[int] | None]:
    changed = row.kind in ("added", "removed")
    if row.kind != "added" and len(row.text) > LONGEST_UNWRITTEN:
        # Nothing of it would be written, so that it need not be read to its end.
        left_out = len(row.text) - LONGEST_UNWRITTEN
        text, offsets = shown_row(row.text[:LONGEST_UNWRITTEN], changed=changed)
        ends = [len(text)] * left_out
        return f"{text} … {left_out} more characters", [*(offsets or range(len(text) + 1)), *ends]
    return shown_row(row.text, changed=changed)
