"""How the screen hears the session: tokens that come in a rush are shown together."""

from __future__ import annotations

from collections.abc import Callable

from textual.message_pump import MessagePump
from textual.timer import Timer

from ..events import AgentEvent, TokenArrived

RUSH = 0.03
"""Seconds between two pieces of an answer; nobody reads faster, and each is laid out anew."""


class Hearing:
    """Passes events on in their order; tokens within ``RUSH`` of each other become one."""

    def __init__(self, pump: MessagePump, pass_on: Callable[[AgentEvent], None]) -> None:
        self._pump = pump
        self._pass_on = pass_on
        self._words: list[str] = []
        self._timer: Timer | None = None

    def hear(self, event: AgentEvent) -> None:
        """Pass an event on, or keep it for a moment if it is a token."""
        if isinstance(event, TokenArrived):
            self._words.append(event.text)
            if self._timer is None:
                self._flush()
            return
        self._flush()
        self._pass_on(event)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if self._words:
            text, self._words = "".join(self._words), []
            self._timer = self._pump.set_timer(RUSH, self._flush)
            self._pass_on(TokenArrived(text))
