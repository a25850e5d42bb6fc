"""Shell commands of the user's own: nobody is asked, and the model sees them only if told."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..sandbox.environment import NO_TERMINAL
from ..sandbox.kept import keep as kept
from ..tools.base import OutputSink
from ..tools.bash import problem_with
from ..tools.process import Finished, child_environment, run_process
from ..workspace.programs import find_shell

SHARED_CHARACTERS = 30_000
"""The most characters of a command's output that go to the model."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended: in words, and as the model may be told."""

    ok: bool
    words: str
    seconds: float = 0.0
    output: str | None = None
    """What it printed; None where it did not come to its end."""


class ShellController:
    """Runs one command at a time, until it ends or is stopped."""

    def __init__(self) -> None:
        self._task: asyncio.Task[Finished] | None = None
        self._stopped = False

    @property
    def running(self) -> bool:
        """Whether a command runs."""
        return self._task is not None

    async def run(
        self,
        command: str,
        folder: Path,
        on_output: OutputSink,
        *,
        shared: bool = False,
        keep: int = SHARED_CHARACTERS,
    ) -> Ran:
        """Run a command; one whose output is ``shared`` with the model does not see any keys."""
        problem = problem_with(command)
        if problem is not None:
            return Ran(ok=False, words=problem)
        self._stopped = False
        began = time.monotonic()
        environment = child_environment(os.environ) if shared else own(os.environ)
        self._task = asyncio.ensure_future(
            run_process(
                kept([find_shell(folder), "-c", command], environment),
                folder=folder,
                timeout=math.inf,
                on_output=on_output,
                keep=min(keep, SHARED_CHARACTERS),
            )
        )
        try:
            finished = await self._task
        except asyncio.CancelledError:
            if self._stopped and self._task.cancelled():
                return Ran(ok=False, words="stopped", seconds=time.monotonic() - began)
            raise
        except OSError as error:
            return Ran(ok=False, words=f"the command could not be started: {error.strerror}")
        finally:
            self._task = None
        return _ran(finished, time.monotonic() - began)

    def stop(self) -> bool:
        """Stop the command that runs; say whether there was one."""
        if self._task is None:
            return False
        self._stopped = True
        self._task.cancel()
        return True


def own(environment: Mapping[str, str]) -> dict[str, str]:
    """The user's own environment, for programs that have no terminal."""
    return dict(environment) | NO_TERMINAL


def as_context(command: str, ran: Ran) -> str:
    """What the model is told of a command."""
    output = (ran.output or "").rstrip("\n")
    lines = ["I ran a command myself:", f"$ {command}", output, f"[{ran.words}]"]
    return "\n".join(line for line in lines if line)


def _ran(finished: Finished, seconds: float) -> Ran:
    words = f"exit {finished.exit_code}"
    if finished.left_behind:
        words += "; processes in the background were stopped"
    return Ran(ok=finished.exit_code == 0, words=words, seconds=seconds, output=finished.output)
