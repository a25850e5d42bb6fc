"""A command that is ready to start, and how it ends with everything that it started."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress

TERMINATE_SECONDS = 0.5


class Launch:
    """Runs in a session of its own; at its end the whole process group goes with it.

    Use as ``with launch:`` around the process: what the command needed is put away after it.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        fds: Sequence[int] = (),
        held: ExitStack | None = None,
    ) -> None:
        self.command = tuple(command)
        self.environment = dict(environment)
        self.fds = tuple(fds)
        self._held = held or ExitStack()

    def __enter__(self) -> Launch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close_fds()
        self._held.close()

    def close_fds(self) -> None:
        """Close our copies of what the child has now; once it is started, or never will be."""
        fds, self.fds = self.fds, ()
        for fd in fds:
            os.close(fd)

    async def end(self, process: asyncio.subprocess.Process) -> bool:
        """End what is left, politely at first; tell whether a command that ended left anything."""
        return await stop_politely(
            process, ask=lambda: signal_group(process.pid, signal.SIGTERM),
            left=lambda: signal_group(process.pid, 0),
            force=lambda: signal_group(process.pid, signal.SIGKILL),
        )  # fmt: skip


async def stop_politely(
    process: asyncio.subprocess.Process,
    *,
    ask: Callable[[], bool],
    left: Callable[[], bool],
    force: Callable[[], bool],
) -> bool:
    """Ask everything to end, wait a moment, then force it; False where there was nothing."""
    if not ask():
        await process.wait()
        return False
    try:
        async with asyncio.timeout(TERMINATE_SECONDS):
            await process.wait()
            while left():  # noqa: ASYNC110 - nothing else says when a group ends
                await asyncio.sleep(0.02)
    except TimeoutError:
        pass
    finally:
        force()
    await process.wait()
    return True


def signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group; False where there is none."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
        return True
    return False


def read_all(fd: int) -> bytes:
    """Read what waits in a pipe, without waiting for more."""
    os.set_blocking(fd, False)
    pieces: list[bytes] = []
    with suppress(BlockingIOError):
        while piece := os.read(fd, 65_536):
            pieces.append(piece)
    return b"".join(pieces)
