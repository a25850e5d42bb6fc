"""The names of the themes, for settings and commands; nothing here imports Textual."""

from __future__ import annotations

from typing import Literal, get_args

PREFIX = "continual-"
"""Keeps our names apart from those of Textual's own themes."""

AUTO = "auto"
ThemeName = Literal[
    "auto",
    "dark",
    "light",
    "high-contrast",
    "colour-blind-dark",
    "colour-blind-light",
    "ansi-dark",
    "ansi-light",
]
THEME_NAMES: tuple[ThemeName, ...] = get_args(ThemeName)


def short_name(name: str) -> str:
    """Give the name that a user writes for a theme."""
    return name.removeprefix(PREFIX)


def textual_name(name: str, *, dark: bool) -> str:
    """Give the name that Textual knows a theme by; `auto` goes by the terminal's background."""
    name = short_name(name)
    if name == AUTO:
        name = "dark" if dark else "light"
    return PREFIX + name
