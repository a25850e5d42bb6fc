"""A repository, a home with secrets and a place outside, and ways to run commands there."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import psutil
import pytest
from continualcode_tui.app.sandbox.gate import Gate, Kind
from continualcode_tui.app.sandbox.kept import landlock_version
from continualcode_tui.app.sandbox.sandbox import Sandbox
from continualcode_tui.app.tools import registry
from continualcode_tui.app.tools.base import ToolResult
from continualcode_tui.app.workspace.workspace import Workspace
from continualcode_tui.training.protocol import ToolCall

KEY = "canary-5f2d"
CHECKOUT = Path(__file__).parents[2]


def need_bwrap() -> None:
    """Skip in one line where bubblewrap cannot be used; CI, which installs it, must not."""
    problem = problem_with_bwrap()
    if problem and os.environ.get("REQUIRE_BWRAP"):
        pytest.fail(f"{problem}, and REQUIRE_BWRAP says that it can be used")
    if problem:
        pytest.skip(problem)


@cache
def problem_with_bwrap() -> str:
    """Why bubblewrap cannot be used here; empty where it can."""
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed (apt-get install bubblewrap)"
    trial = ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--unshare-pid"]
    done = subprocess.run([*trial, "--unshare-net", "true"], capture_output=True, check=False)
    return "" if done.returncode == 0 else "this machine does not let bubblewrap work"


def need(kind: Kind) -> None:
    """Skip where this kind of boundary cannot be had."""
    if kind == "bwrap":
        need_bwrap()
    if kind == "partial" and not landlock_version():
        pytest.skip("this kernel has no Landlock")


class Scene:
    """Everything lies below one folder, but for ``outside``, which no boundary hides."""

    def __init__(self, place: Path, outside: Path) -> None:
        self.home = place / "home"
        self.repo = self.home / "code" / "repo"
        self.data = self.home / ".local" / "share" / "continualcode-tui"
        self.outside = outside
        self.mark = f"{86_400 + random.random():.9f}"
        """A number of seconds that no other process sleeps."""
        (self.home / ".ssh").mkdir(parents=True)
        (self.home / ".ssh" / "id").write_text(KEY)
        (self.home / ".bashrc").write_text("# mine\n")
        self.repo.mkdir(parents=True)
        (self.repo / "a.txt").write_text("a\n")
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.name", "tester")
        self.git("config", "user.email", "tester@localhost")
        self.git("add", "-A")
        self.git("commit", "-qm", "start")

    @property
    def environment(self) -> dict[str, str]:
        """The user's own environment, with a key in it."""
        kept = {
            name: os.environ[name] for name in ("PATH", "LANG", "PYTHONPATH") if name in os.environ
        }
        return {**kept, "HOME": str(self.home), "SERVICE_API_KEY": KEY}

    def git(self, *arguments: str, cwd: Path | None = None) -> str:
        """Run git as the user would."""
        done = subprocess.run(
            ["git", "-c", "protocol.file.allow=always", *arguments],
            cwd=cwd or self.repo, env=self.environment, check=True, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout

    def sandbox(self, kind: Kind = "bwrap", **more: object) -> Sandbox:
        """A sandbox with this kind of boundary, whether it has been proved or not."""
        need(kind)
        given = {"data_dir": self.data, "environ": self.environment, **more}
        sandbox = Sandbox(**given)  # pyright: ignore
        sandbox.gate = Gate(kind, binary=shutil.which("bwrap"))
        return sandbox

    async def run(
        self, command: str, kind: Kind = "bwrap", *, seconds: float = 20, root: Path | None = None,
        network: bool = False, sandbox: Sandbox | None = None,
    ) -> ToolResult:  # fmt: skip
        """Run a command with the agent's own tool."""
        arguments = {"command": command, **({"network": True} if network else {})}
        tools = registry.make_tools(seconds, sandbox or self.sandbox(kind))
        call = ToolCall(name="bash", arguments=arguments)
        where = Workspace(root or self.repo)
        return await registry.run(call, where, lambda _: None, tools=tools)

    def run_unguarded(self, command: str, *, root: Path | None = None) -> str:
        """Run a command as the user's shell would, below a process that may be killed."""
        above = "import subprocess, sys; subprocess.run(['bash', '-c', sys.argv[1]])"
        done = subprocess.run(
            [sys.executable, "-c", above, command], cwd=root or self.repo, env=self.environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            stdin=subprocess.DEVNULL, start_new_session=True, timeout=20,
        )  # fmt: skip
        return done.stdout


@contextmanager
def new_scene(place: Path) -> Iterator[Scene]:
    """Make a scene; what lies outside is beside the tests, because /tmp is hidden from commands."""
    try:
        outside = Path(tempfile.mkdtemp(prefix=".outside-", dir=CHECKOUT / "tests"))
    except OSError:
        outside = place / "outside"
        outside.mkdir(parents=True)
    try:
        yield Scene(place, outside)
    finally:
        shutil.rmtree(outside, ignore_errors=True)


@contextmanager
def victim(environment: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the user's own."""
    process = subprocess.Popen(["sleep", "300"], env={**os.environ, **(environment or {})})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def survivors(mark: str) -> list[psutil.Process]:
    """The living processes with this word among their arguments."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if mark in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found
