"""What the commands with verbs share: their arguments, their output, a session without a screen."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .agent.proposal import Decision, Proposal
from .controllers.session import SessionController
from .events import AgentEvent, EngineFailed, Notice
from .lesson_words import finite
from .progress_words import progress_words
from .workspace.visible import visible

if TYPE_CHECKING:
    from .settings import Settings

DONE, LOST, USAGE, ENGINE = 0, 1, 2, 3


class Misuse(ValueError):
    """One sentence about how a command was called."""


@dataclass(frozen=True, slots=True)
class Grammar:
    """The verbs of a command, the first of which is meant where none is given.

    ``needs`` says of a verb that cannot do without a word what that word is; those in ``takes``
    can have one.
    """

    verbs: tuple[str, ...]
    synopsis: str
    needs: Mapping[str, str] = field(default_factory=dict)
    takes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """What the command line asks for."""

    verb: str
    what: str | None
    as_json: bool
    settings: tuple[str, ...]


def parse(arguments: Sequence[str], grammar: Grammar) -> Order:
    """Read the arguments; Misuse says what is wrong with them."""
    as_json, settings, plain = False, list[str](), list[str]()
    for argument in arguments:
        if argument == "--json":
            as_json = True
        elif argument.startswith("--") and "=" not in argument:
            raise Misuse(f"unknown option {argument}; usage: {grammar.synopsis}")
        elif "=" in argument and os.sep not in argument.partition("=")[0]:
            settings.append(argument)
        else:
            plain.append(argument)
    verb = plain[0] if plain else grammar.verbs[0]
    if verb not in grammar.verbs:
        near = get_close_matches(verb, grammar.verbs, n=1, cutoff=0.4)
        advice = f"did you mean {near[0]}?" if near else f"there are {', '.join(grammar.verbs)}."
        raise Misuse(f"unknown verb {verb!r}; {advice}")
    if verb in grammar.needs and len(plain) < 2:
        raise Misuse(f"{verb} needs {grammar.needs[verb]}.")
    most = 2 if verb in (*grammar.needs, *grammar.takes) else 1
    if len(plain) > most:
        raise Misuse(f"{plain[most]!r} does not belong there; usage: {grammar.synopsis}")
    return Order(verb, plain[1] if len(plain) > 1 else None, as_json, tuple(settings))


# --- output -------------------------------------------------------------------------------


def one_line(text: str) -> str:
    """The text on one line, with every mark seen."""
    return " ".join(visible(text).split())


def terminal_width() -> int | None:
    """The columns of the terminal; None where standard output is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def json_line(value: dict[str, Any]) -> str:
    """One JSON line; nothing in it can be seen by a terminal as more than text."""
    return json.dumps(finite(value), ensure_ascii=True).replace("\x7f", "\\u007f")


def write(*lines: str) -> None:
    """Print what the terminal can show of it; that nobody reads any more stops nothing.

    A terminal acts on nothing that is in it.
    """
    encoding = sys.stdout.encoding or "utf-8"
    try:
        for line in lines:
            print(visible(line).encode(encoding, "replace").decode(encoding), flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# --- a session without a screen -----------------------------------------------------------


class Run(ABC):
    """A session for one verb, told line by line; each command adds its verbs."""

    def __init__(self, settings: Settings, folder: Path, *, as_json: bool) -> None:
        quiet = settings.model_copy(update={"check_every": 0})
        self.session = SessionController(
            settings=quiet, folder=folder, present=self.present, decide=self.decide
        )
        self.as_json = as_json
        self.last = ""
        self._begun = False
        self._signal = 0
        self._main: asyncio.Task[Any] | None = None
        self._ending: asyncio.Task[None] | None = None

    @abstractmethod
    def verbs(self, what: str | None) -> Mapping[str, Callable[[], Awaitable[int]]]:
        """What each verb does with the word after it; the number is the exit status."""

    async def go(self, verb: str, what: str | None) -> int:
        """Start, do it, close; the exit status says what came of it."""
        self._end_on_signals()
        try:
            status = ENGINE
            if await self.session.start():
                self._begun = True
                status = await self.verbs(what)[verb]()
        except asyncio.CancelledError:
            if not self._signal:
                raise
            status = ENGINE
        finally:
            await self.session.close()
        return 128 + self._signal if self._signal else status

    def _end_on_signals(self) -> None:
        """Stop what is under way in good order when this process is told to end."""
        loop, self._main = asyncio.get_running_loop(), asyncio.current_task()

        def end(number: int) -> None:
            again, self._signal = bool(self._signal), number
            if self.session.busy and not again:
                self._ending = loop.create_task(self.session.interrupt())
            elif self._main is not None:
                self._main.cancel()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, end, number)

    async def export(self, folder: str | None) -> int:
        """Write the adapter as a PEFT folder."""
        path = await self.session.save(folder)
        if path is None:
            return ENGINE
        self.print({"event": "exported", "path": path})
        return DONE

    # --- telling ------------------------------------------------------------------------

    async def decide(self, proposal: Proposal) -> Decision:
        """Nothing is asked of the model here, so it proposes nothing."""
        raise RuntimeError(f"{proposal.call.name} was proposed outside of any turn")

    def present(self, event: AgentEvent) -> None:
        """Say what happened: results on standard output, progress on standard error."""
        match event:
            case EngineFailed(message=message):
                self._fail(message)
            case Notice(text=text, severity=severity) if self._begun and not self.as_json:
                if severity == "information":
                    write(visible(text))
                else:
                    self.tell(text)
            case Notice(text=text, severity="error"):
                self._fail(text)
            case _:
                if words := progress_words(event):
                    self.tell(words)

    def _fail(self, message: str) -> None:
        self.print({"event": "error", "message": message})
        if not self.as_json:
            self.tell(message)

    def print(self, line: dict[str, Any]) -> None:
        """Write one JSON line, where that is what was asked for."""
        if self.as_json:
            write(json_line(line))

    def tell(self, text: str) -> None:
        """Say something on standard error, once."""
        if text != self.last:
            self.last = text
            with suppress(OSError):
                print(visible(text), file=sys.stderr, flush=True)
