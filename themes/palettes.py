"""Palettes, each registered with the app as a Textual theme with our extra variables.

Widgets name only theme variables; ``make_theme`` turns a palette into a Theme that has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from textual.app import App
from textual.driver import Driver
from textual.filter import LineFilter, Monochrome, NoColor
from textual.theme import Theme

from .colours import DARK_PALETTE, PALETTES, Palette
from .names import PREFIX, THEME_NAMES, short_name, textual_name

# Styles that every screen shares, for an app's CSS_PATH.
SHARED_STYLES = Path(__file__).with_name("shared.tcss")

DARK = f"{PREFIX}dark"
LIGHT = f"{PREFIX}light"
SYNTAX_NAMES = ("comment", "keyword", "string", "number", "name")


def extra_variables(palette: Palette) -> dict[str, str]:
    """Give the variables that our widgets use beyond Textual's own."""
    loss, loss_raw, kl, budget, mark = palette.charts
    variables = {
        "quiet": palette.muted,
        "mark-approved": palette.success,
        "mark-denied": palette.error,
        "mark-edited": palette.accent,
        "mark-rule": palette.secondary,
        "diff-changed-style": "bold reverse" if palette.ansi else "bold",
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
        name=PREFIX + palette.name,
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
            **(_own_ansi_variables(palette) if palette.ansi else {}),
        },
    )


def _own_ansi_variables(palette: Palette) -> dict[str, str]:
    """Say what Textual would derive from true colours: cursors, selections, headings."""
    paper, ink = ("ansi_black", "ansi_bright_white")[:: 1 if palette.dark else -1]
    return {
        "ansi-background": paper,
        "ansi-foreground": ink,
        "surface-active": "ansi_default",
        "foreground-disabled": palette.muted,
        "text": palette.foreground,
        "text-muted": palette.muted,
        "text-disabled": palette.muted,
        "foreground-muted": palette.muted,
        "block-cursor-foreground": paper,
        "block-cursor-background": palette.primary,
        "input-cursor-foreground": palette.foreground,
        "input-selection-background": palette.primary,
        "input-selection-foreground": paper,
        "screen-selection-background": palette.primary,
        "screen-selection-foreground": paper,
        "scrollbar-background-hover": "ansi_default",
        "scrollbar-background-active": "ansi_default",
        "footer-key-foreground": palette.primary,
        "link-color": palette.primary,
        "link-background-hover": palette.primary,
        "link-color-hover": paper,
        **{f"markdown-h{level}-color": palette.primary for level in range(1, 7)},
        "button-foreground": ink,
    }


THEMES: tuple[Theme, ...] = tuple(make_theme(palette) for palette in PALETTES)

# What our variables are under a theme that is not ours; dark enough for Textual's default.
VARIABLE_DEFAULTS: dict[str, str] = extra_variables(DARK_PALETTE)


class ThemedApp(App[object]):
    """An app that knows our themes, and stays readable under any other."""

    CSS_PATH = SHARED_STYLES

    def __init__(
        self, *, theme: str = DARK, terminal_dark: bool = True, driver: type[Driver] | None = None
    ) -> None:
        super().__init__(driver_class=driver)
        register_themes(self)
        self.terminal_dark = terminal_dark
        self.theme_choice = short_name(theme)
        if not self.use_theme(theme):
            self.theme = theme

    def use_theme(self, name: str) -> bool:
        """Change to a theme of ours; False when there is none of this name."""
        known = short_name(name) in THEME_NAMES
        if known:
            self.theme_choice = short_name(name)
            self.theme = textual_name(name, dark=self.terminal_dark)
        return known

    def set_terminal_dark(self, dark: bool) -> None:
        """Take note of the terminal's background, and follow it if the user chose so."""
        self.terminal_dark = dark
        self.use_theme(self.theme_choice)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Under NO_COLOR, take away the kind of colours that the present theme has."""
        fitting = NoColor() if self.native_ansi_color else Monochrome()
        return [
            fitting if isinstance(each, NoColor | Monochrome) else each
            for each in super().get_line_filters()
        ]

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Give our variables a value under themes that do not define them."""
        return VARIABLE_DEFAULTS


def register_themes(app: App[object]) -> None:
    """Register every theme of ours with an app."""
    for theme in THEMES:
        app.register_theme(theme)
