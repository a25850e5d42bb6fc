"""The app's end of the wire: starts the worker, sends requests, hands out its events.

Only the protocol and the standard library are imported here.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import logging
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from pydantic import ValidationError

from .durable import make_folder
from .protocol import (
    EVENT,
    PROTOCOL_VERSION,
    Cancel,
    Event,
    FailureCode,
    FailureEvent,
    ReadyEvent,
    Request,
    Result,
    ResultEvent,
    Shutdown,
)
from .redaction import StreamRedactor, known_secrets
from .surroundings import worker_environment

LINE_LIMIT = 256 * 1024 * 1024
READY_SECONDS = 60.0
STOP_SECONDS = 2.0
LOG_LIMIT = 4 * 1024 * 1024
LOG_PIECE = 64 * 1024
LOG_SECONDS = 1.0
AT_ONCE = 100
"""Events after which everybody else has a turn, however many there are."""

Handler = Callable[[Event], Awaitable[None] | None]

_log = logging.getLogger(__name__)


class WorkerFailure(Exception):
    """The worker answered a request with a failure."""

    def __init__(self, code: FailureCode, message: str) -> None:
        super().__init__(message)
        self.code: FailureCode = code
        self.message = message


class WorkerDied(Exception):
    """The worker is gone; another can be started."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def default_worker_command() -> list[str]:
    """The worker in this Python, which never imports from the folder it is started in."""
    return [sys.executable, "-P", "-m", "continualcode_tui.training.worker"]


