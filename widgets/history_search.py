"""A search over what was written before: type a few letters, Enter takes the text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Static, TextArea
from textual.widgets.option_list import Option
from typing_extensions import override

from .composer import Composer
from .fuzzy import Fuzzy
from .sanitise import one_line

MOST_SHOWN = 50


class Query(Composer):
    """What is searched for, in one line; the arrow keys move through what was found."""

    @dataclass
    class Moved(Message):
        """An arrow key was pressed."""

        direction: int

    @override
    def action_cursor_up(self, select: bool = False) -> None:
        self.post_message(self.Moved(-1))

    @override
    def action_cursor_down(self, select: bool = False) -> None:
        self.post_message(self.Moved(1))

    @override
    def action_newline(self) -> None:
        """Stay on one line."""


class HistorySearch(Vertical):
    """Hidden until it is opened, and again when a text was taken or the focus went away."""

    @dataclass
    class Taken(Message):
        """The user chose a text."""

        text: str

    @dataclass
    class Closed(Message):
        """It is hidden again without a text; ``back`` says that the user wants the prompt."""

        back: bool

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Back", show=False, id="history.back"),
        Binding("ctrl+r", "older", "Older", show=False, id="history.older"),
    ]

    DEFAULT_CSS = """
    HistorySearch {
        height: auto;
        border: round $primary;
        border-title-color: $primary;
        border-subtitle-color: $quiet;
        padding: 0 1;
        display: none;
        & > OptionList {
            height: auto; max-height: 6; border: none; padding: 0; background: transparent;
            scrollbar-size-vertical: 1; text-wrap: nowrap; text-overflow: ellipsis;
        }
        & > .none { color: $quiet; display: none; }
        & > Horizontal { height: 1; }
        & .sign { width: 2; color: $primary; text-style: bold; }
        & Query { max-height: 1; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._texts: list[str] = []
        self._found: list[str] = []

    def compose(self) -> ComposeResult:
        """Lay out what was found above what is searched for."""
        options = OptionList(compact=True, markup=False)
        options.can_focus = False
        yield options
        yield Static("Nothing that you wrote here has these letters.", classes="none")
        with Horizontal():
            yield Static(Content("? "), classes="sign")
            yield Query(placeholder="a few letters of what you wrote")

    def on_mount(self) -> None:
        """Say what the keys do."""
        self.border_title = "history"
        self.border_subtitle = "Enter takes it · Esc back"

    @property
    def searching(self) -> bool:
        """Whether it is open."""
        return self.display

    def open(self, history: Sequence[str]) -> None:
        """Search these texts, oldest first; the newest are shown first, each once."""
        self._texts = list(dict.fromkeys(reversed(history)))
        self.display = True
        query = self.query_one(Query)
        query.put("")
        query.focus()
        self._search()

    def action_close(self) -> None:
        """Go back without a text."""
        self._close(back=True)

    def action_older(self) -> None:
        """Highlight the next older text."""
        self._move(1)

    def on_descendant_blur(self) -> None:
        """Whoever is elsewhere does not search any more."""
        self._close(back=False)

    def _close(self, *, back: bool) -> None:
        if self.display:
            self.display = False
            self.post_message(self.Closed(back))

    @on(TextArea.Changed)
    def query_changed(self, event: TextArea.Changed) -> None:
        """Search again."""
        event.stop()
        self._search()

    @on(Query.Moved)
    def moved(self, event: Query.Moved) -> None:
        """Highlight another text."""
        event.stop()
        self._move(event.direction)

    @on(Composer.Submitted)
    def chosen(self, event: Composer.Submitted) -> None:
        """Take the highlighted text."""
        event.stop()
        self._take()

    @on(OptionList.OptionSelected)
    def clicked(self, event: OptionList.OptionSelected) -> None:
        """Take the text that was clicked."""
        event.stop()
        self._take()

    def _take(self) -> None:
        at = self.query_one(OptionList).highlighted
        if at is not None and self._found:
            self.display = False
            self.post_message(self.Taken(self._found[at]))

    def _move(self, direction: int) -> None:
        options = self.query_one(OptionList)
        if self._found:
            options.highlighted = ((options.highlighted or 0) + direction) % len(self._found)

    def _search(self) -> None:
        query = self.query_one(Query).value.strip()
        found = Fuzzy(query).best(self._texts, MOST_SHOWN) if query else self._texts[:MOST_SHOWN]
        self._found = found
        options = self.query_one(OptionList)
        options.clear_options()
        options.display = bool(found)
        self.query_one(".none").display = not found
        if found:
            options.add_options([Option(Content(one_line(text))) for text in found])
            options.highlighted = 0
