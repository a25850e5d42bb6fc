"""A resumed conversation, put on the screen again from what was kept of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ...training.protocol import TokenReport
from ...widgets import transcript_model as shown
from ..store.display import (
    CallShown,
    LessonShown,
    NoticeShown,
    OwnShown,
    ResultShown,
    Shown,
    UserShown,
    WordsShown,
)
from .learning import token_cells

Tokens = Mapping[str, Sequence[TokenReport]]


def as_entries(records: Iterable[Shown], tokens: Tokens) -> list[shown.Record]:
    """Make entries of the records; ``tokens`` are those of each lesson, by its id."""
    entries: list[shown.Record] = []
    running: int | None = None
    for record in records:
        if isinstance(record, ResultShown):
            _end_call(entries, running, record)
            running = None
            continue
        if isinstance(record, UserShown | WordsShown | CallShown):
            _end_call(entries, running)
            running = None
        if isinstance(record, CallShown) and record.outcome != "denied":
            running = len(entries)
        entries.append(_entry(record, tokens))
    _end_call(entries, running)
    return entries


def _end_call(
    entries: list[shown.Record], running: int | None, result: ResultShown | None = None
) -> None:
    """Say how a call went; without a result the program ended while it ran."""
    call = entries[running] if running is not None else None
    if running is None or not isinstance(call, shown.CallRecord):
        return
    if result is None:
        entries[running] = replace(call, ok=False, note="cut short")
    else:
        output = result.output
        entries[running] = replace(call, output=output, ok=result.ok, seconds=result.seconds)


def _entry(record: Shown, tokens: Tokens) -> shown.Record:
    match record:
        case UserShown():
            return shown.UserRecord(record.text)
        case WordsShown():
            return shown.AssistantRecord(record.text)
        case CallShown():
            return shown.CallRecord(record.tool, record.title, record.outcome, record.detail)
        case OwnShown():
            return _own(record)
        case LessonShown():
            return shown.LessonRecord(
                record.outcome,
                record.reason,
                correction=record.correction,
                figures=record.figures,
                tokens=tuple(token_cells(tokens.get(record.lesson, ()))),
            )
        case NoticeShown():
            return shown.NoticeRecord(record.text, record.severity)
        case ResultShown():
            raise ValueError("a result is part of its call")


def _own(record: OwnShown) -> shown.CallRecord:
    stopped = record.words == "stopped"
    return shown.CallRecord(
        "!!" if record.shared else "!",
        record.command,
        "stopped" if stopped else "own",
        output=record.output,
        ok=record.ok or stopped,
        seconds=record.seconds,
        note="" if stopped else record.words,
    )
