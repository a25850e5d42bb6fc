"""What can wait is done in a pause of the typing: pieces of work, and whole garbage collections."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic

import pytest
from continualcode_tui.app.lull import BREATH, LATEST, PAUSE, Lull, collect_in_lulls
from continualcode_tui.app.screens.learning import LearningPanel
from continualcode_tui.widgets.charts import LearningCharts
from continualcode_tui.widgets.correction_box import CorrectionBox
from textual.app import App

from ..controllers.support import Stage
from .test_screen import CORRECTION, EDIT, WRITE, running, stage

__all__ = ["stage"]


@asynccontextmanager
async def a_lull() -> AsyncIterator[Lull]:
    app = App[None]()
    async with app.run_test():
        yield Lull(app)


async def keys(lull: Lull, seconds: float, until: Callable[[], object] = lambda: False) -> None:
    """Press a key ten times a second."""
    end = monotonic() + seconds
    while monotonic() < end and not until():
        lull.note_key()
        await asyncio.sleep(0.1)


async def test_without_keys_one_piece_is_done_after_the_other_with_a_paint_between():
    done: list[tuple[str, float]] = []
    async with a_lull() as lull:
        began = monotonic()
        for name in ("heatmap", "curves"):
            lull.put_off(lambda name=name: done.append((name, monotonic())))
        assert not done
        await asyncio.sleep(4 * BREATH)
    (first, at_first), (second, at_second) = done
    assert (first, second) == ("heatmap", "curves")
    assert at_first - began < PAUSE
    assert at_second - at_first >= BREATH * 0.9


async def test_it_waits_while_somebody_types():
    done: list[float] = []
    async with a_lull() as lull:
        lull.note_key()
        lull.put_off(lambda: done.append(monotonic()))
        await keys(lull, 4 * PAUSE)
        assert not done
        await asyncio.sleep(2 * PAUSE)
    assert done


async def test_it_does_not_wait_for_ever():
    done: list[float] = []
    async with a_lull() as lull:
        lull.note_key()
        began = monotonic()
        lull.put_off(lambda: done.append(monotonic()), within=2 * PAUSE)
        await keys(lull, LATEST, lambda: done)
    assert 2 * PAUSE <= done[0] - began < LATEST


async def test_what_may_wait_longer_lets_the_rest_go_first():
    done: list[str] = []
    async with a_lull() as lull:
        lull.note_key()
        lull.put_off(lambda: done.append("may wait"), within=60)
        lull.put_off(lambda: done.append("is due"), within=2 * PAUSE)
        await keys(lull, LATEST, lambda: done)
        assert done == ["is due"]
        await asyncio.sleep(2 * PAUSE)
    assert done == ["is due", "may wait"]


class Knot:
    """Garbage that only the collector can find."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def thresholds():
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


@pytest.mark.usefixtures("thresholds")
async def test_old_garbage_is_collected_in_a_lull_and_only_there():
    looks: list[Callable[[], None]] = []
    async with a_lull() as lull:
        gc.collect()
        collect_in_lulls(lull, lambda _, look: looks.append(look))
        knot = Knot()
        gone = weakref.ref(knot)
        gc.collect(1)  # now it is among the old
        gc.collect(1)
        (look,) = looks
        look()
        await asyncio.sleep(3 * BREATH)
        del knot
        for _ in range(12):
            gc.collect(1)
        assert gone() is not None
        look()
        await asyncio.sleep(3 * BREATH)
        assert gone() is None


async def test_what_a_lesson_did_comes_when_the_typing_pauses_and_the_call_at_once(stage: Stage):
    stage.write_script(completions=[WRITE], lessons=[{"retry": EDIT}])
    async with running(stage) as at:
        await at.ask("fix the test")
        await at.proposal()
        await at.pilot.press("n")
        await at.box(CorrectionBox)
        await at.type(CORRECTION)
        await at.pilot.press("enter")
        panel, charts = at.chat.query_one(LearningPanel), at.chat.query_one(LearningCharts)
        shown: list[bool] = []

        def the_retry() -> bool:
            at.chat.lull.note_key()
            shown.append(panel.has_class("-finished"))
            return "edit_lines test_calc.py" in at.text()

        await at.until(the_retry, "the retry's call")
        assert not any(shown)
        await at.until(lambda: panel.has_class("-finished") and charts.visible, "what it did")


async def test_what_was_put_off_is_left_when_the_screen_goes(stage: Stage):
    async with running(stage) as at:
        panel = at.chat.query_one(LearningPanel)
        await panel.query_one(LearningCharts).remove()
        for piece in (panel.prepare, panel.show_evidence, panel.show_curves):
            piece()
        assert not panel.has_class("-finished")
