"""The prompt: where requests, notes, slash commands and shell commands are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events, on
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import OptionList, Static, TextArea
from typing_extensions import override

from .completions import (
    Choice,
    Completion,
    CompletionList,
    command_choices,
    file_choices,
    mention_before,
)
from .composer import Composer
from .file_index import FileIndex
from .sanitise import visible

__all__ = ["Completion", "Prompt", "PromptArea"]

PLACEHOLDER = "What shall we do? / commands, @ files, ! shell"
PLACEHOLDER_BUSY = "Enter queues a message; Esc stops what runs"
HINT_EMPTY = "ctrl+j new line · ctrl+r history"
HINT_TEXT = "Enter sends · ctrl+j new line"
HINT_CHOICE = "Tab or Enter takes it · Esc closes"
HINT_OWN = "runs here, not shown to the model"
HINT_SHARED = "runs here, goes with your next request"
LINES_SHOWN = 8


class PromptArea(Composer):
    """The text of the prompt; at its edges the arrow keys go through the history.

    It asks its prompt at once instead of posting messages: a key that is pressed right after
    Enter must find the text sent and gone.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "Complete", show=False, id="prompt.complete"),
        Binding("ctrl+r", "search", "Search the history", show=False, id="prompt.search"),
    ]

    def __init__(self, prompt: Prompt) -> None:
        super().__init__(placeholder=PLACEHOLDER)
        self._prompt = prompt

    @override
    def action_cursor_up(self, select: bool = False) -> None:
        top = self.wrapped_document.location_to_offset(self.cursor_location).y == 0
        if top and not select:
            self._prompt.go(-1)
        else:
            super().action_cursor_up(select)

    @override
    def action_cursor_down(self, select: bool = False) -> None:
        last = self.wrapped_document.height - 1
        bottom = self.wrapped_document.location_to_offset(self.cursor_location).y >= last
        if bottom and not select:
            self._prompt.go(1)
        else:
            super().action_cursor_down(select)

    # Keys that the prompt has no use for go on to the conversation.

    @override
    def action_cursor_page_up(self) -> None:
        if not self.max_scroll_y:
            raise SkipAction
        super().action_cursor_page_up()

    @override
    def action_cursor_page_down(self) -> None:
        if not self.max_scroll_y:
            raise SkipAction
        super().action_cursor_page_down()

    @override
    def action_cursor_line_start(self, select: bool = False) -> None:
        if not self.text:
            raise SkipAction
        super().action_cursor_line_start(select)

    @override
    def action_cursor_line_end(self, select: bool = False) -> None:
        if not self.text:
            raise SkipAction
        super().action_cursor_line_end(select)

    @override
    def send(self) -> None:
        self._prompt.send()

    def action_complete(self) -> None:
        """Complete a command or a file, or go to the next widget."""
        if not self._prompt.complete():
            self.screen.focus_next()

    def action_search(self) -> None:
        """Search the history."""
        self._prompt.search()


