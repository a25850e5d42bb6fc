"""The real program in a real terminal, learning on a service on loopback by the real SDK."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loopback.hosted import Hosted
from tests.loopback.server import KEY, Loopback
from tests.support.scenario import can_decide, make_repository
from tests.support.terminal import Terminal

SCRIPT = str(Path(sys.executable).parent / "continualcode-tui")
MODEL = Path(__file__).parents[2] / "training" / "practice" / "model"
pytestmark = pytest.mark.slow


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    with Loopback(Hosted(MODEL)) as opened:
        yield opened


def ask(terminal: Terminal, text: str, call: str) -> None:
    """Ask for something and wait until the call that is proposed can be decided."""
    terminal.type(text)
    terminal.press("enter")
    terminal.wait(call, 60)
    terminal.wait(can_decide, 10)


def test_deny_learn_retry_edit_and_come_back_after_a_kill(
    tmp_path: Path, loopback: Loopback
) -> None:
    root = make_repository(tmp_path / "scratch")
    environment = {
        "HOME": str(tmp_path),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "TINKER_API_KEY": KEY,
        "PYTHONPATH": ".",
    }
    # A proof is one sample: at a higher temperature the next one may fall otherwise.
    command = [SCRIPT, f"base_url={loopback.url}", f"model_name={MODEL}", "temperature=0"]
    with Terminal(command, cwd=root, env=environment, rows=100) as terminal:
        terminal.wait("ready", 90)
        ask(terminal, "install the npm package zod", "npm install zod")
        terminal.press("n")
        terminal.wait("what should it do instead", 15)
        terminal.type("use pnpm add")
        terminal.press("enter")
        terminal.wait("Learned in", 120)
        terminal.wait("pnpm add zod", 60)
        terminal.settle()
        terminal.press("escape")
        terminal.settle()
        ask(terminal, "run the tests", "pytest")
        terminal.press("e")
        terminal.wait("Ctrl+S run", 15)
        terminal.settle()
        terminal.press("end")
        for _ in range(20):
            terminal.press("backspace")
        terminal.type("echo python -m unittest")
        terminal.settle()
        terminal.press("ctrl+s")
        terminal.wait("edited", 30)
        ended = "Enter opens the heatmap"
        terminal.wait(lambda text: text.count(ended) == 2, 120, "the second lesson")
        terminal.settle()
        terminal.press("escape")
        terminal.settle()
        terminal.type("/metrics")
        terminal.press("enter")
        terminal.wait("by step", 15)
        terminal.press("f")
        terminal.wait("likeliest tokens told", 15)
        figures = terminal.wait("tokens trained", 15)
        for told in (
            "forward kl",
            "teacher",
            "before",
            "several targets a token",
        ):
            assert told in figures, told
        os.kill(terminal.process.pid, signal.SIGKILL)
    with Terminal(command, cwd=root, env=environment) as terminal:
        terminal.wait(lambda text: "1 lesson" in text or "2 lessons" in text, 90)
        terminal.settle()
        ask(terminal, "install the npm package dayjs", "pnpm add dayjs")
