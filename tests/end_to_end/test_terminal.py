"""The real program, the real worker and the real practice model, in a real terminal."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from ..support.scenario import TEST, can_decide, deny_and_learn, make_repository, set_traps
from ..support.terminal import Terminal

SCRIPT = str(Path(sys.executable).parent / "continualcode-tui")

pytestmark = pytest.mark.slow


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "scratch")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data"), "PYTHONPATH": "."}


def worker_of(terminal: Terminal) -> psutil.Process:
    """The worker that the program started; it also starts git now and then, which ends at once."""
    workers: list[psutil.Process] = []
    for child in psutil.Process(terminal.process.pid).children():
        with suppress(psutil.NoSuchProcess):
            if "training.worker" in " ".join(child.cmdline()):
                workers.append(child)
    (worker,) = workers
    return worker


def test_the_reference_example(root: Path, environment: dict[str, str]) -> None:
    set_traps(root)
    with Terminal([SCRIPT], cwd=root, env=environment) as terminal:
        deny_and_learn(terminal, root)
        terminal.type("/quit")
        terminal.press("enter")
        terminal.process.expect_exact("\x1b[?1049l", timeout=15)


def test_the_first_run_begins_with_one_key(root: Path, environment: dict[str, str]) -> None:
    bare = {**environment, "NO_COLOR": "1"}
    with Terminal([SCRIPT], cwd=root, env=bare, columns=60, rows=18) as terminal:
        screen = terminal.wait("Enter     writes an example", 30)
        assert "● practice  in use" in screen
        assert "continualcode-tui engine=local model_name=FOLDER" in screen
        terminal.wait("● ready", 90)
        terminal.press("enter")
        terminal.wait("> run the tests", 10)
        terminal.press("enter")
        screen = terminal.wait(can_decide, 60, "the proposal")
        assert "pytest" in screen
        assert "engine=local" not in screen
    with Terminal([SCRIPT], cwd=root, env=environment) as terminal:
        screen = terminal.wait("every key and command", 30)
        assert "engine=local" not in screen


def test_killing_the_worker_costs_nobody_the_conversation(
    root: Path, environment: dict[str, str]
) -> None:
    with Terminal([SCRIPT], cwd=root, env=environment) as terminal:
        terminal.wait("ready", 90)
        terminal.type("fix the test")
        terminal.press("enter")
        terminal.wait(can_decide, 60)
        terminal.press("n")
        terminal.wait("what should it do instead", 15)
        terminal.type("use edit_lines; don't overwrite")
        terminal.press("enter")
        terminal.wait("prepare", 30)
        worker_of(terminal).send_signal(signal.SIGKILL)
        terminal.wait("a new one does the lesson again", 60)
        terminal.wait("y approve", 90)
        assert "Learned in" in terminal.text or "in context only" in terminal.text
        assert (root / "test_calc.py").read_text() == TEST


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_restore_the_terminal_and_end_the_worker(
    root: Path, environment: dict[str, str], number: signal.Signals
) -> None:
    with Terminal([SCRIPT], cwd=root, env=environment) as terminal:
        terminal.wait("ready", 90)
        worker = worker_of(terminal)
        os.kill(terminal.process.pid, number)
        terminal.process.expect_exact("\x1b[?1049l", timeout=15)
        psutil.wait_procs([worker], timeout=10)
        assert not worker.is_running()
