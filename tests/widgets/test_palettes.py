"""The palettes: readable wherever the styles use them, and told apart without seeing colour."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest
from continualcode_tui.themes.colours import PALETTES, Palette
from continualcode_tui.themes.names import AUTO, THEME_NAMES
from continualcode_tui.themes.palettes import (
    DARK,
    LIGHT,
    VARIABLE_DEFAULTS,
    ThemedApp,
    extra_variables,
    make_theme,
)
from continualcode_tui.widgets.diff import DiffView
from continualcode_tui.widgets.entries import LessonCard
from continualcode_tui.widgets.heatmap import HeatmapView, TokenCell
from continualcode_tui.widgets.transcript_model import LessonRecord
from textual.color import Color
from textual.widgets import Static

from .support import Stage

ROOT = Path(__file__).parents[2]
PALETTE = pytest.mark.parametrize("palette", PALETTES, ids=lambda palette: palette.name)

GROUNDS = {"background", "surface", "panel"}
LINES = {"diff-added-background", "diff-removed-background"}
STRONG = {"diff-added-strong", "diff-removed-strong"}
CODE = {"foreground"} | {
    f"syntax-{kind}" for kind in ("comment", "keyword", "string", "number", "name")
}
WORDS = {
    "quiet", "primary", "warning", "error", "text-success", "text-warning", "text-error",
    "text-accent", "mark-approved", "mark-denied", "mark-edited", "mark-rule", "chart-loss",
    "chart-kl", "chart-budget",
}  # fmt: skip
SIGNS = {"diff-added-sign", "diff-removed-sign"}
LINE_ART = {"border-blurred", "chart-mark", "chart-loss-raw"}
HEAT = {f"heat-{sign}-{level}" for sign in ("negative", "positive") for level in range(1, 5)}
NO_COLOURS = {"text", "diff-changed-style", "block-cursor-text-style"}
# The mark of a list and a cursor are Textual's, which chooses their text for contrast; the
# levels of the heat are named by a pattern.
ELSEWHERE = {
    "block-cursor-background", "block-cursor-foreground", "heat", "input-cursor-background",
    "input-cursor-foreground",
}  # fmt: skip

# What a standard VGA text screen shows, and what xterm does.
VGA = [
    "#000000", "#aa0000", "#00aa00", "#aa5500", "#0000aa", "#aa00aa", "#00aaaa", "#aaaaaa",
    "#555555", "#ff5555", "#55ff55", "#ffff55", "#5555ff", "#ff55ff", "#55ffff", "#ffffff",
]  # fmt: skip
XTERM = [
    "#000000", "#cd0000", "#00cd00", "#cdcd00", "#0000ee", "#cd00cd", "#00cdcd", "#e5e5e5",
    "#7f7f7f", "#ff0000", "#00ff00", "#ffff00", "#5c5cff", "#ff00ff", "#00ffff", "#ffffff",
]  # fmt: skip
ANSI_NAMES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")

# What is left of red, green and blue (linear) for those who see two of three (Machado 2009).
SIGHT = {
    "protanopia": (
        (0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}  # fmt: skip

Linear = tuple[float, float, float]


def linear(colour: str) -> Linear:
    def part(value: float) -> float:
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    red, green, blue = (part(value) for value in Color.parse(colour).normalized)
    return red, green, blue


def luminance(colour: str) -> float:
    red, green, blue = linear(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def lightness_and_hue(light: Linear) -> Linear:
    """CIE L*a*b* of linear red, green and blue."""
    red, green, blue = light

    def root(value: float) -> float:
        return value ** (1 / 3) if value > 0.008856 else 7.787 * value + 16 / 116

    x = root((0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505)
    y = root(0.2126 * red + 0.7152 * green + 0.0722 * blue)
    z = root((0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.089)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def seen_by(sight: str, colour: str) -> Linear:
    red, green, blue = linear(colour)
    return lightness_and_hue(
        tuple(  # pyright: ignore[reportArgumentType]
            min(1.0, max(0.0, a * red + b * green + c * blue)) for a, b, c in SIGHT[sight]
        )
    )


def distance(one: Linear, other: Linear) -> float:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5


def variables(palette: Palette, terminal: list[str] | None = None) -> dict[str, str]:
    """Every theme variable, the terminal's own colours filled in."""
    theme = make_theme(palette)
    found = {**theme.to_color_system().generate(), **theme.variables}
    if terminal is None:
        return found
    shown = {"ansi_default": terminal[0 if palette.dark else 15], "transparent": ""}
    shown["transparent"] = shown["ansi_default"]
    for number, name in enumerate(ANSI_NAMES):
        shown[f"ansi_{name}"] = terminal[number]
        shown[f"ansi_bright_{name}"] = terminal[number + 8]
    return {name: shown.get(value, value) for name, value in found.items()}


