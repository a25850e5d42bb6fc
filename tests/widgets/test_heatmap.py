"""The heatmap of a denied call's tokens."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable
from statistics import median

import pytest
from continualcode_tui.widgets.heatmap import Heatmap, HeatmapView
from continualcode_tui.widgets.heatmap_layout import lay_out, token_text, wanted_text
from continualcode_tui.widgets.heatmap_scale import (
    MODES,
    Mode,
    TokenCell,
    legend,
    level_in,
    level_of,
    likelihood_legend,
    likelihood_level,
    readout,
    swatch,
)
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

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
    st.dictionaries(st.integers(0, 29), st.text(st.sampled_from("xy 本\n\x1b"), max_size=9)),
)
def test_no_part_of_a_token_is_lost_and_no_line_is_too_long(
    texts: list[str], width: int, wanted: dict[int, str]
):
    shown = [token_text(text) for text in texts]
    beside = {token: wanted_text(text) for token, text in wanted.items()}
    lines = lay_out(shown, width, beside)
    pieces = [piece for line in lines for piece in line]
    for token, text in enumerate(shown):
        own = [piece for piece in pieces if piece.token == token]
        said = "".join(piece.text for piece in own if not piece.wanted)
        assert said == text.replace("\n", "")
        instead = "".join(piece.text for piece in own if piece.wanted)
        assert instead == beside.get(token, "")
        assert "\n" not in instead
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


@pytest.mark.parametrize(
    ("mode", "level"),
    [("advantage", -4), ("change", -3), ("teacher", -3), ("before", 0), ("after", -2)],
)
def test_each_mode_has_its_own_level(mode: Mode, level: int):
    assert level_in(mode, TokenCell("npm", -5, 0.93, 0.4, "pnpm")) == level
    same = TokenCell("npm", 0, 0.95, 0.95, "npm")
    assert level_in(mode, same) == 0


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_less_likely_a_token_the_stronger_its_colour(one: float, other: float):
    low, high = sorted((likelihood_level(one), likelihood_level(other)))
    assert -4 <= low <= high <= 0
    assert (one <= other) or likelihood_level(one) >= likelihood_level(other)


@pytest.mark.parametrize("mode", MODES)
def test_the_legend_fits(mode: Mode):
    assert legend(mode).cell_length <= 56
    assert legend(mode, 40).cell_length <= 40
    assert legend(mode, 40).plain.split()[1] == legend(mode).plain.split()[1]
    assert likelihood_legend().cell_length <= 56


async def test_the_keys_move_the_cursor_and_read_out_the_token():
    view = HeatmapView(cells())
    app = Stage(view, focus=Heatmap)
    async with app.run_test(size=(60, 24)) as pilot:
        await settled(pilot)
        total = len(view.heatmap.cells)
        assert f"2/{total} “l_ca”" in screen_text(app), "the first decision"
        await pilot.press("home")
        await settled(pilot)
        assert f"1/{total} “<too”" in screen_text(app)
        await pilot.press("right", "right")
        await settled(pilot)
        text = screen_text(app)
        assert f"3/{total} “ll>↵”  student 40.0% → 10.0% · teacher 2.0%" in text
        assert "advantage −0.30 nats · the teacher prefers it too" in text
        await pilot.press("end")
        assert view.heatmap.cursor == total - 1
        await pilot.press("up")
        assert view.heatmap.cursor < total - 2
        await pilot.press("home", "]", "]")
        assert view.heatmap.cursor == 3
        await pilot.press("[")
        await until(lambda: view.heatmap.cursor == 1, pilot)
        await settled(pilot)
        assert "the teacher prefers “edit”" in screen_text(app)
        moved = app.of(Heatmap.CursorMoved)
        assert [message.index for message in moved][:3] == [0, 1, 2]


async def test_m_goes_through_the_modes_and_names_each():
    worth = [TokenCell('"', 0, 1, 1, '"'), TokenCell("npm\n", -8, 0.7, 0.03, "pnpm")]
    app = Stage(HeatmapView(worth), focus=Heatmap)
    async with app.run_test(size=(60, 18)) as pilot:
        await settled(pilot)
        assert screen_text(app).startswith("m advantage")
        await pilot.press("m")
        await settled(pilot)
        assert screen_text(app).startswith("m change in probability")
        assert "▸pnpm" not in screen_text(app)
        await pilot.press("m")
        await settled(pilot)
        assert screen_text(app).startswith("m teacher's token")
        assert '\n"npm↵▸pnpm\n' in screen_text(app)
        await pilot.press("m")
        await settled(pilot)
        assert screen_text(app).startswith("m advantage")
        assert "▸pnpm" not in screen_text(app)


async def test_the_colour_follows_the_mode():
    app = Stage(HeatmapView([TokenCell("x", 0, 0, 0, "x"), TokenCell("rose", -5, 0, 1, "rose")]))
    async with app.run_test() as pilot:
        heatmap = app.query_one(Heatmap)
        for mode, bold in (("advantage", False), ("change", True)):
            heatmap.mode = mode
            await settled(pilot)
            styles = {segment.text.strip(): segment.style for segment in heatmap.render_line(0)}
            assert bool(styles["rose"].bold) == bold
            assert bool(styles["rose"].underline) != bold


async def test_the_mouse_moves_the_cursor():
    app = Stage(Heatmap(cells()))
    async with app.run_test() as pilot:
        heatmap = app.query_one(Heatmap)
        await pilot.hover(Heatmap, offset=(9, 1))
        await until(lambda: heatmap.cursor == 5, pilot)
        await pilot.hover(Heatmap, offset=(60, 1))
        await settled(pilot)
        assert heatmap.cursor == 5, "there is no token"


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
        assert heatmap.cursor == 1
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
        assert "unknown → < 0.1%" in text
    assert "+inf" in readout(0, 1, odd[1]).plain


async def test_no_tokens_at_all():
    app = Stage(HeatmapView(), focus=Heatmap)
    async with app.run_test() as pilot:
        await pilot.press("right", "down", "end", "]")
        assert app.query_one(Heatmap).cursor == 0


async def measure(make: Callable[[], Widget]) -> tuple[float, float]:
    """Give the processor seconds to mount a widget and to scroll it five pages."""
    app = Stage()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        gc.collect()
        began = time.process_time()
        await app.mount(widget := make())
        await pilot.pause()
        mounted = time.process_time()
        for page in range(1, 6):
            widget.scroll_to(y=page * 35, animate=False)
            await pilot.pause()
        assert widget.scroll_offset.y > 0
        return mounted - began, time.process_time() - mounted


@pytest.mark.slow
async def test_five_thousand_tokens_mount_and_scroll_faster_than_plain_text():
    """Both take the same processor in the same run, so that a busy machine changes nothing."""
    worth = cells("word " * 5_000, size=5)

    def static() -> Widget:
        parts = [
            swatch(cell.text, level) if (level := level_of(cell.advantage)) else (cell.text, "")
            for cell in worth
        ]
        return VerticalScroll(Static(Content.assemble(*parts)))

    figures = [(*await measure(lambda: Heatmap(worth)), *await measure(static)) for _ in range(5)]
    mount, scroll, mount_static, scroll_static = map(median, zip(*figures, strict=True))
    assert mount < mount_static / 2, "it is a tenth on a free core"
    assert scroll < scroll_static * 1.5, "it is as much, or a half while the caches are cold"


@pytest.mark.parametrize("theme", ["continual-dark", "continual-light"])
def test_snapshot(snap_compare, theme: str):
    app = Stage(HeatmapView(cells()), focus=Heatmap, theme=theme)
    size = (80, 24) if theme == "continual-dark" else (60, 18)
    assert snap_compare(app, terminal_size=size, press=["right", "]"])


async def test_a_scrollbar_that_is_not_needed_takes_no_column():
    view = HeatmapView(cells("word " * 36, size=5))
    view.styles.max_height = "100%"
    app = Stage(view)
    async with app.run_test(size=(60, 5)) as pilot:
        await settled(pilot)
        assert view.heatmap.show_vertical_scrollbar
        assert "student" in screen_text(app), "what is said of a token stays in view"
        await pilot.resize_terminal(60, 6)
        await settled(pilot)
        fresh = lay_out([cell.text for cell in view.heatmap.cells], 60)
        rows = ["".join(piece.text for piece in line).rstrip() for line in fresh]
        assert screen_text(app).splitlines()[1 : 1 + len(rows)] == rows
        assert not view.heatmap.show_vertical_scrollbar
