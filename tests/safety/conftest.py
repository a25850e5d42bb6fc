from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from continualcode_tui.app.workspace import kernel, replace

from .scene import Scene, new_scene


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    with new_scene(tmp_path) as made:
        monkeypatch.setenv("HOME", str(made.home))
        yield made


@pytest.fixture(params=["openat2", "walk"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How paths are resolved: by the kernel beneath a folder, or component by component."""
    if request.param == "walk":
        monkeypatch.setattr(kernel, "has_openat2", lambda: False)
    elif not kernel.has_openat2():
        pytest.skip("this kernel has no openat2")
    return request.param


@pytest.fixture(params=["exchange", "plain"])
def renaming(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How a file is replaced: by two names that change places, or by a plain rename."""
    if request.param == "plain":
        monkeypatch.setattr(replace, "exchange", lambda *_: False)
        monkeypatch.setattr(kernel, "_rename", lambda *_: False)
    return request.param
