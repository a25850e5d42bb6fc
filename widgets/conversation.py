"""The conversation: what was said, called, decided and learned, newest last."""

from __future__ import annotations

from collections.abc import Sequence

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from .entries import (
    AssistantEntry,
    CallEntry,
    CallOutcome,
    LessonCard,
    NoticeEntry,
    Severity,
    UserEntry,
)
from .heatmap import TokenCell

# Restyling costs grow with the number of widgets, so the oldest entries are taken off.
MOST_ENTRIES = 400
PRUNED_AT_ONCE = 100


class Conversation(VerticalScroll, can_focus=True):
    """A transcript that follows its end until the user scrolls away from it.

    Calls are known by the number that ``add_call`` was given; without a number, methods speak
    of the newest call.
    """

    DEFAULT_CSS = """
    Conversation {
        height: 1fr;
        scrollbar-size-vertical: 1;
        scrollbar-gutter: stable;
        padding: 0 0 1 0;
        & > .pruned { color: $quiet; padding: 0 2; height: auto; display: none; }
    }
    """

    def __init__(
        self,
        *,
        most_entries: int = MOST_ENTRIES,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._most = most_entries
        self._entries: list[Widget] = []
        self._calls: dict[int, CallEntry] = {}
        self._newest_call: CallEntry | None = None
        self._assistant: AssistantEntry | None = None
        self._pruned = 0

    def on_mount(self) -> None:
        """Begin at the top, and follow the end as soon as there is more than fits."""
        self.mount(Static(classes="pruned"), before=0 if self.children else None)
        self.watch(self, "show_vertical_scrollbar", self._overflows, init=False)

    def _overflows(self, overflows: bool) -> None:
        # An anchor would also push a short conversation down to the prompt.
        self.anchor(overflows)
        if overflows:
            # An anchor follows what grows; here it may be the view that has become smaller.
            self.scroll_end(animate=False, force=True)
        else:
            self.scroll_to(y=0, animate=False, force=True)

    @property
    def following(self) -> bool:
        """Whether the newest entry is kept in view."""
        return not self.show_vertical_scrollbar or not self._anchor_released

    def follow(self) -> None:
        """Jump to the newest entry and keep it in view."""
        if self.show_vertical_scrollbar:
            self.anchor()
            self.scroll_end(animate=False)

    def clear(self) -> None:
        """Take everything off."""
        self.drop_assistant()
        for entry in self._entries:
            entry.remove()
        self._entries.clear()
        self._calls.clear()
        self._newest_call = None
        self._pruned = 0
        self._show_pruned()

    def add_user(self, text: str) -> None:
        """Add what the user said, and follow the end again."""
        self._add(UserEntry(text))
        self.follow()

    def begin_assistant(self) -> None:
        """Begin a message of the model; pieces follow by ``append_assistant``."""
        self.end_assistant()
        self._assistant = AssistantEntry()
        self._add(self._assistant)

    def append_assistant(self, chunk: str) -> None:
        """Append a piece to the model's message."""
        if self._assistant is None:
            self.begin_assistant()
        if self._assistant is not None:
            self._assistant.feed(chunk)

    def end_assistant(self, text: str | None = None) -> None:
        """End the model's message; ``text`` replaces what streamed, and blank takes it off."""
        entry, self._assistant = self._assistant, None
        if entry is None:
            if text and text.strip():
                self._add(AssistantEntry(text.strip()))
        elif text is not None and not text.strip():
            self._remove(entry)
        else:
            entry.finish(text if text is None else text.strip())

    def drop_assistant(self) -> None:
        """Take off the model's message that has begun."""
        entry, self._assistant = self._assistant, None
        if entry is not None:
            self._remove(entry)

    def add_call(
        self,
        tool: str,
        title: str,
        outcome: CallOutcome = "waiting",
        reason: str = "",
        *,
        number: int | None = None,
    ) -> None:
        """Add a call and what was decided about it."""
        entry = CallEntry(tool, title, outcome, reason)
        self._newest_call = entry
        if number is not None:
            self._calls[number] = entry
        self._add(entry)

    def mark_call(
        self, outcome: CallOutcome, reason: str = "", *, number: int | None = None
    ) -> None:
        """Say what was decided about a call, and why."""
        entry = self._call(number)
        if entry is not None:
            entry.mark(outcome, reason)

    def add_output(self, text: str, *, number: int | None = None) -> None:
        """Append to what a call printed."""
        entry = self._call(number)
        if entry is not None and text:
            entry.output(text)

    def end_call(
        self,
        ok: bool,
        seconds: float | None = None,
        note: str = "",
        *,
        number: int | None = None,
    ) -> None:
        """Say how a call went."""
        entry = self._call(number)
        if entry is not None:
            entry.finish(ok, seconds, note)

    def add_notice(self, text: str, severity: Severity = "information") -> None:
        """Add one sentence from the program."""
        self._add(NoticeEntry(text, severity))

    def add_lesson(
        self,
        outcome: str,
        reason: str,
        *,
        correction: str = "",
        figures: str = "",
        tokens: Sequence[TokenCell] = (),
    ) -> None:
        """Add what came of a lesson, with its tokens for the heatmap."""
        self._add(
            LessonCard(outcome, reason, correction=correction, figures=figures, tokens=tokens)
        )

    def add_widget(self, widget: Widget) -> None:
        """Add any other widget as an entry."""
        self._add(widget)

    def _call(self, number: int | None) -> CallEntry | None:
        return self._newest_call if number is None else self._calls.get(number)

    def _add(self, entry: Widget) -> None:
        self._entries.append(entry)
        self.mount(entry)
        self._prune()

    def _remove(self, entry: Widget) -> None:
        if entry in self._entries:
            self._entries.remove(entry)
        entry.remove()

    def _prune(self) -> None:
        """Take off the oldest entries, later when the user is reading further up."""
        most = self._most if self.following else 2 * self._most
        if len(self._entries) <= most:
            return
        oldest = self._entries[:PRUNED_AT_ONCE]
        self._entries = self._entries[PRUNED_AT_ONCE:]
        gone = set(oldest)
        self._calls = {n: call for n, call in self._calls.items() if call not in gone}
        self.remove_children(oldest)
        self._pruned += len(oldest)
        self._show_pruned()

    def _show_pruned(self) -> None:
        for line in self.query(".pruned").results(Static):
            line.display = self._pruned > 0
            line.update(Content(f"… {self._pruned} earlier entries are not shown"))
