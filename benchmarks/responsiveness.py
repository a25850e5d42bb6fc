"""From a key to the screen while the worker trains and text streams; and the idle CPU.

The real program runs on a pseudo-terminal with the practice model, and a minimal Textual app
with one Input on another. A key is pressed in each in turn; the time is from the write to the
terminal until the letter is in what the program painted. Meanwhile one lesson after another is
learned and its retries stream; the typing goes on after each until all that it did is on the
screen, however long that is put off. Idle CPU is that of each process, and of the program's worker.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pexpect
import psutil
import pyte
from scratch import scratch_repository

MINIMAL = """
from textual.app import App
from textual.widgets import Input
class Minimal(App):
    def compose(self):
        yield Input(placeholder="ready")
Minimal().run()
"""
COLUMNS, ROWS = 120, 40
CLEAR = "\x15" * 3  # once for each row that the letters may take
# What is on the screen when a lesson and its retry are over.
AFTER = ("y approve", "to this call", "● ready")
# The program shows within two seconds what it puts off while somebody types.
LINGER = 2.5
REQUEST = "install the npm package zod"
CORRECTION = "use pnpm add"


class Screen:
    """A program on a pseudo-terminal and what is on its screen."""

    def __init__(self, command: Sequence[str], cwd: Path, home: str) -> None:
        environment = {
            "PATH": os.environ["PATH"], "HOME": home, "TERM": "xterm-256color",
            "COLORTERM": "truecolor", "LANG": "C.UTF-8",
        }  # fmt: skip
        if "PYTHONPATH" in os.environ:
            environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self.stream = pyte.ByteStream(self.screen)
        self.process = pexpect.spawn(
            command[0], list(command[1:]), cwd=str(cwd), dimensions=(ROWS, COLUMNS),
            env=environment,  # pyright: ignore[reportArgumentType]
        )  # fmt: skip
        self.process.delaybeforesend = None

    @property
    def text(self) -> str:
        return "\n".join(self.screen.display)

    def read(self, seconds: float) -> bytes:
        try:
            data = self.process.read_nonblocking(65536, timeout=seconds)
        except pexpect.TIMEOUT:
            return b""
        self.stream.feed(data)
        return data

    def drain(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.read(left)

    def wait(self, *wanted: str, seconds: float = 120) -> str:
        """Read until one of the texts is on the screen; return it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.read(0.05)
            for text in wanted:
                if text in self.text:
                    return text
        raise TimeoutError(f"{wanted} did not come:\n{self.text}")

    def key_to_screen(self, key: str) -> float:
        """Return seconds from writing a key until it has been painted."""
        before = self.text.count(key)
        start = time.perf_counter()
        self.process.send(key)
        while time.perf_counter() - start < 5:
            self.read(0.005)
            if self.text.count(key) > before:
                return time.perf_counter() - start
        raise TimeoutError(f"{key!r} was not painted:\n{self.text}")

    def cpu_seconds(self) -> list[float]:
        """Return the CPU time of the program, then of all its children together."""
        own = psutil.Process(self.process.pid)
        times = [own, *own.children(recursive=True)]
        used = [sum(each.cpu_times()[:2]) for each in times]
        return [used[0], sum(used[1:])]

    def resident_mb(self) -> float:
        return psutil.Process(self.process.pid).memory_info().rss / 1e6


def idle(screens: dict[str, Screen], seconds: float) -> dict[str, float]:
    """Return the CPU per cent of each program, and of the program's worker."""
    before = {name: screen.cpu_seconds() for name, screen in screens.items()}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for screen in screens.values():
            screen.read(0.2)
    figures: dict[str, float] = {}
    for name, screen in screens.items():
        own, children = (
            100 * (after - was) / seconds
            for was, after in zip(before[name], screen.cpu_seconds(), strict=True)
        )
        figures[name] = own
        if name == "ours":
            figures["worker"] = children
    return figures


