from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .scene import Scene, new_scene


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    with new_scene(tmp_path) as made:
        monkeypatch.setenv("HOME", str(made.home))
        yield made
