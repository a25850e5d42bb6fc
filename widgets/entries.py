"""What a conversation is made of: messages, calls with their output, notices, lessons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Markdown, Static
from textual.widgets.markdown import MarkdownStream

from .heatmap import HeatmapView, TokenCell
from .sanitise import content, one_line, prose, visible

CallOutcome = Literal["waiting", "approved", "denied", "edited", "rule", "stopped", "own"]
Severity = Literal["information", "warning", "error"]

CALL_MARKS: dict[CallOutcome, tuple[str, str, str]] = {
    "waiting": ("…", "waits for you", "$quiet"),
    "approved": ("✓", "approved", "$mark-approved"),
    "denied": ("✗", "denied", "$mark-denied"),
    "edited": ("✎", "edited by you", "$mark-edited"),
    "rule": ("✓", "approved by rule", "$mark-rule"),
    "stopped": ("■", "stopped", "$quiet"),
    "own": ("❯", "run by you", "$primary"),
}
LESSON_MARKS: dict[str, tuple[str, str, str]] = {
    "learned": ("✓", "Learned", "$mark-approved"),
    "in_context_only": ("◐", "In context only", "$text-warning"),
    "gated": ("–", "Nothing to learn", "$quiet"),
    "rolled_back": ("↶", "Rolled back", "$text-warning"),
    "failed": ("✗", "Not learned", "$mark-denied"),
    "undone": ("↶", "Undone", "$quiet"),
}
NOTICE_STYLES: dict[Severity, tuple[str, str]] = {
    "information": ("·", "$quiet"),
    "warning": ("!", "$text-warning"),
    "error": ("✗", "$text-error"),
}
FOLDED_LINES = 12
# What a tool printed beyond this is not kept on the screen.
MOST_OUTPUT = 200_000


class UserEntry(Static):
    """What the user said."""

    DEFAULT_CSS = """
    UserEntry {
        height: auto;
        margin: 1 0 0 0;
        padding: 0 1;
        border-left: outer $primary;
        background: $surface;
        text-style: bold;
    }
    """

    def __init__(self, text: str) -> None:
        super().__init__(Content(prose(text)))


class AssistantEntry(Markdown):
    """What the model says, as Markdown that may stream."""

    DEFAULT_CSS = """
    AssistantEntry {
        height: auto;
        padding: 0 1 0 2;
        margin: 1 0 0 0;
        background: transparent;
        & > MarkdownBlock:last-child { margin-bottom: 0; }
    }
    """

    def __init__(self, text: str = "") -> None:
        super().__init__(prose(text) or None, open_links=False)
        self._stream: MarkdownStream | None = None
        self._last = ""

    def feed(self, chunk: str) -> None:
        """Append a piece of text, as soon as there is time to paint it."""
        if chunk:
            shown = prose(chunk, self._last)
            self._last = chunk[-1]
            self.call_later(self._write, shown)

    def finish(self, text: str | None = None) -> None:
        """End the stream; ``text`` replaces what streamed."""
        self.call_later(self._finish, None if text is None else prose(text))

    async def _write(self, shown: str) -> None:
        if self._stream is None:
            self._stream = Markdown.get_stream(self)
        await self._stream.write(shown)

    async def _finish(self, text: str | None) -> None:
        if self._stream is not None:
            stream, self._stream = self._stream, None
            await stream.stop()
        if text is not None and text != self.source:
            await self.update(text)

    async def on_unmount(self) -> None:
        """End the stream."""
        if self._stream is not None:
            stream, self._stream = self._stream, None
            await stream.stop()


class Fold(Widget, can_focus=True):
    """Text of which only the first lines show until it is opened with Enter or a click."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open_or_fold", "Open or fold", show=False, id="fold.toggle"),
    ]

    DEFAULT_CSS = """
    Fold { height: auto; width: 1fr; color: $quiet; padding: 0 0 0 2; }
    Fold:focus { color: $foreground; background: $surface; }
    """

    opened: reactive[bool] = reactive(False, layout=True)

    def __init__(self, text: str = "", lines: int = FOLDED_LINES) -> None:
        super().__init__()
        self._text = text
        self._most = lines

    @property
    def text(self) -> str:
        """The whole text."""
        return self._text

    def append(self, text: str) -> None:
        """Append to the text."""
        room = MOST_OUTPUT - len(self._text)
        if room > 0:
            self._text += text[:room]
        self.refresh(layout=True)

    def render(self) -> Content:
        """Show the first lines and how many more there are."""
        lines = self._text.rstrip("\n").split("\n")
        hidden = len(lines) - self._most
        if hidden <= 2:
            return _output(lines)
        if self.opened:
            return Content("\n").join([_output(lines), Content.styled("Enter folds", "italic")])
        hint = Content.styled(f"… {hidden} more lines · Enter or a click opens", "italic")
        return Content("\n").join([_output(lines[: self._most]), hint])

    def on_click(self, event: events.Click) -> None:
        """Open or fold."""
        event.stop()
        self.action_open_or_fold()

    def action_open_or_fold(self) -> None:
        """Open or fold."""
        self.opened = not self.opened


def _output(lines: Sequence[str]) -> Content:
    # Programs draw progress by returning to the start of the line: the last state counts.
    final = [line.rstrip("\r").rsplit("\r", 1)[-1] for line in lines]
    return Content(visible("\n".join(final).expandtabs(8)))


