"""While the service stalls, the screen does not: the longest pause of the interface's own loop.

Other tests run beside this one, so the tenth of a second is of the time that the loop itself
worked; whatever waited for the service in it would stand still for as long as that stalls.
"""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from continualcode_tui.app.screens.chat import ChatScreen
from continualcode_tui.app.settings import load_settings
from continualcode_tui.app.tui import ContinualCode
from continualcode_tui.widgets.correction_box import CorrectionBox

from tests.app.test_screen import Driver
from tests.loopback.server import KEY
from tests.support.scenario import make_repository

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "training" / "practice" / "model"
STALL_SECONDS = 2.0
LONGEST_WORK, LONGEST_PAUSE = 0.1, STALL_SECONDS / 2
TICK = 0.005

pytestmark = pytest.mark.slow


@pytest.fixture
def stalling_service() -> Iterator[str]:
    """A service in a process of its own; the first request to each endpoint stalls."""
    command = [sys.executable, "-m", "tests.loopback.server", str(MODEL), "--port", "0"]
    with subprocess.Popen(
        [*command, "--name", str(MODEL), "--stall", str(STALL_SECONDS)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()


class Pulse:
    """Beats in the interface's loop, and remembers the longest time between two beats."""

    def __init__(self) -> None:
        self.longest: dict[str, float] = {}
        self.worked: dict[str, float] = {}
        self.phase = ""

    async def beat(self) -> None:
        last, worked = time.monotonic(), time.thread_time()
        while True:
            await asyncio.sleep(TICK)
            now, work = time.monotonic(), time.thread_time()
            pause = now - last - TICK
            self.longest[self.phase] = max(self.longest.get(self.phase, 0.0), pause)
            self.worked[self.phase] = max(self.worked.get(self.phase, 0.0), work - worked)
            last, worked = now, work


@asynccontextmanager
async def beating() -> AsyncIterator[Pulse]:
    pulse = Pulse()
    task = asyncio.create_task(pulse.beat())
    yield pulse
    task.cancel()


async def test_the_screen_goes_on_while_every_endpoint_stalls(
    stalling_service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINKER_API_KEY", KEY)
    root = make_repository(tmp_path / "scratch")
    settings = load_settings(
        [
            "engine=tinker",
            f"base_url={stalling_service}",
            f"model_name={MODEL}",
            f"data_dir={tmp_path / 'data'}",
            "save_every=1",
            "arm_delay=0.05",
            "temperature=0",
        ],
        environ={},
    )
    app = ContinualCode(settings, root)
    async with app.run_test(size=(120, 40)) as pilot:
        driver = Driver(app, pilot)
        await driver.until(
            lambda: any(isinstance(each, ChatScreen) for each in app.screen_stack), "chat"
        )
        # As the program does; the tests' own process also holds what the service needs.
        gc.collect()
        gc.freeze()
        async with beating() as pulse:
            pulse.phase = "load"
            await driver.until(lambda: driver.chat.phase == "ready", "ready", 120)
            waits = {driver.chat.detail}
            pulse.phase = "sample"
            await driver.ask("install the npm package zod")
            await driver.until(lambda: "npm install zod" in driver.text(), "a call", 60)
            await driver.proposal()
            pulse.phase = "learn"
            await pilot.press("n")
            await driver.box(CorrectionBox)
            await driver.type("use pnpm add")
            await pilot.press("enter")

            def learned() -> bool:
                waits.add(driver.chat.detail)
                return "Learned in" in driver.text()

            await driver.until(learned, "a lesson", 120)
            await driver.until(lambda: "pnpm add zod" in driver.text(), "the retry", 60)
            pulse.phase = "stop"
            await pilot.press("escape")
            await driver.until(lambda: not driver.chat.session.busy, "rest")
        await app.action_leave()
    print({phase: f"{pause * 1000:.0f} ms" for phase, pause in pulse.longest.items()})
    assert any("Stepping" in each or "Saving the state" in each for each in waits), waits
    assert max(pulse.worked.values()) < LONGEST_WORK, pulse.worked
    assert max(pulse.longest.values()) < LONGEST_PAUSE, pulse.longest