def pairs() -> set[tuple[str, str]]:
    """Each text on each ground that the styles put it on."""
    text = {*product(WORDS | CODE, GROUNDS), *product(CODE | SIGNS | {"quiet"}, LINES)}
    heat = {("heat-text" if ground[-1] in "34" else "foreground", ground) for ground in HEAT}
    return text | set(product(CODE, STRONG)) | heat


def too_weak(colours: dict[str, str], wanted: set[tuple[str, str]], least: float) -> list[str]:
    return [
        f"{text} on {ground}: {contrast(colours[text], colours[ground]):.2f}"
        for text, ground in sorted(wanted)
        if contrast(colours[text], colours[ground]) < least
    ]


@pytest.mark.parametrize(
    "palette", [each for each in PALETTES if not each.ansi], ids=lambda palette: palette.name
)
def test_everything_can_be_read_on_every_ground_it_is_put_on(palette: Palette):
    colours = variables(palette)
    least = 7 if palette.name == "high-contrast" else 4.5
    assert too_weak(colours, pairs(), least) == []
    assert too_weak(colours, set(product(LINE_ART, {"background", "surface"})), 3) == []


@pytest.mark.parametrize("terminal", [VGA, XTERM], ids=["vga", "xterm"])
@pytest.mark.parametrize(
    "palette", [each for each in PALETTES if each.ansi], ids=lambda palette: palette.name
)
def test_the_terminals_own_colours_can_be_read(palette: Palette, terminal: list[str]):
    """Nothing is below the 4 of xterm's grey on white and of VGA's black on brown."""
    colours = variables(palette, terminal)
    plain = {pair for pair in pairs() if pair[0] == "foreground"}
    # Changed characters are reversed there, which leaves their contrast as it is.
    assert too_weak(colours, plain, 4.5) == []
    assert too_weak(colours, pairs(), 4) == []


@pytest.mark.parametrize(
    "palette", [each for each in PALETTES if each.ansi], ids=lambda palette: palette.name
)
def test_an_ansi_theme_has_no_colour_but_the_terminals(palette: Palette):
    known = {"ansi_default", *(f"ansi_{name}" for name in ANSI_NAMES)}
    known |= {f"ansi_bright_{name}" for name in ANSI_NAMES}
    for name, value in extra_variables(palette).items():
        assert value in known or name == "diff-changed-style", name
    for name, value in variables(palette).items():
        assert "#" not in value, name


def test_every_variable_that_a_style_names_is_checked():
    """A variable that no list above knows would never be looked at."""
    named: set[str] = set()
    for folder in ("widgets", "app/screens", "themes"):
        for file in [*(ROOT / folder).glob("*.py"), *(ROOT / folder).glob("*.tcss")]:
            named |= set(re.findall(r"(?<![\w$])\$([a-z][a-z0-9-]*[a-z0-9])", file.read_text()))
    known = GROUNDS | LINES | STRONG | CODE | WORDS | SIGNS | LINE_ART | HEAT
    known |= NO_COLOURS | ELSEWHERE
    assert named - known - {"heat-text"} == set()


@PALETTE
def test_the_heat_scale_grows_on_both_sides(palette: Palette):
    colours = variables(palette, VGA if palette.ansi else None)
    for side in ("negative", "positive"):
        grounds = [colours[f"heat-{side}-{level}"] for level in range(1, 5)]
        steps = [contrast(ground, colours["background"]) for ground in grounds]
        assert steps == sorted(steps)
        assert steps[3] > steps[2] > steps[0]