class CallEntry(Vertical):
    """A call, what was decided about it and why, and its output."""

    DEFAULT_CSS = """
    CallEntry { height: auto; margin: 1 0 0 0; padding: 0 1 0 2; }
    CallEntry > .head { height: auto; }
    """

    def __init__(
        self, tool: str, title: str, outcome: CallOutcome = "waiting", reason: str = ""
    ) -> None:
        super().__init__()
        self._tool, self._title = tool, title
        self._outcome: CallOutcome = outcome
        self._reason = reason
        self._result = ""
        self._failed = False
        self._fold: Fold | None = None
        self._composed = False

    def compose(self) -> ComposeResult:
        """Lay out the line that says it all, and what was printed already."""
        self._composed = True
        yield Static(self._head(), classes="head")
        if self._fold is not None:
            yield self._fold

    def mark(self, outcome: CallOutcome, reason: str = "") -> None:
        """Say what was decided, and why."""
        self._outcome, self._reason = outcome, reason
        self._update()

    def finish(self, ok: bool, seconds: float | None = None, note: str = "") -> None:
        """Say how the call went."""
        words = [] if ok else ["failed"]
        words += [note] if note else []
        words += [f"{seconds:.1f} s"] if seconds is not None and seconds >= 0.05 else []
        self._result, self._failed = " · ".join(words), not ok
        self._update()

    def output(self, text: str) -> None:
        """Append to what the call printed."""
        if self._fold is None:
            self._fold = Fold(text)
            if self._composed:
                self.mount(self._fold)
        else:
            self._fold.append(text)

    def _update(self) -> None:
        for head in self.query(".head").results(Static):
            head.update(self._head())

    def _head(self) -> Content:
        mark, word, style = CALL_MARKS[self._outcome]
        name, title = visible(self._tool, keep=""), one_line(self._title)
        parts: list[tuple[str, str]] = [(f"{mark} ", style)]
        if title.startswith(name):
            title = title[len(name) :].lstrip()
        parts += [(name, "bold"), (f" {title}" if title else "", ""), (f"  {word}", style)]
        if self._reason:
            parts.append((f": {one_line(self._reason, 400)}", style))
        if self._result:
            result_style = "$text-error" if self._failed else "$quiet"
            parts.append((f" · {one_line(self._result)}", result_style))
        return Content.assemble(*parts)


class NoticeEntry(Static):
    """One sentence from the program."""

    DEFAULT_CSS = """
    NoticeEntry { height: auto; margin: 1 0 0 0; padding: 0 1 0 2; }
    """

    def __init__(self, text: str, severity: Severity = "information") -> None:
        sign, style = NOTICE_STYLES[severity]
        super().__init__(Content.assemble((f"{sign} ", style), content(text, style)))


class LessonCard(Vertical, can_focus=True):
    """What came of a lesson in one line; Enter or a click opens the heatmap of its tokens."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open_or_fold", "Heatmap", show=False, id="lesson.toggle"),
    ]

    DEFAULT_CSS = """
    LessonCard {
        height: auto;
        margin: 1 0 0 0;
        padding: 0 1;
        border-left: outer $border-blurred;
        background: $surface;
        &:focus { border-left: outer $primary; }
        & > .head { height: auto; }
        & > HeatmapView { height: auto; max-height: 18; margin: 1 0 0 0; display: none; }
        &.-open > HeatmapView { display: block; }
    }
    """

    def __init__(
        self,
        outcome: str,
        reason: str,
        *,
        correction: str = "",
        figures: str = "",
        tokens: Sequence[TokenCell] = (),
    ) -> None:
        super().__init__()
        self._outcome, self._reason = outcome, reason
        self._correction, self._figures = correction, figures
        self._tokens = tuple(tokens)

    def compose(self) -> ComposeResult:
        """Lay out the line that says it all."""
        yield Static(self._head(), classes="head")

    def mark(self, outcome: str, reason: str) -> None:
        """Say what became of the lesson since."""
        self._outcome, self._reason = outcome, reason
        self.query_one(".head", Static).update(self._head())

    def on_click(self, event: events.Click) -> None:
        """Open or fold the heatmap, unless the click was meant for it."""
        if event.widget is not None and not isinstance(event.widget, HeatmapView):
            head = self.query_one(".head")
            if event.widget in (self, head):
                self.action_open_or_fold()

    def action_open_or_fold(self) -> None:
        """Open or fold the heatmap."""
        if not self._tokens:
            return
        if not self.query(HeatmapView):
            self.mount(HeatmapView(self._tokens))
        self.toggle_class("-open")
        self.query_one(".head", Static).update(self._head())

    def _head(self) -> Content:
        mark, word, style = LESSON_MARKS.get(self._outcome, ("·", self._outcome, "$foreground"))
        parts: list[tuple[str, str]] = [(f"{mark} {word}", f"bold {style}")]
        if self._reason:
            parts.append((f"  {one_line(self._reason, 400)}", "$foreground"))
        if self._correction:
            parts.append((f"\n  correction: {one_line(self._correction, 300)}", "$quiet"))
        if self._figures:
            parts.append((f"\n  {one_line(self._figures, 300)}", "$quiet"))
        if self._tokens:
            verb = "folds" if self.has_class("-open") else "opens"
            parts.append((f"\n  Enter {verb} the heatmap of {len(self._tokens)} tokens", "$quiet"))
        return Content.assemble(*parts)
