"""Only the widgets that a class decides about are styled anew; no rule may reach another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from continualcode_tui.app.screens.chat_layout import GIVES_ROOM, ROOM_GIVEN_BY
from continualcode_tui.app.screens.desk import DecisionDesk
from continualcode_tui.app.screens.learning import LearningPanel
from textual.widget import Widget

from ..controllers.support import Stage
from .test_screen import running, stage

__all__ = ["stage"]


def styles_of(widget: Widget) -> list[tuple[Widget, dict[str, Any]]]:
    nodes = widget.walk_children(Widget, with_self=True)
    return [(node, dict(node.styles.base.get_rules())) for node in nodes]


@contextmanager
def styled_in_full(*widgets: Widget) -> Iterator[None]:
    """What happens within must leave every widget with the styles of a full styling."""
    yield
    for widget in widgets:
        after = styles_of(widget)
        widget.app.update_styles(widget, animate=False)
        assert after == styles_of(widget)


@pytest.mark.parametrize("size", [(60, 18), (80, 24), (100, 40), (120, 24), (120, 40)])
async def test_what_makes_room_looks_as_if_all_were_styled_anew(
    stage: Stage, size: tuple[int, int]
):
    async with running(stage, size=size) as at:
        givers = list(at.chat.query(f".{GIVES_ROOM}"))
        assert len(givers) == 2
        desk, panel = at.chat.query_one(DecisionDesk), at.chat.query_one(LearningPanel)
        for shown in (True, False):
            panel._mark_finished(on=shown)
            for needed in (True, False):
                for name in ("-pending", "-deciding"):
                    with styled_in_full(*givers):
                        desk._make_room(name, needed=needed)


@pytest.mark.parametrize("size", [(60, 18), (80, 24), (120, 40)])
async def test_the_learning_panel_looks_as_if_all_were_styled_anew(
    stage: Stage, size: tuple[int, int]
):
    async with running(stage, size=size) as at:
        panel = at.chat.query_one(LearningPanel)
        for step in (panel.begin, lambda: panel._mark_finished(on=True),
                     lambda: panel._mark_curves(shown=True), panel.toggle, panel.hide):  # fmt: skip
            with styled_in_full(panel):
                step()


async def test_a_rule_that_reaches_further_is_found(stage: Stage):
    async with running(stage, size=(80, 24)) as at:
        at.app.stylesheet.add_source("LearningPanel.-pending .readout { color: red; }")
        at.app.stylesheet.parse()
        desk, panel = at.chat.query_one(DecisionDesk), at.chat.query_one(LearningPanel)
        assert not panel.query(ROOM_GIVEN_BY).filter(".readout")
        with pytest.raises(AssertionError), styled_in_full(panel):
            desk._make_room("-pending")
