"""The user is called when the terminal is not in front, and only then."""

from __future__ import annotations

import pytest
from continualcode_tui.app import events as said
from continualcode_tui.app.calling import POP_TITLE, PUSH_TITLE, Caller, reason_to_call


class Terminal:
    """As much of an app as a caller needs: focus, a bell and a driver."""

    def __init__(self, *, focus: bool) -> None:
        self.app_focus = focus
        self.is_headless = False
        self._driver = self
        self.bells = 0
        self.written: list[str] = []

    def bell(self) -> None:
        self.bells += 1

    def write(self, data: str) -> None:
        self.written.append(data)

    def flush(self) -> None:
        pass


def test_nobody_is_called_who_looks():
    terminal = Terminal(focus=True)
    Caller(terminal, "both").hear(said.TurnFinished())
    assert (terminal.bells, terminal.written) == (0, [])


@pytest.mark.parametrize(
    ("notify", "bells", "titles"), [("both", 1, 1), ("bell", 1, 0), ("title", 0, 1), ("off", 0, 0)]
)
def test_the_way_can_be_chosen(notify, bells, titles):
    terminal = Terminal(focus=False)
    caller = Caller(terminal, notify)
    caller.hear(said.TurnFinished())
    assert (terminal.bells, len(terminal.written)) == (bells, titles)
    caller.rest()
    assert (terminal.written[-1] == POP_TITLE) if titles else not terminal.written


def test_the_title_is_pushed_once_and_brought_back_once():
    terminal = Terminal(focus=False)
    caller = Caller(terminal, "title")
    caller.hear(said.TurnFinished())
    caller.hear(said.EngineFailed("gone"))
    caller.rest()
    caller.rest()
    assert "".join(terminal.written).count(PUSH_TITLE) == 1
    assert "".join(terminal.written).count(POP_TITLE) == 1


def test_what_streams_is_no_reason():
    assert not reason_to_call(said.TokenArrived("x"))
    assert not reason_to_call(said.EngineLoading("loading"))
