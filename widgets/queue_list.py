"""The messages that wait for the agent, one line each, above the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from .sanitise import one_line

QUEUED = "{} queued · Up takes the last back · shift+tab chooses"
HELD = "{} held · Enter sends them · Up takes the last back"
HERE = "e edits · d drops · Esc goes back"


class Lines(OptionList):
    """The messages; the keys act on the one that is highlighted."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "act('edit')", "Edit", show=False, id="queue.edit"),
        Binding("d,delete,backspace", "act('drop')", "Drop", show=False, id="queue.drop"),
        Binding("escape", "act('leave')", "Back", show=False, id="queue.leave"),
    ]

    @dataclass
    class Acted(Message):
        """A key was pressed on a message."""

        verb: str
        index: int

    def action_act(self, verb: str) -> None:
        """Say which message the key was for."""
        self.post_message(self.Acted(verb, self.highlighted or 0))

    def action_cursor_down(self) -> None:
        """Below the last message lies the prompt."""
        if self.highlighted == self.option_count - 1:
            self.action_act("leave")
        else:
            super().action_cursor_down()


class QueueList(Vertical):
    """Shows the queue, and posts what the user wants with a message of it."""

    @dataclass
    class Edited(Message):
        """The user wants a message back in the prompt."""

        index: int

    @dataclass
    class Dropped(Message):
        """The user does not want a message sent."""

        index: int

    class Left(Message):
        """The user goes back to the prompt."""

    DEFAULT_CSS = """
    QueueList {
        height: auto;
        padding: 0 1 0 2;
        display: none;
        &.-some { display: block; }
        & > .head { height: auto; color: $quiet; }
        & > .head.-held { color: $text-warning; }
        & > Lines {
            height: auto; max-height: 4; border: none; padding: 0; background: transparent;
            scrollbar-size-vertical: 1; text-wrap: nowrap; text-overflow: ellipsis;
            & > .option-list--option-highlighted { background: transparent; text-style: none; }
            &:focus > .option-list--option-highlighted {
                background: $block-cursor-background; color: $block-cursor-foreground;
                text-style: $block-cursor-text-style;
            }
        }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._held = False

    def compose(self) -> ComposeResult:
        """Lay out one line that says what these are, and the messages."""
        yield Static(classes="head")
        yield Lines(compact=True, markup=False)

    def show(self, texts: Sequence[str], *, held: bool) -> None:
        """Show these messages, oldest first; ``held`` says that they wait for the user."""
        lines = self.query_one(Lines)
        self.set_class(bool(texts), "-some")
        self._held = held
        at = lines.highlighted
        lines.clear_options()
        if not texts:
            return
        lines.add_options(
            [Option(Content(f"{n} {one_line(text)}")) for n, text in enumerate(texts, 1)]
        )
        lines.highlighted = len(texts) - 1 if at is None else min(at, len(texts) - 1)
        self._say()

    def on_descendant_focus(self) -> None:
        """Say what the keys do here."""
        self._say()

    def on_descendant_blur(self) -> None:
        """Say how to come here."""
        self._say()

    def _say(self) -> None:
        head = self.query_one(".head", Static)
        head.set_class(self._held, "-held")
        if self.query_one(Lines).has_focus:
            head.update(Content(HERE))
        else:
            words = HELD if self._held else QUEUED
            head.update(Content(words.format(self.query_one(Lines).option_count)))

    @on(Lines.Acted)
    def acted(self, event: Lines.Acted) -> None:
        """Say what the user wants."""
        event.stop()
        match event.verb:
            case "edit":
                self.post_message(self.Edited(event.index))
            case "drop":
                self.post_message(self.Dropped(event.index))
            case _:
                self.post_message(self.Left())

    @on(OptionList.OptionSelected)
    def selected(self, event: OptionList.OptionSelected) -> None:
        """Enter or a click on a message takes it back as well."""
        event.stop()
        self.post_message(self.Edited(event.option_index))
