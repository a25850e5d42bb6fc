"""The call that waits for a decision, and the keys that make it.

A stray key here would run a command, or teach the model something nobody meant. So:

* keys arm only after a quiet time (``arm_delay``) since the panel appeared, got the focus, or
  last saw a key, and every key before that is swallowed and starts the quiet time again;
* a key that arms counts only if no other key follows at once (``settle``), so that neither a
  pasted text nor a repeated key decides anything;
* a click or a paste never decides;
* after a decision was asked for, the panel is shut until ``rearm()``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import ClassVar, Literal

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.timer import Timer
from textual.widgets import Static

from .command_view import CommandView
from .diff import DiffView
from .sanitise import content, visible

Stage = Literal["call", "always"]
SWALLOWED = frozenset({"enter", "space", "backspace", "delete", "ctrl+j", "ctrl+m"})


@dataclass(frozen=True, slots=True)
class CallPreview:
    """What a call would do, in plain values; the fields are those of a tool's preview."""

    tool: str
    kind: Literal["diff", "command", "text"]
    title: str
    path: str | None = None
    before: str | None = None
    after: str | None = None
    command: str | None = None
    folder: str | None = None
    text: str = ""
    problem: str | None = None


def preview_widget(preview: CallPreview) -> DiffView | CommandView | Static:
    """Make the widget that shows what a call would do."""
    if preview.kind == "diff":
        return DiffView(preview.before, preview.after, preview.path or "", classes="preview")
    if preview.kind == "command":
        return CommandView(preview.command or "", preview.folder, classes="preview")
    return Static(content(preview.text), classes="preview")


