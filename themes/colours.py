"""The colours of every theme, as tables."""

from __future__ import annotations

from dataclasses import dataclass


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
    name="dark",
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
    added=("#16291d", "#1c4f27", "#86c98a"),
    removed=("#331a1e", "#6d2a33", "#ef7a7a"),
    negative=("#35281b", "#553816", "#7d4a0f", "#a35c08"),
    positive=("#192a3b", "#1c3f61", "#215789", "#2a70b8"),
    heat_text="#f3f5f9",
    charts=("#4db6c4", "#3e6f77", "#c8a2e8", "#e6b450", "#6d7788"),
    syntax=("#aab4c4", "#caa6e8", "#a5cf8f", "#e0b070", "#79c0d8"),
)

LIGHT_PALETTE = Palette(
    name="light",
    dark=False,
    background="#fbfaf7",
    surface="#f3f1eb",
    panel="#e7e3d9",
    foreground="#23272e",
    muted="#5f656f",
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
    charts=("#0b6b76", "#649196", "#7a3e9d", "#8e5900", "#8a8a84"),
    syntax=("#4e545e", "#743897", "#265f21", "#784a00", "#0b5a7c"),
)

HIGH_CONTRAST_PALETTE = Palette(
    name="high-contrast",
    dark=True,
    background="#000000",
    surface="#0b0b0b",
    panel="#1c1c1c",
    foreground="#ffffff",
    muted="#cfcfcf",
    primary="#5ee6ff",
    secondary="#b8d0ff",
    accent="#f0b8ff",
    warning="#ffd84d",
    error="#ff9d94",
    success="#7dff8a",
    added=("#003310", "#00551c", "#7dff8a"),
    removed=("#4a0008", "#7a0010", "#ff9d94"),
    negative=("#3a2400", "#6b4300", "#e69500", "#ffc04d"),
    positive=("#002a4d", "#004a85", "#5aa9ff", "#9fd0ff"),
    heat_text="#000000",
    charts=("#5ee6ff", "#3fa0b3", "#f0b8ff", "#ffd84d", "#cfcfcf"),
    syntax=("#e3e3e3", "#f6daff", "#c0f5a0", "#ffe183", "#b3ecff"),
)

# Blue stands for yes and orange for no, and the blue is the lighter (or the darker) of the two.
COLOUR_BLIND_DARK_PALETTE = Palette(
    name="colour-blind-dark",
    dark=True,
    background="#11141a",
    surface="#171b23",
    panel="#1f2530",
    foreground="#d9dee7",
    muted="#929cac",
    primary="#6fb7ea",
    secondary="#9fb0c8",
    accent="#dcb4d6",
    warning="#f0e442",
    error="#e0762f",
    success="#9ad7ff",
    added=("#12263a", "#1b476f", "#9ad7ff"),
    removed=("#33200f", "#613c0f", "#f0913f"),
    negative=("#35281b", "#553816", "#7d4a0f", "#a35c08"),
    positive=("#192a3b", "#1c3f61", "#215789", "#2a70b8"),
    heat_text="#ffffff",
    charts=("#6fb7ea", "#3c6c8e", "#e69f00", "#f0e442", "#7d8798"),
    syntax=("#a9b3c3", "#dcb4d6", "#9ad7ff", "#f0e442", "#a8c4e0"),
)

COLOUR_BLIND_LIGHT_PALETTE = Palette(
    name="colour-blind-light",
    dark=False,
    background="#fbfaf7",
    surface="#f3f1eb",
    panel="#e7e3d9",
    foreground="#23272e",
    muted="#5f656f",
    primary="#00578a",
    secondary="#44608a",
    accent="#7a3e6d",
    warning="#7a5200",
    error="#ae4200",
    success="#003a5e",
    added=("#deebf8", "#aed2f2", "#003a5e"),
    removed=("#fbe8d6", "#f7c594", "#a03d00"),
    negative=("#fdeeda", "#fbd9ae", "#f5b766", "#ea9128"),
    positive=("#e1edf9", "#bcd8f3", "#8abbea", "#559bdf"),
    heat_text="#14171c",
    charts=("#00578a", "#698fa8", "#ae4200", "#7a5200", "#8a8a84"),
    syntax=("#515761", "#7a3e6d", "#003a5e", "#765000", "#0b5d82"),
)

# Only names of the terminal's own colours. Where those are too alike, signs have to do:
# changed characters are reversed, and weak heat is underlined or bold.
ANSI_DARK_PALETTE = Palette(
    name="ansi-dark",
    dark=True,
    ansi=True,
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    foreground="ansi_bright_white",
    muted="ansi_white",
    primary="ansi_bright_cyan",
    secondary="ansi_white",
    accent="ansi_bright_magenta",
    warning="ansi_bright_yellow",
    error="ansi_bright_red",
    success="ansi_bright_green",
    added=("ansi_default", "ansi_default", "ansi_bright_green"),
    removed=("ansi_default", "ansi_default", "ansi_bright_red"),
    negative=("ansi_default", "ansi_default", "ansi_yellow", "ansi_bright_yellow"),
    positive=("ansi_default", "ansi_default", "ansi_cyan", "ansi_bright_cyan"),
    heat_text="ansi_black",
    charts=(
        "ansi_bright_cyan", "ansi_cyan", "ansi_bright_magenta", "ansi_bright_yellow", "ansi_white",
    ),
    syntax=(
        "ansi_white", "ansi_bright_magenta", "ansi_bright_green", "ansi_bright_yellow",
        "ansi_bright_cyan",
    ),
)  # fmt: skip

# Green, yellow and cyan cannot be read on white in most terminals, so they are not used.
ANSI_LIGHT_PALETTE = Palette(
    name="ansi-light",
    dark=False,
    ansi=True,
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    foreground="ansi_black",
    muted="ansi_bright_black",
    primary="ansi_blue",
    secondary="ansi_bright_black",
    accent="ansi_magenta",
    warning="ansi_magenta",
    error="ansi_red",
    success="ansi_blue",
    added=("ansi_default", "ansi_default", "ansi_blue"),
    removed=("ansi_default", "ansi_default", "ansi_red"),
    negative=("ansi_default", "ansi_default", "ansi_bright_yellow", "ansi_yellow"),
    positive=("ansi_default", "ansi_default", "ansi_bright_cyan", "ansi_cyan"),
    heat_text="ansi_black",
    charts=("ansi_blue", "ansi_bright_black", "ansi_magenta", "ansi_red", "ansi_bright_black"),
    syntax=("ansi_bright_black", "ansi_magenta", "ansi_blue", "ansi_magenta", "ansi_blue"),
)

PALETTES: tuple[Palette, ...] = (
    DARK_PALETTE,
    LIGHT_PALETTE,
    HIGH_CONTRAST_PALETTE,
    COLOUR_BLIND_DARK_PALETTE,
    COLOUR_BLIND_LIGHT_PALETTE,
    ANSI_DARK_PALETTE,
    ANSI_LIGHT_PALETTE,
)
