"""What stands in place of an empty conversation, and the same welcome as a page of its own."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.reactive import var
from textual.screen import ModalScreen

from ...widgets.conversation import Conversation
from ...widgets.entries import NOTICE_STYLES
from ...widgets.fitted_text import Block, FittedText, Row
from ...widgets.transcript_model import NoticeRecord, Record
from .. import welcome_words as words
from ..opening import Opening
from ..store.paths import DataPaths, make_private_folder, write_private

if TYPE_CHECKING:
    from ..settings import Settings
    from .chat import ChatScreen

MOST_NOTICES = 4
"""More of the program's own sentences than this are read in the conversation."""


class EmptyPage(VerticalScroll, can_focus=False):
    """The welcome until the first request was ever sent, a few keys later.

    It goes when something comes into the conversation; what the program says by itself, before
    the user did anything, stands above it.
    """

    DEFAULT_CSS = """
    EmptyPage {
        height: 1fr; min-height: 2; align: center middle; padding: 0 2;
        scrollbar-size-vertical: 1;
        FittedText { max-width: 92; }
        &.-known FittedText { max-width: 60; }
    }
    """

    written: var[bool] = var(False)
    """Whether something stands in the prompt, which Enter then sends."""

    def __init__(self, chat: ChatScreen, conversation: Conversation, opening: Opening) -> None:
        super().__init__()
        self._chat = chat
        self._conversation = conversation
        self._text = FittedText()
        self._marker = DataPaths(chat.settings.data_dir).welcomed
        self._welcoming = not (opening.resume or _is_there(self._marker))
        # A conversation that is on its way must not find anything in its place.
        self._waiting = bool(opening.resume)
        self._acted = False
        # Before anything is painted: nothing is to come and go at the start.
        self._show(0)

    def compose(self) -> ComposeResult:
        """Lay out the text, which fits itself to the room."""
        yield self._text

    def on_mount(self) -> None:
        """Follow the conversation and what the agent does."""
        self.watch(self._conversation, "held", self._show)
        self.watch(self._chat, "phase", self._write, init=False)

    # --- what happens -------------------------------------------------------------------

    def note_action(self) -> None:
        """The user sent something: what comes next takes this page's place."""
        self._acted = True

    def note_request(self) -> None:
        """The first request was sent: from now on the program is known."""
        if self._welcoming:
            self._welcoming = False
            self.run_worker(
                asyncio.to_thread(self._remember), group="welcome",
                description="note that the program is known",
            )  # fmt: skip

    def _remember(self) -> None:
        # Where nothing can be kept the welcome comes again; that is said of weightier files.
        with suppress(OSError):
            make_private_folder(self._marker.parent)
            write_private(self._marker, b"")

    def watch_written(self) -> None:
        """Say what Enter does now."""
        self._write()

    # --- what is shown ------------------------------------------------------------------

    @property
    def offers_example(self) -> bool:
        """Whether the page says that Enter writes an example."""
        return self.display and self._welcoming and self._start == "example"

    @property
    def _start(self) -> words.Start:
        if self._chat.phase == "failed":
            return "failed"
        return "send" if self.written else "example"

    def _show(self, held: int) -> None:
        self._waiting = self._waiting and not held
        empty = not held or (
            held <= MOST_NOTICES
            and not self._acted
            and all(isinstance(each, NoticeRecord) for each in self._conversation.records)
        )
        self.display = empty and not self._waiting
        self._conversation.display = not empty
        self._write()

    def _write(self) -> None:
        if not self.display:
            return
        self.set_class(not self._welcoming, "-known")
        blocks = words.hint()
        if self._welcoming:
            blocks = (*words.welcome(self._chat.settings), words.start(self._start))
        self._text.blocks = (_notices(self._conversation.records), *blocks)


class WelcomeScreen(ModalScreen[None]):
    """The welcome over the conversation; any of a few keys closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "dismiss", "back", id="welcome.back"),
    ]
    DEFAULT_CSS = """
    WelcomeScreen { align: center middle; }
    WelcomeScreen > VerticalScroll {
        width: 88; max-width: 100%; height: auto; max-height: 100%;
        background: $surface; border: round $primary; padding: 0 1;
    }
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings

    def compose(self) -> ComposeResult:
        """The text in a box."""
        with VerticalScroll() as scroll:
            scroll.border_subtitle = "Esc closes"
            yield FittedText()

    def on_mount(self) -> None:
        """Fill in the text."""
        self.query_one(FittedText).blocks = words.welcome(self._settings)

    async def action_dismiss(self, result: None = None) -> None:
        """Close the page."""
        self.dismiss(result)


def _is_there(file: Path) -> bool:
    try:
        return file.is_file()
    except OSError:
        return False


def _notices(records: list[Record]) -> Block:
    rows: list[Row] = []
    for record in records:
        if isinstance(record, NoticeRecord):
            sign, style = NOTICE_STYLES[record.severity]
            rows.append(Row(f"{sign} {record.text}", style=style))
    return tuple(rows)
