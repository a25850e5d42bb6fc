"""What a conversation holds: one plain record per entry, whether it is on the screen or not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

if TYPE_CHECKING:
    from .heatmap import TokenCell

CallOutcome = Literal["waiting", "approved", "denied", "edited", "rule", "stopped", "own"]
Severity = Literal["information", "warning", "error"]

# What a tool printed beyond this is not kept on the screen.
MOST_OUTPUT = 200_000


@dataclass(frozen=True, slots=True)
class UserRecord:
    """What the user said."""

    text: str


@dataclass(frozen=True, slots=True)
class AssistantRecord:
    """What the model said, as Markdown."""

    text: str = ""


@dataclass(frozen=True, slots=True)
class CallRecord:
    """A call, what was decided about it, what it printed and how it went.

    ``ok`` is None until the call has run.
    """

    tool: str
    title: str
    outcome: CallOutcome = "waiting"
    detail: str = ""
    output: str = ""
    ok: bool | None = None
    seconds: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class LessonRecord:
    """What came of a lesson, with its tokens for the heatmap."""

    outcome: str
    reason: str
    correction: str = ""
    figures: str = ""
    tokens: tuple[TokenCell, ...] = ()


@dataclass(frozen=True, slots=True)
class NoticeRecord:
    """One sentence from the program."""

    text: str
    severity: Severity = "information"


Record = UserRecord | AssistantRecord | CallRecord | LessonRecord | NoticeRecord
Shown = TypeVar("Shown")


@dataclass(slots=True, eq=False)
class Slot(Generic[Shown]):
    """The place of one record in the conversation, and what shows it while it is in view."""

    record: Record
    widget: Shown | None = None
    opened: bool = False


class TranscriptModel(Generic[Shown]):
    """The records of a conversation, oldest first, and which of them are calls by number."""

    def __init__(self) -> None:
        self.slots: list[Slot[Shown]] = []
        self._numbered: dict[int, Slot[Shown]] = {}
        self._newest_call: Slot[Shown] | None = None

    def __len__(self) -> int:
        return len(self.slots)

    def load(self, records: Iterable[Record]) -> None:
        """Hold these records and no others."""
        self.slots = [Slot(record) for record in records]
        self._numbered.clear()
        self._newest_call = next(
            (slot for slot in reversed(self.slots) if isinstance(slot.record, CallRecord)), None
        )

    def add(self, record: Record, number: int | None = None) -> Slot[Shown]:
        """Add a record at the end; a call may be given a number."""
        slot: Slot[Shown] = Slot(record)
        self.slots.append(slot)
        if isinstance(record, CallRecord):
            self._newest_call = slot
            if number is not None:
                self._numbered[number] = slot
        return slot

    def index(self, slot: Slot[Shown]) -> int:
        """Give the place of a slot, which is looked for from the end."""
        for index in range(len(self.slots) - 1, -1, -1):
            if self.slots[index] is slot:
                return index
        raise ValueError("the slot is not in the conversation")

    def call(self, number: int | None = None) -> tuple[Slot[Shown], CallRecord] | None:
        """Give the call with a number, or else the newest one."""
        slot = self._newest_call if number is None else self._numbered.get(number)
        if slot is None or not isinstance(slot.record, CallRecord):
            return None
        return slot, slot.record

    def lessons(self) -> Iterator[tuple[Slot[Shown], LessonRecord]]:
        """Give the lessons, oldest first."""
        for slot in self.slots:
            if isinstance(slot.record, LessonRecord):
                yield slot, slot.record

    def answers(self) -> Iterator[str]:
        """Give what the model said, newest first."""
        for slot in reversed(self.slots):
            if isinstance(slot.record, AssistantRecord) and slot.record.text.strip():
                yield slot.record.text

    def outputs(self) -> Iterator[str]:
        """Give what calls printed, newest first."""
        for slot in reversed(self.slots):
            if isinstance(slot.record, CallRecord) and slot.record.output.strip():
                yield slot.record.output


def with_output(record: CallRecord, text: str) -> CallRecord:
    """Append to what a call printed, as far as there is room."""
    room = MOST_OUTPUT - len(record.output)
    return replace(record, output=record.output + text[:room]) if room > 0 else record
