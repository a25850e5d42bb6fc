"""The user's editor on a real terminal, while the program goes on behind it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ..controllers.support import Stage
from ..support.terminal import Terminal

pytestmark = pytest.mark.slow

EDITOR = """
import pathlib, sys
file = pathlib.Path(sys.argv[1])
input("the editor has the terminal ")
file.write_text(file.read_text() + "world\\n")
"""


def test_the_editor_has_the_terminal_and_gives_it_back(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.write_script()
    script = tmp_path / "editor.py"
    script.write_text(EDITOR)
    command = [sys.executable, "-m", "continualcode_tui.app", *stage.arguments()]
    environment = {"HOME": str(tmp_path), "VISUAL": f"{sys.executable} {script}"}
    with Terminal(command, cwd=stage.folder, env=environment) as terminal:
        terminal.wait("ready", 60)
        terminal.type("hello ")
        terminal.process.send("\x07")
        terminal.wait("the editor has the terminal", 20)
        terminal.process.send("\r")
        terminal.wait("hello world", 20)
        assert "ready" in terminal.settle()
        terminal.type("!")
        terminal.wait("hello world!", 20)
