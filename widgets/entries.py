"""What a conversation is made of: messages, calls with their output, notices, lessons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from markdown_it import MarkdownIt
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Markdown, Static
from textual.widgets.markdown import MarkdownStream

from .heatmap import HeatmapView
from .sanitise import content, one_line, prose, visible
from .transcript_model import (
    AssistantRecord,
    CallOutcome,
    CallRecord,
    LessonRecord,
    NoticeRecord,
    Record,
    Severity,
    UserRecord,
)

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
MOST_MARKDOWN = 12_000
MOST_MARKDOWN_LINES = 80
"""Characters, and lines outside of code, that are laid out as Markdown: each such line is several
widgets, so what is longer would hold the screen."""
PLAIN_LINES = 40
MOST_PLAIN = 60_000
"""Characters of an answer that are shown as plain text after those."""


class ShowsRecord:
    """What shows one record of the conversation while it is near the view."""

    @property
    def opened(self) -> bool:
        """Whether the user opened what is folded at first."""
        return False

    def show(self, record: Record) -> None:
        """Show a newer state of the record."""


class UserEntry(Static, ShowsRecord):
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


class AssistantEntry(Vertical, ShowsRecord):
    """What the model says, as Markdown that may stream; what is very long goes on as plain text."""

    DEFAULT_CSS = """
    AssistantEntry {
        height: auto;
        padding: 0 1 0 2;
        margin: 1 0 0 0;
        & > Markdown { height: auto; padding: 0; margin: 0; background: transparent; }
        & > Markdown > MarkdownBlock:last-child { margin-bottom: 0; }
        & > Fold { padding: 0; color: $foreground; }
    }
    """

    def __init__(self, text: str = "") -> None:
        super().__init__()
        head, self._rest = _parted(text)
        self._head = head
        self._markdown = Markdown(prose(head) or None, open_links=False, parser_factory=_parser)
        self._fold = Fold(_rest_shown(self._rest), lines=PLAIN_LINES)
        self._fold.display = bool(self._rest)
        self._stream: MarkdownStream | None = None
        self._last = text[-1:]

    def compose(self) -> ComposeResult:
        """The Markdown, and what comes after it."""
        yield self._markdown
        yield self._fold

    def feed(self, chunk: str) -> None:
        """Append a piece of text, as soon as there is time to paint it."""
        before = len(self._head)
        self._head, rest = (self._head, chunk) if self._rest else _parted(self._head + chunk)
        if head := self._head[before:]:
            shown = prose(head, self._last)
            self._last = head[-1]
            self._markdown.call_later(self._write, shown)
        if rest:
            self._show_rest(self._rest + rest)

    def finish(self, text: str | None = None) -> None:
        """End the stream; ``text`` replaces what streamed."""
        if text is None:
            self._markdown.call_later(self._finish, None)
            return
        self._head, rest = _parted(text)
        self._markdown.call_later(self._finish, prose(self._head))
        self._show_rest(rest)

    def _show_rest(self, rest: str) -> None:
        self._rest = rest
        self._fold.show(_rest_shown(rest))
        self._fold.display = bool(rest)

    async def _write(self, shown: str) -> None:
        if self._stream is None:
            self._stream = Markdown.get_stream(self._markdown)
        await self._stream.write(shown)

    async def _finish(self, text: str | None) -> None:
        if self._stream is not None:
            stream, self._stream = self._stream, None
            await stream.stop()
        if text is not None and text != self._markdown.source:
            await self._markdown.update(text)

    async def on_unmount(self) -> None:
        """End the stream."""
        if self._stream is not None:
            stream, self._stream = self._stream, None
            await stream.stop()


def _parted(text: str) -> tuple[str, str]:
    """What is shown as Markdown, whole lines if there are any, and the rest."""
    if len(text) <= MOST_MARKDOWN and text.count("\n") <= MOST_MARKDOWN_LINES:
        return text, ""
    end, lines, in_code = 0, 0, False
    for line in text[:MOST_MARKDOWN].splitlines(keepends=True):
        fence = line.lstrip().startswith(("```", "~~~"))
        in_code ^= fence
        lines += not (in_code or fence)
        if lines > MOST_MARKDOWN_LINES:
            return text[:end], text[end:]
        end += len(line)
    if len(text) > MOST_MARKDOWN:
        end = text.rfind("\n", 0, MOST_MARKDOWN) + 1 or MOST_MARKDOWN
    return text[:end], text[end:]


def _rest_shown(rest: str) -> str:
    left_out = len(rest) - MOST_PLAIN
    if left_out <= 0:
        return rest
    return f"{rest[:MOST_PLAIN]}\n… {left_out:,} more characters; /copy takes the whole answer"


def _parser() -> MarkdownIt:
    """Textual's parser, but what is written as ``&#x202e;`` is shown so and not decoded."""
    return MarkdownIt("gfm-like").disable("entity")


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

    def __init__(self, text: str = "", *, opened: bool = False, lines: int = FOLDED_LINES) -> None:
        super().__init__()
        self._text = text
        self._most = lines
        self.set_reactive(Fold.opened, opened)

    @property
    def text(self) -> str:
        """The whole text."""
        return self._text

    def show(self, text: str) -> None:
        """Show another text."""
        self._text = text
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