@PALETTE
def test_the_two_sides_of_the_heat_scale_differ_in_blue_and_yellow(palette: Palette):
    colours = variables(palette, VGA if palette.ansi else None)
    for level in (3, 4) if palette.ansi else (1, 2, 3, 4):
        less = Color.parse(colours[f"heat-negative-{level}"])
        more = Color.parse(colours[f"heat-positive-{level}"])
        assert less.r - less.b > 10
        assert more.b - more.r > 10


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize(
    "palette",
    [each for each in PALETTES if "colour-blind" in each.name],
    ids=lambda palette: palette.name,
)
def test_yes_and_no_differ_for_every_sight(palette: Palette, sight: str):
    colours = variables(palette)
    opposites = [
        ("mark-approved", "mark-denied"), ("diff-added-sign", "diff-removed-sign"),
        ("diff-added-strong", "diff-removed-strong"), ("mark-edited", "mark-denied"),
        ("success", "error"), ("heat-negative-4", "heat-positive-4"),
        ("heat-negative-3", "heat-positive-3"), ("chart-loss", "chart-kl"),
    ]  # fmt: skip
    for one, other in opposites:
        apart = distance(seen_by(sight, colours[one]), seen_by(sight, colours[other]))
        assert apart >= 15, (one, other, apart)
    good, bad = (lightness_and_hue(linear(colours[name]))[0] for name in ("success", "error"))
    assert abs(good - bad) >= 15


@PALETTE
def test_every_palette_gives_every_variable(palette: Palette):
    assert set(extra_variables(palette)) == set(VARIABLE_DEFAULTS)


def test_every_name_has_its_palette():
    assert {palette.name for palette in PALETTES} == set(THEME_NAMES) - {AUTO}


class Painted(ThemedApp):
    """A word in colour on a coloured ground."""

    CSS = "Static { color: $text-error; background: $panel; }"

    def compose(self):
        yield Static("red")


async def test_auto_follows_the_terminal_and_another_choice_does_not():
    app = Painted(theme="auto", terminal_dark=False)
    async with app.run_test():
        assert app.theme == LIGHT
        app.set_terminal_dark(True)
        assert app.theme == DARK
        assert app.use_theme("high-contrast")
        app.set_terminal_dark(False)
        assert app.theme == "continual-high-contrast"
        assert app.use_theme("auto")
        assert app.theme == LIGHT
        assert not app.use_theme("neon")
        assert (app.theme, app.theme_choice) == (LIGHT, "auto")


@pytest.mark.parametrize("name", ["dark", "ansi-dark"])
async def test_no_color_takes_every_hue_away(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NO_COLOR", "1")
    app = Painted(theme="light")
    async with app.run_test() as pilot:
        app.use_theme(name)
        await pilot.pause()
        lines = app.screen._compositor.render_strips()
        for segment in (segment for line in lines for segment in line):
            for colour in (segment.style.color, segment.style.bgcolor) if segment.style else ():
                if colour is None or colour.is_default:
                    continue
                # A terminal of sixteen colours has no greys to choose from.
                assert name == "dark", colour
                assert colour.triplet is not None
                assert max(colour.triplet) - min(colour.triplet) <= 1


async def test_an_app_starts_under_a_theme_that_is_not_ours():
    class Foreign(ThemedApp):
        def compose(self):
            yield DiffView("a\n", "b\n", "a.py")

    for theme in ("textual-light", "ansi-dark", "nord"):
        app = Foreign()
        async with app.run_test() as pilot:
            app.theme = theme
            await pilot.pause()
            assert app.theme == theme


@pytest.mark.parametrize(
    "name", [name for name in THEME_NAMES if name not in ("auto", "light", "ansi-light")]
)
def test_snapshot(snap_compare, name: str):
    before = "def area(w, h):\n    # width times height\n    return w + h * 2\n"
    after = before.replace("+ h * 2", "* h").replace("width times", "width by")
    worth = [-6.0, -3.0, -1.0, -0.3, 0.0, 0.3, 1.0, 3.0, 6.0]
    tokens = [TokenCell(f" {each:+.1f} ", each, 0.4, 0.1, "edit", 0.02) for each in worth]
    app = Stage(
        DiffView(before, after, "area.py"),
        HeatmapView(tokens),
        LessonCard(LessonRecord("learned", "the retry follows")),
        LessonCard(LessonRecord("failed", "no")),
        theme=name,
    )
    assert snap_compare(app, terminal_size=(60, 18))
