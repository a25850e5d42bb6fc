"""What every test needs: the same examples, a still cursor, no colour switches from outside."""

from __future__ import annotations

import gc

import pytest
from hypothesis import settings
from textual.widgets import Input, TextArea

# The same examples every time, whatever machine and however busy.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")


@pytest.fixture(autouse=True)
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep cursors from blinking, and the environment from changing colours."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    for widget in (Input, TextArea):
        monkeypatch.setattr(widget.cursor_blink, "_default", False)


def pytest_collection_finish() -> None:
    """Leave what was imported out of every later collection of garbage."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
