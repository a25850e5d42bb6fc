"""R9: whatever comes, the interface goes on: 0 of 12 floods hold it for a quarter of a second.

Each flood is let loose on the whole program while a heart beats in the loop that draws the screen
and takes the keys; the longest time between two beats is what a user would feel. Other tests run
beside this one, so the quarter of a second is of the time that the loop itself worked; a flood for
which it would wait must not hold it for a second either. The first test shows that the heart stops
where the work is done in that loop.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic, sleep, thread_time

import pytest
from continualcode_tui.app.screens.call import CallScreen
from continualcode_tui.app.screens.desk import DecisionDesk
from continualcode_tui.app.tools.grep import Grep
from continualcode_tui.widgets.arming import SETTLE
from continualcode_tui.widgets.conversation import Conversation
from continualcode_tui.widgets.prompt import Prompt
from continualcode_tui.widgets.proposal_panel import ProposalPanel
from textual.events import Key, Paste

from ..app.test_screen import Driver, running
from ..controllers.support import Stage, call

pytestmark = pytest.mark.slow

MOST, MOST_WITH_OTHERS = 0.25, 1.0
"""Seconds that the interface may work at a stretch, and stand still while others work too."""
BEAT = 0.01
EVIL = "a" * 40 + "!"
RUNAWAY = r"^(a+)+$"
TRIES = 6
SEARCHING = 4.0
"""Seconds after which a search is ended here; a user waits longer for one."""


class Heart:
    """Beats in the running loop, and keeps the longest time between two beats.

    ``still`` is by the clock, ``busy`` what the loop worked of it.
    """

    def __init__(self) -> None:
        self.beats = 0
        self.begin()

    def begin(self) -> None:
        """Forget what was."""
        self.still = self.busy = 0.0

    @property
    def stops(self) -> bool:
        """Whether a user would feel it."""
        return self.busy >= MOST or self.still >= MOST_WITH_OTHERS

    async def beat(self) -> None:
        last = monotonic(), thread_time()
        while True:
            await asyncio.sleep(BEAT)
            now = monotonic(), thread_time()
            self.still = max(self.still, now[0] - last[0])
            self.busy = max(self.busy, now[1] - last[1])
            last = now
            self.beats += 1


@asynccontextmanager
async def beating() -> AsyncIterator[Heart]:
    heart = Heart()
    task = asyncio.ensure_future(heart.beat())
    try:
        yield heart
    finally:
        task.cancel()


def stand_still() -> None:
    """Wait without working, as for a file that never ends."""
    sleep(MOST_WITH_OTHERS)


async def test_work_in_the_loop_stops_the_heart() -> None:
    """The attack fires: what a naive program does with such a search or such an output."""
    async with beating() as heart:
        await asyncio.sleep(0.1)
        assert not heart.stops
        re.search(RUNAWAY, "a" * 25 + "!")
        await asyncio.sleep(0.1)
        assert heart.stops
        heart.begin()
        "".join(re.sub(r"[^ -~]", "?", line) for line in ["\x1b[2J" * 9] * 300_000)
        await asyncio.sleep(0.1)
        assert heart.stops
        heart.begin()
        stand_still()
        await asyncio.sleep(0.1)
        assert heart.stops


Flood = Callable[[Driver], Awaitable[None]]


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait without a message to every widget, as the pilot sends them: that holds the loop too."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert condition(), what


async def press(at: Driver, key: str) -> None:
    """Press a key as a terminal sends it."""
    at.app.post_message(Key(key, key if len(key) == 1 else None))
    await asyncio.sleep(0.15)


async def proposed(at: Driver) -> ProposalPanel:
    await at.ask("go on")
    await until(lambda: at.chat.query_one(DecisionDesk).panel is not None, "a proposal")
    panel = at.chat.query_one(DecisionDesk).panel
    assert panel is not None
    await until(lambda: panel.armed, "its keys")
    return panel


async def over(at: Driver) -> None:
    """Wait for the end of the answer."""

    def said() -> bool:
        records = at.chat.query_one(Conversation).records
        return at.chat.phase == "ready" and "Over." in getattr(records[-1], "text", "")

    await until(said, "the end of it")


async def approved(at: Driver) -> None:
    """Read a call to its end, approve it, and wait for what comes of it."""
    panel = await proposed(at)
    while not panel.seen:
        await press(at, "end")
    await until(lambda: panel.armed, "its keys")
    await asyncio.sleep(2 * SETTLE)
    await press(at, "y")
    await over(at)


async def looked_at(at: Driver) -> None:
    """Look at a call from its beginning to its end, full screen too, and stop it."""
    panel = await proposed(at)
    await asyncio.sleep(2 * SETTLE)
    await press(at, "f")
    await until(lambda: isinstance(at.app.screen, CallScreen), "the full screen")
    for key in ("end", "home", "pagedown", "t", "t", "escape"):
        await press(at, key)
    await until(lambda: panel.armed, "its keys")
    await asyncio.sleep(2 * SETTLE)
    await press(at, "escape")
    await until(lambda: at.chat.phase == "ready", "rest")


async def answered(at: Driver) -> None:
    await at.ask("go on")
    await over(at)


async def pasted(at: Driver) -> None:
    prompt = at.chat.query_one(Prompt)
    for text in ("y\n" * 1_000_000, "x" * 5_000_000, "\x1b[2J\u202e" * 500_000):
        prompt.focus()
        at.app.post_message(Paste(text))
        await asyncio.sleep(0.2)
        prompt.text = ""


def python(code: str) -> str:
    """A command that runs a short program."""
    return f"{sys.executable} -c '{code}'"


OUTPUTS = {
    "lines without end": "yes | head -c 80000000",
    "one line of 50 MB": "head -c 50000000 /dev/zero | tr '\\0' x",
    "bytes that are no text": "head -c 20000000 /dev/urandom",
    "control sequences": python(
        r"print(\"\x1b[2J\x1b]0;x\x07\x1b[31m\u202e\" * 2_000_000)"
    ).replace('\\"', '"'),
    "half a million empty lines": "yes '' | head -n 500000",
    "combining marks": python('print("e" + "\\u0301" * 3_000_000)'),
}


def lay_out(folder: Path) -> None:
    """Put large and hostile files into the repository."""
    (folder / "evil.txt").write_text(f"{EVIL}\n" * 2_000)
    (folder / "long.txt").write_text("word " * 2_000_000)
    (folder / "wide.txt").write_text("".join(f"line {n} of many\n" for n in range(400_000)))


SCRIPTS: dict[str, tuple[list[str], Flood]] = {
    **{name: ([call("bash", command=cmd), "Over."], approved) for name, cmd in OUTPUTS.items()},
    "a search that never ends": ([call("grep", pattern=RUNAWAY), "Over."], answered),
    "a search that finds everything": ([call("grep", pattern="e"), "Over."], answered),
    "large files": (
        [call("read", path="long.txt"), call("read", path="wide.txt", limit=400_000), "Over."],
        answered,
    ),
    "a large file to write": (
        [call("write", path="new.py", content="x = [1, 2, 3]  # and so on\n" * 15_000)],
        looked_at,
    ),
    "a large file to change": (
        [call("write", path="wide.txt", content="".join(f"row {n}\n" for n in range(10_000)))],
        looked_at,
    ),
    "a command of 100 kB": ([call("bash", command="echo " + "a b " * 25_000)], looked_at),
    "a long answer": (
        ["# Title\n\n" + "- *some* `words` of an **answer**\n" * 6_000 + "\nOver."],
        answered,
    ),
    "one word of a megabyte": (["x" * 1_000_000 + " Over."], answered),
    "pastes": (["Over."], pasted),
}


@pytest.mark.parametrize("name", SCRIPTS)
async def test_no_flood_holds_the_interface(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever else uses the machine stops the heart too, so a flood has six tries."""
    monkeypatch.setattr(Grep.__init__, "__defaults__", (SEARCHING,))
    completions, flood = SCRIPTS[name]
    longest: list[str] = []
    for number in range(TRIES):
        (tmp_path / str(number)).mkdir()
        stage = Stage(tmp_path / str(number))
        lay_out(stage.folder)
        stage.write_script(completions=completions)
        async with running(stage, "arm_delay=0.05", size=(100, 40)) as at:
            async with beating() as heart:
                await flood(at)
                await asyncio.sleep(0.3)
            assert heart.beats > 10
        if not heart.stops:
            return
        longest.append(f"{heart.busy:.3f} of {heart.still:.3f} s")
    raise AssertionError(f"{name}: {longest}")


def test_there_are_enough_floods() -> None:
    assert len(SCRIPTS) >= 12
