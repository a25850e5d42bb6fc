"""A question before something that cannot be taken back with a key."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from ...widgets.sanitise import content


class ConfirmScreen(ModalScreen[bool]):
    """Asks once; only `y` means yes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "yes", id="confirm.yes"),
        Binding("n,escape,q", "answer(False)", "no", id="confirm.no"),
    ]
    DEFAULT_CSS = """
    ConfirmScreen { align: center middle; }
    ConfirmScreen > VerticalScroll {
        width: 64; max-width: 100%; height: auto; max-height: 100%;
        background: $surface; border: round $warning; padding: 1 2;
        border-subtitle-color: $foreground;
    }
    """

    def __init__(self, title: str, words: Content, yes: str, no: str) -> None:
        super().__init__()
        self._title, self._words = content(title), words
        self._yes, self._no = content(yes), content(no)

    def compose(self) -> ComposeResult:
        """The question, and what each key does."""
        with VerticalScroll() as box:
            box.border_title = self._title
            box.border_subtitle = Content.assemble(
                ("y", "bold $primary"), " ", self._yes, " · ", ("n", "bold $primary"), " ", self._no
            )
            yield Static(self._words)

    def action_answer(self, yes: bool) -> None:
        """Close with the answer."""
        self.dismiss(yes)
