"""The worker process: requests in on stdin, events out on stdout, one JSON object a line.

The main thread works on one request after the other; a second thread reads stdin, so that a
cancel is seen between tokens and stages, and so that the process ends when stdin does.
"""

from __future__ import annotations

import gc
import json
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from pydantic import ValidationError

from .adapter_messages import Adapters, EnableAdapter, Import
from .engine import Engine, EngineFailure, Reply
from .protocol import (
    REQUEST,
    Cancel,
    Check,
    Done,
    Event,
    FailureCode,
    FailureEvent,
    Learn,
    Load,
    ReadyEvent,
    Request,
    Result,
    ResultEvent,
    Sample,
    Sampled,
    Save,
    Shutdown,
    Undo,
)
from .surroundings import NO_TELEMETRY

NICENESS = 10


class Wire:
    """The two ends of the protocol, kept apart from what libraries print and read."""

    def __init__(self) -> None:
        self._out = os.dup(1)
        os.dup2(2, 1)
        self.lines: BinaryIO = os.fdopen(os.dup(0), "rb")
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        self._lock = threading.Lock()

    def send(self, event: Event) -> None:
        """Write one event; the process ends when nobody listens any more."""
        data = event.model_dump_json().encode() + b"\n"
        with self._lock:
            try:
                while data:
                    data = data[os.write(self._out, data) :]
            except OSError:
                os._exit(0)


