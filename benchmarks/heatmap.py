"""A heatmap of 5,000 tokens beside a Static of the same text: time to mount, and per page.

Both are mounted and scrolled in turn in the same process, in an app without a terminal, and what
is timed is processor time until the screen is painted, so that load on the machine falls on both
alike and counts little.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import time
from collections.abc import Callable, Sequence

from continualcode_tui.themes.palettes import ThemedApp
from continualcode_tui.widgets.heatmap import Heatmap
from continualcode_tui.widgets.heatmap_scale import TokenCell, level_of, swatch
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

SIZE = (120, 40)
PAGES = 10
GOAL = 0.150


def made_up(count: int, seed: int = 0) -> list[TokenCell]:
    """Give tokens as code has them, a tenth of which the teacher would not say."""
    chance = random.Random(seed)
    texts = ["    ", "self", ".", "value", " = ", "add", "(", "first", ", ", "2", ")", "\n"]
    cells: list[TokenCell] = []
    for index in range(count):
        text = texts[index % len(texts)]
        other = chance.random() < 0.1
        advantage = chance.gauss(-3 if other else 0, 1)
        cells.append(TokenCell(text, advantage, 0.9, 0.2, "other" if other else text, 0.1))
    return cells


def as_static(cells: Sequence[TokenCell]) -> Widget:
    parts = [
        swatch(cell.text, level) if (level := level_of(cell.advantage)) else (cell.text, "")
        for cell in cells
    ]
    return VerticalScroll(Static(Content.assemble(*parts)))


async def timed(make: Callable[[], Widget]) -> tuple[float, float]:
    """Return the processor seconds to make and mount a widget, and to scroll one page."""
    app = ThemedApp()
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        began = time.process_time()
        await app.mount(widget := make())
        await pilot.pause()
        mounted = time.process_time() - began
        began = time.process_time()
        for page in range(1, PAGES + 1):
            widget.scroll_to(y=page * (SIZE[1] - 2), animate=False)
            await pilot.pause()
        return mounted, (time.process_time() - began) / PAGES


async def compare(count: int, rounds: int) -> tuple[list[float], list[float]]:
    """Return the medians of mount and page for a Heatmap and for a Static."""
    cells = made_up(count)
    figures: dict[str, list[tuple[float, float]]] = {"heatmap": [], "static": []}
    for _ in range(rounds):
        figures["heatmap"].append(await timed(lambda: Heatmap(cells)))
        figures["static"].append(await timed(lambda: as_static(cells)))
    return tuple(
        [statistics.median(column) for column in zip(*figures[name], strict=True)]
        for name in ("heatmap", "static")
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    ours, theirs = asyncio.run(compare(options.tokens, options.rounds))
    print(f"{options.tokens:,} tokens, {SIZE[0]} by {SIZE[1]}, median of {options.rounds} rounds")
    for name, own, other in zip(("mount", "scroll a page"), ours, theirs, strict=True):
        print(
            f"{name:14} heatmap {own * 1000:7.1f} ms   static {other * 1000:7.1f} ms   "
            f"ratio {own / other:.2f}"
        )
    kept = "kept" if ours[0] < GOAL else "missed"
    print(f"the goal of {GOAL * 1000:.0f} ms to mount is {kept} here")


if __name__ == "__main__":
    main()
