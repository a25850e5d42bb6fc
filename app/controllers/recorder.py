"""What the controllers say, as records of what the screen shows."""

from __future__ import annotations

from .. import events as said
from ..call_words import cost_of, outcome_of, told_model
from ..store.display import (
    CallShown,
    LessonShown,
    NoticeShown,
    Output,
    OwnShown,
    ResultShown,
    Shown,
    UserShown,
    WordsShown,
)


class Recorder:
    """Turns each event into the record of it; holds nothing but the output of the running call."""

    def __init__(self) -> None:
        self._output = Output()

    def take(self, event: said.AgentEvent) -> Shown | None:
        """The record of an event; None where nothing stays on the screen."""
        match event:
            case said.UserSaid(text=text):
                return UserShown(text=text)
            case said.TurnSampled(text=text) if text.strip():
                return WordsShown(text=text.strip())
            case said.ProposalDecided() | said.ToolOutput() | said.ToolFinished():
                return self._call(event)
            case said.OwnCommandRan():
                return OwnShown(
                    command=event.command,
                    shared=event.shared,
                    output=event.output,
                    ok=event.ok,
                    words=event.words,
                    seconds=event.seconds,
                )
            case said.LessonFinished(lesson=lesson, result=result):
                return LessonShown(
                    lesson=lesson.id,
                    outcome=result.outcome,
                    reason=result.reason,
                    correction=lesson.correction,
                    figures=cost_of(result),
                )
            case _:
                return _notice(event)

    def _call(
        self, event: said.ProposalDecided | said.ToolOutput | said.ToolFinished
    ) -> Shown | None:
        match event:
            case said.ProposalDecided(proposal=proposal, decision=decision, rule=rule):
                self._output = Output()
                outcome, detail = outcome_of(proposal, decision, rule)
                return CallShown(
                    tool=proposal.call.name,
                    title=proposal.preview.title,
                    outcome=outcome,
                    detail=detail,
                )
            case said.ToolOutput(text=text):
                self._output.add(text)
                return None
            case said.ToolFinished(result=result, seconds=seconds):
                output = str(self._output) or str(Output(result.output))
                self._output = Output()
                return ResultShown(output=output, ok=result.ok, seconds=seconds)


def _notice(event: said.AgentEvent) -> NoticeShown | None:
    match event:
        case said.Notice(text=text, severity=severity):
            return NoticeShown(text=text, severity=severity)
        case said.CallRejected(problem=problem):
            return NoticeShown(text=told_model(problem), severity="warning")
        case said.EngineFailed(message=message):
            return NoticeShown(text=message, severity="error")
        case said.TurnFinished(reason=reason) if reason:
            return NoticeShown(text=reason, severity="warning")
        case _:
            return None
