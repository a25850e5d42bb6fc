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
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.timer import Timer
from textual.widgets import Static
from typing_extensions import override

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


class ProposalPanel(VerticalScroll, can_focus=True, can_focus_children=False):
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
        & > .problem { color: $text-error; display: none; height: auto; }
        &.-problem > .problem { display: block; }
        & > .pattern { display: none; height: auto; margin: 0 0 1 0; }
        &.-always > .pattern { display: block; }
        & > Static.preview { height: auto; }
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
        self._ready = False
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
        """Lay out the problem, the pattern of ``a`` and the preview; the keys are in the border."""
        yield Static(classes="problem")
        yield Static(classes="pattern")
        yield preview_widget(self._preview)

    def on_mount(self) -> None:
        """Say what waits, and begin the quiet time."""
        self._ready = True
        self._describe()
        self._begin_quiet_time()

    async def show_preview(self, preview: CallPreview) -> None:
        """Show another preview in place of this one, for arguments that are being edited."""
        self._preview = preview
        self.stage = "call"
        self._begin_quiet_time()
        async with self.batch():
            await self.query(".preview").remove()
            await self.mount(preview_widget(preview))
        self._describe()

    def note_keystroke(self) -> None:
        """Take note that the user typed somewhere: the quiet time begins again."""
        self._last_key = self._clock()
        self._begin_quiet_time()

    def rearm(self) -> None:
        """Offer the keys again after a decision was asked for and taken back."""
        self._shut = False
        self.remove_class("-shut")
        self.stage = "call"
        self._begin_quiet_time()

    # --- arming -----------------------------------------------------------------------

    @override
    def watch_has_focus(self, _has_focus: bool) -> None:
        """Begin the quiet time: the key that comes next may have been meant elsewhere."""
        super().watch_has_focus(_has_focus)
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
        if not _is_text(event):
            return
        early = follows_at_once or not self.armed or self._asked is not None
        if self._shut or early or not self._binds(event.key):
            self._begin_quiet_time()
            event.stop()
            event.prevent_default()

    def _binds(self, key: str) -> bool:
        binding = self.screen.active_bindings.get(key)
        return binding is not None and binding.node is self

    @override
    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what can be decided now; a shut panel leaves Esc to the app."""
        if action in ("approve", "deny", "edit", "always", "back") and self._shut:
            return False
        if action in ("deny", "edit") and self.stage != "call":
            return False
        if action == "always":
            return self._offers_always
        return True

    @property
    def _offers_always(self) -> bool:
        return self._always is not None and self._preview.problem is None

    def _begin_quiet_time(self) -> None:
        self.armed = False
        self._quiet_since = self._clock()
        self._forget_asked()
        self._show_keys()
        if self._arm_timer is not None:
            self._arm_timer.stop()
        if self._ready and not self._shut:
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
        self.add_class("-shut")
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
        self._ask(lambda: self._post(self.DenyRequested(self)))

    def action_edit(self) -> None:
        """Ask for the arguments' editor."""
        self._ask(lambda: self._post(self.EditRequested(self)))

    def action_always(self) -> None:
        """Show what would always be approved; the second time, confirm it."""
        if self.stage == "always":
            self.action_approve()
        else:
            self._ask(self._ask_for_always)

    def action_back(self) -> None:
        """Go back from the pattern to the call, or stop."""
        self._forget_asked()
        if self.stage == "always":
            self.stage = "call"
            self._begin_quiet_time()
        else:
            self._post(self.StopRequested(self))

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
            self.scroll_home(animate=False)
        self._show_keys()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Say how much there is further down."""
        super().watch_scroll_y(old_value, new_value)
        self._show_title()

    def on_resize(self) -> None:
        """Say how much there is further down."""
        self.call_after_refresh(self._show_title)

    def _describe(self) -> None:
        problem = self._preview.problem
        self.set_class(problem is not None, "-problem")
        self.query_one(".problem", Static).update(content(problem or ""))
        self._show_title()
        self._show_keys()

    def _show_title(self) -> None:
        name = visible(self._preview.tool, keep="")
        title = visible(self._preview.title, keep="")
        parts = [title if title.startswith(name) else f"{name} {title}".rstrip()]
        below = round(self.max_scroll_y - self.scroll_y)
        if below > 0:
            parts.append(f"{below} more line{'' if below == 1 else 's'} below")
        self.border_title = Content(" · ".join(parts))

    def _show_keys(self) -> None:
        self.border_subtitle = self._keys()

    def _keys(self) -> Content:
        if self._shut:
            return Content("")
        if not self.has_focus:
            return Content("Tab to this call to decide")
        if self.stage == "always":
            pairs = [("y", "or"), ("a", "always approve this"), ("Esc", "back")]
        else:
            approve = "approve" if self._preview.problem is None else "approve anyway"
            pairs = [("y", approve), ("n", "deny"), ("e", "edit")]
            pairs += [("a", "always")] if self._offers_always else []
            pairs.append(("Esc", "stop"))
        keys = _key_line(pairs, self.armed)
        return keys if self.armed else Content.assemble(("arming… ", "italic"), keys)


def _key_line(pairs: list[tuple[str, str]], armed: bool) -> Content:
    key_style = "bold $primary" if armed else "$quiet"
    word_style = "$foreground" if armed else "$quiet"
    parts: list[str | tuple[str, str]] = []
    for key, word in pairs:
        if parts and parts[-1] != (" or", word_style):
            parts.append((" · ", "$quiet"))
        elif parts:
            parts.append(" ")
        parts += [(key, key_style), (f" {word}", word_style)]
    return Content.assemble(*parts)


def _is_text(event: events.Key) -> bool:
    """Say whether a key is one that typing produces."""
    return event.is_printable or event.key in SWALLOWED
