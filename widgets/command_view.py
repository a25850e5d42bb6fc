"""A shell command with every byte visible, and the folder it would run in."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate, pairwise
from typing import ClassVar

from rich.segment import Segment
from textual.content import Content, Span
from textual.geometry import Size
from textual.highlight import highlight
from textual.selection import Selection
from textual.strip import Strip
from textual.style import Style
from textual.widget import Widget
from typing_extensions import override

from ..themes.syntax import SyntaxTheme
from .cells import cut_points
from .painting import TextRow, component_style, paint, selectable, selected_text, wrapped
from .sanitise import MARK, shown_exactly, shown_line, visible

SHELL_SIGNS = ("$ ", "> ", "  ")
PLAIN_SIGNS = ("", "", "")
LONGEST_HIGHLIGHTED = 20_000


class CommandView(Widget):
    """A command as it would be run: hard lines begin with ``$`` or ``>``, wrapped ones do not.

    Control and invisible characters appear as marks, spaces at the end of a line as reversed
    dots. ``folder`` is the working directory and ``terms`` are the boundary that it runs behind,
    both wrapped like the command; None leaves a line out. Where it is no ``shell`` that reads the
    text there are no signs and no colours.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "command--folder",
        "command--mark",
        "command--prompt",
    }

    DEFAULT_CSS = """
    CommandView {
        width: 1fr;
        height: auto;
        & > .command--folder { color: $quiet; }
        & > .command--mark { color: $warning; text-style: bold reverse; }
        & > .command--prompt { color: $primary; text-style: bold; }
    }
    """

    def __init__(
        self,
        command: str,
        folder: str | None = None,
        *,
        terms: str | None = None,
        shell: bool = True,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._command = command
        self._folder = folder
        self._terms = terms
        self._shell = shell
        self._signs = SHELL_SIGNS if shell else PLAIN_SIGNS
        self._shown = self._colour()
        self._hard_lines = command.split("\n")
        self._laid_out: _Layout | None = None
        self._strips: dict[int, Strip] = {}
        self._divided: tuple[int, list[Content]] | None = None

    @property
    def command(self) -> str:
        """The command as it would be run, not as it is shown."""
        return self._command

    def notify_style_update(self) -> None:
        """Forget painted lines when the theme changes."""
        super().notify_style_update()
        self._strips.clear()
        self._divided = None

    @override
    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Give the number of lines at a width."""
        return self._lay_out(width).height

    def render_line(self, y: int) -> Strip:
        """Paint one line, from the cache where it has been painted before."""
        width = self.size.width
        layout = self._lay_out(width)
        if y >= layout.height:
            return selectable(self, Strip.blank(width, self.rich_style), y)
        if y not in self._strips:
            self._strips[y] = self._paint(layout, y)
        return selectable(self, self._strips[y], y)

    @override
    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Give the selected text without the signs before the lines."""
        width = self.size.width
        rows = [TextRow(line, 0, n > 0) for n, line in enumerate(self._head_lines(width))]
        room = max(1, width - len(self._signs[0]))
        for shown, text in zip(self._shown, visible(self._command).split("\n"), strict=True):
            same = text if len(text) == len(shown.plain) else shown.plain
            rows += wrapped(same, cut_points(shown.plain, room), len(self._signs[0]))
        return selected_text(rows, selection)

    def _head_lines(self, width: int) -> list[str]:
        """The lines above the command: where it runs, and behind what."""
        texts = [f"in {visible(self._folder, keep='')}"] if self._folder is not None else []
        texts += [visible(self._terms, keep="")] if self._terms is not None else []
        lines: list[str] = []
        for text in texts:
            starts = cut_points(text, max(1, width))
            lines += [text[start:end] for start, end in pairwise([*starts, len(text)])]
        return lines

    def _colour(self) -> list[Content]:
        """Give the hard lines of the command with syntax colours."""
        shown = shown_exactly(self._command)
        spans: list[Span] = []
        if self._shell and len(shown) <= LONGEST_HIGHLIGHTED:
            coloured = highlight(shown, language="bash", theme=SyntaxTheme)
            spans = [span for span in coloured.spans if span.style != "$text"]
        if not spans:
            return [Content(line) for line in shown.split("\n")]
        return Content(shown, spans=spans).split("\n", allow_blank=True)

    def _lay_out(self, width: int) -> _Layout:
        """Find out at which line each hard line begins; what is not looked at is not painted."""
        if self._laid_out is None or self._laid_out.width != width:
            room = max(1, width - len(self._signs[0]))
            cuts = [cut_points(line.plain, room) for line in self._shown]
            head = [Content(line) for line in self._head_lines(width)]
            self._laid_out = _Layout(width, head, cuts)
            self._strips.clear()
            self._divided = None
        return self._laid_out

    def _paint(self, layout: _Layout, y: int) -> Strip:
        base = self.visual_style
        if y < len(layout.head):
            quiet = base + component_style(self, "command--folder")
            return paint(self, layout.head[y], quiet, layout.width)
        number, i = layout.find(y)
        if self._divided is None or self._divided[0] != number:
            mark = component_style(self, "command--mark")
            line = _marked(self._shown[number], self._hard_lines[number], mark)
            starts = layout.cuts[number]
            self._divided = (number, line.divide(starts[1:]) if len(starts) > 1 else [line])
        sign = self._signs[(number > 0) if i == 0 else 2]
        prompt_style = (base + component_style(self, "command--prompt")).rich_style
        gutter = [Segment(sign, prompt_style)]
        return paint(self, self._divided[1][i], base, layout.width, gutter)


class _Layout:
    """Where the lines of a command lie at a width: ``cuts`` are where each hard line is cut."""

    def __init__(self, width: int, head: list[Content], cuts: list[list[int]]) -> None:
        self.width = width
        self.head = head
        self.cuts = cuts
        self._ends = list(accumulate((len(starts) for starts in cuts), initial=len(head)))

    @property
    def height(self) -> int:
        return self._ends[-1]

    def find(self, y: int) -> tuple[int, int]:
        """The hard line, and the piece of it, that stands at ``y`` below the head."""
        number = bisect_right(self._ends, y) - 1
        return number, y - self._ends[number]


def _marked(shown: Content, hard_line: str, mark: Style) -> Content:
    """Lay the mark style over every mark and over the dots that stand for spaces at the end."""
    spans = [Span(*match.span(), mark) for match in MARK.finditer(shown.plain)]
    end = shown_line(hard_line)[1]
    return Content(shown.plain, spans=[*shown.spans, *spans, Span(end, len(shown), mark)])
