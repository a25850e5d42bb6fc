"""The reference example, as a person would go through it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .terminal import Terminal

TEST = "from calc import add\n\n\ndef test_add():\n    assert add(2, 2) == 5\n"


def make_repository(root: Path) -> Path:
    """Make the scratch repository of the reference example, with traps for careless imports."""
    root.mkdir(parents=True)
    (root / "calc.py").write_text("def add(a, b):\n    return a + b\n")
    (root / "test_calc.py").write_text(TEST)
    git = ["git", "-c", "user.name=tester", "-c", "user.email=tester@localhost"]
    subprocess.run([*git, "init", "-q", "-b", "main"], cwd=root, check=True)
    subprocess.run([*git, "add", "-A"], cwd=root, check=True)
    subprocess.run([*git, "commit", "-qm", "start"], cwd=root, check=True)
    return root


def set_traps(root: Path) -> None:
    """Put modules into the repository that must never be imported by the program."""
    for name in ("app", "widgets", "training", "themes", "textual", "torch", "pydantic", "git"):
        (root / name).mkdir()
        (root / name / "__init__.py").write_text("raise SystemExit('imported from the repository')")
    (root / ".git" / "info" / "exclude").write_text("*/__init__.py\n")


def can_decide(text: str) -> bool:
    """Whether the screen offers a call whose keys are armed."""
    return "y approve" in text and "arming" not in text


def deny_and_learn(terminal: Terminal, root: Path, *, patience: float = 60) -> None:
    """Ask, deny the `write`, watch the lesson, approve the retry, and see the file changed."""
    terminal.wait("ready", patience)
    terminal.type("fix the test")
    terminal.press("enter")
    screen = terminal.wait(can_decide, patience, "the proposal and its keys")
    assert "write" in screen, screen
    terminal.press("n")
    terminal.wait("what should it do instead", patience)
    terminal.type("use edit_lines; don't overwrite")
    terminal.press("enter")
    terminal.wait("Learned in", patience)
    terminal.wait(lambda text: can_decide(text) and "edit_lines" in text, patience)
    assert (root / "test_calc.py").read_text() == TEST
    terminal.press("y")
    terminal.wait("edited test_calc.py", patience)
    assert (root / "test_calc.py").read_text() == TEST.replace("== 5", "== 4")
