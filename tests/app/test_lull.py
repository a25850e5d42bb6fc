"""What can wait is done in a pause of the typing: pieces of work, and whole garbage collections."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic

import pytest
from continualcode_tui.app import lull as module
from continualcode_tui.app.lull import BREATH, LATEST, PAUSE, Lull, collect_in_lulls
from continualcode_tui.app.screens.learning import LearningPanel
from continualcode_tui.widgets.charts import LearningCharts
from continualcode_tui.widgets.correction_box import CorrectionBox
from textual.app import App

from ..controllers.support import Stage
from ..support.waiting import until
from .test_screen import CORRECTION, EDIT, WRITE, running, stage

__all__ = ["stage"]


class Clock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def a_lull(clock: Callable[[], float] = monotonic) -> AsyncIterator[Lull]:
    app = App[None]()
    async with app.run_test():
        yield Lull(app, clock=clock)


async def type_on(lull: Lull, clock: Clock, seconds: float) -> None:
    """Press a key ten times a second."""
    for _ in range(round(seconds * 10)):
        lull.note_key()
        await asyncio.sleep(0.03)
        clock.now += 0.1
    lull.note_key()


async def test_without_keys_one_piece_is_done_after_the_other_with_a_paint_between():
    done: list[tuple[str, float]] = []
    async with a_lull() as lull:
        for name in ("heatmap", "curves"):
            lull.put_off(lambda name=name: done.append((name, monotonic())))
        assert not done
        await until(lambda: len(done) == 2)
    (first, at_first), (second, at_second) = done
    assert (first, second) == ("heatmap", "curves")
    assert at_second - at_first >= BREATH * 0.9


async def test_it_waits_while_somebody_types():
    done: list[str] = []
    clock = Clock()
    async with a_lull(clock) as lull:
        lull.note_key()
        lull.put_off(lambda: done.append("it"), within=60)
        await type_on(lull, clock, 2 * LATEST)
        assert not done
        clock.now += PAUSE
        await until(lambda: bool(done))


async def test_it_does_not_wait_for_ever():
    done: list[str] = []
    clock = Clock()
    async with a_lull(clock) as lull:
        lull.note_key()
        lull.put_off(lambda: done.append("it"))
        await type_on(lull, clock, LATEST * 0.9)
        assert not done
        await type_on(lull, clock, LATEST * 0.2)
        await until(lambda: bool(done))


async def test_what_may_wait_longer_lets_the_rest_go_first():
    done: list[str] = []
    clock = Clock()
    async with a_lull(clock) as lull:
        lull.note_key()
        lull.put_off(lambda: done.append("may wait"), within=60)
        lull.put_off(lambda: done.append("is due"), within=2 * PAUSE)
        await type_on(lull, clock, 3 * PAUSE)
        await until(lambda: bool(done))
        assert done == ["is due"]
        clock.now += PAUSE
        await until(lambda: len(done) == 2)
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
        await until(lambda: gone() is None)


async def test_what_a_lesson_did_comes_when_the_typing_pauses_and_the_call_at_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "PAUSE", 60.0)  # this machine may be too busy to type on in time
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
            shown.append(panel.has_class("-finished"))
            return "edit_lines test_calc.py" in at.text()

        await at.until(the_retry, "the retry's call")
        assert not any(shown)
        monkeypatch.setattr(module, "PAUSE", PAUSE)
        await at.until(lambda: panel.has_class("-finished") and charts.visible, "what it did")


async def test_what_was_put_off_is_left_when_the_screen_goes(stage: Stage):
    async with running(stage) as at:
        panel = at.chat.query_one(LearningPanel)
        await panel.query_one(LearningCharts).remove()
        for piece in (panel.prepare, panel.show_evidence, panel.show_curves):
            piece()
        assert not panel.has_class("-finished")