class Prompt(Vertical):
    """A multi-line prompt with history, and completion of slash commands and files.

    ``history`` holds earlier texts, oldest first; what is sent is added to it. ``files`` are
    completed after an ``@``. While ``busy`` its hint says that messages are queued; while
    ``queued``, Up in the empty prompt asks for the newest of them.
    """

    @dataclass
    class Submitted(Message):
        """The user sent a text, which is not blank."""

        prompt: Prompt
        text: str

    class EnterPressed(Message):
        """The user pressed Enter in the empty prompt."""

    class TakeBack(Message):
        """The user wants the newest queued message back."""

    class FilesWanted(Message):
        """The user began to complete a file; ``files`` may be renewed."""

    @dataclass
    class SearchWanted(Message):
        """The user wants to search the history, which is this, oldest first."""

        history: Sequence[str]

    @dataclass
    class Typed(Message):
        """The text changed: tell a pending call that the user is typing."""

        prompt: Prompt
        text: str

    DEFAULT_CSS = """
    Prompt {
        height: auto;
        border: round $border-blurred;
        border-subtitle-color: $quiet;
        padding: 0 1;
        &:focus-within { border: round $primary; }
        & > Horizontal { height: auto; }
        & .sign { width: 2; color: $primary; text-style: bold; }
    }
    """

    busy: reactive[bool] = reactive(False)
    queued: bool = False

    def __init__(
        self,
        completions: Sequence[Completion] = (),
        *,
        history: Sequence[str] = (),
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._completions = tuple(completions)
        self._history = list(history)
        self._at = len(self._history)
        self._draft = ""
        self._files: FileIndex | None = None
        self._mentions = False
        self._dismissed = False
        self._offered_for: tuple[str, tuple[int, int]] = ("", (0, 0))

    def compose(self) -> ComposeResult:
        """Lay out the completions above the text."""
        yield CompletionList()
        with Horizontal():
            yield Static(Content("> "), classes="sign")
            yield PromptArea(self)

    def on_mount(self) -> None:
        """Say what the keys do."""
        self.border_subtitle = HINT_EMPTY

    def watch_busy(self) -> None:
        """Say what Enter does now."""
        for area in self.query(PromptArea):
            area.placeholder = Content(PLACEHOLDER_BUSY if self.busy else PLACEHOLDER)

    @property
    def area(self) -> PromptArea:
        """The text area."""
        return self.query_one(PromptArea)

    @property
    def text(self) -> str:
        """What is written."""
        return self.area.value

    @text.setter
    def text(self, text: str) -> None:
        self.area.put(text)

    @property
    def files(self) -> FileIndex | None:
        """The files that can be completed; None while nobody has listed them."""
        return self._files

    @files.setter
    def files(self, files: FileIndex) -> None:
        self._files = files
        if self._mentions and not self._dismissed:
            self._offer()

    @override
    def focus(self, scroll_visible: bool = True) -> Prompt:
        """Focus the text area."""
        self.area.focus(scroll_visible)
        return self

    def complete(self) -> bool:
        """Take the highlighted completion; say whether there was one."""
        self._keep_up()
        chosen = self._list.chosen
        if chosen is None:
            return False
        row, column = self.area.cursor_location
        text = visible(chosen.text, keep="")
        self.area.replace(text, (row, column - chosen.replaces), (row, column))
        return True

    # --- history ------------------------------------------------------------------------

    def remember(self, earlier: Sequence[str]) -> None:
        """Put texts of earlier times before what was sent already."""
        self._history[:0] = earlier
        self._at += len(earlier)

    def recall(self, text: str) -> None:
        """Put an earlier text in place of the draft, which Down brings back."""
        if self._at == len(self._history):
            self._draft = self.text
        if text in self._history:
            self._at = len(self._history) - 1 - self._history[::-1].index(text)
        self._put_recalled(text)

    def _put_recalled(self, text: str) -> None:
        self.area.put(text)
        # A recalled command must not open the list, or the arrow keys would be caught in it.
        self._close()
        self._offered_for = (self.area.text, self.area.cursor_location)

    # --- what the text area says --------------------------------------------------------

    @on(TextArea.Changed)
    def text_changed(self, event: TextArea.Changed) -> None:
        """Show what can complete the text, and say what Enter does with it."""
        event.stop()
        self._keep_up()
        text = self.text
        sign = "$ " if text.startswith("!") else "> "
        self.query_one(".sign", Static).update(Content(sign))
        self.post_message(self.Typed(self, text))

    @on(TextArea.SelectionChanged)
    def cursor_moved(self, event: TextArea.SelectionChanged) -> None:
        """Complete only the word that the cursor is at."""
        event.stop()
        self._keep_up()

    @on(OptionList.OptionSelected)
    def option_clicked(self, event: OptionList.OptionSelected) -> None:
        """Complete with what was clicked."""
        event.stop()
        self.complete()
        self.focus()

    def on_key(self, event: events.Key) -> None:
        """Let Esc close the completions before it means anything else."""
        if event.key == "escape" and self._list.display:
            event.stop()
            self._close()

    # --- what its keys do ---------------------------------------------------------------

    def send(self) -> None:
        """Send the text, or take what is highlighted: a command that needs no more is sent."""
        self._keep_up()
        text = self.text.strip()
        chosen = self._list.chosen
        if chosen is not None and text != chosen.text.strip():
            if not chosen.runs:
                self.complete()
                return
            text = chosen.text.strip()
        if not text:
            self.post_message(self.EnterPressed())
            return
        if not self._history or self._history[-1] != text:
            self._history.append(text)
        self._at = len(self._history)
        self.area.put("")
        self._keep_up()
        self.post_message(self.Submitted(self, text))

    def go(self, direction: int) -> None:
        """Move through the completions, or to a queued message, or else through the history."""
        self._keep_up()
        if self._list.display:
            self._list.move(direction)
            return
        if self.queued and direction < 0 and not self.text:
            self.post_message(self.TakeBack())
            return
        if self._at == len(self._history):
            self._draft = self.text
        at = self._at + direction
        if 0 <= at <= len(self._history):
            self._at = at
            self._put_recalled(self._history[at] if at < len(self._history) else self._draft)

    def search(self) -> None:
        """Offer the history for a search."""
        self._close()
        self.post_message(self.SearchWanted(tuple(self._history)))

    # --- completing ---------------------------------------------------------------------

    @property
    def _list(self) -> CompletionList:
        return self.query_one(CompletionList)

    def _line_to_cursor(self) -> str:
        row, column = self.area.cursor_location
        return self.area.document.get_line(row)[:column]

    def _keep_up(self) -> None:
        """Bring the list up to what is written now, whichever message came first."""
        now = (self.area.text, self.area.cursor_location)
        if now != self._offered_for:
            self._offered_for = now
            self._offer()

    def _offer(self) -> None:
        """Show what can complete the word at the cursor."""
        text = self.area.text
        mention = mention_before(self._line_to_cursor())
        began, self._mentions = self._mentions, mention is not None
        choices: Sequence[Choice] = ()
        if text.startswith("/") and not any(map(str.isspace, text)):
            choices = command_choices(self._completions, text)
        elif mention is not None and self._files is not None:
            choices = file_choices(self._files, mention, shell=text.startswith("!"))
        self._list.offer(choices)
        self._dismissed = False
        if self._mentions and not began:
            self.post_message(self.FilesWanted())
        self._hint()

    def _close(self) -> None:
        self._list.offer(())
        self._dismissed = True
        self._hint()

    def _hint(self) -> None:
        text, lines = self.area.text, self.area.document.line_count
        if self._list.display:
            hint = HINT_CHOICE
        elif text.startswith("!!"):
            hint = HINT_SHARED
        elif text.startswith("!"):
            hint = HINT_OWN
        elif lines > LINES_SHOWN:
            hint = f"{lines} lines · {HINT_TEXT}"
        else:
            hint = HINT_TEXT if text else HINT_EMPTY
        self.border_subtitle = hint
