"""`continualcode-tui exec`: the agent without a screen, one JSON object a line."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, get_args

from .agent.proposal import Decision, Proposal
from .controllers.session import SessionController
from .events import (
    AgentEvent,
    CallRejected,
    EngineFailed,
    LessonFinished,
    LessonStarted,
    Notice,
    ProposalMade,
    SandboxTried,
    ToolFinished,
    TurnFinished,
    TurnSampled,
)
from .feedback import Feedback, Then, UsageError, read_lines
from .lesson_words import lesson_line
from .progress_words import progress_words
from .settings import SettingsError, load_settings
from .verbs import json_line
from .workspace.visible import visible

if TYPE_CHECKING:
    from .settings import Settings

DONE, USAGE, ENGINE = 0, 2, 3
THEN: dict[str, Then] = {name: name for name in get_args(Then)}
SYNOPSIS = (
    'continualcode-tui exec "REQUEST" [--feedback FILE|-] [--then stop|approve|deny] '
    "[key=value ...]"
)


@dataclass(frozen=True, slots=True)
class Order:
    """What the command line asks for."""

    request: str
    feedback: str | None
    then: Then
    settings: tuple[str, ...]


def main(arguments: Sequence[str]) -> int:
    """Run one request and return the exit status."""
    try:
        order = parse(arguments)
        lines = read_lines(*_open_feedback(order.feedback))
        settings = load_settings(order.settings)
    except (UsageError, SettingsError) as error:
        print(f"continualcode-tui exec: {visible(str(error))}", file=sys.stderr)
        return USAGE
    run = Run(settings=settings, folder=Path.cwd(), out=sys.stdout, progress=sys.stderr)
    feedback = Feedback(lines, order.then, run.session.add_note)
    status = asyncio.run(run.go(order.request, feedback))
    if run.listener_gone:
        # Else the interpreter complains about the closed pipe when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return status


def parse(arguments: Sequence[str]) -> Order:
    """Read the arguments; UsageError says what is wrong with them."""
    options: dict[str, str] = {}
    plain: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        name, equals, value = argument.partition("=")
        if name in ("--feedback", "--then"):
            if not equals and not rest:
                raise UsageError(f"{name} needs a value; usage: {SYNOPSIS}")
            options[name] = value if equals else rest.pop(0)
        elif argument == "--":
            plain += rest
            break
        elif argument.startswith("--") and plain:
            raise UsageError(f"unknown option {name}; usage: {SYNOPSIS}")
        else:
            plain.append(argument)
    if not plain or not plain[0].strip():
        raise UsageError(f"the request is missing; usage: {SYNOPSIS}")
    then = THEN.get(options.get("--then", "stop"))
    if then is None:
        raise UsageError(f"--then {options['--then']} is none of stop, approve and deny.")
    return Order(plain[0], options.get("--feedback"), then, tuple(plain[1:]))


def _open_feedback(name: str | None) -> tuple[list[str], str]:
    """Read the whole of the file before anything starts."""
    if name is None:
        return [], ""
    shown = "standard input" if name == "-" else name
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return data.decode("utf-8-sig").split("\n"), shown
    except OSError as error:
        raise UsageError(f"{shown} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UsageError(f"{shown} is not UTF-8 text.") from None


class Run:
    """One request from start to end, told line by line."""

    def __init__(self, *, settings: Settings, folder: Path, out: TextIO, progress: TextIO) -> None:
        self.session = SessionController(
            settings=settings, folder=folder, present=self.present, decide=self.decide
        )
        self.status = DONE
        self._out = out
        self._progress = progress
        self._feedback: Feedback | None = None
        self._last_line = ""
        self._signal = 0
        self._ended_here = False
        self.listener_gone = False

    async def go(self, request: str, feedback: Feedback) -> int:
        """Start, answer the request, close; the last line is always ``done``."""
        self._feedback = feedback
        self._end_on_signals()
        try:
            if await self.session.start():
                await self.session.submit(request)
        except asyncio.CancelledError:
            if not self._signal:
                raise
            return 128 + self._signal
        finally:
            await self.session.close()
        if feedback.unused:
            self._tell(f"{feedback.unused} decisions were not asked for")
        metrics = self.session.metrics
        self._print(
            {
                "event": "done",
                "lessons": len(metrics.lessons),
                "steps": len(metrics.steps),
                "learned": metrics.count("learned"),
            }
        )
        return self.status

    def _end_on_signals(self) -> None:
        """Stop the tool and the worker too when this process is told to end."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def end(number: int) -> None:
            self._signal = number
            if task is not None:
                task.cancel()

        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, end, number)

    async def decide(self, proposal: Proposal) -> Decision:
        """Take the next line's decision, or end the run."""
        del proposal
        decision = self._feedback.next() if self._feedback else None
        if decision is not None:
            return decision
        self._ended_here = True
        await self.session.interrupt()
        return await asyncio.get_running_loop().create_future()

    def present(self, event: AgentEvent) -> None:
        """Say what happened: results on standard output, progress on standard error."""
        match event:
            case ProposalMade(proposal=proposal, rule=rule):
                self._print(_proposal(proposal, rule))
            case ToolFinished(result=result):
                self._print({"event": "tool_result", "ok": result.ok, "output": result.output})
            case LessonFinished(result=result):
                self._print(lesson_line(result))
            case TurnSampled(text=text) if text.strip():
                self._print({"event": "message", "text": text})
            case EngineFailed(message=message):
                self._fail(message)
            case TurnFinished(reason=reason, failed=failed) if reason and not self._ended_here:
                if failed:
                    self.status = ENGINE
                self._print({"event": "error", "message": reason})
            case Notice(text=text, severity="error"):
                self._print({"event": "error", "message": text})
            case _:
                self._show_progress(event)

    def _show_progress(self, event: AgentEvent) -> None:
        match event:
            case SandboxTried(gate=gate):
                self._tell(gate.words if gate.kind != "bwrap" else "sandbox: bwrap")
            case LessonStarted(attempt=attempt):
                self._tell("lesson" if attempt == 1 else f"lesson, attempt {attempt}")
            case CallRejected(problem=problem):
                self._tell(f"the call was refused: {problem}")
            case _:
                words = progress_words(event)
                # The worker tells a stage again and again while it goes on.
                if words is not None and words != self._last_line:
                    self._tell(words)

    def _fail(self, message: str) -> None:
        self.status = ENGINE
        self._print({"event": "error", "message": message})

    def _print(self, line: dict[str, Any]) -> None:
        """Write one line; when nobody reads any more, the run ends quietly."""
        if self.listener_gone:
            return
        try:
            self._out.write(json_line(line) + "\n")
            self._out.flush()
        except BrokenPipeError:
            self.listener_gone = self._ended_here = True
            asyncio.get_running_loop().create_task(self.session.interrupt())

    def _tell(self, text: str) -> None:
        self._last_line = text
        try:
            print(visible(text), file=self._progress, flush=True)
        except OSError:
            self._progress = io.StringIO()


def _proposal(proposal: Proposal, rule: str | None) -> dict[str, Any]:
    return {
        "event": "proposal",
        "tool": proposal.call.name,
        "arguments": proposal.call.arguments,
        "auto": rule,
        "retry": proposal.retry,
        "problem": proposal.preview.problem,
        "terms": proposal.preview.terms,
    }
