"""Palettes, each registered with the app as a Textual theme with our extra variables.

A palette is a table of colours; ``make_theme`` turns one into a Theme. Widgets name only
theme variables, so a further palette (high contrast, colour-blind, ANSI) is one more table.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from textual.app import App
from textual.theme import Theme

# Styles that every screen shares, for an app's CSS_PATH.
SHARED_STYLES = Path(__file__).with_name("shared.tcss")

DARK = "continual-dark"
LIGHT = "continual-light"
SYNTAX_NAMES = ("comment", "keyword", "string", "number", "name")


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of one theme.

    ``added`` and ``removed`` are (line, changed characters, sign) colours of a diff;
    ``negative`` and ``positive`` are heatmap backgrounds from weak to strong; ``charts`` are
    the colours of smoothed loss, raw loss, KL, KL budget and event marks; ``syntax`` those of
    comments, keywords, strings, numbers and names.
    """

    name: str
    dark: bool
    background: str
    surface: str
    panel: str
    foreground: str
    muted: str
    primary: str
    secondary: str
    accent: str
    warning: str
    error: str
    success: str
    added: tuple[str, str, str]
    removed: tuple[str, str, str]
    negative: tuple[str, str, str, str]
    positive: tuple[str, str, str, str]
    heat_text: str
    charts: tuple[str, str, str, str, str]
    syntax: tuple[str, str, str, str, str]
    ansi: bool = False


DARK_PALETTE = Palette(
    name=DARK,
    dark=True,
    background="#11141a",
    surface="#171b23",
    panel="#1f2530",
    foreground="#d9dee7",
    muted="#8b95a5",
    primary="#4db6c4",
    secondary="#8fa6c4",
    accent="#c8a2e8",
    warning="#e6b450",
    error="#ef7a7a",
    success="#86c98a",
    added=("#16291d", "#24582f", "#86c98a"),
    removed=("#331a1e", "#6d2a33", "#ef7a7a"),
    negative=("#35281b", "#5a3b16", "#8d5410", "#c4720c"),
    positive=("#192a3b", "#1d4266", "#235f9c", "#2d80d2"),
    heat_text="#f3f5f9",
    charts=("#4db6c4", "#2f6068", "#c8a2e8", "#e6b450", "#6d7788"),
    syntax=("#8b95a5", "#c8a2e8", "#a5cf8f", "#e0b070", "#79c0d8"),
)

LIGHT_PALETTE = Palette(
    name=LIGHT,
    dark=False,
    background="#fbfaf7",
    surface="#f3f1eb",
    panel="#e7e3d9",
    foreground="#23272e",
    muted="#666c76",
    primary="#0b6b76",
    secondary="#44608a",
    accent="#7a3e9d",
    warning="#8a5300",
    error="#b3261e",
    success="#2b7030",
    added=("#e2f2e1", "#b4dfb3", "#2b7030"),
    removed=("#fae4e2", "#f2bcb8", "#b3261e"),
    negative=("#fdeeda", "#fbd9ae", "#f5b766", "#ea9128"),
    positive=("#e1edf9", "#bcd8f3", "#8abbea", "#559bdf"),
    heat_text="#14171c",
    charts=("#0b6b76", "#8fbcc1", "#7a3e9d", "#b46c00", "#9a9a94"),
    syntax=("#666c76", "#7a3e9d", "#2f6b2a", "#8a5300", "#0b5f86"),
)

PALETTES: tuple[Palette, ...] = (DARK_PALETTE, LIGHT_PALETTE)


def extra_variables(palette: Palette) -> dict[str, str]:
    """Give the variables that our widgets use beyond Textual's own."""
    loss, loss_raw, kl, budget, mark = palette.charts
    variables = {
        "quiet": palette.muted,
        "mark-approved": palette.success,
        "mark-denied": palette.error,
        "mark-edited": palette.accent,
        "mark-rule": palette.secondary,
        "diff-added-background": palette.added[0],
        "diff-added-strong": palette.added[1],
        "diff-added-sign": palette.added[2],
        "diff-removed-background": palette.removed[0],
        "diff-removed-strong": palette.removed[1],
        "diff-removed-sign": palette.removed[2],
        "heat-text": palette.heat_text,
        "chart-loss": loss,
        "chart-loss-raw": loss_raw,
        "chart-kl": kl,
        "chart-budget": budget,
        "chart-mark": mark,
    }
    for name, colour in zip(SYNTAX_NAMES, palette.syntax, strict=True):
        variables[f"syntax-{name}"] = colour
    for level in range(4):
        variables[f"heat-negative-{level + 1}"] = palette.negative[level]
        variables[f"heat-positive-{level + 1}"] = palette.positive[level]
    return variables


def make_theme(palette: Palette) -> Theme:
    """Make the Textual theme of a palette."""
    return Theme(
        name=palette.name,
        dark=palette.dark,
        ansi=palette.ansi,
        background=palette.background,
        surface=palette.surface,
        panel=palette.panel,
        foreground=palette.foreground,
        primary=palette.primary,
        secondary=palette.secondary,
        accent=palette.accent,
        warning=palette.warning,
        error=palette.error,
        success=palette.success,
        variables={
            **extra_variables(palette),
            "border": palette.primary,
            "border-blurred": palette.muted,
            "footer-key-foreground": palette.primary,
            "scrollbar": palette.muted,
            "scrollbar-background": palette.surface,
            "scrollbar-corner-color": palette.surface,
            "scrollbar-hover": palette.primary,
            "scrollbar-active": palette.primary,
        },
    )


THEMES: tuple[Theme, ...] = tuple(make_theme(palette) for palette in PALETTES)

# What our variables are under a theme that is not ours; dark enough for Textual's default.
VARIABLE_DEFAULTS: dict[str, str] = extra_variables(DARK_PALETTE)


class ThemedApp(App[object]):
    """An app that knows our themes, and stays readable under any other."""

    CSS_PATH = SHARED_STYLES

    def __init__(self, *, theme: str = DARK) -> None:
        super().__init__()
        register_themes(self)
        self.theme = theme

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Give our variables a value under themes that do not define them."""
        return VARIABLE_DEFAULTS


def register_themes(app: App[object]) -> None:
    """Register every theme of ours with an app."""
    for theme in THEMES:
        app.register_theme(theme)
