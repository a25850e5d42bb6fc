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
from tests.support.scenario import make_repository
from tests.support.terminal import Terminal

SCRIPT = str(Path(sys.executable).parent / "continualcode-tui")
MODEL = Path(__file__).parents[2] / "training" / "practice" / "model"

pytestmark = pytest.mark.slow


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    with Loopback(Hosted(MODEL)) as opened:
        yield opened


def test_deny_learn_and_come_back_after_a_kill(tmp_path: Path, loopback: Loopback) -> None:
    root = make_repository(tmp_path / "scratch")
    environment = {
        "HOME": str(tmp_path),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "TINKER_API_KEY": KEY,
        "PYTHONPATH": ".",
    }
    command = [SCRIPT, f"base_url={loopback.url}", f"model_name={MODEL}"]
    with Terminal(command, cwd=root, env=environment, rows=100) as terminal:
        terminal.wait("ready", 90)
        terminal.type("install the npm package zod")
        terminal.press("enter")
        terminal.wait("npm install zod", 60)
        terminal.wait("y approve", 10)
        terminal.settle()
        terminal.press("n")
        terminal.wait("what should it do instead", 15)
        terminal.type("use pnpm add")
        terminal.press("enter")
        terminal.wait("Learned in", 120)
        terminal.wait("pnpm add zod", 60)
        terminal.settle()
        terminal.press("escape")
        terminal.settle()
        terminal.type("/metrics")
        terminal.press("enter")
        terminal.wait("gradient norm", 15)
        os.kill(terminal.process.pid, signal.SIGKILL)
    with Terminal(command, cwd=root, env=environment) as terminal:
        terminal.wait("1 lesson", 90)
        terminal.type("install the npm package dayjs")
        terminal.press("enter")
        terminal.wait("pnpm add dayjs", 60)
