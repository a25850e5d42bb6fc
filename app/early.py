"""What the first paint needs of the settings, found without pydantic, which takes its time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..themes.names import AUTO, THEME_NAMES, short_name
from .store.paths import APP_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class SettingsError(ValueError):
    """One sentence about a setting that cannot be used."""


def usual_config_file() -> Path:
    """Where the user's settings lie, if there are any."""
    import platformdirs

    return Path(platformdirs.user_config_dir(APP_NAME, appauthor=False)) / "config.toml"


def peek_theme(arguments: Sequence[str], environ: Mapping[str, str]) -> str:
    """Find the theme as the settings will; `auto` for all that they will refuse."""
    given = {
        key.lstrip("-").replace("-", "_"): value
        for key, _, value in (argument.partition("=") for argument in arguments)
    }
    name = given.get("theme") or environ.get("CONTINUALCODE_THEME")
    if not name:
        named = given.get("config_file") or environ.get("CONTINUALCODE_CONFIG_FILE")
        name = _theme_in(Path(named).expanduser() if named else usual_config_file())
    name = short_name(str(name))
    return name if name in THEME_NAMES else AUTO


def _theme_in(file: Path) -> object:
    if not file.is_file():
        return AUTO
    import tomllib

    try:
        return tomllib.loads(file.read_text(encoding="utf-8")).get("theme", AUTO)
    except (OSError, ValueError):
        return AUTO