class CallEntry(Vertical, ShowsRecord):
    """A call, what was decided about it and why, and its output."""

    DEFAULT_CSS = """
    CallEntry { height: auto; margin: 1 0 0 0; padding: 0 1 0 2; }
    CallEntry > .head { height: auto; }
    """

    def __init__(self, record: CallRecord, *, opened: bool = False) -> None:
        super().__init__()
        self._record = record
        self._fold = Fold(record.output, opened=opened)
        self._fold.display = bool(record.output)

    @property
    def opened(self) -> bool:
        """Whether all of the output shows."""
        return self._fold.opened

    def compose(self) -> ComposeResult:
        """Lay out the line that says it all, and what was printed."""
        yield Static(self._head(), classes="head")
        yield self._fold

    def show(self, record: Record) -> None:
        """Show what was decided since, what was printed and how the call went."""
        if not isinstance(record, CallRecord):
            return
        before, self._record = self._record, record
        if record.output != before.output:
            self._fold.show(record.output)
            self._fold.display = True
        for head in self.query(".head").results(Static):
            head.update(self._head())

    def _head(self) -> Content:
        record = self._record
        mark, word, style = CALL_MARKS[record.outcome]
        name, title = visible(record.tool, keep=""), one_line(record.title)
        parts: list[tuple[str, str]] = [(f"{mark} ", style)]
        if title.startswith(name):
            title = title[len(name) :].lstrip()
        parts += [(name, "bold"), (f" {title}" if title else "", ""), (f"  {word}", style)]
        if record.detail:
            parts.append((f": {one_line(record.detail, 400)}", style))
        result = _result(record)
        if result:
            parts.append((f" · {one_line(result)}", "$quiet" if record.ok else "$text-error"))
        return Content.assemble(*parts)


def _result(record: CallRecord) -> str:
    """Say how a call went."""
    seconds = record.seconds
    words = ["failed"] if record.ok is False else []
    words += [record.note] if record.note else []
    words += [f"{seconds:.1f} s"] if seconds is not None and seconds >= 0.05 else []
    return " · ".join(words)


class NoticeEntry(Static, ShowsRecord):
    """One sentence from the program."""

    DEFAULT_CSS = """
    NoticeEntry { height: auto; margin: 1 0 0 0; padding: 0 1 0 2; }
    """

    def __init__(self, text: str, severity: Severity = "information") -> None:
        sign, style = NOTICE_STYLES[severity]
        super().__init__(Content.assemble((f"{sign} ", style), content(text, style)))


class LessonCard(Vertical, ShowsRecord, can_focus=True):
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

    def __init__(self, record: LessonRecord, *, opened: bool = False) -> None:
        super().__init__(classes="-open" if opened else None)
        self._record = record

    @property
    def opened(self) -> bool:
        """Whether the heatmap shows."""
        return self.has_class("-open")

    def compose(self) -> ComposeResult:
        """Lay out the line that says it all."""
        yield Static(self._head(), classes="head")
        if self.opened:
            yield HeatmapView(self._record.tokens)

    def show(self, record: Record) -> None:
        """Show what became of the lesson since."""
        if isinstance(record, LessonRecord):
            self._record = record
            for head in self.query(".head").results(Static):
                head.update(self._head())

    def on_click(self, event: events.Click) -> None:
        """Open or fold the heatmap, unless the click was meant for it."""
        if event.widget is not None and not isinstance(event.widget, HeatmapView):
            head = self.query_one(".head")
            if event.widget in (self, head):
                self.action_open_or_fold()

    def action_open_or_fold(self) -> None:
        """Open or fold the heatmap."""
        if not self._record.tokens:
            return
        if not self.query(HeatmapView):
            self.mount(HeatmapView(self._record.tokens))
        self.toggle_class("-open")
        self.query_one(".head", Static).update(self._head())

    def _head(self) -> Content:
        record = self._record
        mark, word, style = LESSON_MARKS.get(
            record.outcome, ("·", one_line(record.outcome, 40), "$foreground")
        )
        parts: list[tuple[str, str]] = [(f"{mark} {word}", f"bold {style}")]
        if record.reason:
            reason = one_line(record.reason, 400)
            said = reason.startswith(f"{word} ")
            parts.append((reason[len(word) :] if said else f"  {reason}", "$foreground"))
        if record.correction:
            parts.append((f"\n  correction: {one_line(record.correction, 300)}", "$quiet"))
        if record.figures:
            parts.append((f"\n  {one_line(record.figures, 300)}", "$quiet"))
        if record.tokens:
            verb = "folds" if self.opened else "opens"
            count = len(record.tokens)
            parts.append((f"\n  Enter {verb} the heatmap of {count} tokens", "$quiet"))
        return Content.assemble(*parts)


class Edge(Widget, can_focus=False):
    """Marks where the conversation ends, beyond the entries that are mounted."""

    ALLOW_SELECT = False

    def render(self) -> str:
        """Show nothing."""
        return ""


Entry = UserEntry | AssistantEntry | CallEntry | LessonCard | NoticeEntry


def entry_of(record: Record, *, opened: bool = False) -> Entry:
    """Make the widget for a record."""
    match record:
        case UserRecord(text=text):
            return UserEntry(text)
        case AssistantRecord(text=text):
            return AssistantEntry(text)
        case CallRecord():
            return CallEntry(record, opened=opened)
        case LessonRecord():
            return LessonCard(record, opened=opened)
        case NoticeRecord(text=text, severity=severity):
            return NoticeEntry(text, severity)
