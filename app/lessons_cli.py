"""`continualcode-tui lessons`: the lessons without a screen, listed, checked, taken back."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import TYPE_CHECKING

from .columns import columns
from .events import AgentEvent, LessonFinished, LessonStarted
from .lesson_words import (
    STANDINGS,
    everything,
    facts,
    figures,
    hold,
    lesson_line,
    row,
    short,
    when,
)
from .settings import SettingsError, load_settings
from .store.journal import Journal, LessonRecord
from .store.paths import DataPaths, safe_name
from .verbs import (
    DONE,
    ENGINE,
    LOST,
    USAGE,
    Grammar,
    Misuse,
    Run,
    json_line,
    one_line,
    parse,
    terminal_width,
    write,
)
from .workspace.repository import inspect
from .workspace.visible import visible

if TYPE_CHECKING:
    from .settings import Settings

NEEDS_ID = ("show", "forget", "replay")
GRAMMAR = Grammar(
    verbs=("list", "check", "show", "undo", "forget", "replay", "export"),
    synopsis=(
        "continualcode-tui lessons "
        "[list|check|show ID|undo|forget ID|replay ID|export [FOLDER]] [--json] [key=value ...]"
    ),
    needs=dict.fromkeys(NEEDS_ID, "the id of a lesson; `lessons list` shows them"),
    takes=("export",),
)


def main(arguments: Sequence[str]) -> int:
    """Do what the arguments say and return the exit status."""
    try:
        order = parse(arguments, GRAMMAR)
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
        print(f"continualcode-tui lessons: {visible(str(error))}", file=sys.stderr)
        return USAGE
    return asyncio.run(LessonsRun(settings, Path.cwd(), as_json=order.as_json).go(order.verb, what))


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
                name = visible(path.parent.name)
                print(f"These are lessons of {name}.", file=sys.stderr)
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
        print(visible(notice), file=sys.stderr)
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
        write(*(json_line(row(record)) for record in records))
    elif not records:
        write("No lessons yet in this repository with this model.")
    else:
        write(*table(records, terminal_width()))
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
                one_line(record.lesson.correction),
            )
        )
    if all(line[3] in ("NOW", "-") for line in cells):
        cells = [(*line[:3], *line[4:]) for line in cells]
    return columns(cells, width)


def _show(record: LessonRecord, records: Sequence[LessonRecord], *, as_json: bool) -> int:
    if as_json:
        write(json_line(everything(record)))
        return DONE
    rows = [*facts(record, records), *(figures(record.result) if record.result else [])]
    size = max(len(name) for name, _ in rows)
    write(*(f"{name:<{size}}  {_indented(text, size + 2)}" for name, text in rows))
    tokens = record.result.tokens if record.result else ()
    if tokens:
        write("", "advantage  before   after  teacher  token")
        for token in tokens:
            preferred = token.teacher_token
            instead = f"  (teacher: {preferred!r})" if preferred != token.text else ""
            write(
                f"{token.advantage:>9.3f}  {token.before:>6.3f}  {token.after:>6.3f}  "
                f"{token.teacher:>7.3f}  {visible(token.text)!r}{instead}"
            )
    return DONE


def _indented(text: str, by: int) -> str:
    return visible(text.strip()).replace("\n", "\n" + " " * by)


# --- what needs the worker ----------------------------------------------------------------


class LessonsRun(Run):
    """One verb of `lessons` with the worker, told line by line."""

    def verbs(self, what: str | None) -> Mapping[str, Callable[[], Awaitable[int]]]:
        """What each verb does with the word after it."""
        return {
            "check": self._check,
            "undo": self._undo,
            "forget": lambda: self._forget(what or ""),
            "replay": lambda: self._replay(what or ""),
            "export": lambda: self.export(what),
        }

    async def _check(self) -> int:
        learned = any(record.standing == "learned" for record in self.session.lessons())
        checked = await self.session.check()
        if checked is None:
            return ENGINE if learned else DONE
        records = {record.lesson.id: record for record in self.session.lessons()}
        lost = sum(1 for check in checked.checks if check.holds == "lost")
        if self.as_json:
            for check in checked.checks:
                correction = records[check.lesson].lesson.correction
                self.print({"event": "check", "correction": correction, **check.model_dump()})
            count = len(checked.checks)
            self.print({"event": "done", "lessons": count, "held": count - lost, "lost": lost})
        else:
            write(*table([records[check.lesson] for check in checked.checks], terminal_width()))
        return LOST if lost else DONE

    async def _undo(self) -> int:
        undone = await self.session.undo()
        if undone is None:
            return ENGINE
        self.print({"event": "undone", "lesson": undone.undone_lesson, "snapshot": undone.snapshot})
        return DONE

    async def _forget(self, identifier: str) -> int:
        forgotten = await self.session.forget(identifier)
        if forgotten is None:
            return ENGINE
        proved = [result.lesson for result in forgotten.again if result.outcome == "learned"]
        missing = [result.lesson for result in forgotten.not_proved]
        line = {"event": "forgotten", "lesson": identifier}
        self.print(line | {"proved_again": proved, "not_proved_again": missing})
        return DONE

    async def _replay(self, identifier: str) -> int:
        result = await self.session.replay(identifier)
        return ENGINE if result is None or result.outcome == "failed" else DONE

    def present(self, event: AgentEvent) -> None:
        """Say what came of each lesson, and everything else as any command does."""
        match event:
            case LessonStarted(lesson=lesson):
                self.tell(f"learning “{lesson.correction}”")
            case LessonFinished(lesson=lesson, result=result):
                self.last = ""
                about = {"id": lesson.id, "correction": lesson.correction}
                self.print({**lesson_line(result), **about})
                if not self.as_json:
                    words = f"“{one_line(lesson.correction)}”: {one_line(result.reason)}"
                    write(f"{short(lesson.id)}  {STANDINGS[result.outcome]}  {words}")
            case _:
                super().present(event)
