"""Lessons in words and figures, the same for the interface and for `lessons`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from ..training.adapter_messages import is_import
from ..training.protocol import Completion, LessonResult
from .agent.parser import parse_turn
from .store.records import LessonRecord, Standing

SHORT = 8
STANDINGS: dict[Standing, str] = {
    "pending": "not finished",
    "learned": "learned",
    "gated": "nothing to learn",
    "in_context_only": "in context only",
    "rolled_back": "rolled back",
    "failed": "failed",
    "undone": "undone",
    "forgotten": "forgotten",
}
MEANINGS: dict[Standing, str] = {
    "pending": "not finished",
    "learned": "learned: a retry that did not see the correction followed it",
    "gated": "nothing to learn: the correction changed nothing where it matters",
    "in_context_only": "in context only: the weights are as they were",
    "rolled_back": "rolled back: it would have harmed other answers",
    "failed": "failed: the weights are as they were",
    "undone": "undone by you",
    "forgotten": "forgotten: taken out by you, and the later lessons learned again",
}


def short(identifier: str) -> str:
    """The beginning of an id, by which people name it."""
    return identifier[:SHORT]


def when(time: float) -> str:
    """A time as people write it."""
    try:
        return datetime.fromtimestamp(time).astimezone().strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):  # no clock says so, but a damaged file may
        return "an unknown time"


def hold(record: LessonRecord) -> str:
    """Whether a learned lesson holds, in a few words; empty where it was not asked."""
    check = record.check
    if record.standing != "learned" or check is None:
        return ""
    if check.holds == "call":
        return "holds"
    if check.holds == "decision":
        return "decision holds"
    if len(check.suspects) != 1:
        return "lost"
    only = check.suspects[0]
    return "lost to an import" if is_import(only) else f"lost to {short(only)}"


def hold_sentence(record: LessonRecord, records: Iterable[LessonRecord]) -> str:
    """The same at length, with the words of the later lesson."""
    check = record.check
    if record.standing != "learned" or check is None:
        return ""
    chance = f"p(decision) = {check.probability:.3g}"
    if check.holds == "call":
        return f"holds: the same call without the correction, {chance}"
    if check.holds == "decision":
        return f"the decision holds, the rest of the call has changed, {chance}"
    corrections = {each.lesson.id: each.lesson.correction for each in records}
    names = [
        "an imported adapter"
        if is_import(name)
        else f"{short(name)} \u201c{corrections.get(name, '?')}\u201d"
        for name in check.suspects
    ]
    if not names:
        return f"lost, unknown to which later lesson, {chance}"
    if len(names) == 1:
        return f"lost to {names[0]}, {chance}"
    return f"lost to one of {', '.join(names)}; the snapshots between are pruned, {chance}"


def call_words(text: str) -> str:
    """The call in a turn on one line, or the turn where it holds none."""
    call = parse_turn(text).call
    return f"{call.name} {json.dumps(call.arguments)}" if call else text


def call_text(text: str) -> str:
    """The call in a turn with one argument a line, to be compared; else the turn."""
    call = parse_turn(text).call
    if call is None:
        return text.strip() + "\n"
    lines = [call.name]
    for name, value in call.arguments.items():
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if "\n" in shown:
            lines += [f"{name}:", *(f"  {line}" for line in shown.removesuffix("\n").split("\n"))]
        else:
            lines.append(f"{name}: {shown}")
    return "\n".join(lines) + "\n"


def call_in_short(text: str) -> str:
    """The call in a turn as a few words: the tool and what it is given."""
    call = parse_turn(text).call
    if call is None:
        return " ".join(text.split())
    return " ".join([call.name, *(" ".join(str(each).split()) for each in call.arguments.values())])


def outcome_line(record: LessonRecord) -> str:
    """Outcome, present standing and proof of a lesson on one line."""
    result = record.result
    words = STANDINGS[record.standing]
    if record.standing in ("undone", "forgotten") and result and result.outcome == "learned":
        words = f"learned, then {words}"
    retry = result.retry if result else None
    name = "proof" if result and result.proved else "retry"
    parts = [words, hold(record), f"{name}: {call_in_short(retry.text)}" if retry else ""]
    return " · ".join(part for part in parts if part)


def matches(record: LessonRecord, outcome: str, wanted: str) -> bool:
    """Whether every word that is wanted stands in a lesson's correction, request or outcome."""
    words = wanted.casefold().split()
    text = f"{record.lesson.correction} {request_of(record)} {outcome}".casefold() if words else ""
    return all(word in text for word in words)


def request_of(record: LessonRecord) -> str:
    """What the user had asked for."""
    messages = reversed(record.lesson.messages)
    return next((message.content for message in messages if message.role == "user"), "")


