"""Run a child process: streamed, capped and timed."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ..sandbox.environment import NAME_OF_KEY, NO_TERMINAL
from ..sandbox.launch import Launch
from .base import OutputSink

CHUNK = 65_536
KEEP_CHARACTERS = 30_000
STREAM_EVERY = 0.1
STREAM_CHARACTERS = 8_000
LEFT_OUT = "\n[...]\n"
DRAIN_SECONDS = 0.3

_REDIRECTING = frozenset(
    {"BASH_ENV", "ENV", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "PROMPT_COMMAND"}
)


@dataclass(frozen=True, slots=True)
class Finished:
    """How a process ended; ``exit_code`` is None when it was stopped at the time limit."""

    output: str
    exit_code: int | None
    left_behind: bool = False


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Leave out what looks like a key and what would redirect a shell or git."""
    kept = {
        name: value
        for name, value in environment.items()
        if name not in _REDIRECTING and not NAME_OF_KEY.search(name)
    }
    return kept | NO_TERMINAL


class Capture:
    """Keeps the head and the tail of a text that may be endless."""

    def __init__(self, keep: int = KEEP_CHARACTERS) -> None:
        self._half = keep // 2
        self._head = ""
        self._tail = ""
        self._length = 0

    def add(self, text: str) -> None:
        """Take the next piece."""
        self._length += len(text)
        room = self._half - len(self._head)
        if room > 0:
            self._head += text[:room]
            text = text[room:]
        if text:
            self._tail = (self._tail + text)[-self._half :]

    def text(self) -> str:
        """Return what was kept, with a line that says how much was not."""
        left_out = self._length - len(self._head) - len(self._tail)
        if not left_out:
            return self._head + self._tail
        return f"{self._head}\n[... {left_out} characters left out ...]\n{self._tail}"


class Stream:
    """Passes output on at most every ``STREAM_EVERY`` seconds, the newest part of it."""

    def __init__(self, sink: OutputSink) -> None:
        self._sink = sink
        self._loop = asyncio.get_running_loop()
        self._pending = ""
        self._next = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, text: str) -> None:
        """Take the next piece and pass it on when its time has come."""
        self._pending += text
        if len(self._pending) > STREAM_CHARACTERS:
            self._pending = LEFT_OUT + self._pending[-STREAM_CHARACTERS:]
        if self._timer is None:
            wait = max(0.0, self._next - self._loop.time())
            self._timer = self._loop.call_later(wait, self.flush)

    def flush(self) -> None:
        """Pass on what waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        pending, self._pending = self._pending, ""
        self._next = self._loop.time() + STREAM_EVERY
        if pending:
            self._sink(pending)


async def run_process(
    launch: Launch,
    *,
    folder: Path,
    timeout: float,  # noqa: ASYNC109 - the process is stopped in stages, not just abandoned
    on_output: OutputSink,
    keep: int = KEEP_CHARACTERS,
    stdin: IO[Any] | int = asyncio.subprocess.DEVNULL,
) -> Finished:
    """Run a command in a session of its own and capture what it prints.

    At the time limit, when this task is cancelled, and when the command ends, all that it started
    ends. The pipe is ours rather than the process's, so that a descendant that keeps it open
    delays nobody.
    """
    with launch:
        return await _run(launch, folder, timeout, on_output, keep, stdin)


async def _run(
    launch: Launch,
    folder: Path,
    timeout: float,  # noqa: ASYNC109
    on_output: OutputSink,
    keep: int,
    stdin: IO[Any] | int,
) -> Finished:
    reading, writing = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            *launch.command,
            cwd=folder,
            env=launch.environment,
            stdin=stdin,
            stdout=writing,
            stderr=writing,
            pass_fds=launch.fds,
            start_new_session=True,
        )
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
        launch.close_fds()
    capture, stream = Capture(keep), Stream(on_output)
    pump = asyncio.create_task(_pump(reading, capture, stream))
    exit_code: int | None = None
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                exit_code = await process.wait()
                await asyncio.wait([pump], timeout=DRAIN_SECONDS)
        left_behind = await launch.end(process)
        await asyncio.wait([pump], timeout=DRAIN_SECONDS)
    except BaseException:
        await launch.end(process)
        raise
    finally:
        pump.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await pump
        stream.flush()
    if exit_code is not None and exit_code < 0:
        exit_code = 128 - exit_code  # as a shell says it of a signal
    return Finished(capture.text(), exit_code, left_behind and exit_code is not None)


async def _pump(reading: int, capture: Capture, stream: Stream) -> None:
    """Read the pipe to its end."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    file = os.fdopen(reading, "rb", 0)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    try:
        while data := await reader.read(CHUNK):
            text = decoder.decode(data)
            capture.add(text)
            stream.add(text)
            await asyncio.sleep(0)
        if rest := decoder.decode(b"", final=True):
            capture.add(rest)
            stream.add(rest)
    finally:
        transport.close()
