"""docs/settings.md names every setting with its default."""

from __future__ import annotations

from pathlib import Path

import pytest
from continualcode_tui.app.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_the_page_has_the_setting(name: str) -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |")]
    default = Settings.model_fields[name].default
    if isinstance(default, bool):
        assert f"| `{str(default).lower()}` |" in row
    elif isinstance(default, str | int | float):
        assert f"| `{default}` |" in row
