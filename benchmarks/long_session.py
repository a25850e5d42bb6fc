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

SIZES = (10, 400, 10_000)
ANSWER = (
    "I will look at **{n}** first.\n\n- `read` the file\n- change one line\n\n"
    "```python\ndef add(a, b):\n    return a + b + {n}\n```\n"
)
CHUNKS = 60
PAGES = 12


def records(messages: int) -> list[object]:
    """Return a session: of each three messages one is the user's, one the model's, one a call."""
    from continualcode_tui.widgets.transcript_model import (
        AssistantRecord,
        CallRecord,
        LessonRecord,
        NoticeRecord,
        UserRecord,
    )

    output = "".join(f"{i:>3} a line of output\n" for i in range(40))
    made: list[object] = []
    for n in range(messages):
        match n % 3:
            case 0:
                made.append(UserRecord(f"Please look at case {n} and make its test pass."))
            case 1:
                made.append(AssistantRecord(ANSWER.format(n=n)))
            case _:
                made.append(
                    CallRecord("bash", f"pytest -k {n}", "approved", output=output, ok=True)
                )
        if n % 40 == 39:
            made.append(LessonRecord("learned", "The retry proposes edit_lines.", "use edit_lines"))
            made.append(NoticeRecord("The repository changed outside of this program."))
    return made


def resident_mb() -> float:
    """Return the memory of this process now."""
    import psutil

    return psutil.Process().memory_info().rss / 1e6


async def measure(messages: int) -> dict[str, float]:
    from continualcode_tui.themes.palettes import DARK, ThemedApp
    from continualcode_tui.widgets.conversation import Conversation
    from continualcode_tui.widgets.prompt import Prompt
    from textual.app import ComposeResult
    from textual.pilot import Pilot

    class Stage(ThemedApp):
        def compose(self) -> ComposeResult:
            yield Conversation()
            yield Prompt()

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

    saved = records(messages)
    app = Stage(theme=DARK)
    figures: dict[str, float] = {}
    async with app.run_test(size=(120, 40)) as pilot:
        talk = app.query_one(Conversation)
        app.query_one(Prompt).focus()
        await rest(pilot)

        async def opened() -> None:
            talk.load(saved)  # pyright: ignore[reportArgumentType]
            while "look at" not in screen_text(app):
                await asyncio.sleep(0)

        figures["open"] = await painted(pilot, opened)
        await rest(pilot)
        figures["widgets"] = len(list(app.screen.walk_children()))
        times = []
        for n in range(CHUNKS):
            piece = "word " if n % 12 else "\n\nA new paragraph of "
            times.append(await painted(pilot, lambda: talk.append_assistant(piece)))  # noqa: B023
        talk.end_assistant()
        figures["chunk"] = statistics.median(times)
        figures["chunk, p99"] = sorted(times)[int(0.99 * len(times))]
        await rest(pilot)
        times = []
        for key in ["page_up"] * PAGES + ["page_down"] * PAGES:
            times.append(await painted(pilot, lambda: talk.run_action(key)))  # noqa: B023
            await rest(pilot)
        figures["page"] = statistics.median(times)
        start = time.perf_counter()
        for _ in range(PAGES):
            await painted(pilot, lambda: talk.run_action("page_up"))
            await pilot.pause()
        figures["page, key held down"] = (time.perf_counter() - start) / PAGES
        times = [await painted(pilot, lambda: talk.run_action("scroll_home"))]
        await rest(pilot)
        times.append(await painted(pilot, lambda: talk.run_action("scroll_end")))
        figures["to either end"] = statistics.median(times)
        await rest(pilot)
        times = []
        for width in (100, 120, 90, 120):
            times.append(await painted(pilot, lambda: pilot.resize_terminal(width, 40)))  # noqa: B023
            await rest(pilot)
        figures["resize"] = statistics.median(times)
        times = []
        for _ in range(3):
            start = time.perf_counter()
            app.app_focus = False
            await pilot.pause()
            app.app_focus = True
            await pilot.pause()
            times.append(time.perf_counter() - start)
        figures["blur and focus"] = statistics.median(times)
        figures["RSS, MB"] = resident_mb()
    return figures


def screen_text(app: object) -> str:
    strips = app.screen._compositor.render_strips()  # pyright: ignore[reportAttributeAccessIssue]
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
