"""A conversation of 10, 400 and 10,000 messages: opening, streaming, scrolling, resizing, memory.

Each size runs in a process of its own, in the real Conversation of a headless app of 120×40
cells with a prompt below it. The sizes take turns, so that load on the machine falls on all
alike; figures are medians, and the ratios are against 10 messages in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence

import psutil
from continualcode_tui.themes.palettes import DARK, ThemedApp
from continualcode_tui.widgets.conversation import Conversation
from continualcode_tui.widgets.prompt import Prompt
from continualcode_tui.widgets.transcript_model import (
    AssistantRecord,
    CallRecord,
    LessonRecord,
    NoticeRecord,
    Record,
    UserRecord,
)
from textual.app import App, ComposeResult
from textual.pilot import Pilot

SIZES = (10, 400, 10_000)
ANSWER = (
    "I will look at **{n}** first.\n\n- `read` the file\n- change one line\n\n"
    "```python\ndef add(a, b):\n    return a + b + {n}\n```\n"
)
CHUNKS = 60
PAGES = 12


def records(messages: int) -> list[Record]:
    """Return a session: of each three messages one is the user's, one the model's, one a call."""
    output = "".join(f"{i:>3} a line of output\n" for i in range(40))
    made: list[Record] = []
    for n in range(messages):
        match n % 3:
            case 0:
                made.append(UserRecord(f"Please look at case {n} and make its test pass."))
            case 1:
                made.append(AssistantRecord(ANSWER.format(n=n)))
            case _:
                # Each session has its own text, as in life: nothing is shared in memory.
                printed = f"{n}\n{output}"
                made.append(CallRecord("bash", f"pytest -k {n}", "approved", "", printed, ok=True))
        if n % 40 == 39:
            made.append(LessonRecord("learned", "The retry proposes edit_lines.", "use edit_lines"))
            made.append(NoticeRecord("The repository changed outside of this program."))
    return made


async def painted(pilot: Pilot[None], action: Callable[[], object]) -> float:
    """Return seconds until what an action led to is laid out and painted."""
    start = time.perf_counter()
    result = action()
    if isinstance(result, Awaitable):
        await result
    done = asyncio.Event()
    pilot.app.screen.call_after_refresh(done.set)
    await done.wait()
    return time.perf_counter() - start


async def rest(pilot: Pilot[None]) -> None:
    """Let what follows a paint be done, as between two keys of a person."""
    await asyncio.sleep(0.05)
    await pilot.pause()


async def seen(pilot: Pilot[None], text: str) -> None:
    """Wait until a text is on the screen."""
    deadline = time.perf_counter() + 60
    while text not in screen_text(pilot.app):
        if time.perf_counter() > deadline:
            raise TimeoutError(f"{text!r} did not come:\n{screen_text(pilot.app)}")
        await asyncio.sleep(0)


async def stream(pilot: Pilot[None], talk: Conversation) -> list[float]:
    """Return the seconds from each piece of an answer to its words on the screen."""
    times: list[float] = []
    for n in range(CHUNKS):
        piece = f"w{n}ord " if n % 12 else f"\n\nA paragraph w{n}ord "
        start = time.perf_counter()
        talk.append_assistant(piece)
        await seen(pilot, f"w{n}ord")
        times.append(time.perf_counter() - start)
        await pilot.pause()
    talk.end_assistant()
    await rest(pilot)
    return times


async def repeated(pilot: Pilot[None], *actions: Callable[[], object]) -> float:
    """Return the median seconds of actions, each after a rest."""
    times: list[float] = []
    for action in actions:
        times.append(await painted(pilot, action))
        await rest(pilot)
    return statistics.median(times)


async def measure(messages: int) -> dict[str, float]:
    """Return seconds, widgets and MB of one size."""
    saved = records(messages)
    talk = Conversation()

    class Stage(ThemedApp):
        def compose(self) -> ComposeResult:
            yield talk
            yield Prompt()

    app = Stage(theme=DARK)
    figures: dict[str, float] = {}
    async with app.run_test(size=(120, 40)) as pilot:
        app.query_one(Prompt).focus()
        await rest(pilot)

        async def opened() -> None:
            talk.load(saved)
            await seen(pilot, f"case {3 * ((messages - 1) // 3)}")

        def act(name: str) -> Callable[[], object]:
            return lambda: talk.run_action(name)

        def resize(width: int) -> Callable[[], object]:
            return lambda: pilot.resize_terminal(width, 40)

        figures["open"] = await painted(pilot, opened)
        await rest(pilot)
        figures["widgets"] = len(list(app.screen.walk_children()))
        times = await stream(pilot, talk)
        figures["chunk"] = statistics.median(times)
        figures["chunk, slowest"] = max(times)
        figures["page"] = await repeated(pilot, *[act("page_up"), act("page_down")] * PAGES)
        pages = [act("page_up")] * PAGES + [act("page_down")] * PAGES
        start = time.perf_counter()
        for page in pages:
            await painted(pilot, page)
            await pilot.pause()
        figures["page, key held down"] = (time.perf_counter() - start) / len(pages)
        figures["to either end"] = await repeated(
            pilot, act("scroll_home"), act("scroll_end"), act("scroll_home"), act("scroll_end")
        )
        figures["resize"] = await repeated(pilot, *map(resize, (100, 120, 90, 120)))
        start = time.perf_counter()
        for focus in (False, True) * 3:
            app.app_focus = focus
            await pilot.pause()
        figures["blur and focus"] = (time.perf_counter() - start) / 3
        figures["RSS, MB"] = psutil.Process().memory_info().rss / 1e6
    return figures


def screen_text(app: App[None]) -> str:
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text for strip in strips)


def in_process(messages: int) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, "--one", str(messages)],
        check=True, capture_output=True, text=True, env=dict(os.environ),
    )  # fmt: skip
    return json.loads(done.stdout)


def table(figures: dict[int, dict[str, list[float]]], sizes: Sequence[int]) -> None:
    print(f"{'':22}" + "".join(f"{f'{size:,} messages':>24}" for size in sizes))
    for name in figures[sizes[0]]:
        base = statistics.median(figures[sizes[0]][name])
        line = f"{name:22}"
        for size in sizes:
            value = statistics.median(figures[size][name])
            unit = value if name in ("widgets", "RSS, MB") else value * 1000
            line += f"{unit:14.1f} ({value / base:5.2f}×)"
        print(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one is not None:
        print(json.dumps(asyncio.run(measure(arguments.one))))
        return
    figures: dict[int, dict[str, list[float]]] = {size: {} for size in arguments.sizes}
    for _ in range(arguments.runs):
        for size in arguments.sizes:
            for name, value in in_process(size).items():
                figures[size].setdefault(name, []).append(value)
    print("milliseconds, and how many times those of the first column\n")
    table(figures, arguments.sizes)


if __name__ == "__main__":
    main()
