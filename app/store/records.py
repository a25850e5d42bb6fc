"""Where each lesson stands, as the entries of the journal say one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from ...training.protocol import Lesson, LessonCheck, LessonResult
from .entries import (
    AttemptEntry,
    CheckEntry,
    Entry,
    ForgettingEntry,
    ForgottenEntry,
    LessonEntry,
    RestoredEntry,
    ResultEntry,
    SwitchedEntry,
    UndoneEntry,
)

Standing = Literal[
    "pending",
    "learned",
    "gated",
    "in_context_only",
    "rolled_back",
    "failed",
    "undone",
    "forgotten",
]


@dataclass(frozen=True, slots=True)
class LessonRecord:
    """A lesson and where it stands; ``saved`` is false while it is not on disk.

    ``check`` is the newest since it was learned.
    """

    lesson: Lesson
    time: float
    standing: Standing = "pending"
    attempts: int = 0
    result: LessonResult | None = None
    saved: bool = True
    check: LessonCheck | None = None

    @property
    def lost(self) -> bool:
        """Whether it was learned and no longer holds, as far as is known."""
        return self.standing == "learned" and self.check is not None and self.check.holds == "lost"


class Records:
    """The lessons as they stand after so many entries."""

    def __init__(self) -> None:
        self.lessons: dict[str, LessonRecord] = {}
        self.learned: list[str] = []
        self.unchecked = 0
        self.forgetting: ForgettingEntry | None = None
        self.unknown: list[str] = []
        """Lessons of which an entry tells and that no entry holds."""
        self._proofs: dict[str, LessonResult] = {}
        self._before: tuple[dict[str, LessonRecord], list[str]] | None = None

    def take_up(self, entry: Entry, *, saved: bool = True) -> None:
        """Bring the lessons to where the entry says they are."""
        if isinstance(entry, LessonEntry):
            record = LessonRecord(entry.lesson, entry.time, saved=saved)
            self.lessons[entry.lesson.id] = record
            return
        if isinstance(entry, CheckEntry):
            self._take_up_check(entry)
            return
        if isinstance(entry, SwitchedEntry):
            self._take_up_switch(entry)
            return
        if isinstance(entry, ForgettingEntry):
            self.forgetting = entry
            self._before = dict(self.lessons), list(self.learned)
            return
        if isinstance(entry, ForgottenEntry | RestoredEntry):
            if isinstance(entry, RestoredEntry) and self._before is not None:
                self._restore(*self._before)
            self.forgetting = self._before = None
        if not isinstance(entry, RestoredEntry):
            self._take_up_standing(entry)

    def mark_saved(self, entry: Entry) -> None:
        """Say that an entry is on disk."""
        if isinstance(entry, LessonEntry):
            record = self.lessons[entry.lesson.id]
            self.lessons[entry.lesson.id] = replace(record, saved=True)

    def _take_up_standing(
        self, entry: AttemptEntry | ResultEntry | UndoneEntry | ForgottenEntry
    ) -> None:
        for record in self._find(entry):
            fresh = replace(record, check=None)
            if isinstance(entry, AttemptEntry):
                after = replace(fresh, attempts=entry.attempt, standing="pending", result=None)
            elif isinstance(entry, ResultEntry):
                after = replace(fresh, standing=entry.result.outcome, result=entry.result)
                self.unchecked += after.standing == "learned"
                if after.standing == "learned" and entry.result.snapshot is not None:
                    self._proofs[entry.result.snapshot] = entry.result
            else:
                undone = isinstance(entry, UndoneEntry)
                after = replace(fresh, standing="undone" if undone else "forgotten")
                self._forget_checks()
            self._stand(after)

    def _restore(self, lessons: dict[str, LessonRecord], learned: list[str]) -> None:
        """Everything as it was; a lesson that came since is kept, though the adapter lacks it."""
        for identifier, record in self.lessons.items():
            if identifier not in lessons:
                lost = record.standing == "learned"
                lessons[identifier] = replace(record, standing="undone") if lost else record
        self.lessons, self.learned = lessons, learned

    def _take_up_switch(self, entry: SwitchedEntry) -> None:
        self._forget_checks()
        for identifier in entry.gone:
            if identifier in self.learned:
                self._stand(replace(self.lessons[identifier], standing="undone"))
        for identifier, snapshot in entry.again.items():
            record = self.lessons.get(identifier)
            if record is not None:
                proof = self._proofs.get(snapshot)
                self._stand(replace(record, standing="learned", result=proof))

    def _forget_checks(self) -> None:
        """What was lost to a lesson that is gone may hold again."""
        for identifier, record in self.lessons.items():
            self.lessons[identifier] = replace(record, check=None)

    def _take_up_check(self, entry: CheckEntry) -> None:
        self.unchecked = 0
        for check in entry.checked.checks:
            record = self.lessons.get(check.lesson)
            if record is not None and record.standing == "learned":
                self.lessons[check.lesson] = replace(record, check=check)

    def _stand(self, record: LessonRecord) -> None:
        identifier = record.lesson.id
        self.lessons[identifier] = record
        if identifier in self.learned:
            self.learned.remove(identifier)
        if record.standing == "learned":
            self.learned.append(identifier)

    def _find(
        self, entry: AttemptEntry | ResultEntry | UndoneEntry | ForgottenEntry
    ) -> Iterator[LessonRecord]:
        identifier = entry.result.lesson if isinstance(entry, ResultEntry) else entry.lesson
        record = self.lessons.get(identifier)
        if record is not None:
            yield record
        elif identifier not in self.unknown:
            self.unknown.append(identifier)