class ProposalPanel(Vertical, can_focus=True, can_focus_children=False):
    """A pending call with its preview and the keys ``y n e a Esc``.

    ``always`` is the exact pattern that ``a`` would approve from now on; without it ``a`` is not
    offered. ``note_keystroke`` tells the panel that the user typed somewhere else. The panel
    does not take the focus by itself.
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
        """The user confirmed ``a``: approve this call, and calls like it, from now on."""

        panel: ProposalPanel

    @dataclass
    class StopRequested(Message):
        """The user pressed Esc: decide nothing and stop the agent."""

        panel: ProposalPanel

    @dataclass
    class ArmedChanged(Message):
        """The keys armed, or disarmed."""

        panel: ProposalPanel
        armed: bool

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "approve", "Approve", id="proposal.approve"),
        Binding("n", "deny", "Deny and correct", id="proposal.deny"),
        Binding("e", "edit", "Edit the arguments", id="proposal.edit"),
        Binding("a", "always", "Always approve", id="proposal.always"),
        Binding("escape", "back", "Stop", id="proposal.stop"),
        Binding("up,k", "scroll_preview(-1)", "Scroll up", show=False, id="proposal.up"),
        Binding("down,j", "scroll_preview(1)", "Scroll down", show=False, id="proposal.down"),
        Binding("pageup", "page_preview(-1)", "Page up", show=False, id="proposal.pageup"),
        Binding("pagedown", "page_preview(1)", "Page down", show=False, id="proposal.pagedown"),
    ]

    DEFAULT_CSS = """
    ProposalPanel {
        height: auto;
        max-height: 100%;
        border: round $border-blurred;
        border-title-color: $foreground;
        border-subtitle-color: $quiet;
        padding: 0 1;
        &:focus { border: round $primary; }
        &.-problem { border: round $error; }
        & > VerticalScroll { height: auto; max-height: 16; scrollbar-size-vertical: 1; }
        & .problem { color: $text-error; display: none; }
        &.-problem .problem { display: block; }
        & .pattern { display: none; margin: 1 0 0 0; }
        &.-always .pattern { display: block; }
        & .keys { height: auto; margin: 1 0 0 0; }
    }
    """

    armed: reactive[bool] = reactive(False, init=False)
    stage: reactive[Stage] = reactive("call", init=False)

    def __init__(
        self,
        preview: CallPreview,
        *,
        always: str | None = None,
        arm_delay: float = 0.6,
        settle: float = 0.06,
        clock: Callable[[], float] = monotonic,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._preview = preview
        self._always = always
        self._arm_delay = arm_delay
        self._settle = settle
        self._clock = clock
        self._quiet_since = clock()
        self._last_key = float("-inf")
        self._shut = False
        self._asked: Callable[[], None] | None = None
        self._arm_timer: Timer | None = None
        self._settle_timer: Timer | None = None

    @property
    def preview(self) -> CallPreview:
        """What the call would do."""
        return self._preview

    @property
    def shut(self) -> bool:
        """Whether a decision was asked for, so that keys do nothing until ``rearm()``."""
        return self._shut

    def compose(self) -> ComposeResult:
        """Lay out the problem, the preview, the pattern of ``a`` and the keys."""
        yield Static(classes="problem")
        with VerticalScroll(can_focus=False):
            yield preview_widget(self._preview)
        yield Static(classes="pattern")
        yield Static(classes="keys")

    def on_mount(self) -> None:
        """Say what waits, and begin the quiet time."""
        self._describe()
        self._begin_quiet_time()

    async def show_preview(self, preview: CallPreview) -> None:
        """Show another preview in place of this one, for arguments that are being edited."""
        self._preview = preview
        body = self.query_one(VerticalScroll)
        async with self.batch():
            await body.remove_children()
            await body.mount(preview_widget(preview))
        self._describe()

    def note_keystroke(self) -> None:
        """Take note that the user typed somewhere: the quiet time begins again."""
        self._last_key = self._clock()
        self._begin_quiet_time()

    def rearm(self) -> None:
        """Offer the keys again after a decision was asked for and taken back."""
        self._shut = False
        self.stage = "call"
        self._begin_quiet_time()

    # --- arming -----------------------------------------------------------------------

    def on_focus(self) -> None:
        """Begin the quiet time: the key that comes next may have been meant elsewhere."""
        self._begin_quiet_time()

    def on_blur(self) -> None:
        """Disarm."""
        self._begin_quiet_time()

    def on_paste(self, event: events.Paste) -> None:
        """Swallow pasted text: it decides nothing."""
        event.stop()
        self.note_keystroke()

    def on_key(self, event: events.Key) -> None:
        """Let a key through to its binding only when it is one deliberate press."""
        now = self._clock()
        follows_at_once = now - self._last_key < self._settle
        self._last_key = now
        if event.key == "escape" or not _is_text(event):
            return
        if self._asked is not None or follows_at_once or not self.armed or self._shut:
            self._forget_asked()
            self._begin_quiet_time()
            event.stop()
            event.prevent_default()
        elif not any(event.key in keys for keys in ("y", "n", "e", "a", "k", "j")):
            event.stop()

    def _begin_quiet_time(self) -> None:
        self.armed = False
        self._quiet_since = self._clock()
        self._forget_asked()
        if self._arm_timer is not None:
            self._arm_timer.stop()
        if self.is_mounted and not self._shut:
            self._arm_timer = self.set_timer(self._arm_delay, self._try_to_arm)

    def _try_to_arm(self) -> None:
        left = self._quiet_since + self._arm_delay - self._clock()
        if left > 0.005:
            self._arm_timer = self.set_timer(left, self._try_to_arm)
        elif self.has_focus and not self._shut:
            self.armed = True

    def _ask(self, decide: Callable[[], None]) -> None:
        """Decide once it is clear that no other key follows at once."""
        if not self.armed or self._shut:
            return
        self._asked = decide
        self._show_keys()
        self._settle_timer = self.set_timer(self._settle, self._decide)

    def _decide(self) -> None:
        decide, self._asked = self._asked, None
        if decide is not None and self.armed and self.has_focus:
            decide()

    def _forget_asked(self) -> None:
        self._asked = None
        if self._settle_timer is not None:
            self._settle_timer.stop()

    def _post(self, message: Message) -> None:
        self._shut = True
        self.armed = False
        self.post_message(message)
        self._show_keys()

    # --- actions ----------------------------------------------------------------------

    def action_approve(self) -> None:
        """Approve the call, or confirm the pattern of ``a``."""
        if self.stage == "always":
            self._ask(lambda: self._post(self.AlwaysRequested(self)))
        else:
            self._ask(lambda: self._post(self.Approved(self)))

    def action_deny(self) -> None:
        """Ask for a correction."""
        if self.stage == "call":
            self._ask(lambda: self._post(self.DenyRequested(self)))

    def action_edit(self) -> None:
        """Ask for the arguments' editor."""
        if self.stage == "call":
            self._ask(lambda: self._post(self.EditRequested(self)))

    def action_always(self) -> None:
        """Show what would always be approved; the second time, confirm it."""
        if self.stage == "always":
            self.action_approve()
        elif self._always is not None:
            self._ask(self._ask_for_always)

    def action_back(self) -> None:
        """Go back from the pattern to the call, or stop."""
        if self._shut:
            return
        self._forget_asked()
        if self.stage == "always":
            self.stage = "call"
            self._begin_quiet_time()
        else:
            self._post(self.StopRequested(self))

    def action_scroll_preview(self, lines: int) -> None:
        """Scroll the preview by lines."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)

    def action_page_preview(self, pages: int) -> None:
        """Scroll the preview by pages."""
        body = self.query_one(VerticalScroll)
        body.scroll_relative(y=pages * max(1, body.size.height - 1), animate=False)

    def _ask_for_always(self) -> None:
        self.stage = "always"
        self._begin_quiet_time()

    # --- what is shown ----------------------------------------------------------------

    def watch_armed(self, armed: bool) -> None:
        """Show whether the keys are armed."""
        self._show_keys()
        self.post_message(self.ArmedChanged(self, armed))

    def watch_stage(self, stage: Stage) -> None:
        """Show the pattern that ``a`` would approve, or hide it."""
        self.set_class(stage == "always", "-always")
        if self._always is not None:
            pattern = Content.assemble(
                ("Approve from now on, in this session, exactly this call:\n", "$quiet"),
                (visible(self._always), "bold"),
            )
            self.query_one(".pattern", Static).update(pattern)
        self._show_keys()

    def _describe(self) -> None:
        preview = self._preview
        name = visible(preview.tool, keep="")
        title = visible(preview.title, keep="")
        self.border_title = Content(title if title.startswith(name) else f"{name} · {title}")
        self.set_class(preview.problem is not None, "-problem")
        if preview.problem is not None:
            self.query_one(".problem", Static).update(content(preview.problem))
        self._show_keys()

    def _show_keys(self) -> None:
        if not self.is_mounted:
            return
        if self._shut:
            keys = Content("")
        elif self.stage == "always":
            keys = _key_line((("y", "or"), ("a", "confirm"), ("Esc", "back")), self.armed)
        else:
            pairs = [("y", "approve"), ("n", "deny"), ("e", "edit")]
            pairs += [("a", "always")] if self._always is not None else []
            keys = _key_line((*pairs, ("Esc", "stop")), self.armed)
        if not self.armed and not self._shut:
            waiting = "arming…" if self.has_focus else "Tab to this call to decide"
            keys = Content.assemble(keys, (f"   {waiting}", "$quiet italic"))
        self.query_one(".keys", Static).update(keys)


def _key_line(pairs: tuple[tuple[str, str], ...], armed: bool) -> Content:
    key_style = "bold $primary" if armed else "$quiet"
    word_style = "$foreground" if armed else "$quiet"
    parts: list[Content | tuple[str, str]] = []
    for key, word in pairs:
        if parts:
            parts.append((" · ", "$quiet"))
        parts += [(key, key_style), (f" {word}", word_style)]
    return Content.assemble(*parts)


def _is_text(event: events.Key) -> bool:
    """Say whether a key is one that typing produces."""
    return event.is_printable or event.key in SWALLOWED
