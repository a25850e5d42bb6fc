"""A panel whose keys decide something, and how it tells a deliberate key from a stray one.

* keys arm only after a quiet time (``arm_delay``) since the panel appeared, came back to the
  front, got the focus, or last saw a key that means nothing to it, and every key before that is
  swallowed and starts the quiet time again;
* a key counts only if none came just before it and no other follows within ``settle``, so that
  neither a word that is typed, nor a pasted text, nor a repeated key, nor what a terminal
  answers by itself decides anything;
* a click or a paste never decides;
* after a decision was asked for, the panel is shut until ``rearm()``.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from textual import events
from textual.containers import VerticalScroll
from textual.reactive import reactive
from textual.timer import Timer
from typing_extensions import override

SWALLOWED = frozenset({"enter", "space", "backspace", "delete", "ctrl+j", "ctrl+m"})


SHORTEST = 0.005
"""Seconds below which the quiet time is over."""
SETTLE = 0.2
"""Seconds between two keys of somebody who types a word."""
AFTER_TEXT, AFTER_ANY = 1.75, 0.3
"""How long after a key that types, and after any other, a key decides nothing, in ``settle``."""


class ArmedPanel(VerticalScroll, can_focus=True, can_focus_children=False):
    """A scrolling panel in which only one deliberate key does something.

    ``note_keystroke`` tells it that the user typed somewhere else. Its subclasses begin the
    quiet time when they are mounted, decide through ``ask`` and show their keys in
    ``show_keys``.
    """

    armed: reactive[bool] = reactive(False, init=False)

    def __init__(
        self,
        *,
        arm_delay: float = 0.6,
        settle: float = SETTLE,
        clock: Callable[[], float] = monotonic,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._arm_delay = arm_delay
        self._settle = settle
        self._clock = clock
        self._quiet_since = clock()
        self._last_key = self._last_text = float("-inf")
        self._ready = False
        self._shut = False
        self._asked: Callable[[], None] | None = None
        self._arm_timer: Timer | None = None
        self._settle_timer: Timer | None = None

    @property
    def shut(self) -> bool:
        """Whether a decision was asked for, so that keys do nothing until ``rearm()``."""
        return self._shut

    def show_keys(self) -> None:
        """Show which keys can be pressed; called whenever that may have changed."""

    def note_keystroke(self) -> None:
        """Take note that the user typed somewhere: the quiet time begins again."""
        self._last_key = self._last_text = self._clock()
        self.begin_quiet_time()

    def begin_quiet_time(self) -> None:
        """Take the keys away until nobody has typed for a while."""
        self.armed = False
        self._quiet_since = self._clock()
        self.forget_asked()
        if self._arm_timer is not None:
            self._arm_timer.stop()
        if self._ready and not self._shut:
            # A timer of no length is none.
            self._arm_timer = self.set_timer(max(SHORTEST, self._arm_delay), self._try_to_arm)

    def shut_down(self) -> None:
        """Take no further key until ``rearm()``."""
        self._shut = True
        self.add_class("-shut")
        self.armed = False
        self.show_keys()

    def rearm(self) -> None:
        """Offer the keys again after a decision was asked for and taken back."""
        self._shut = False
        self.remove_class("-shut")
        self.begin_quiet_time()

    def ask(self, decide: Callable[[], None]) -> None:
        """Decide once it is clear that no other key follows at once."""
        if not self.armed or self._shut:
            return
        self.forget_asked()
        self._asked = decide
        self._settle_timer = self.set_timer(self._settle, self._settled)

    def forget_asked(self) -> None:
        """Do not decide what was just asked for."""
        self._asked = None
        if self._settle_timer is not None:
            self._settle_timer.stop()
        self.show_keys()

    def on_mount(self) -> None:
        """Begin the first quiet time."""
        self._ready = True
        self.begin_quiet_time()

    @override
    def watch_has_focus(self, _has_focus: bool) -> None:
        """Begin the quiet time: the key that comes next may have been meant elsewhere."""
        super().watch_has_focus(_has_focus)
        self.begin_quiet_time()

    def on_paste(self, event: events.Paste) -> None:
        """Swallow pasted text: it decides nothing."""
        event.stop()
        self.note_keystroke()

    def on_key(self, event: events.Key) -> None:
        """Let a key through to its binding only when it is one deliberate press."""
        now = self._clock()
        follows_at_once = (
            now - self._last_key < AFTER_ANY * self._settle
            or now - self._last_text < AFTER_TEXT * self._settle
        )
        self._last_key = now
        asked = self._asked is not None
        if not _is_text(event):
            # A key before this one may have asked already, or be about to.
            if asked or now - self._last_text < self._settle:
                self.begin_quiet_time()
            return
        self._last_text = now
        early = follows_at_once or not self.armed or asked
        if self._shut or early or not self._binds(event.key):
            self.begin_quiet_time()
            event.stop()
            event.prevent_default()

    def watch_armed(self) -> None:
        """Show whether the keys are armed."""
        self.show_keys()

    def _binds(self, key: str) -> bool:
        binding = self.screen.active_bindings.get(key)
        return binding is not None and binding.node is self

    def _try_to_arm(self) -> None:
        left = self._quiet_since + self._arm_delay - self._clock()
        if left > SHORTEST:
            self._arm_timer = self.set_timer(left, self._try_to_arm)
        elif self.has_focus and not self._shut:
            self.armed = True

    def _settled(self) -> None:
        # Keys that are on their way already come before this.
        self.app.call_later(self.call_later, self._decide)

    def _decide(self) -> None:
        decide, self._asked = self._asked, None
        if decide is not None and self.armed and self.has_focus and self.screen.is_current:
            decide()


def _is_text(event: events.Key) -> bool:
    """Say whether a key is one that typing produces."""
    return event.is_printable or event.key in SWALLOWED