class Lessons:
    """Keeps the program busy: asks, denies what is proposed, and asks again."""

    def __init__(self, screen: Screen) -> None:
        self.screen = screen
        self.learned = 0
        self._ended: float | None = None

    def begin(self) -> None:
        """Ask for something, deny the call, and return while the lesson runs."""
        screen = self.screen
        screen.process.send(CLEAR)
        screen.wait("What shall we do?", seconds=20)
        screen.process.send(f"{REQUEST}\r")
        screen.wait("y approve")
        screen.drain(1.2)
        screen.process.send("n")
        screen.wait("what should it do instead")
        screen.process.send(CORRECTION)
        screen.drain(0.3)
        screen.process.send("\r")
        screen.wait("learning")
        self.learned += 1
        self._ended = None

    @property
    def going_on(self) -> bool:
        """Whether a lesson runs, or what it did may still be coming to the screen."""
        if self._ended is None and any(text in self.screen.text for text in AFTER):
            self._ended = time.monotonic()
        return self._ended is None or time.monotonic() < self._ended + LINGER

    def end(self) -> None:
        """Leave what waits, so that the next request can be put."""
        self.screen.wait(*AFTER)
        # From the prompt, the first Escape goes to the call and the next one stops.
        while AFTER[-1] not in self.screen.text:
            self.screen.process.send("\x1b")
            self.screen.drain(1.2)
        # Without the lesson and the talk about it, the next one is as much work as this one.
        for command in ("/undo", "/clear"):
            self.screen.process.send(f"{CLEAR}{command}\r")
            self.screen.drain(0.5)
            self.screen.wait(AFTER[-1])


def measure(keys: int, idle_seconds: float) -> dict[str, float]:
    ours = [sys.executable, "-P", "-m", "continualcode_tui.app", "engine=practice"]
    letters = random.Random(1)
    with scratch_repository("ledger") as root, tempfile.TemporaryDirectory() as home:
        screens = {
            "minimal": Screen([sys.executable, "-c", MINIMAL], root, home),
            "ours": Screen(ours, root, home),
        }
        try:
            for screen in screens.values():
                screen.wait("ready")
                screen.drain(3)
            at_rest = idle(screens, idle_seconds)
            times: dict[str, list[float]] = {name: [] for name in screens}
            lessons = Lessons(screens["ours"])
            while len(times["ours"]) < keys:
                lessons.begin()
                screens["minimal"].process.send(CLEAR)
                screens["minimal"].drain(0.3)
                while lessons.going_on and len(times["ours"]) < keys:
                    # Letters that no word on the screen has, so that each can be told.
                    key = letters.choice("ŁØÐÞ")
                    for name, screen in screens.items():
                        times[name].append(screen.key_to_screen(key))
                    screens["ours"].drain(letters.uniform(0.02, 0.12))
                lessons.end()
            memory = {name: screen.resident_mb() for name, screen in screens.items()}
        finally:
            for screen in screens.values():
                screen.process.close(force=True)
    figures: dict[str, float] = {"lessons while measuring": lessons.learned}
    for name, values in times.items():
        figures[f"{name}: key to screen, median, ms"] = statistics.median(values) * 1000
        figures[f"{name}: key to screen, p99, ms"] = statistics.quantiles(values, n=100)[98] * 1000
    figures["p99, times minimal"] = (
        figures["ours: key to screen, p99, ms"] / figures["minimal: key to screen, p99, ms"]
    )
    figures |= {f"{name}: idle CPU, %": value for name, value in at_rest.items()}
    figures |= {f"{name}: RSS, MB": value for name, value in memory.items()}
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=300)
    parser.add_argument("--idle", type=float, default=20, help="seconds of idling")
    arguments = parser.parse_args()
    for name, value in measure(arguments.keys, arguments.idle).items():
        print(f"{name:36} {value:8.2f}")


if __name__ == "__main__":
    main()
