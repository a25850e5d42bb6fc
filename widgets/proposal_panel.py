"""The call that waits for a decision, and the keys that make it.

A stray key here would run a command, or teach the model something nobody meant: see ``arming``.
A call is approved only once its end has been on the screen, and so is the pattern of ``a``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import ClassVar, Literal

from rich.cells import cell_len, set_cell_size
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Static
from typing_extensions import override

from .arming import SETTLE, ArmedPanel
from .call_preview import CallPreview, preview_widget
from .command_view import CommandView
from .diff import DiffMode, DiffView
from .reading import end_in_view
from .sanitise import content

Stage = Literal["call", "unseen", "always"]
DECISIONS = frozenset({"approve", "deny", "edit", "always", "for_good", "back"})
FROM_NOW_ON = "From now on, run exactly this call without asking:"
# From these widths on the border has room for the keys that only change the view.
ROOM_FOR_FULL_SCREEN = 74
ROOM_FOR_LAYOUT = 86
# What is kept of the title for the number of lines that are further down.
ROOM_FOR_REST = 28


class ProposalPanel(ArmedPanel):
    """A pending call with its preview and the keys ``y n e a Esc``.

    ``always`` spells out the exact call that ``a`` would approve from now on; without it ``a``
    is not offered. ``mode`` is how a diff is laid out. The panel does not take the focus by
    itself.
    """

    @dataclass
    class Approved(Message):
        """The user approved the call."""

        panel: ProposalPanel

    @dataclass
    class DenyRequested(Message):
        """The user wants to deny the call: ask for the correction."""

        panel: ProposalPanel

    @dataclass
    class EditRequested(Message):
        """The user wants to edit the arguments."""

        panel: ProposalPanel

    @dataclass
    class AlwaysRequested(Message):
        """The user approved exactly this call from now on: in this session, or for good."""

        panel: ProposalPanel
        for_good: bool = False

    @dataclass
    class FullScreenRequested(Message):
        """The user wants to read the call on the whole screen; nothing is decided there."""

        panel: ProposalPanel

    @dataclass
    class StopRequested(Message):
        """The user pressed Esc: decide nothing and stop the agent."""

        panel: ProposalPanel

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "approve", "Approve", id="proposal.approve"),
        Binding("n", "deny", "Deny and correct", id="proposal.deny"),
        Binding("e", "edit", "Edit the arguments", id="proposal.edit"),
        Binding("a", "always", "Always approve", id="proposal.always"),
        Binding("g", "for_good", "Always approve, for good", id="proposal.for_good"),
        Binding("escape", "back", "Stop", id="proposal.stop"),
        Binding("f", "full_screen", "Full screen", id="proposal.full_screen"),
        Binding("t", "next_mode", "Unified or split", id="proposal.mode"),
        Binding("x,enter", "open_or_fold", "Unchanged lines", id="proposal.unfold"),
        Binding("space", "page_down", "Read on", show=False, id="proposal.page"),
        Binding("k", "scroll_up", "Scroll up", show=False, id="proposal.up"),
        Binding("j", "scroll_down", "Scroll down", show=False, id="proposal.down"),
    ]

    DEFAULT_CSS = """
    ProposalPanel {
        height: auto;
        max-height: 70%;
        border: round $border-blurred;
        border-title-color: $foreground;
        border-title-style: bold;
        border-subtitle-color: $quiet;
        border-subtitle-align: left;
        padding: 0 1;
        scrollbar-size-vertical: 1;
        &:focus { border: round $primary; }
        &.-problem { border: round $error; }
        &.-shut { max-height: 35%; }
        &.-stale > .preview { opacity: 60%; }
        & > .problem { color: $text-error; display: none; height: auto; }
        &.-problem > .problem { display: block; }
        & > .where { color: $quiet; display: none; height: auto; }
        &.-where > .where { display: block; }
        & > .pattern { display: none; height: auto; color: $quiet; }
        & > .exact { color: $foreground; text-style: bold; }
        &.-always > .pattern { display: block; }
        &.-always > .preview { display: none; }
    }
    """

    stage: reactive[Stage] = reactive("call", init=False)

    def __init__(
        self,
        preview: CallPreview,
        *,
        always: str | None = None,
        mode: DiffMode = "automatic",
        arm_delay: float = 0.6,
        settle: float = SETTLE,
        clock: Callable[[], float] = monotonic,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(arm_delay=arm_delay, settle=settle, clock=clock, id=id, classes=classes)
        self._preview = preview
        self._always = always
        self._mode: DiffMode = mode
        self._read: set[CallPreview] = set()
        self._stale = False
        self._line = 0
        self._pattern_seen = False

    @property
    def preview(self) -> CallPreview:
        """What the call would do."""
        return self._preview

    @property
    def mode(self) -> DiffMode:
        """How a diff is laid out."""
        return self._mode

    @property
    def seen(self) -> bool:
        """Whether the end of the call has been on the screen."""
        return self._preview in self._read

    def compose(self) -> ComposeResult:
        """Lay out the problem, the pattern of ``a`` and the preview; the keys are in the border."""
        yield Static(classes="where")
        yield Static(classes="problem")
        yield Static(Content(FROM_NOW_ON), classes="pattern")
        yield CommandView(self._always or "", shell=False, classes="pattern exact")
        yield preview_widget(self._preview, self._mode)

    def on_mount(self) -> None:
        """Say what waits."""
        self._describe()

    async def show_preview(self, preview: CallPreview) -> None:
        """Show another preview in place of this one, for arguments that are being edited."""
        line = _first_difference(self._preview.after or "", preview.after or "")
        self._preview = preview
        self.stage = "call"
        self._set_stale(False)
        self.begin_quiet_time()
        async with self.batch():
            await self.query(".preview").remove()
            await self.mount(preview_widget(preview, self._mode))
        self._describe()
        self.call_after_refresh(self._note_seen)
        self._look_at(line)

    def mark_stale(self) -> None:
        """Take note that the preview is not that of the arguments as they are now."""
        self._set_stale(True)
        self._show_title()

    def _set_stale(self, stale: bool) -> None:
        self._stale = stale
        self.set_class(stale, "-stale")

    def mark_seen(self) -> None:
        """Take note that the user has read the call to its end somewhere else."""
        self._read.add(self._preview)

    @override
    def shut_down(self) -> None:
        super().shut_down()
        self._look_at(self._line)

    @override
    def rearm(self) -> None:
        self.stage = "call"
        super().rearm()
        self.scroll_home(animate=False)

    @override
    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what can be decided now; a shut panel leaves Esc to the app."""
        if action in DECISIONS and self._shut:
            return False
        if action in ("deny", "edit", "full_screen"):
            return self.stage != "always"
        if action in ("next_mode", "open_or_fold"):
            return self.stage != "always" and self._preview.kind == "diff"
        if action == "always":
            return self._offers_always and self.stage == "call"
        if action == "for_good":
            return self.stage == "always"
        return True

    @property
    def _offers_always(self) -> bool:
        return self._always is not None and self._preview.problem is None

    def _post(self, message: Message) -> None:
        self.shut_down()
        self.post_message(message)

    # --- actions ----------------------------------------------------------------------

    def action_approve(self) -> None:
        """Approve the call, or confirm what was asked for."""
        if self.stage == "always":
            self.ask(lambda: self._once_read(lambda: self._post(self.AlwaysRequested(self))))
        else:
            self.ask(lambda: self._once_read(lambda: self._post(self.Approved(self))))

    def action_deny(self) -> None:
        """Ask for a correction."""
        self.ask(lambda: self._post(self.DenyRequested(self)))

    def action_edit(self) -> None:
        """Ask for the arguments' editor."""
        self.ask(lambda: self._post(self.EditRequested(self)))

    def action_always(self) -> None:
        """Show what would always be approved."""
        self.ask(lambda: self._once_read(lambda: self._enter("always")))

    def action_for_good(self) -> None:
        """Approve exactly this call for good."""
        wanted = self.AlwaysRequested(self, for_good=True)
        self.ask(lambda: self._once_read(lambda: self._post(wanted)))

    def action_back(self) -> None:
        """Go back to the call, or stop."""
        self.forget_asked()
        if self.stage != "call":
            self._enter("call")
        else:
            self._post(self.StopRequested(self))

    def action_full_screen(self) -> None:
        """Show the call on the whole screen."""
        self.post_message(self.FullScreenRequested(self))

    def action_next_mode(self) -> None:
        """Go on to the next layout of the diff."""
        self._mode = self.query_one(DiffView).next_mode()
        self.call_after_refresh(self._show_title)

    def action_open_or_fold(self) -> None:
        """Open the unchanged lines, or fold them."""
        self.query_one(DiffView).open_or_fold()
        self.call_after_refresh(self._show_title)

    def _enter(self, stage: Stage) -> None:
        self.stage = stage
        self.begin_quiet_time()

    def _look_at(self, line: int) -> None:
        """In the little room beside a box, show the change that is being made."""
        self._line = line

        def scroll() -> None:
            for diff in self.query(DiffView) if self._shut else ():
                self.scroll_to(y=diff.first_change(line) - 1, animate=False)

        self.call_after_refresh(scroll)

    def _once_read(self, wanted: Callable[[], None]) -> None:
        """Do what was asked for if all of what it is about was shown, else ask to read on."""
        self._note_seen()
        if self._pattern_seen if self.stage == "always" else self.seen:
            wanted()
        elif self.stage == "always":
            self.begin_quiet_time()
        else:
            self._enter("unseen")

    def _note_seen(self) -> None:
        """Take note of the end of the call, or of the pattern, being on the screen."""
        if self.stage == "always":
            self._pattern_seen |= end_in_view(self.query_one(".exact"))
        elif any(end_in_view(preview) for preview in self.query(".preview")):
            self.mark_seen()

    def on_diff_view_laid_out(self) -> None:
        """A long diff has got its height."""
        self.call_after_refresh(self._show_title)

    # --- what is shown ----------------------------------------------------------------

    def watch_stage(self, stage: Stage) -> None:
        """Show the pattern that ``a`` would approve, or hide it."""
        self.set_class(stage == "always", "-always")
        self._pattern_seen = False
        if stage == "always":
            self.scroll_home(animate=False)
        self.call_after_refresh(self._show_title)
        self.show_keys()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Say how much there is further down."""
        super().watch_scroll_y(old_value, new_value)
        # Only then is what has come into view where it is.
        self.call_after_refresh(self._show_title)

    def watch_virtual_size(self) -> None:
        """Say how much there is further down, once that is laid out."""
        self.call_later(self._show_title)

    def on_resize(self) -> None:
        """Say how much there is further down."""
        if self._shut:
            self._look_at(self._line)
        self.call_after_refresh(self._show_title)
        self.show_keys()

    def _describe(self) -> None:
        problem = self._preview.problem
        self.set_class(problem is not None, "-problem")
        self.query_one(".problem", Static).update(content(problem or "", keep=""))
        self._show_title()
        self.show_keys()

    def _show_title(self) -> None:
        if not self.is_attached:
            return
        self._note_seen()
        if self.stage == "unseen" and self.seen:
            self._enter("call")
        below = round(self.max_scroll_y - self.scroll_y)
        parts = [self._heading()]
        parts += ["before your last change"] if self._stale else []
        if below > 0:
            lines = "line" if below == 1 else "lines"
            unread = self.stage == "unseen" or (self.stage == "always" and not self._pattern_seen)
            parts.append(
                f"{below} {lines} not read yet" if unread else f"{below} more {lines} below"
            )
        self.border_title = Content(" · ".join(parts))

    def _heading(self) -> str:
        """Give the heading for the title; what does not fit there stands above the call."""
        heading, target = self._preview.heading, self._preview.changed_file
        room = self.outer_size.width - 4 - (ROOM_FOR_REST if self.max_scroll_y > 0 else 0)
        fits = not self.outer_size.width or cell_len(heading) <= room
        where = ([] if fits else [heading]) + ([f"the file is {target}"] if target else [])
        if bool(where) != self.has_class("-where"):
            self.set_class(bool(where), "-where")
            self.call_after_refresh(self._show_title)
        for line in self.query(".where").results(Static):  # there is none while it goes away
            line.update(Content("\n".join(where)))
        return heading if fits else set_cell_size(heading, max(1, room - 1)).rstrip() + "…"

    @override
    def show_keys(self) -> None:
        """Show the keys in the border."""
        self.border_subtitle = self._keys()

    def _keys(self) -> Content:
        if self._shut:
            return Content("")
        if not self.has_focus:
            return Content("Tab to this call to decide")
        keys = _key_line(self._pairs(), self.armed)
        return keys if self.armed else Content.assemble(("arming… ", "italic"), keys)

    def _pairs(self) -> list[tuple[str, str]]:
        if self.stage == "always":
            return [("y", "this session"), ("g", "for good"), ("Esc", "back")]
        if self.stage == "unseen":
            return [("Space", "read on"), ("End", "its end"), ("f", "full screen"), ("Esc", "back")]
        approve = "approve" if self._preview.problem is None else "approve anyway"
        pairs = [("y", approve), ("n", "deny"), ("e", "edit")]
        pairs += [("a", "always")] if self._offers_always else []
        pairs.append(("Esc", "stop"))
        if self.size.width >= ROOM_FOR_FULL_SCREEN:
            pairs.append(("f", "full screen"))
        if self.size.width >= ROOM_FOR_LAYOUT and self._preview.kind == "diff":
            pairs.append(("t", "layout"))
        return pairs


def _first_difference(before: str, after: str) -> int:
    """Give the number of the line from which on two texts differ."""
    common = 0
    for one, other in zip(before, after, strict=False):
        if one != other:
            break
        common += 1
    return after.count("\n", 0, common) + 1


def _key_line(pairs: list[tuple[str, str]], armed: bool) -> Content:
    key_style = "bold $primary" if armed else "$quiet"
    word_style = "$foreground" if armed else "$quiet"
    parts: list[str | tuple[str, str]] = []
    for key, word in pairs:
        if parts:
            parts.append((" · ", "$quiet"))
        parts += [(key, key_style), (f" {word}", word_style)]
    return Content.assemble(*parts)
