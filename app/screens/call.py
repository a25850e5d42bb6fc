"""A pending call on the whole screen, to be read; it is decided in the panel only."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from ...widgets.call_preview import CallPreview, preview_widget
from ...widgets.diff import DiffMode, DiffView
from ...widgets.reading import end_in_view
from ...widgets.sanitise import content

ROOM_FOR_THE_REST = 36
"""Columns of the border for its corners and for how much there is further down."""


class CallReader(VerticalScroll, can_focus=True, can_focus_children=False):
    """Scrolls a call and says how much of it is further down."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("k", "scroll_up", "Scroll up", show=False, id="call.up"),
        Binding("j", "scroll_down", "Scroll down", show=False, id="call.down"),
        Binding("space", "page_down", "Read on", show=False, id="call.page"),
    ]
    DEFAULT_CSS = """
    CallReader {
        width: 100%; height: 100%; padding: 0 1; scrollbar-size-vertical: 1;
        border: round $primary; border-title-color: $foreground; border-title-style: bold;
        border-subtitle-color: $foreground; border-subtitle-align: left;
        & > .where { color: $quiet; height: auto; }
        & > .problem { color: $text-error; height: auto; }
        & > .preview { height: auto; }
    }
    """

    def __init__(self, preview: CallPreview, mode: DiffMode) -> None:
        super().__init__()
        self._preview = preview
        self._mode: DiffMode = mode
        self.seen = False
        keys = "Esc back · Space read on"
        diff = " · t layout · x unfold" if preview.kind == "diff" else ""
        self.border_subtitle = Content(keys + diff)

    def compose(self) -> ComposeResult:
        """Lay out what is wrong with the call above what it would do."""
        yield Static(Content(self._preview.heading), id="heading", classes="where")
        if self._preview.changed_file:
            yield Static(Content(f"the file is {self._preview.changed_file}"), classes="where")
        if self._preview.problem:
            yield Static(content(self._preview.problem, keep=""), classes="problem")
        yield preview_widget(self._preview, self._mode)

    def on_mount(self) -> None:
        """Show the whole title once the height is known."""
        self.show_rest()

    def watch_virtual_size(self) -> None:
        """Say how much there is further down, once that is laid out."""
        self.call_later(self.show_rest)

    def on_resize(self) -> None:
        """Give the heading lines of its own if the border is too short for it."""
        room = self.outer_size.width - ROOM_FOR_THE_REST
        self.query_one("#heading").display = cell_len(self._preview.heading) > room
        self.call_after_refresh(self.show_rest)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Say how much there is further down."""
        super().watch_scroll_y(old_value, new_value)
        self.call_after_refresh(self.show_rest)

    def on_diff_view_laid_out(self) -> None:
        """A long diff has got its height."""
        self.call_after_refresh(self.show_rest)

    def show_rest(self) -> None:
        """Say in the title how much there is further down."""
        below = round(self.max_scroll_y - self.scroll_y)
        self.seen |= any(end_in_view(preview) for preview in self.query(".preview"))
        more = f" · {below} more line{'' if below == 1 else 's'} below" if below > 0 else ""
        self.border_title = Content(self._preview.heading + more)


class CallScreen(Screen[bool]):
    """Shows a call; the result says whether it was read to its end."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,f", "back", "Back to decide", id="call.back"),
        Binding("t", "next_mode", "Unified or split", id="call.mode"),
        Binding("x,enter", "open_or_fold", "Unchanged lines", id="call.unfold"),
    ]

    def __init__(self, preview: CallPreview, mode: DiffMode = "automatic") -> None:
        super().__init__()
        self._preview = preview
        self._mode: DiffMode = mode

    def compose(self) -> ComposeResult:
        """One scrolling page."""
        yield CallReader(self._preview, self._mode)

    def on_mount(self) -> None:
        """Give the page the keys."""
        self.query_one(CallReader).focus()

    def action_back(self) -> None:
        """Close the page."""
        self.dismiss(self.query_one(CallReader).seen)

    def action_next_mode(self) -> None:
        """Go on to the next layout of the diff."""
        for diff in self.query(DiffView):
            diff.next_mode()
        self._after_change()

    def action_open_or_fold(self) -> None:
        """Open the unchanged lines, or fold them."""
        for diff in self.query(DiffView):
            diff.open_or_fold()
        self._after_change()

    def _after_change(self) -> None:
        self.call_after_refresh(self.query_one(CallReader).show_rest)