class WorkerClient:
    """One worker process and the requests under way in it."""

    def __init__(self, command: Sequence[str], *, cwd: Path, log_path: Path) -> None:
        self.command = list(command)
        self.cwd = cwd
        self.log_path = log_path
        self._process: Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._logger: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Queue[Event | WorkerDied]] = {}
        self._ids = itertools.count(1)

    @property
    def running(self) -> bool:
        """Whether there is a process that can take requests."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        """The worker's process id."""
        return self._process.pid if self._process is not None else None

    def next_id(self) -> int:
        """A request id that was not used before."""
        return next(self._ids)

    # --- starting and stopping --------------------------------------------------------

    async def start(self) -> None:
        """Start the worker and wait for its first line; raises ``WorkerDied``."""
        await self.stop()
        make_folder(self.cwd)
        log = self._open_log()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                cwd=self.cwd,
                env=worker_environment(ours=self.command == default_worker_command()),
                limit=LINE_LIMIT,
                start_new_session=True,
            )
        except OSError as error:
            os.close(log)
            raise WorkerDied(f"The worker could not be started ({error}).") from error
        self._logger = asyncio.create_task(_keep_log(self._process, log), name="worker log")
        ready: asyncio.Queue[Event | WorkerDied] = asyncio.Queue()
        self._waiting = {0: ready}
        self._reader = asyncio.create_task(self._read(self._process), name="worker reader")
        try:
            first = await asyncio.wait_for(ready.get(), READY_SECONDS)
        except TimeoutError:
            await self.stop()
            raise WorkerDied("The worker did not answer in time.") from None
        except BaseException:
            await asyncio.shield(self.stop())
            raise
        self._waiting.pop(0, None)
        if isinstance(first, WorkerDied):
            raise first
        if not isinstance(first, ReadyEvent) or first.protocol != PROTOCOL_VERSION:
            await self.stop()
            raise WorkerDied("The worker is of another version: install the same one on both ends.")

    def _open_log(self) -> int:
        """The log, appended to; a very long one is begun anew."""
        make_folder(self.log_path.parent)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        with contextlib.suppress(OSError):
            if self.log_path.stat().st_size > LOG_LIMIT:
                flags |= os.O_TRUNC
        return os.open(self.log_path, flags, 0o600)

    async def stop(self, patience: float = STOP_SECONDS) -> None:
        """End the worker: by a request, then after so many seconds by force."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None and process.stdin is not None:
            with contextlib.suppress(OSError, RuntimeError):
                process.stdin.write(_line(Shutdown(id=self.next_id())))
                process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), patience)
        except TimeoutError:
            self._kill(process)
            await process.wait()
        if self._reader is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._reader, STOP_SECONDS)
            self._reader = None
        if self._logger is not None:
            await asyncio.wait([self._logger], timeout=LOG_SECONDS)
            self._logger.cancel()
            self._logger = None

    @staticmethod
    def _kill(process: Process) -> None:
        """Kill the worker and whatever it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)

    # --- reading ----------------------------------------------------------------------

    async def _read(self, process: Process) -> None:
        """Hand every event to the request that waits for it, until the worker is gone."""
        assert process.stdout is not None
        try:
            read = 0
            while line := await process.stdout.readline():
                self._dispatch(line)
                read += 1
                # A line that is there already is read without a pause for anybody else.
                if read % AT_ONCE == 0:
                    await asyncio.sleep(0)
        except (OSError, ValueError):
            _log.exception("reading from the worker failed")
            self._kill(process)
        code = await process.wait()
        if self._logger is not None:
            await asyncio.wait([self._logger], timeout=LOG_SECONDS)
        died = WorkerDied(self._epitaph(code))
        for queue in self._waiting.values():
            queue.put_nowait(died)

    def _dispatch(self, line: bytes) -> None:
        try:
            event = EVENT.validate_json(line)
        except ValidationError:
            _log.warning("not an event: %.200r", line)
            return
        queue = self._waiting.get(event.id)
        if queue is not None:
            queue.put_nowait(event)

    def _epitaph(self, code: int) -> str:
        """How the worker ended, in one sentence."""
        if code < 0:
            name = signal.Signals(-code).name
            hint = ", perhaps for want of memory" if name == "SIGKILL" else ""
            return f"The worker was ended by {name}{hint}."
        return f"The worker ended with code {code}; {self.log_path} says why."

    # --- requests ---------------------------------------------------------------------

    async def request(self, request: Request, on_event: Handler | None = None) -> Result:
        """Send a request, pass its events on, and return its result.

        Raises ``WorkerFailure`` or ``WorkerDied``. Cancelling this coroutine cancels the
        request in the worker too. Events wait in memory while the handler is busy.
        """
        queue: asyncio.Queue[Event | WorkerDied] = asyncio.Queue()
        self._waiting[request.id] = queue
        try:
            await self._send(request)
            got = 0
            while True:
                event = await queue.get()
                got += 1
                if got % AT_ONCE == 0:
                    await asyncio.sleep(0)
                if isinstance(event, WorkerDied):
                    raise event
                if isinstance(event, ResultEvent):
                    return event.result
                if isinstance(event, FailureEvent):
                    raise WorkerFailure(event.code, event.message)
                if on_event is not None:
                    outcome = on_event(event)
                    if inspect.isawaitable(outcome):
                        await outcome
        except asyncio.CancelledError:
            self._post(Cancel(id=self.next_id(), target=request.id))
            raise
        finally:
            self._waiting.pop(request.id, None)

    async def cancel(self, request_id: int) -> None:
        """Ask the worker to stop a request; its answer comes to whoever waits for it."""
        self._post(Cancel(id=self.next_id(), target=request_id))
        await asyncio.sleep(0)

    def _post(self, request: Request) -> None:
        """Send without waiting; a worker that is gone needs no message."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError, RuntimeError):
                self._process.stdin.write(_line(request))

    async def _send(self, request: Request) -> None:
        process = self._process
        if process is None or process.stdin is None or process.returncode is not None:
            raise WorkerDied("The worker is not running.")
        try:
            process.stdin.write(_line(request))
            await process.stdin.drain()
        except (OSError, RuntimeError):
            code = await process.wait()
            raise WorkerDied(self._epitaph(code)) from None


async def _keep_log(process: Process, log: int) -> None:
    """Write what the worker says on its standard error into the log, without its secrets."""
    assert process.stderr is not None
    redactor = StreamRedactor(known_secrets(os.environ))
    try:
        while data := await process.stderr.read(LOG_PIECE):
            _append(log, redactor.feed(data))
    finally:
        _append(log, redactor.finish())
        os.close(log)


def _append(log: int, data: bytes) -> None:
    """Write to the log; a full disk must not stop the worker, which waits until it is read."""
    with contextlib.suppress(OSError):
        while data:
            data = data[os.write(log, data) :]


def _line(request: Request) -> bytes:
    """A request as one line."""
    return request.model_dump_json().encode() + b"\n"
