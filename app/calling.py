"""Calling the user when the terminal is not in front: a bell, and the terminal's title."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..widgets.sanitise import visible
from . import events as said

if TYPE_CHECKING:
    from textual.app import App

    from .settings import Notify

PUSH_TITLE, POP_TITLE = "\x1b[22;0t", "\x1b[23;0t"
NAME = "continualcode-tui"


def reason_to_call(event: said.AgentEvent) -> str:
    """Why the user should look, in a few words; empty when there is no reason."""
    match event:
        case said.ProposalMade(rule=None, proposal=proposal):
            return f"{proposal.call.name} waits for you"
        case said.SecretAsked():
            return "a secret waits for you"
        case said.TurnFinished():
            return "at rest"
        case said.EngineFailed():
            return "the engine failed"
        case _:
            return ""


class Caller:
    """Rings once for every reason, and only while the terminal has no focus."""

    def __init__(self, app: App[object], notify: Notify) -> None:
        self._app = app
        self._bell = notify in ("both", "bell")
        self._title = notify in ("both", "title")
        self._titled = False

    def hear(self, event: said.AgentEvent) -> None:
        """Call the user if the event is a reason to and nobody looks."""
        reason = reason_to_call(event)
        if not reason or self._app.app_focus:
            return
        if self._bell:
            self._app.bell()
        if self._title:
            self._write(("" if self._titled else PUSH_TITLE) + _title(f"{NAME}: {reason}"))
            self._titled = True

    def rest(self) -> None:
        """The user looks, or the program ends: the title is what it was."""
        if self._titled:
            self._titled = False
            self._write(POP_TITLE)

    def _write(self, data: str) -> None:
        driver = self._app._driver
        if driver is not None and not self._app.is_headless:
            driver.write(data)
            driver.flush()


def _title(text: str) -> str:
    """The sequence that names the terminal; nothing in it can end it early."""
    return f"\x1b]2;{visible(text, keep='')}\x07"
