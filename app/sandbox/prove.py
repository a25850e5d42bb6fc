"""The proof of a boundary: attacks are run behind it, and their effects looked for outside."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from . import attacks
from .launch import Launch

Confine = Callable[[str, Path], Launch]
"""Makes a shell command in a root ready to run behind the boundary that is to be proved."""

SECONDS = 20.0
ESSENTIAL = frozenset({"write outside", "read a secret", "connect over TCP"})
"""What even a partial boundary must stop."""


@dataclass(frozen=True, slots=True)
class Proof:
    """Which attacks failed and which did not; ``problem`` says why there is no proof at all."""

    stopped: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    problem: str = ""


def prove(confine: Confine, place: Path) -> Proof:
    """Try every attack behind a boundary; ``place`` is a private folder for what it needs."""
    with _Range(place) as shooting:
        try:
            output = _run(confine, shooting)
        except (OSError, subprocess.TimeoutExpired) as error:
            return Proof(problem=f"it could not be started ({error})")
        answer = shooting.answer()
        if answer is None:
            said = " ".join(output.split())[-200:]
            return Proof(problem=f"nothing runs behind it ({said or 'without a word'})")
        succeeded = shooting.succeeded(answer)
        stopped = tuple(name for name, hit in succeeded.items() if not hit)
        return Proof(stopped, tuple(name for name, hit in succeeded.items() if hit))


def _run(confine: Confine, shooting: _Range) -> str:
    words = [sys.executable, "-I", "-S", str(attacks.__file__), json.dumps(shooting.target)]
    command = " ".join("'" + word.replace("'", "'\\''") + "'" for word in words)
    with confine(command, shooting.root) as launch:
        process = subprocess.Popen(
            launch.command,
            cwd=shooting.root,
            env=launch.environment,
            pass_fds=launch.fds,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        launch.close_fds()
        try:
            return process.communicate(timeout=SECONDS)[0].decode("utf-8", "replace")
        finally:
            process.kill()
            process.wait()


class _Range:
    """A scratch repository, a secret, listeners and a victim, to be attacked."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._stack = ExitStack()
        self._nonce = secrets.token_hex(16)
        self._listeners: dict[str, socket.socket] = {}

    def __enter__(self) -> _Range:
        with self._stack as stack:
            self.root = Path(stack.enter_context(TemporaryDirectory(prefix="probe-"))).resolve()
            self._outside = Path(
                stack.enter_context(TemporaryDirectory(prefix="probe-", dir=self._place))
            ).resolve()
            git = self.root / ".git"
            (git / "hooks").mkdir(parents=True)
            for folder in ("objects", "refs"):
                (git / folder).mkdir()
            (git / "HEAD").write_text("ref: refs/heads/main\n")
            (git / "config").write_text("[core]\n\trepositoryformatversion = 0\n")
            (self._outside / "secret").write_text(self._nonce)
            self._listen(stack)
            self._victim = stack.enter_context(_victim(self._nonce))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _listen(self, stack: ExitStack) -> None:
        unix, abstract = str(self.root / "s"), f"probe-{self._nonce}"
        kinds: dict[str, tuple[int, int, Any]] = {
            "tcp": (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            "udp": (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            "unix": (socket.AF_UNIX, socket.SOCK_STREAM, unix),
            "abstract": (socket.AF_UNIX, socket.SOCK_STREAM, "\0" + abstract),
        }
        for name, (family, kind, address) in kinds.items():
            listener = stack.enter_context(socket.socket(family, kind))
            listener.bind(address)
            listener.setblocking(False)
            if kind == socket.SOCK_STREAM:
                listener.listen(4)
            self._listeners[name] = listener

    @property
    def target(self) -> dict[str, Any]:
        """What the attacks are aimed at."""
        return {
            "nonce": self._nonce,
            "root": str(self.root),
            "outside": str(self._outside),
            "secret": str(self._outside / "secret"),
            "tcp": self._listeners["tcp"].getsockname()[1],
            "udp": self._listeners["udp"].getsockname()[1],
            "unix": str(self.root / "s"),
            "abstract": f"probe-{self._nonce}",
            "victim": self._victim.pid,
        }

    def answer(self) -> dict[str, str] | None:
        """What the attacks told; None if they never ran to their end in this root."""
        with suppress(OSError, ValueError):
            answer = json.loads((self.root / "answer.json").read_text())
            if answer["nonce"] == self._nonce:
                return answer
        return None

    def succeeded(self, answer: dict[str, str]) -> dict[str, bool]:
        """Which attacks had an effect."""
        git = next(path for name in (".git", "moved.git") if (path := self.root / name).exists())
        return {
            "write outside": (self._outside / "written").exists(),
            "read a secret": self._nonce in answer.get("secret", ""),
            "connect over TCP": self._heard("tcp"),
            "send over UDP": self._heard("udp"),
            "connect to a socket file": self._heard("unix"),
            "connect to an abstract socket": self._heard("abstract"),
            "read another process": self._nonce in answer.get("environment", ""),
            "kill another process": _died(self._victim),
            "write .git/hooks": (git / "hooks" / "post-checkout").exists(),
            "write .git/config": self._nonce in (git / "config").read_text(),
            "move .git away": (self.root / "moved.git").exists(),
            "write .vscode": (self.root / ".vscode" / "tasks.json").exists(),
        }

    def _heard(self, name: str) -> bool:
        listener = self._listeners[name]
        try:
            if listener.type == socket.SOCK_DGRAM:
                listener.recv(1)
            else:
                listener.accept()[0].close()
        except BlockingIOError:
            return False
        return True


@contextmanager
def _victim(secret: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", "input()"],
        env={"SECRET": secret},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _died(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process was killed; a signal takes a moment to be told."""
    end = time.monotonic() + 0.05
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.005)
    return process.poll() is not None
