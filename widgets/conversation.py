"""The conversation: what was said, called, decided and learned, newest last.

All of it is kept as records; only the entries around the view are widgets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, cast

from textual import events
from textual.containers import VerticalScroll
from textual.geometry import NULL_OFFSET, Region, Size, Spacing
from textual.layout import Layout, WidgetPlacement
from textual.layouts.stream import StreamLayout
from textual.reactive import Reactive, var
from textual.widget import Widget
from typing_extensions import override

from .entries import AssistantEntry, Edge, Entry, entry_of
from .heatmap import TokenCell
from .transcript_model import (
    AssistantRecord,
    CallOutcome,
    CallRecord,
    LessonRecord,
    NoticeRecord,
    Record,
    Severity,
    Slot,
    TranscriptModel,
    UserRecord,
    with_output,
)
from .transcript_window import FIRST_GUESS, MOST_WAITING, Geometry, Pin, Window, plan, tail


class _WindowLayout(StreamLayout):
    """Lays the mounted entries out and lets the conversation say where they lie."""

    @override
    def arrange(
        self, parent: Widget, children: list[Widget], size: Size, greedy: bool = True
    ) -> list[WidgetPlacement]:
        placements = super().arrange(parent, children, size, greedy)
        return parent.place(placements, size) if isinstance(parent, Conversation) else placements


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
        border-bottom: blank $background;
        border-subtitle-align: center;
        border-subtitle-color: $foreground;
        border-subtitle-background: $panel;
        border-subtitle-style: bold;
    }
    """

    held: var[int] = var(0)
    """How many entries the conversation has, on the screen or not."""

    def __init__(
        self,
        *,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._model: TranscriptModel[Entry] = TranscriptModel()
        self._streaming: Slot[Entry] | None = None
        self._shown: dict[Widget, Slot[Entry]] = {}
        self._first = self._last = 0
        self._edge = Edge()
        self._layout = _WindowLayout()
        # Where the mounted entries lay when they were last laid out.
        self._edges: list[int] = [0]
        self._placed: list[Slot[Entry]] = []
        self._room = Size(0, 0)
        self._bottom = 0
        self._average = 0.0
        self._sure = False
        self._aim: Slot[Entry] | None = None
        self._adjusting = False
        self._following = True
        self._unseen: dict[int, None] = {}

    @property
    @override
    def layout(self) -> Layout:
        return self._layout

    def on_mount(self) -> None:
        """Show the newest of what is there already."""
        self.mount(self._edge)
        self._show_tail()

    # --- following and scrolling ------------------------------------------------------

    @property
    def following(self) -> bool:
        """Whether the newest entry is kept in view."""
        return self._following

    @property
    def unseen(self) -> int:
        """How many entries came, or went on, below since the user scrolled away."""
        return len(self._unseen)

    def follow(self) -> None:
        """Jump to the newest entry and keep it in view."""
        self._set_following(True)
        if self._last < len(self._model):
            self._show_tail()
        self._edge.refresh(layout=True)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Follow the end when the user comes to it, and no longer when he leaves it."""
        super().watch_scroll_y(old_value, new_value)
        self._set_following(new_value >= self._bottom)
        self._check()

    def action_scroll_end(self) -> None:
        """Go to the newest entry and follow it."""
        self.follow()

    def action_scroll_home(self) -> None:
        """Go to the beginning."""
        self.scroll_home(animate=False)

    def action_page_up(self) -> None:
        """Go up by a page, at once."""
        self._scroll_by(-self._room.height)

    def action_page_down(self) -> None:
        """Go down by a page, at once."""
        self._scroll_by(self._room.height)

    def action_scroll_up(self) -> None:
        """Go up by a line, at once."""
        self._scroll_by(-1)

    def action_scroll_down(self) -> None:
        """Go down by a line, at once."""
        self._scroll_by(1)

    def _scroll_by(self, rows: int) -> None:
        # Later the same row may have another number.
        self.scroll_to(y=self.scroll_y + rows, animate=False, immediate=True)

    def on_click(self, event: events.Click) -> None:
        """Go to the newest entry when the hint about it is clicked."""
        if self._unseen and event.widget is self and event.y == self.outer_size.height - 1:
            event.stop()
            self.follow()

    def _set_following(self, following: bool) -> None:
        self._following = following
        if following and self._unseen:
            self._unseen.clear()
            self._hint()

    def _came(self, slot: Slot[Entry]) -> None:
        """Count what is new below, once for each entry."""
        if not self._following and id(slot) not in self._unseen:
            self._unseen[id(slot)] = None
            self._hint()

    def _hint(self) -> None:
        self.border_subtitle = f" {self.unseen} new below · End " if self._unseen else None

    # --- what is said -----------------------------------------------------------------

    def clear(self) -> None:
        """Take everything off."""
        self.load(())

    def load(self, records: Iterable[Record]) -> None:
        """Show a saved conversation from its end, in place of this one."""
        self._streaming = None
        self._let_go(self._first, self._last)
        self._model.load(records)
        self._first = self._last = 0
        self._average, self._sure = 0.0, False
        self._set_following(True)
        self._show_tail()
        self.held = len(self._model)

    @property
    def records(self) -> list[Record]:
        """Everything that the conversation holds, oldest first."""
        return [slot.record for slot in self._model.slots]

    def add_user(self, text: str) -> None:
        """Add what the user said, and follow the end again."""
        self._add(UserRecord(text))
        self.follow()

    def begin_assistant(self) -> None:
        """Begin a message of the model; pieces follow by ``append_assistant``."""
        self.end_assistant()
        self._streaming = self._add(AssistantRecord())

    def append_assistant(self, chunk: str) -> None:
        """Append a piece to the model's message."""
        if self._streaming is None:
            self.begin_assistant()
        slot = self._streaming
        if slot is not None and isinstance(slot.record, AssistantRecord):
            slot.record = AssistantRecord(slot.record.text + chunk)
            self._came(slot)
            if isinstance(slot.widget, AssistantEntry):
                slot.widget.feed(chunk)

    def end_assistant(self, text: str | None = None) -> None:
        """End the model's message; ``text`` replaces what streamed, and blank takes it off."""
        slot, self._streaming = self._streaming, None
        if slot is None:
            if text and text.strip():
                self._add(AssistantRecord(text.strip()))
        elif text is not None and not text.strip():
            self._remove(slot)
        else:
            if text is not None:
                slot.record = AssistantRecord(text.strip())
            if isinstance(slot.widget, AssistantEntry):
                slot.widget.finish(text if text is None else text.strip())

    def drop_assistant(self) -> None:
        """Take off the model's message that has begun."""
        slot, self._streaming = self._streaming, None
        if slot is not None:
            self._remove(slot)

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
        self._add(CallRecord(tool, title, outcome, reason), number)

    def mark_call(
        self, outcome: CallOutcome, reason: str = "", *, number: int | None = None
    ) -> None:
        """Say what was decided about a call, and why."""
        self._change_call(number, outcome=outcome, detail=reason)

    def add_output(self, text: str, *, number: int | None = None) -> None:
        """Append to what a call printed."""
        found = self._model.call(number)
        if found is not None and text:
            self._change(found[0], with_output(found[1], text))

    def end_call(
        self,
        ok: bool,
        seconds: float | None = None,
        note: str = "",
        *,
        number: int | None = None,
    ) -> None:
        """Say how a call went."""
        self._change_call(number, ok=ok, seconds=seconds, note=note)

    def add_notice(self, text: str, severity: Severity = "information") -> None:
        """Add one sentence from the program."""
        self._add(NoticeRecord(text, severity))

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
        self._add(LessonRecord(outcome, reason, correction, figures, tuple(tokens)))

    def give_tokens(self, tokens: Iterable[Sequence[TokenCell]]) -> None:
        """Give the lessons, oldest first, their tokens, which were not known before."""
        for (slot, lesson), cells in zip(self._model.lessons(), tokens, strict=False):
            self._change(slot, replace(lesson, tokens=tuple(cells)))

    def answer(self, back: int = 1) -> str | None:
        """Give the model's newest answer, or one further back, counted from 1."""
        return next((text for n, text in enumerate(self._model.answers(), 1) if n == back), None)

    def output(self) -> str | None:
        """Give what a call printed last."""
        return next(self._model.outputs(), None)

    def _change_call(self, number: int | None, **changes: Any) -> None:
        found = self._model.call(number)
        if found is not None:
            self._change(found[0], replace(found[1], **changes))

    def _change(self, slot: Slot[Entry], record: Record) -> None:
        slot.record = record
        if slot.widget is not None:
            slot.widget.show(record)

    def _add(self, record: Record, number: int | None = None) -> Slot[Entry]:
        slot = self._model.add(record, number)
        self.held = len(self._model)
        self._came(slot)
        mounted = self._last - self._first
        if self._last < len(self._model) - 1 or not self._edge.is_attached:
            self._edge.refresh(layout=True)  # below the window: only the scrollbar changes
        elif self._following or mounted < MOST_WAITING:
            self._last += 1
            self.mount(self._show(slot), before=self._edge)
            if self._following and mounted >= MOST_WAITING:
                self._move(Window(self._last - MOST_WAITING // 2, self._last))
        return slot

    def _remove(self, slot: Slot[Entry]) -> None:
        index = self._model.index(slot)
        if self._unseen.pop(id(slot), 0) is None:
            self._hint()
        if self._first <= index < self._last:
            self._let_go(index, index + 1)
        del self._model.slots[index]
        self.held = len(self._model)
        self._first -= index < self._first
        self._last -= index < self._last

    # --- the window -------------------------------------------------------------------

    def place(self, placements: list[WidgetPlacement], size: Size) -> list[WidgetPlacement]:
        """Put the mounted entries where they lie in the whole; what is in view stays in view."""
        pin = self._pin()
        entries = [(self._shown[p.widget], p) for p in placements if p.widget in self._shown]
        self._placed = [slot for slot, _ in entries]
        heights = [p.region.height + p.margin.top for _, p in entries]
        measured = [height for height, (_, p) in zip(heights, entries, strict=True) if p.region]
        self._sure = self._sure and size.width == self._room.width
        if measured and not self._sure:
            # Once it is known it stays, or all that is not mounted would move at every layout.
            self._average = max(1.0, sum(measured) / len(measured))
            self._sure = len(measured) == len(heights) < len(self._model)
        self._room = size
        edges = [round(self._first * self._rows)]
        for height in heights:
            edges.append(edges[-1] + height)
        self._edges = edges
        total = edges[-1] + round((len(self._model) - self._last) * self._rows)
        self._bottom = max(0, total - size.height)
        self._scroll_while_laying_out(pin)
        placed = [
            p._replace(region=Region(p.region.x, top + p.margin.top, *p.region.size))
            for top, (_, p) in zip(edges, entries, strict=False)
        ]
        if self._last < len(self._model):
            end = Region(0, total - 1, size.width, 1)
            placed.append(WidgetPlacement(end, NULL_OFFSET, Spacing(), self._edge))
        self.call_later(self._check)
        return placed

    @property
    def _rows(self) -> float:
        """How many rows an entry takes that is not mounted."""
        return self._average or FIRST_GUESS

    def _pin(self) -> Pin[Entry] | None:
        """Give the entry at the top of the view, or the one that is nearest to it."""
        top = round(self.scroll_y)
        if self._aim is not None:
            return Pin(self._aim, 0, False)
        pin = None
        for index, slot in enumerate(self._placed):
            if slot.widget is not None:
                start, end = self._edges[index : index + 2]
                pin = Pin(slot, top - start, start <= top < end)
                if end > top:
                    break
        return pin

    def _scroll_while_laying_out(self, pin: Pin[Entry] | None) -> None:
        """Take the position along, so that no frame shows the entries elsewhere."""
        if not self._bottom and self._last == len(self._model):
            self._following = True
        scroll = round(self.scroll_y)
        if self._following:
            scroll = self._bottom
        elif pin is not None and pin.slot in self._placed:
            at = self._placed.index(pin.slot)
            scroll = self._edges[at] + pin.offset
            if pin.inside:
                # An entry that became shorter must not leave the view to those below it.
                scroll = min(scroll, self._edges[at + 1] - 1)
        scroll = float(max(0, min(scroll, self._bottom)))
        self.set_reactive(Widget.scroll_y, scroll)
        self.set_reactive(cast("Reactive[float]", Widget.scroll_target_y), scroll)
        if not self._adjusting:
            self._aim = None

    def _wanted(self) -> Window | None:
        """Give the entries that should be mounted, or None where all is well."""
        if self._adjusting or not self._room.height or not self._edge.is_attached:
            return None
        count = len(self._model)
        if self._following and self._last < count:
            return tail(count, self._rows, self._room.height)
        if len(self._placed) != self._last - self._first:
            return None  # another layout is on its way
        top = round(self.scroll_y)
        wanted = plan(Geometry(self._first, self._edges, count, self._rows, top, self._room.height))
        if self.screen.selections and wanted.aim is None:
            # What is selected must stay, or it could not be copied.
            wanted = Window(min(wanted.first, self._first), max(wanted.last, self._last))
        return None if wanted[:2] == (self._first, self._last) else wanted

    def _check(self) -> None:
        """Mount what came near and let go what is far away, after what is painted now."""
        if self.show_vertical_scrollbar:  # it may be newer than the scrolling
            self.vertical_scrollbar.position = self.scroll_y
        if self._wanted() is not None:
            self.call_later(self._adjust)

    async def _adjust(self) -> None:
        wanted = self._wanted()
        if wanted is None:
            return
        self._adjusting = True
        try:
            # One layout for all that comes and goes, and no frame between them.
            with self.app.batch_update():
                for waiting in self._move(wanted):
                    await waiting
        finally:
            self._adjusting = False

    def _show_tail(self) -> None:
        if self._edge.is_attached:
            height = self._room.height or self.app.size.height
            self._move(tail(len(self._model), self._rows, height))
            self._edge.refresh(layout=True)

    def _move(self, to: Window) -> list[Any]:
        """Change the window; what it gives can be waited for."""
        first, last = self._first, self._last
        slots = self._model.slots
        if to.last <= first or to.first >= last:
            self._let_go(first, last)
            first = last = to.first
        self._first, self._last = to.first, to.last
        if to.aim is not None:
            self._aim = slots[to.aim]
        mounting = []
        if to.first < first:
            head = slots[first].widget if first < last else None
            mounting.append(self._bring(to.first, min(first, to.last), head or self._edge))
        if to.last > last:
            mounting.append(self._bring(max(last, to.first), to.last, self._edge))
        self._let_go(first, min(to.first, last))
        self._let_go(max(to.last, first), last)
        return mounting

    def _bring(self, first: int, last: int, before: Widget) -> Any:
        widgets = [self._show(slot) for slot in self._model.slots[first:last]]
        return self.mount_all(widgets, before=before)

    def _show(self, slot: Slot[Entry]) -> Entry:
        slot.widget = entry_of(slot.record, opened=slot.opened)
        self._shown[slot.widget] = slot
        return slot.widget

    def _let_go(self, first: int, last: int) -> None:
        gone: list[Widget] = []
        for slot in self._model.slots[first:last] if first < last else ():
            widget, slot.widget = slot.widget, None
            if widget is not None:
                slot.opened = widget.opened
                del self._shown[widget]
                gone.append(widget)
                if widget.has_focus_within or widget.has_focus:
                    self.focus(scroll_visible=False)
        if gone:
            self.remove_children(gone)
