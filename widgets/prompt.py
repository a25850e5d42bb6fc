"""The prompt: where requests, notes and slash commands are written."""

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
from textual.fuzzy import Matcher
from textual.message import Message
from textual.widgets import OptionList, Static, TextArea
from textual.widgets.option_list import Option
from typing_extensions import override

from .composer import Composer
from .sanitise import visible


@dataclass(frozen=True, slots=True)
class Completion:
    """A slash command: its name with the slash, and one line of help.

    ``takes_text`` marks a command that needs words after it, so that Enter completes it
    instead of sending it.
    """

    name: str
    help: str
    takes_text: bool = False


class PromptArea(Composer):
    """The text of the prompt; at its edges the arrow keys go through the history."""

    @dataclass
    class Edge(Message):
        """An arrow key was pressed at the first (-1) or last (1) line."""

        direction: int

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "Complete", show=False, id="prompt.complete"),
    ]

    @override
    def action_cursor_up(self, select: bool = False) -> None:
        top = self.wrapped_document.location_to_offset(self.cursor_location).y == 0
        if top and not select:
            self.post_message(self.Edge(-1))
        else:
            super().action_cursor_up(select)

    @override
    def action_cursor_down(self, select: bool = False) -> None:
        last = self.wrapped_document.height - 1
        bottom = self.wrapped_document.location_to_offset(self.cursor_location).y >= last
        if bottom and not select:
            self.post_message(self.Edge(1))
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

    def action_complete(self) -> None:
        """Complete a command, or go to the next widget."""
        prompt = self.parent.parent if self.parent is not None else None
        if not (isinstance(prompt, Prompt) and prompt.complete()):
            self.screen.focus_next()


class Prompt(Vertical):
    """A multi-line prompt with history and completion of slash commands.

    ``history`` holds earlier texts, oldest first; what is sent is added to it.
    """

    @dataclass
    class Submitted(Message):
        """The user sent a text, which is not blank."""

        prompt: Prompt
        text: str

    @dataclass
    class Typed(Message):
        """The text changed: tell a pending call that the user is typing."""

        prompt: Prompt
        text: str

    DEFAULT_CSS = """
    Prompt {
        height: auto;
        border: round $border-blurred;
        padding: 0 1;
        &:focus-within { border: round $primary; }
        & > OptionList {
            height: auto;
            max-height: 8;
            border: none;
            padding: 0;
            background: transparent;
            display: none;
            scrollbar-size-vertical: 1;
        }
        & > Horizontal { height: auto; }
        & .sign { width: 2; color: $primary; text-style: bold; }
    }
    """

    def __init__(
        self,
        completions: Sequence[Completion] = (),
        *,
        history: Sequence[str] = (),
        placeholder: str = "What shall we do? / shows commands",
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._completions = tuple(completions)
        self._history = list(history)
        self._at = len(self._history)
        self._draft = ""
        self._placeholder = placeholder

    def compose(self) -> ComposeResult:
        """Lay out the completions above the text."""
        options = OptionList(compact=True, markup=False)
        options.can_focus = False
        yield options
        with Horizontal():
            yield Static(Content("> "), classes="sign")
            yield PromptArea(placeholder=self._placeholder)

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

    @override
    def focus(self, scroll_visible: bool = True) -> Prompt:
        """Focus the text area."""
        self.area.focus(scroll_visible)
        return self

    def complete(self) -> bool:
        """Take the highlighted completion; say whether there was one."""
        chosen = self._chosen()
        if chosen is None:
            return False
        self.area.put(chosen.name + " ")
        return True

    @on(TextArea.Changed)
    def text_changed(self, event: TextArea.Changed) -> None:
        """Show the commands that fit what is written."""
        event.stop()
        self._show_completions()
        self.post_message(self.Typed(self, self.text))

    @on(Composer.Submitted)
    def submit(self, event: Composer.Submitted) -> None:
        """Send the text, or the command that is highlighted."""
        event.stop()
        text = event.text.strip()
        chosen = self._chosen()
        if chosen is not None and text != chosen.name:
            if chosen.takes_text:
                self.complete()
                return
            text = chosen.name
        if not text:
            return
        if not self._history or self._history[-1] != text:
            self._history.append(text)
        self._at = len(self._history)
        self.area.put("")
        self.post_message(self.Submitted(self, text))

    @on(PromptArea.Edge)
    def edge(self, event: PromptArea.Edge) -> None:
        """Move through the completions, or else through the history."""
        event.stop()
        options = self.query_one(OptionList)
        if options.display:
            count = options.option_count
            options.highlighted = ((options.highlighted or 0) + event.direction) % count
            return
        if self._at == len(self._history):
            self._draft = self.text
        at = self._at + event.direction
        if 0 <= at <= len(self._history):
            self._at = at
            self.area.put(self._history[at] if at < len(self._history) else self._draft)

    @on(OptionList.OptionSelected)
    def option_clicked(self, event: OptionList.OptionSelected) -> None:
        """Complete with the command that was clicked."""
        event.stop()
        self.complete()
        self.focus()

    def on_key(self, event: events.Key) -> None:
        """Let Esc close the completions before it means anything else."""
        options = self.query_one(OptionList)
        if event.key == "escape" and options.display:
            event.stop()
            options.display = False

    def _chosen(self) -> Completion | None:
        options = self.query_one(OptionList)
        if not options.display or options.highlighted is None:
            return None
        option = options.get_option_at_index(options.highlighted)
        return next((each for each in self._completions if each.name == option.id), None)

    def _show_completions(self) -> None:
        options = self.query_one(OptionList)
        text = self.area.text
        found = self._matches(text) if text.startswith("/") and not _has_space(text) else []
        options.display = bool(found)
        options.clear_options()
        if found:
            width = max(len(each.name) for each in found)
            options.add_options([Option(_line(each, width), id=each.name) for each in found])
            options.highlighted = 0

    def _matches(self, text: str) -> list[Completion]:
        starting = [each for each in self._completions if each.name.startswith(text)]
        if starting or len(text) < 2:
            return starting
        matcher = Matcher(text[1:])
        scored = [(matcher.match(each.name[1:]), each) for each in self._completions]
        scored.sort(key=lambda pair: -pair[0])
        return [each for score, each in scored if score > 0]


def _has_space(text: str) -> bool:
    return any(character.isspace() for character in text)


def _line(completion: Completion, width: int) -> Content:
    name = visible(completion.name, keep="").ljust(width)
    return Content.assemble((name, "bold"), "  ", (visible(completion.help, keep=""), "$quiet"))