def row(record: LessonRecord) -> dict[str, Any]:
    """A lesson as one line of `lessons list --json`."""
    result = record.result
    return {
        "id": record.lesson.id,
        "time": record.time,
        "standing": record.standing,
        "kind": record.lesson.kind,
        "correction": record.lesson.correction,
        "steps": len(result.steps) if result else 0,
        "kl": result.kl if result else None,
        "check": record.check.model_dump(exclude={"lesson"}) if record.check else None,
    }


def everything(record: LessonRecord) -> dict[str, Any]:
    """A lesson with all that the journal holds of it, as `lessons show --json` says it."""
    lesson, result = record.lesson, record.result
    denied = parse_turn(lesson.completion.text).call
    return {
        **row(record),
        "request": request_of(record),
        "denied": {
            "tool": denied.name if denied else None,
            "arguments": denied.arguments if denied else {},
            "text": lesson.completion.text,
        },
        "notes": list(lesson.notes),
        "solution": lesson.solution.model_dump() if lesson.solution else None,
        "tool_output": lesson.tool_output,
        "attempts": record.attempts,
        "retry": call_in(result.retry) if result else None,
        "result": result.model_dump(exclude={"retry", "lesson"}) if result else None,
    }


def facts(record: LessonRecord, records: Iterable[LessonRecord]) -> list[tuple[str, str]]:
    """A lesson as rows of a name and its words; ``records`` are those that it may name."""
    lesson, result = record.lesson, record.result
    rows = [
        ("id", lesson.id),
        ("when", when(record.time)),
        ("request", request_of(record)),
        ("denied" if lesson.kind == "deny" else "edited", call_words(lesson.completion.text)),
        ("correction", lesson.correction),
        *(("note", note) for note in lesson.notes),
    ]
    if lesson.solution is not None:
        call = lesson.solution
        rows.append(("you ran", f"{call.name} {json.dumps(call.arguments)}"))
    rows.append(("standing", MEANINGS[record.standing]))
    held = hold_sentence(record, records)
    if held:
        rows.append(("now", held))
        if record.check is not None and record.check.holds != "call":
            rows.append(("now says", call_words(record.check.answer)))
    if result is not None:
        rows.append(("why", result.reason))
        if result.retry is not None:
            name = "proof" if result.proved else "retry"
            rows.append((name, call_words(result.retry.text)))
    return rows


def figures(result: LessonResult) -> list[tuple[str, str]]:
    """Every figure of a lesson that there is."""
    guard = result.guard
    named: list[tuple[str, float | None, str]] = [
        ("loss", result.loss, "nats"),
        ("KL", result.kl, "nats an answer on unrelated requests"),
        ("gate", result.gate, "nats against a neutral text"),
        ("guard KL", guard.kl if guard else None, "nats an answer"),
        ("unchanged", guard.agreement if guard else None, "of the probes"),
        ("entropy", guard.entropy_ratio if guard else None, "times what it was"),
        ("time", result.seconds or None, "s"),
    ]
    rows = [("steps", str(len(result.steps)))]
    rows += [(name, f"{value:.4g} {unit}") for name, value, unit in named if value is not None]
    stages = [f"{name} {seconds:.2g} s" for name, seconds in result.stages.items()]
    if stages:
        rows.append(("stages", ", ".join(stages)))
    if result.snapshot:
        rows.append(("snapshot", result.snapshot))
    return rows


def lesson_line(result: LessonResult) -> dict[str, Any]:
    """What `exec` and `lessons --json` say of a lesson."""
    return {
        "event": "lesson",
        "outcome": result.outcome,
        "steps": len(result.steps),
        "loss": result.loss,
        "kl": result.kl,
        "guard": result.guard.model_dump() if result.guard else None,
        "seconds": result.seconds,
        "proof": call_in(result.retry) if result.proved else None,
        "tokens": [
            {
                "text": token.text,
                "advantage": token.advantage,
                "before": token.before,
                "after": token.after,
            }
            for token in result.tokens
        ],
        "reason": result.reason,
        "stages": result.stages,
        "retry": result.retry.text if result.retry else None,
    }


def call_in(completion: Completion | None) -> dict[str, Any] | None:
    """The context-free retry as a call, where it is one."""
    if completion is None:
        return None
    turn = parse_turn(completion.text)
    name = turn.call.name if turn.call else None
    arguments = turn.call.arguments if turn.call else {}
    return {"tool": name, "arguments": arguments, "text": completion.text}


def finite(value: Any) -> Any:
    """Make numbers that JSON does not have into null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value
