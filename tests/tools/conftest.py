"""A small repository and a way to call its tools."""

import subprocess
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from continualcode_tui.app.tools import registry
from continualcode_tui.app.tools.base import Preview, ToolResult
from continualcode_tui.app.workspace.workspace import Workspace
from continualcode_tui.training.protocol import ToolCall
from hypothesis import settings

settings.register_profile("calm", deadline=None, max_examples=60)
settings.load_profile("calm")

Call = Callable[..., Coroutine[Any, Any, ToolResult]]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    root = tmp_path / "calc"
    (root / "tests").mkdir(parents=True)
    (root / "calc.py").write_text("def add(a, b):\n    return a - b\n")
    (root / "tests" / "test_calc.py").write_text("from calc import add\n")
    (root / ".gitignore").write_text("build/\n")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    return Workspace(root)


@pytest.fixture
def call(workspace: Workspace) -> Call:
    """Preview a call, then run it as it was shown."""

    async def run(name: str, **arguments: Any) -> ToolResult:
        proposed = ToolCall(name=name, arguments=arguments)
        shown = registry.preview(proposed, workspace)
        result = await registry.run(proposed, workspace, lambda _: None, shown)
        if shown.problem is not None:
            assert not result.ok
            assert result.output == f"error: {shown.problem}"
        return result

    return run


@pytest.fixture
def show(workspace: Workspace) -> Callable[..., Preview]:
    def preview(name: str, **arguments: Any) -> Preview:
        return registry.preview(ToolCall(name=name, arguments=arguments), workspace)

    return preview
