"""The real program with the practice model in a real terminal, from a first denial to resuming."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ..support.scenario import can_decide, make_repository
from ..support.terminal import Terminal

SCRIPT = str(Path(sys.executable).parent / "continualcode-tui")
HOME = "\x1b[H"
KILL_LINE = "\x15"

pytestmark = pytest.mark.slow


def ask(terminal: Terminal, request: str, *calls: str) -> None:
    """Ask for something, and wait until one of the calls can be decided."""
    terminal.type(request)
    terminal.press("enter")
    terminal.wait(
        lambda text: can_decide(text) and any(f"$ {call}" in text for call in calls),
        90,
        f"one of {calls} after {request!r}",
    )


def stop(terminal: Terminal) -> None:
    """Leave the call that waits."""
    terminal.press("escape")
    terminal.wait("● ready", 30)


def command(terminal: Terminal, name: str, seen: str) -> str:
    """Give a command and return the screen once it shows what it should."""
    terminal.type(name)
    terminal.press("enter")
    return terminal.wait(seen, 30)


@pytest.mark.parametrize(("columns", "rows"), [(120, 40), (80, 24)])
def test_deny_edit_undo_metrics_lessons_resume(tmp_path: Path, columns: int, rows: int) -> None:
    root = make_repository(tmp_path / "scratch")
    environment = {
        "HOME": str(tmp_path),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "PYTHONPATH": ".",
    }
    program = [SCRIPT, "engine=practice", "temperature=0"]
    with Terminal(program, cwd=root, env=environment, columns=columns, rows=rows) as terminal:
        terminal.wait("● ready", 90)

        ask(terminal, "install the npm package zod", "npm install zod")
        terminal.press("n")
        terminal.wait("what should it do instead", 15)
        terminal.type("use pnpm add")
        terminal.press("enter")
        terminal.wait(lambda text: can_decide(text) and "$ pnpm add zod" in text, 120)
        assert "1 lesson" in terminal.text
        stop(terminal)

        ask(terminal, "run the tests", "pytest", "python -m pytest")
        terminal.press("e")
        terminal.wait("Ctrl+S run", 15)
        terminal.press(HOME)
        terminal.settle()
        terminal.type("echo edited-by-hand; ")
        terminal.wait("echo edited-by-hand", 15)
        terminal.press("ctrl+s")
        terminal.wait("edited by you", 120)
        terminal.wait(lambda text: can_decide(text) or "● ready" in text, 120)
        if "● ready" not in terminal.text:
            stop(terminal)

        command(terminal, "/metrics", "by step")
        terminal.press("f")
        terminal.wait("forward kl", 15)
        terminal.press("escape")
        terminal.wait("● ready", 15)

        command(terminal, "/lessons", "use pnpm add")
        terminal.press("end")
        terminal.press("home")
        terminal.press("enter")
        terminal.wait("token by token", 15)
        terminal.press("escape")
        terminal.wait("use pnpm add", 15)
        terminal.press("escape")
        terminal.wait("● ready", 15)

        for _ in range(2):
            if "0 lessons" not in terminal.text:
                terminal.press(KILL_LINE)
                command(terminal, "/undo", "● ready")
                terminal.settle()
        terminal.wait("0 lessons", 30)
        ask(terminal, "install the npm package dayjs", "npm install dayjs")
        stop(terminal)

        terminal.type("/quit")
        terminal.press("enter")
        terminal.process.expect_exact("\x1b[?1049l", timeout=20)

    again = [*program[:1], "--continue", *program[1:]]
    with Terminal(again, cwd=root, env=environment, columns=columns, rows=rows) as terminal:
        terminal.wait("● ready", 90)
        assert "install the npm package dayjs" in terminal.text
        assert "0 lessons" in terminal.text
        command(terminal, "/sessions", "install the npm package zod")
