"""The palettes: readable, and told apart without seeing colour."""

from __future__ import annotations

import pytest
from continualcode_tui.themes.palettes import (
    PALETTES,
    VARIABLE_DEFAULTS,
    Palette,
    ThemedApp,
    extra_variables,
)
from textual.color import Color

PALETTE = pytest.mark.parametrize("palette", PALETTES, ids=lambda palette: palette.name)


def luminance(colour: str) -> float:
    def linear(part: float) -> float:
        return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(part) for part in Color.parse(colour).normalized)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@PALETTE
def test_text_can_be_read_on_every_background(palette: Palette):
    backgrounds = [palette.background, palette.surface, palette.panel]
    lines = [palette.added[0], palette.removed[0]]
    for background in backgrounds + lines:
        assert contrast(palette.foreground, background) >= 7
        assert contrast(palette.muted, background) >= 4
    for colour in palette.syntax:
        for background in lines:
            assert contrast(colour, background) >= 4
    for strong in (palette.added[1], palette.removed[1]):
        assert contrast(palette.foreground, strong) >= 4.5


@PALETTE
def test_signs_can_be_read(palette: Palette):
    for colour in (
        palette.primary,
        palette.warning,
        palette.error,
        palette.success,
        palette.accent,
    ):
        assert contrast(colour, palette.background) >= 4.5


@PALETTE
def test_the_heat_scale_grows_on_both_sides_and_stays_readable(palette: Palette):
    for side in (palette.negative, palette.positive):
        steps = [contrast(colour, palette.background) for colour in side]
        assert steps == sorted(steps)
        for level, colour in enumerate(side, 1):
            text = palette.heat_text if level >= 3 else palette.foreground
            assert contrast(text, colour) >= (3 if level == 4 else 4.5)


@PALETTE
def test_the_two_sides_of_the_heat_scale_differ_in_blue_and_yellow(palette: Palette):
    for less, more in zip(palette.negative, palette.positive, strict=True):
        one, other = Color.parse(less), Color.parse(more)
        assert one.r - one.b > 10
        assert other.b - other.r > 10


@PALETTE
def test_every_palette_gives_every_variable(palette: Palette):
    assert set(extra_variables(palette)) == set(VARIABLE_DEFAULTS)


async def test_an_app_starts_under_a_theme_that_is_not_ours():
    from continualcode_tui.widgets.diff import DiffView

    class Foreign(ThemedApp):
        def compose(self):
            yield DiffView("a\n", "b\n", "a.py")

    for theme in ("textual-light", "ansi-dark", "nord"):
        app = Foreign(theme=theme)
        async with app.run_test() as pilot:
            await pilot.pause()
            assert app.theme == theme
