"""R14: the terminal is given back on every way out, and nothing outlives the program."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from ..controllers.support import Stage, call
from ..support.scenario import can_decide
from ..support.terminal import Terminal
from .scene import survivors

SCRIPT = str(Path(sys.executable).parent / "continualcode-tui")
# What the screen switches on, and what must be off after it.
SWITCHES = ("?1049", "?1000", "?1003", "?1006", "?1004", "?2004")
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGKILL", "SIGSEGV")
BARE = (
    "from textual.app import App\n"
    "from textual.widgets import Label\n"
    "class Bare(App):\n"
    "    def compose(self):\n"
    "        yield Label('ready')\n"
    "Bare().run()\n"
)
CRASH = (
    "import sys\n"
    "from continualcode_tui.app import cli\n"
    "from continualcode_tui.app.screens import chat\n"
    "def fail(*_): raise ValueError('a fault in the program')\n"
    "chat.ChatScreen.action_toggle_learning = fail\n"
    "sys.exit(cli.main(sys.argv[1:]))\n"
)

pytestmark = pytest.mark.slow


class Session:
    """A shell on a terminal that notes the terminal's mode before a program and after it."""

    def __init__(self, command: list[str], place: Path, pause: float = 0) -> None:
        """``pause`` are the seconds between the program's end and the look at the mode."""
        self.place = place
        script = (
            f"stty -a > {place}/before; {shlex.join(command)}; echo $? > {place}/status; "
            f"sleep {pause}; stty -a > {place}/after; sleep 60"
        )
        environment = {"HOME": str(place), "XDG_DATA_HOME": str(place / "share")}
        self.terminal = Terminal(["/bin/sh", "-c", script], cwd=place / "scratch", env=environment)

    def program(self) -> psutil.Process:
        """The program itself; its guardian is a child of it."""
        (program,) = [
            each
            for each in psutil.Process(self.terminal.process.pid).children()
            if "continualcode" in " ".join(each.cmdline()) or "python" in each.name()
        ]
        return program

    def ended(self, seconds: float = 10) -> str:
        """Wait for the program's end and return its status."""
        end = time.monotonic() + seconds
        while not (self.place / "after").exists() or not (self.place / "after").read_text():
            self.terminal.read()
            assert time.monotonic() < end, "it did not end"
        time.sleep(0.1)
        self.terminal.read()
        return (self.place / "status").read_text().strip()

    def given_back(self) -> bool:
        """Whether mode and screen are as they were."""
        raw = self.terminal.raw.decode("utf-8", "replace")
        on = [name for name in SWITCHES if raw.rfind(f"\x1b[{name}h") > raw.rfind(f"\x1b[{name}l")]
        hidden = raw.rfind("\x1b[?25l") > raw.rfind("\x1b[?25h")
        same = (self.place / "before").read_text() == (self.place / "after").read_text()
        return same and not on and not hidden


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


@pytest.fixture
def mark() -> Iterator[str]:
    word = f"{86_400 + time.time() % 1:.9f}"
    yield word
    for process in survivors(word):
        process.kill()


def tree_of(process: psutil.Process) -> list[psutil.Process]:
    """A process and those below it, but for the tree that a command may be in."""
    return [process, *process.children(recursive=True)]


def gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=10)
    return not alive


def with_a_command_under_way(stage: Stage, mark: str, pause: float = 0) -> Session:
    """The program, and a command of the agent's that the user has approved."""
    stage.write_script(completions=[call("bash", command=f"setsid sleep {mark} & sleep {mark}")])
    arguments = stage.arguments("arm_delay=0.05", "sandbox=auto")
    session = Session([SCRIPT, *arguments], stage.folder.parent, pause)
    terminal = session.terminal
    terminal.wait("ready", 30)
    terminal.type("run it")
    terminal.press("enter")
    terminal.wait(can_decide, 30)
    terminal.press("y")
    end = time.monotonic() + 20
    while len(survivors(mark)) < 2:
        terminal.read()
        assert time.monotonic() < end, terminal.text
    return session


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGQUIT", "SIGKILL", "SIGSEGV"])
def test_a_screen_that_does_not_care_leaves_the_terminal_behind(name: str, tmp_path: Path) -> None:
    """5 of 5: a bare Textual app gives nothing back on these; it handles SIGINT itself."""
    (tmp_path / "scratch").mkdir()
    session = Session([sys.executable, "-c", BARE], tmp_path, pause=1)
    with session.terminal as terminal:
        terminal.wait("ready", 30)
        terminal.settle()
        session.program().send_signal(getattr(signal, name))
        session.ended()
        assert not session.given_back()


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal(name: str, stage: Stage, mark: str) -> None:
    """6 of 6 signals leave the terminal as it was, and no process."""
    # What cannot be caught is seen to by the guardian, a moment after the program's end.
    session = with_a_command_under_way(stage, mark, 1 if name in ("SIGKILL", "SIGSEGV") else 0)
    with session.terminal:
        processes = tree_of(session.program())
        processes[0].send_signal(getattr(signal, name))
        assert session.ended() == str(128 + getattr(signal, name))
        assert session.given_back()
        assert gone(processes)
        assert survivors(mark) == []


