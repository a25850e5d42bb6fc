"""First paint beside a minimal Textual app, and `--version` and `--help` beside bare Python.

First paint is the time from starting the process to the first 14 visible characters after the
alternate screen opened, on a pseudo-terminal that answers the questions a terminal is asked.
"prompt" is the time to a prompt that can be typed into; keys before that are kept for it.
The programs are timed in turn, so that load on the machine falls on all alike.
"""

from __future__ import annotations

import argparse
import os
import pty
import re
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from scratch import scratch_repository

MINIMAL = """
from textual.app import App
from textual.widgets import Static
class Minimal(App):
    def compose(self):
        yield Static("a minimal Textual app, painted")
Minimal().run()
"""
ALTERNATE_SCREEN = b"\x1b[?1049h"
ESCAPES = re.compile(
    rb"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[P^_].*?\x1b\\|.)", re.S
)
ANSWERS = {
    b"\x1b[c": b"\x1b[?62;22c",
    b"\x1b[?2026$p": b"\x1b[?2026;2$y",
    b"\x1b[?2048$p": b"\x1b[?2048;0$y",
    b"\x1b]11;?": b"\x1b]11;rgb:0000/0000/0000\x1b\\",
}


def visible_characters(data: bytes) -> int:
    return len(re.sub(rb"\s", b"", ESCAPES.sub(b"", data)).decode(errors="ignore"))


def first_paint(
    command: Sequence[str], cwd: str, environment: dict[str, str], words: bytes = b""
) -> float:
    """Return seconds from fork to first paint, or to these words; TimeoutError after 20 s."""
    start = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execvpe(command[0], list(command), environment)
    seen, answered = b"", set[bytes]()
    try:
        while time.perf_counter() - start < 20:
            if not select.select([terminal], [], [], 0.02)[0]:
                continue
            try:
                seen += os.read(terminal, 65536)
            except OSError:
                break
            for question, answer in ANSWERS.items():
                if question in seen and question not in answered:
                    answered.add(question)
                    os.write(terminal, answer)
            _, opened, painted = seen.partition(ALTERNATE_SCREEN)
            if opened and words in painted and visible_characters(painted) >= 14:
                return time.perf_counter() - start
        raise TimeoutError(f"nothing painted: {seen[-2000:]!r}")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def elapsed(command: Sequence[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def median_ms(values: Sequence[float]) -> float:
    return statistics.median(values) * 1000


def measure(runs: int) -> dict[str, float]:
    """Return medians in milliseconds and the three figures that are promised."""
    script = str(Path(sys.executable).parent / "continualcode-tui")
    with scratch_repository("ledger") as root, tempfile.TemporaryDirectory() as home:
        environment = {
            "PATH": os.environ["PATH"], "HOME": home, "TERM": "xterm-256color",
            "COLORTERM": "truecolor", "LANG": "C.UTF-8", "COLUMNS": "120", "LINES": "40",
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        }  # fmt: skip
        times: dict[str, list[float]] = {
            "minimal": [], "ours": [], "prompt": [], "python": [], "version": [], "help": [],
        }  # fmt: skip
        for turn in range(runs + 1):
            sample = {
                "minimal": first_paint([sys.executable, "-c", MINIMAL], str(root), environment),
                "ours": first_paint([script], str(root), environment),
                "prompt": first_paint([script], str(root), environment, b"hat shall we do"),
                "python": elapsed([sys.executable, "-c", "pass"]),
                "version": elapsed([script, "--version"]),
                "help": elapsed([script, "--help"]),
            }
            if turn:
                for name, value in sample.items():
                    times[name].append(value)
    figures = {name: median_ms(values) for name, values in times.items()}
    figures["first paint, times minimal"] = figures["ours"] / figures["minimal"]
    figures["--version over python, ms"] = figures["version"] - figures["python"]
    figures["--help over python, ms"] = figures["help"] - figures["python"]
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    for name, value in measure(parser.parse_args().runs).items():
        print(f"{name:28} {value:8.2f}")


if __name__ == "__main__":
    main()
