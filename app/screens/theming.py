"""Another theme, while the program runs."""

from __future__ import annotations

from typing import Any

from textual.app import App

from ...themes.names import THEME_NAMES, short_name
from ...themes.palettes import ThemedApp


def choose_theme(app: App[Any], name: str) -> str | None:
    """Change the theme; where there is none of that name, say which there are."""
    assert isinstance(app, ThemedApp)
    if app.use_theme(name):
        return None
    now, shown = app.theme_choice, short_name(app.theme)
    here = now if now == shown else f"{now}, which is {shown} in this terminal"
    names = ", ".join(THEME_NAMES)
    return f"The themes are {names}; now it is {here}. theme=NAME in config.toml keeps one."