def test_a_closed_terminal(stage: Stage, mark: str) -> None:
    session = with_a_command_under_way(stage, mark)
    processes = tree_of(session.program())
    os.close(session.terminal.process.child_fd)
    try:
        assert gone(processes)
        assert survivors(mark) == []
    finally:
        # The number must be an open file again when the terminal is closed.
        os.dup2(os.open(os.devnull, os.O_RDWR), session.terminal.process.child_fd)
        with suppress(Exception):
            session.terminal.process.close(force=True)


def test_a_terminal_that_takes_nothing_any_more(stage: Stage) -> None:
    """A closed terminal ends the program although nobody sends it a signal."""
    stage.write_script()
    command = ["setsid", "--wait", SCRIPT, *stage.arguments()]
    session = Session(command, stage.folder.parent)
    session.terminal.wait("ready", 30)
    processes = psutil.Process(session.terminal.process.pid).children(recursive=True)
    os.close(session.terminal.process.child_fd)
    try:
        assert gone(processes)
    finally:
        os.dup2(os.open(os.devnull, os.O_RDWR), session.terminal.process.child_fd)
        with suppress(Exception):
            session.terminal.process.close(force=True)


def test_a_fault_in_the_program(stage: Stage) -> None:
    stage.write_script()
    session = Session([sys.executable, "-c", CRASH, *stage.arguments()], stage.folder.parent)
    with session.terminal as terminal:
        terminal.wait("ready", 30)
        processes = tree_of(session.program())
        terminal.press("\x14")  # ctrl+t
        assert session.ended() != "0"
        assert session.given_back()
        assert "a fault in the program" in terminal.text
        assert gone(processes)


def test_a_killed_worker_costs_nothing(stage: Stage) -> None:
    stage.write_script(completions=["Fine."])
    session = Session([SCRIPT, *stage.arguments()], stage.folder.parent)
    with session.terminal as terminal:
        terminal.wait("ready", 30)
        below = session.program().children()
        (worker,) = [each for each in below if "-SE" in each.cmdline()]
        worker.send_signal(signal.SIGKILL)
        terminal.type("hello")
        terminal.press("enter")
        terminal.wait("Fine.", 30)
        leave(terminal)
        assert session.ended() == "0"
        assert session.given_back()


@pytest.mark.parametrize(
    "data", [b"\xff\xfe\x80", b"\xc3", b"\xf0\x9f\x98", bytes(range(0x80, 0x100)), b"\xed\xa0\x80"]
)
def test_bytes_that_are_no_text(data: bytes, stage: Stage) -> None:
    stage.write_script(completions=["Fine."])
    session = Session([SCRIPT, *stage.arguments()], stage.folder.parent)
    with session.terminal as terminal:
        terminal.wait("ready", 30)
        terminal.process.send(data)
        terminal.settle()
        terminal.type("hello")
        terminal.wait("hello", 10)
        terminal.press("enter")
        terminal.wait("Fine.", 30)
        leave(terminal)
        assert session.ended() == "0"
        assert session.given_back()


def leave(terminal: Terminal) -> None:
    terminal.type("/quit")
    terminal.press("enter")


@pytest.mark.parametrize("when", ["at once", "while it loads"])
def test_killed_before_the_screen_is_there(when: str, stage: Stage) -> None:
    stage.write_script()
    session = Session([SCRIPT, *stage.arguments()], stage.folder.parent, pause=1)
    with session.terminal as terminal:
        ready: Callable[[str], bool] = (
            (lambda _: b"\x1b]11;?" in terminal.raw)
            if when == "at once"
            else (lambda text: "starting" in text)
        )
        terminal.wait(ready, 30)
        session.program().send_signal(signal.SIGTERM)
        session.ended()
        assert session.given_back()
