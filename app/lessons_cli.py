"""`continualcode-tui lessons`: the lessons without a screen, listed, checked, taken back."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .agent.proposal import Decision, Proposal
from .controllers.session import SessionController
from .events import (
    AgentEvent,
    EngineFailed,
    LessonFinished,
    LessonStarted,
    Notice,
)
from .lesson_words import (
    STANDINGS,
    everything,
    facts,
    figures,
    finite,
    hold,
    lesson_line,
    row,
    short,
    when,
)
from .progress_words import progress_words
from .settings import SettingsError, load_settings
from .store.journal import Journal, LessonRecord
from .store.paths import DataPaths, safe_name
from .workspace.repository import inspect
from .workspace.visible import visible

if TYPE_CHECKING:
    from .settings import Settings

DONE, LOST, USAGE, ENGINE = 0, 1, 2, 3
NEEDS_ID = ("show", "forget", "replay")
VERBS = ("list", "check", "show", "undo", "forget", "replay", "export")
SYNOPSIS = (
    "continualcode-tui lessons [list|check|show ID|undo|forget ID|replay ID|export [FOLDER]] "
    "[--json] [key=value ...]"
)


class Misuse(ValueError):
    """One sentence about how `lessons` was called."""


@dataclass(frozen=True, slots=True)
class Order:
    """What the command line asks for."""

    verb: str
    what: str | None
    as_json: bool
    settings: tuple[str, ...]


def main(arguments: Sequence[str]) -> int:
    """Do what the arguments say and return the exit status."""
    try:
        order = parse(arguments)
        settings = load_settings(order.settings)
        records = look(settings, Path.cwd())
        if order.verb == "list":
            return _list(records, as_json=order.as_json)
        what = order.what
        if order.verb in NEEDS_ID:
            record = find(records, what or "")
            if order.verb == "show":
                return _show(record, records, as_json=order.as_json)
            what = record.lesson.id
            _refuse(order.verb, record)
    except (Misuse, SettingsError) as error:
        print(f"continualcode-tui lessons: {error}", file=sys.stderr)
        return USAGE
    return asyncio.run(Run(settings, Path.cwd(), as_json=order.as_json).go(order.verb, what))


def parse(arguments: Sequence[str]) -> Order:
    """Read the arguments; Misuse says what is wrong with them."""
    as_json, settings, plain = False, list[str](), list[str]()
    for argument in arguments:
        if argument == "--json":
            as_json = True
        elif argument.startswith("--") and "=" not in argument:
            raise Misuse(f"unknown option {argument}; usage: {SYNOPSIS}")
        elif "=" in argument and os.sep not in argument.partition("=")[0]:
            settings.append(argument)
        else:
            plain.append(argument)
    verb = plain[0] if plain else "list"
    if verb not in VERBS:
        near = get_close_matches(verb, VERBS, n=1, cutoff=0.4)
        advice = f"did you mean {near[0]}?" if near else f"there are {', '.join(VERBS)}."
        raise Misuse(f"unknown verb {verb!r}; {advice}")
    if verb in NEEDS_ID and len(plain) < 2:
        raise Misuse(f"{verb} needs the id of a lesson; `lessons list` shows them.")
    most = 2 if verb in (*NEEDS_ID, "export") else 1
    if len(plain) > most:
        raise Misuse(f"{plain[most]!r} does not belong there; usage: {SYNOPSIS}")
    return Order(verb, plain[1] if len(plain) > 1 else None, as_json, tuple(settings))


def look(settings: Settings, folder: Path) -> list[LessonRecord]:
    """Read the journal of this repository and model, without a worker and without a lock."""
    root = DataPaths(settings.data_dir)
    repository = inspect(folder).key
    path = root.journal(repository, settings.model_name or settings.engine)
    if not path.exists():
        others = sorted(path.parent.parent.glob("*/journal.jsonl"))
        if len(others) == 1:
            # A worker elsewhere may call its model otherwise than the settings do.
            path = others[0]
            if settings.worker_command is None:
                print(f"These are lessons of {path.parent.name}.", file=sys.stderr)
        elif others:
            names = ", ".join(other.parent.name for other in others)
            asked = safe_name(settings.model_name or settings.engine)
            raise Misuse(
                f"there are no lessons of {asked} here, but of {names}; name one with "
                "engine=local model_name=NAME."
            )
    journal = Journal(path, look=True)
    journal.close()
    for notice in journal.notices:
        print(notice, file=sys.stderr)
    return journal.lessons()


def find(records: Sequence[LessonRecord], prefix: str) -> LessonRecord:
    """The lesson whose id begins so; Misuse where there is none, or more than one."""
    if not records:
        raise Misuse(f"there is no lesson {prefix}: there are no lessons here yet.")
    wanted = prefix.lower()
    found = [record for record in records if record.lesson.id.lower().startswith(wanted)]
    exact = [record for record in found if record.lesson.id.lower() == wanted]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if found:
        names = ", ".join(short(record.lesson.id) for record in found[:5])
        raise Misuse(f"the id {prefix} is ambiguous: {names}; give more of it.")
    nearest = max(records, key=lambda record: _likeness(wanted, record.lesson.id.lower()))
    raise Misuse(f"there is no lesson {prefix}; the nearest is {short(nearest.lesson.id)}.")


def _likeness(wanted: str, name: str) -> tuple[int, float]:
    """How long two ids begin alike, and how alike they are beyond that."""
    shared = next((at for at in range(len(wanted)) if wanted[at] != name[at : at + 1]), len(wanted))
    return shared, SequenceMatcher(None, wanted, name[: len(wanted)]).ratio()


def _refuse(verb: str, record: LessonRecord) -> None:
    """Say at once what would only be refused after the model has been loaded."""
    name = f"the lesson {short(record.lesson.id)}"
    if verb == "forget" and record.standing != "learned":
        raise Misuse(f"{name} is {STANDINGS[record.standing]}: the adapter does not hold it.")
    if verb == "replay" and record.standing == "learned" and not record.lost:
        raise Misuse(f"{name} is learned and stands; there is nothing to replay.")


# --- what needs no worker -----------------------------------------------------------------


def _list(records: Sequence[LessonRecord], *, as_json: bool) -> int:
    if as_json:
        _write(*(_line(row(record)) for record in records))
    elif not records:
        _write("No lessons yet in this repository with this model.")
    else:
        _write(*table(records, _width()))
    return DONE


def table(records: Sequence[LessonRecord], width: int | None) -> list[str]:
    """The lessons in aligned columns, oldest first; the correction is cut to the width."""
    cells = [("ID", "WHEN", "STANDING", "NOW", "STEPS", "KL", "CORRECTION")]
    for record in records:
        result = record.result
        cells.append(
            (
                short(record.lesson.id),
                when(record.time),
                STANDINGS[record.standing],
                hold(record) or "-",
                str(len(result.steps)) if result else "-",
                f"{result.kl:.3f}" if result and result.kl is not None else "-",
                _one_line(record.lesson.correction),
            )
        )
    if all(line[3] in ("NOW", "-") for line in cells):
        cells = [(*line[:3], *line[4:]) for line in cells]
    widths = [max(map(len, column)) for column in list(zip(*cells, strict=True))[:-1]]
    lines: list[str] = []
    for line in cells:
        padded = [text.ljust(size) for text, size in zip(line, widths, strict=False)]
        whole = "  ".join([*padded, line[-1]])
        lines.append(whole if width is None or len(whole) <= width else f"{whole[: width - 1]}…")
    return lines


def _show(record: LessonRecord, records: Sequence[LessonRecord], *, as_json: bool) -> int:
    if as_json:
        _write(_line(everything(record)))
        return DONE
    rows = [*facts(record, records), *(figures(record.result) if record.result else [])]
    size = max(len(name) for name, _ in rows)
    _write(*(f"{name:<{size}}  {_indented(text, size + 2)}" for name, text in rows))
    tokens = record.result.tokens if record.result else ()
    if tokens:
        _write("", "advantage  before   after  teacher  token")
        for token in tokens:
            preferred = token.teacher_token
            instead = f"  (teacher: {preferred!r})" if preferred != token.text else ""
            _write(
                f"{token.advantage:>9.3f}  {token.before:>6.3f}  {token.after:>6.3f}  "
                f"{token.teacher:>7.3f}  {visible(token.text)!r}{instead}"
            )
    return DONE


def _indented(text: str, by: int) -> str:
    return visible(text.strip()).replace("\n", "\n" + " " * by)


def _one_line(text: str) -> str:
    return " ".join(visible(text).split())


def _width() -> int | None:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _line(value: dict[str, Any]) -> str:
    return json.dumps(finite(value), ensure_ascii=True)


def _write(*lines: str) -> None:
    """Print what the terminal can show of it; that nobody reads any more stops nothing."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        for line in lines:
            print(line.encode(encoding, "replace").decode(encoding), flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# --- what needs the worker ----------------------------------------------------------------


class Run:
    """One verb with the worker, told line by line."""

    def __init__(self, settings: Settings, folder: Path, *, as_json: bool) -> None:
        quiet = settings.model_copy(update={"check_every": 0})
        self.session = SessionController(
            settings=quiet, folder=folder, present=self.present, decide=self.decide
        )
        self._json = as_json
        self._begun = False
        self._last = ""
        self._signal = 0
        self._main: asyncio.Task[Any] | None = None
        self._ending: asyncio.Task[None] | None = None

    async def go(self, verb: str, what: str | None) -> int:
        """Start, do it, close; the exit status says what came of it."""
        verbs: dict[str, Callable[[], Awaitable[int]]] = {
            "check": self._check,
            "undo": self._undo,
            "forget": lambda: self._forget(what or ""),
            "replay": lambda: self._replay(what or ""),
            "export": lambda: self._export(what),
        }
        self._end_on_signals()
        try:
            status = ENGINE
            if await self.session.start():
                self._begun = True
                status = await verbs[verb]()
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

    # --- verbs --------------------------------------------------------------------------

    async def _check(self) -> int:
        learned = any(record.standing == "learned" for record in self.session.lessons())
        checked = await self.session.check()
        if checked is None:
            return ENGINE if learned else DONE
        records = {record.lesson.id: record for record in self.session.lessons()}
        lost = sum(1 for check in checked.checks if check.holds == "lost")
        if self._json:
            for check in checked.checks:
                correction = records[check.lesson].lesson.correction
                self._print({"event": "check", "correction": correction, **check.model_dump()})
            count = len(checked.checks)
            self._print({"event": "done", "lessons": count, "held": count - lost, "lost": lost})
        else:
            _write(*table([records[check.lesson] for check in checked.checks], _width()))
        return LOST if lost else DONE

    async def _undo(self) -> int:
        undone = await self.session.undo()
        if undone is None:
            return ENGINE
        self._print(
            {"event": "undone", "lesson": undone.undone_lesson, "snapshot": undone.snapshot}
        )
        return DONE

    async def _forget(self, identifier: str) -> int:
        forgotten = await self.session.forget(identifier)
        if forgotten is None:
            return ENGINE
        proved = [result.lesson for result in forgotten.again if result.outcome == "learned"]
        missing = [result.lesson for result in forgotten.not_proved]
        line = {"event": "forgotten", "lesson": identifier}
        self._print(line | {"proved_again": proved, "not_proved_again": missing})
        return DONE

    async def _replay(self, identifier: str) -> int:
        result = await self.session.replay(identifier)
        return ENGINE if result is None or result.outcome == "failed" else DONE

    async def _export(self, folder: str | None) -> int:
        path = await self.session.save(folder)
        if path is None:
            return ENGINE
        self._print({"event": "exported", "path": path})
        return DONE

    # --- telling ------------------------------------------------------------------------

    async def decide(self, proposal: Proposal) -> Decision:
        """Nothing is asked of the model here, so it proposes nothing."""
        raise RuntimeError(f"{proposal.call.name} was proposed outside of any turn")

    def present(self, event: AgentEvent) -> None:
        """Say what happened: results on standard output, progress on standard error."""
        match event:
            case LessonFinished(lesson=lesson, result=result):
                self._last = ""
                about = {"id": lesson.id, "correction": lesson.correction}
                self._print({**lesson_line(result), **about})
                if not self._json:
                    words = f"“{_one_line(lesson.correction)}”: {_one_line(result.reason)}"
                    _write(f"{short(lesson.id)}  {STANDINGS[result.outcome]}  {words}")
            case EngineFailed(message=message):
                self._fail(message)
            case Notice(text=text, severity=severity) if self._begun and not self._json:
                if severity == "information":
                    _write(visible(text))
                else:
                    self._tell(text)
            case Notice(text=text, severity="error"):
                self._fail(text)
            case _:
                self._show_progress(event)

    def _show_progress(self, event: AgentEvent) -> None:
        if isinstance(event, LessonStarted):
            self._tell(f"learning “{event.lesson.correction}”")
        elif words := progress_words(event):
            self._tell(words)

    def _fail(self, message: str) -> None:
        self._print({"event": "error", "message": message})
        if not self._json:
            self._tell(message)

    def _print(self, line: dict[str, Any]) -> None:
        """Write one JSON line, where that is what was asked for."""
        if self._json:
            _write(_line(line))

    def _tell(self, text: str) -> None:
        if text != self._last:
            self._last = text
            with suppress(OSError):
                print(visible(text), file=sys.stderr, flush=True)
