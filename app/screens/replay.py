"""A resumed conversation, put on the screen again from what was kept of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...training.protocol import TokenReport
from ...widgets.conversation import Conversation
from ..store.display import (
    CallShown,
    LessonShown,
    NoticeShown,
    ResultShown,
    Shown,
    UserShown,
    WordsShown,
)
from .learning import token_cells

MOST_RECORDS = 400


def show_records(
    conversation: Conversation,
    records: Sequence[Shown],
    tokens: Mapping[str, Sequence[TokenReport]],
) -> None:
    """Show the newest records; ``tokens`` are those of each lesson, by its id."""
    left_out = len(records) - MOST_RECORDS
    if left_out > 0:
        conversation.add_notice(f"{left_out:,} earlier entries are kept and not shown here.")
    open_call = False
    for record in records[max(0, left_out) :]:
        if isinstance(record, ResultShown):
            open_call = False
        elif open_call and not isinstance(record, LessonShown):
            # The program ended while the call ran.
            conversation.end_call(False, note="cut short")
            open_call = False
        if isinstance(record, CallShown):
            open_call = record.outcome != "denied"
        _show(conversation, record, tokens)
    if open_call:
        conversation.end_call(False, note="cut short")


def _show(
    conversation: Conversation, record: Shown, tokens: Mapping[str, Sequence[TokenReport]]
) -> None:
    match record:
        case UserShown():
            conversation.add_user(record.text)
        case WordsShown():
            conversation.end_assistant(record.text)
        case CallShown():
            conversation.add_call(record.tool, record.title, record.outcome, record.detail)
        case ResultShown():
            conversation.add_output(record.output)
            conversation.end_call(record.ok, record.seconds)
        case LessonShown():
            conversation.add_lesson(
                record.outcome,
                record.reason,
                correction=record.correction,
                figures=record.figures,
                tokens=token_cells(tokens.get(record.lesson, ())),
            )
        case NoticeShown():
            conversation.add_notice(record.text, record.severity)