class Worker:
    """Reads requests, runs them one by one and answers each with a result or a failure."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.engine: Engine | None = None
        self._requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._cancelled: set[int] = set()
        self._ending = False
        self._ended = threading.Event()

    # --- the reading thread -----------------------------------------------------------

    def read(self) -> None:
        """Read requests until stdin ends, and end the process with it."""
        for line in self.wire.lines:
            if not line.strip():
                continue
            try:
                request = REQUEST.validate_json(line)
            except ValidationError as error:
                self._refuse(line, error)
                continue
            if isinstance(request, Cancel):
                self._cancelled.add(request.target)
                self.wire.send(ResultEvent(id=request.id, result=Done()))
            elif isinstance(request, Shutdown):
                self._end(request)
                return
            else:
                self._requests.put(request)
        os._exit(0)

    def _end(self, request: Shutdown) -> None:
        """End the process, once the engine has saved what it wants to; bounded in time."""
        self._ending = True
        seconds = self.engine.closing_seconds if self.engine is not None else 0.0
        if seconds:
            self._requests.put(request)
            self._ended.wait(seconds)
        self.wire.send(ResultEvent(id=request.id, result=Done()))
        os._exit(0)

    def _refuse(self, line: bytes, error: ValidationError) -> None:
        """Answer a line that is not a request, under its own id if it has one."""
        number = 0
        try:
            found = json.loads(line)
            if isinstance(found, dict) and isinstance(found.get("id"), int):
                number = found["id"]
        except ValueError:
            pass
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the line"
        message = f"This is not a request ({where}: {first['msg']})."
        self.wire.send(FailureEvent(id=number, code="bad_request", message=message))

    # --- the working thread -----------------------------------------------------------

    def work(self) -> None:
        """Run requests for ever, preparing a little whenever there are none."""
        while True:
            try:
                request = self._requests.get_nowait()
            except queue.Empty:
                if self._idle():
                    continue
                request = self._requests.get()
            if isinstance(request, Shutdown):
                self._close()
            else:
                self._answer(request)

    def _close(self) -> None:
        """Let the engine save; a failure there does not keep the process alive."""
        try:
            if self.engine is not None:
                self.engine.close()
        except Exception:
            traceback.print_exc()
        self._ended.set()

    def _idle(self) -> bool:
        """Let the engine prepare a piece; a failure there only ends the preparing."""
        try:
            return self.engine is not None and self.engine.idle()
        except Exception:
            traceback.print_exc()
            return False

    def _answer(self, request: Request) -> None:
        """Run one request and send its result or its failure."""
        reply = Reply(
            request.id, self.wire.send, lambda: self._ending or request.id in self._cancelled
        )
        try:
            result = self._run(request, reply)
        except EngineFailure as failure:
            self._fail(request.id, failure.code, failure.message)
        except MemoryError:
            self._fail(request.id, "out_of_memory", OUT_OF_MEMORY)
        except Exception as error:
            traceback.print_exc()
            if "out of memory" in str(error).lower() or "can't allocate memory" in str(error):
                self._fail(request.id, "out_of_memory", OUT_OF_MEMORY)
            else:
                detail = f"{type(error).__name__}: {error}".splitlines()[0]
                message = f"The worker failed ({detail}); its log has the details."
                self._fail(request.id, "internal", message)
        else:
            self.wire.send(ResultEvent(id=request.id, result=result))
        self._cancelled.discard(request.id)

    def _fail(self, number: int, code: FailureCode, message: str) -> None:
        self.wire.send(FailureEvent(id=number, code=code, message=message))

    def _run(self, request: Request, reply: Reply) -> Result:
        if isinstance(request, Load):
            return self._load(request, reply)
        if self.engine is None:
            raise EngineFailure("not_loaded", "No model is loaded yet: load one first.")
        return _ask(self.engine, request, reply)

    def _load(self, request: Load, reply: Reply) -> Result:
        """Load a model in place of the one that is loaded."""
        reply.check()
        if self.engine is not None:
            self.engine.close()
            self.engine = None
            gc.unfreeze()  # the model before is garbage now
            gc.collect()
        with _collector_off():
            engine = make_engine(request)
            loaded = engine.load(request, reply)
        self.engine = engine
        return loaded


@contextmanager
def _collector_off() -> Iterator[None]:
    """Keep the collector from what is imported and loaded within: none of it is garbage.

    Looking at it again and again takes a good part of the imports, and later of every lesson.
    """
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


def _ask(engine: Engine, request: Request, reply: Reply) -> Result:
    """Let the engine answer."""
    match request:
        case Sample():
            return Sampled(completion=engine.sample(request, reply))
        case Learn():
            return engine.learn(request, reply)
        case Check():
            return engine.check(request, reply)
        case Undo() | Save() | Adapters() | EnableAdapter() | Import():
            return _ask_about_adapter(engine, request, reply)
        case _:
            return Done()


def _ask_about_adapter(
    engine: Engine, request: Undo | Save | Adapters | EnableAdapter | Import, reply: Reply
) -> Result:
    """Let the engine answer what is about the adapter as a whole."""
    match request:
        case Undo():
            return engine.undo(request, reply)
        case Save():
            return engine.save(request, reply)
        case Adapters():
            return engine.adapters()
        case EnableAdapter():
            return engine.enable_adapter(enabled=request.enabled)
        case Import():
            return engine.import_adapter(request, reply)


OUT_OF_MEMORY = (
    "There is not enough memory for this: close other programs, shorten the conversation or "
    "choose a smaller model."
)


def make_engine(request: Load) -> Engine:
    """The engine that a load asks for, imported only now."""
    if request.engine == "tinker":
        from .engines.tinker import TinkerEngine

        return TinkerEngine()
    # Threads that spin while they wait stand still on a busy machine: measured 5 times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from .engines.local import LocalEngine

    return LocalEngine()


def _give_way() -> None:
    """Let the interface have a core when it wants one; training takes what is left."""
    if hasattr(os, "nice"):
        os.nice(NICENESS)


def main() -> None:
    """Speak the protocol until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.umask(0o077)  # what libraries write is for the user alone too
    os.environ.update(NO_TELEMETRY)
    _give_way()
    wire = Wire()
    wire.send(ReadyEvent(pid=os.getpid()))
    worker = Worker(wire)
    threading.Thread(target=worker.read, name="stdin", daemon=True).start()
    try:
        worker.work()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


if __name__ == "__main__":
    main()
