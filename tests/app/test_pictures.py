"""What every screen looks like at three sizes in three kinds of theme, with recorded lessons.

The pictures are text (see ``support/picture.py``) and lie in ``__snapshots__``. After a change
that is meant, `pytest tests/app/test_pictures.py --snapshot-update` draws them anew.
"""

from __future__ import annotations

import asyncio
from collections import deque
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest
from continualcode_tui.app import screens
from continualcode_tui.app.screens.rewind import RestoreScreen, RewindScreen
from continualcode_tui.widgets.arguments_editor import ArgumentsEditor
from continualcode_tui.widgets.charts import LearningCharts
from continualcode_tui.widgets.composer import Composer
from continualcode_tui.widgets.correction_box import CorrectionBox
from continualcode_tui.widgets.prompt import Prompt
from continualcode_tui.widgets.proposal_panel import ProposalPanel
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from textual.screen import Screen
from textual.widget import Widget

from ..controllers.support import Stage
from ..support.picture import picture
from .test_screen import Driver, running
from .tour import Tour, hold_still, prepare, recorded

SIZES = [(60, 18), (80, 24), (120, 40)]
THEMES = ["dark", "light", "ansi-dark"]
STILL, CHANGED = 7, 3
"""Pictures that have to be the same, one after another: after a step, and after a theme."""
REWINDING = (RewindScreen, RestoreScreen)


class Pictures(SingleFileSnapshotExtension):
    """A text file for each picture."""

    _file_extension = "txt"
    _write_mode = WriteMode.TEXT


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES, ids=[f"{width}x{height}" for width, height in SIZES])
async def test_every_screen(
    size: tuple[int, int],
    stage: Stage,
    snapshot: SnapshotAssertion,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One walk for each size; the theme is changed wherever the walk stops."""
    hold_still(monkeypatch)
    await prepare(stage)
    kept = snapshot.use_extension(Pictures)
    visited: set[type[Any]] = set()
    differences: list[str] = []
    themes = deque(THEMES)
    async with running(stage, f"theme={themes[0]}", size=size) as at:
        tour = Tour(at)
        async for name in tour.everything():
            visited |= {kind for screen in at.app.screen_stack for kind in type(screen).__mro__}
            for number, theme in enumerate(themes):
                if number:
                    at.app.use_theme(theme)
                    await tour.take_colours()
                shown = await at_rest(at, CHANGED if number else STILL)
                assert str(stage.folder.parent) not in shown, f"{name} has a path of this machine"
                try:
                    assert shown == kept(name=f"{theme}-{name}")
                except AssertionError as difference:
                    differences.append(f"{name} in {theme}: {difference}")
            themes.rotate(1)  # the walk goes on in the last one
    assert not differences, "\n".join(differences)
    assert every_screen() <= visited, "the tour leaves screens out"


def every_screen() -> set[type[Screen[Any]]]:
    """All screens that the program has."""
    for module in iter_modules(screens.__path__, f"{screens.__name__}."):
        import_module(module.name)
    found, left = set[type[Screen[Any]]](), [Screen]
    while left:
        left += left.pop().__subclasses__()
        found |= {each for each in left if each.__module__.startswith(screens.__name__)}
    return found


async def at_rest(at: Driver, still: int) -> str:
    """Wait until nothing is under way and the picture stays the same, and give it."""
    seen: list[str] = []
    async with asyncio.timeout(30):
        # Without the pilot, whose pauses write to every widget there is.
        while len(seen) < still or len(set(seen[-still:])) > 1:
            await asyncio.sleep(0.04)
            seen = [] if under_way(at) else [*seen, picture(at.app)]
    return seen[-1]


def under_way(at: Driver) -> bool:
    """Whether something that has begun will be drawn when it ends."""
    # A turn waits for the user, and going back for an answer.
    lasting = {"turn", "command" if isinstance(at.app.screen, REWINDING) else ""}
    working = {worker.group for worker in at.app.workers if not worker.is_finished}
    return bool(working - lasting) or at.chat.query_one(LearningCharts)._stale


SWEEP = [(60, 18), (40, 12), (61, 19), (79, 21), (80, 24), (119, 31), (120, 40), (200, 60),
         (300, 100), (100, 14), (60, 18)]  # fmt: skip


@pytest.mark.slow
async def test_no_size_loses_the_prompt_or_the_keys_of_a_call(stage: Stage) -> None:
    first = recorded()[0]
    stage.write_script(
        completions=["I write it anew.\n" + first["completion"], "Done."],
        lessons=[{"retry": first["retry"], "result": first["result"]}],
    )
    async with running(stage, size=SWEEP[0]) as at:
        await at.ask("fix the test")
        await at.proposal()
        await at.pilot.press("n")
        await at.box(CorrectionBox)
        for size in SWEEP:
            await resize(at, size)
            in_view(at, CorrectionBox, "Deny: what should it do instead?")
        at.chat.query_one(CorrectionBox).query_one(Composer).put(first["correction"])
        await at.pilot.press("enter")
        await at.until(lambda: at.chat.lessons == 1, "the lesson")
        await at.proposal()
        for size in SWEEP:
            await resize(at, size)
            in_view(at, ProposalPanel, "y approve")
            in_view(at, Prompt, "> ")
        await at.pilot.press("e")
        await at.box(ArgumentsEditor)
        for size in SWEEP:
            await resize(at, size)
            in_view(at, ArgumentsEditor, "Ctrl+S run")
        await at.pilot.press("escape")
        await at.proposal()
        await at.pilot.press("escape")
        await at.until(lambda: at.chat.phase == "ready", "rest")
        for size in SWEEP:
            await resize(at, size)
            in_view(at, Prompt, "> ")


async def resize(at: Driver, size: tuple[int, int]) -> None:
    await at.pilot.resize_terminal(*size)
    await at.pilot.pause(0.05)


def in_view(at: Driver, kind: type[Widget], words: str) -> None:
    """The whole of a widget is on the screen, and at least one line of what it holds."""
    widget = at.chat.query_one(kind)
    assert at.app.screen.region.contains_region(widget.region), (at.app.size, widget.region)
    assert widget.content_region.height >= 1, (at.app.size, at.text())
    assert words in at.text(), (at.app.size, at.text())
