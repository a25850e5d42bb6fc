"""The heatmap of a denied call's tokens."""

from __future__ import annotations

import math
import time

import pytest
from continualcode_tui.widgets.heatmap import Heatmap, HeatmapView
from continualcode_tui.widgets.heatmap_layout import lay_out, token_text, wanted_text
from continualcode_tui.widgets.heatmap_scale import (
    LEGENDS,
    MODES,
    Mode,
    TokenCell,
    legend,
    level_in,
    level_of,
    likelihood_legend,
    likelihood_level,
    readout,
)
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from .support import HOSTILE, Stage, screen_text, settled, until

CALL = '<tool_call>\n{"name": "write", "arguments": {"path": "calc.py"}}\n</tool_call>'


def cells(text: str = CALL, size: int = 4) -> list[TokenCell]:
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    worth = [0.0, 0.3, -0.3, 1.0, -1.0, 3.0, -3.0, 6.0, -6.0]
    return [
        TokenCell(piece, worth[i % len(worth)], 0.4, 0.1, "edit" if i % 2 else piece, 0.02)
        for i, piece in enumerate(pieces)
    ]


@given(
    st.lists(st.text(st.sampled_from("ab 日é\n\t\x1b"), min_size=1, max_size=9), max_size=30),
    st.integers(2, 12),
)
def test_no_part_of_a_token_is_lost_and_no_line_is_too_long(texts: list[str], width: int):
    shown = [token_text(text) for text in texts]
    lines = lay_out(shown, width)
    pieces = [piece for line in lines for piece in line]
    for token, text in enumerate(shown):
        parts = "".join(piece.text for piece in pieces if piece.token == token)
        assert parts == text.replace("\n", "")
    for line in lines:
        used = 0
        for piece in line:
            assert piece.start == used
            used += piece.width
            assert piece.width == cell_len(piece.text)
        assert used <= width


@pytest.mark.parametrize(
    ("advantage", "level"),
    [(0, 0), (0.05, 0), (-0.2, -1), (0.7, 2), (-2, -3), (9, 4), (math.inf, 4), (-math.inf, -4)],
)
def test_levels(advantage: float, level: int):
    assert level_of(advantage) == level
    assert level_of(math.nan) == 0


async def test_the_arrow_keys_move_the_cursor_and_read_out_the_token():
    view = HeatmapView(cells())
    app = Stage(view, focus=Heatmap)
    async with app.run_test(size=(40, 24)) as pilot:
        await settled(pilot)
        total = len(view.heatmap.cells)
        assert f"1/{total} “<too”" in screen_text(app)
        await pilot.press("right", "right")
        await settled(pilot)
        text = screen_text(app)
        assert f"3/{total} “ll>↵”" in text
        assert "advantage −0.30 nats" in text
        assert "40.0 % → 10.0 %" in text
        await pilot.press("end")
        assert view.heatmap.cursor == total - 1
        await pilot.press("up")
        assert view.heatmap.cursor < total - 2
        await pilot.press("home", "]")
        assert abs(view.heatmap.cells[view.heatmap.cursor].advantage) >= 1.5
        moved = app.of(Heatmap.CursorMoved)
        assert [message.index for message in moved][:2] == [1, 2]


async def test_newlines_stay_visible_and_break_the_line():
    app = Stage(Heatmap(cells()))
    async with app.run_test() as pilot:
        await settled(pilot)
        assert screen_text(app).startswith("<tool_call>↵\n{")


async def test_the_signs_read_without_colour():
    app = Stage(
        HeatmapView([TokenCell("less", -5, 0.5, 0.1, "x"), TokenCell("more", 5, 0, 1, "x")])
    )
    async with app.run_test() as pilot:
        await settled(pilot)
        heatmap = app.query_one(Heatmap)
        heatmap.cursor = 1
        await settled(pilot)
        styles = {segment.text.strip(): segment.style for segment in heatmap.render_line(0)}
        assert styles["less"].underline
        assert not styles["less"].bold
        assert styles["more"].bold
        assert not styles["more"].underline


async def test_a_click_puts_the_cursor_on_a_token():
    app = Stage(Heatmap(cells()))
    async with app.run_test() as pilot:
        await pilot.click(Heatmap, offset=(9, 1))
        await until(lambda: app.query_one(Heatmap).cursor == 5, pilot)


async def test_the_cursor_is_kept_in_view():
    app = Stage(Heatmap(cells(CALL * 60)), focus=Heatmap)
    async with app.run_test(size=(60, 18)) as pilot:
        await pilot.press("end")
        await settled(pilot)
        assert "</tool_call>" in screen_text(app)
        heatmap = app.query_one(Heatmap)
        assert heatmap.scroll_offset.y > 0
        heatmap.show(cells())
        await settled(pilot)
        assert heatmap.cursor == 0
        assert "<tool_call>" in screen_text(app)


async def test_hostile_tokens_and_odd_figures():
    odd = [
        TokenCell(HOSTILE, math.nan, math.nan, 0.0001, HOSTILE),
        TokenCell("", math.inf, 0, 1, ""),
    ]
    app = Stage(HeatmapView(odd))
    async with app.run_test(size=(120, 24)) as pilot:
        await settled(pilot)
        text = screen_text(app)
        assert "⟨ESC⟩[2J" in text
        assert "advantage unknown" in text
        assert "unknown → < 0.1 %" in text
    assert "+inf" in readout(0, 1, odd[1]).plain


async def test_no_tokens_at_all():
    app = Stage(HeatmapView(), focus=Heatmap)
    async with app.run_test() as pilot:
        await pilot.press("right", "down", "end", "]")
        assert app.query_one(Heatmap).cursor == 0


async def measure(tokens: int) -> tuple[float, float]:
    """Give the processor seconds to mount a heatmap and to scroll it ten times."""
    app = Stage()
    async with app.run_test(size=(120, 40)) as pilot:
        worth = cells("word " * tokens, size=5)
        began = time.process_time()
        await app.mount(heatmap := Heatmap(worth))
        await pilot.pause()
        mounted = time.process_time()
        for y in range(0, 100, 10):
            heatmap.scroll_to(y=y, animate=False)
            await pilot.pause()
        return mounted - began, time.process_time() - mounted


async def test_five_thousand_tokens_mount_and_scroll_quickly():
    mount, scroll = await measure(5_000)
    assert mount < 1, "it takes 0.1 s on a free core, and a widget a token takes many"
    assert scroll < 2, "it takes 0.1 s on a free core"


@pytest.mark.parametrize("theme", ["continual-dark", "continual-light"])
def test_snapshot(snap_compare, theme: str):
    app = Stage(HeatmapView(cells()), focus=Heatmap, theme=theme)
    size = (80, 24) if theme == "continual-dark" else (60, 18)
    assert snap_compare(app, terminal_size=size, press=["right", "]"])
