"""Adapters in words, the same for the interface and for `adapters`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..training.adapter_messages import BASE, AdapterList, AdapterSnapshot, is_import
from ..training.protocol import Undone
from .lesson_words import short, when
from .store.journal import LessonRecord

OFF = "The adapter is off; /adapter on turns it on again."
TURNED_OFF = (
    "The adapter is off: answers come from the base model and nothing is learned until /adapter on."
)
TURNED_ON = "The adapter is on again, as it was."


def counted(count: int, singular: str, plural: str) -> str:
    """A number of things, the one of them in a word."""
    return f"one {singular}" if count == 1 else f"{count} {plural}"


def standing(*, enabled: bool, snapshot: str | None, lessons: int) -> str:
    """What `/adapter` says: on or off, which snapshot, how many lessons."""
    state = "on" if enabled else "off (answers come from the base model and nothing is learned)"
    if snapshot is None:
        return f"The adapter is {state} and empty: the model is as it came."
    held = counted(lessons, "lesson", "lessons") if lessons else "no lesson"
    return f"The adapter is {state}: snapshot {snapshot}, with {held}."


def taken_back(undone: Undone) -> list[str]:
    """The lessons that the adapter holds no longer, oldest first."""
    gone = dict.fromkeys(undone.undone_lessons)
    return [name for name in gone if not is_import(name) and name not in undone.again]


def place(snapshot: AdapterSnapshot) -> str:
    """How a snapshot stands to the current one, in a word or two."""
    if snapshot.current:
        return "current"
    where = "below it" if snapshot.in_use else "aside"
    return f"{where}, pruned" if snapshot.pruned else where


def table(listed: AdapterList, records: Iterable[LessonRecord]) -> list[tuple[str, ...]]:
    """The cells of what is kept, oldest first, below a line of headings."""
    corrections = {record.lesson.id: record.lesson.correction for record in records}
    cells = [("SNAPSHOT", "WHEN", "PLACE", "AFTER")]
    nothing = "current" if listed.current is None else "below it"
    cells.append((BASE, "-", nothing, "the model as it came"))
    for each in listed.snapshots:
        after = "an imported adapter" if is_import(each.lesson) else corrections.get(each.lesson)
        words = " ".join((after or f"lesson {short(each.lesson)}").split())
        cells.append((each.id, when(each.created), place(each), words))
    return cells


def rows(listed: AdapterList, records: Iterable[LessonRecord]) -> list[dict[str, Any]]:
    """The same, a snapshot a line, for `adapters list --json`."""
    corrections = {record.lesson.id: record.lesson.correction for record in records}
    return [
        {
            "id": each.id,
            "parent": each.parent,
            "time": each.created,
            "imported": is_import(each.lesson),
            "lesson": None if is_import(each.lesson) else each.lesson,
            "correction": corrections.get(each.lesson),
            **each.model_dump(include={"current", "in_use", "pruned", "rank", "targets", "scope"}),
        }
        for each in listed.snapshots
    ]
