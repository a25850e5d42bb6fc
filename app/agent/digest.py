"""What stays of older exchanges when a conversation is shortened: a few lines for each."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from ...training.protocol import ChatMessage, ToolCall

EDITED = "[the user edited this call before it ran]"
DENIED = "denied by the user: "
DIGEST_HEAD = "Earlier in this conversation, in short:"
LEFT_OUT = "- (what came before is left out)"
EXIT = re.compile(r"\[(exit -?\d+|stopped after [\d.]+ s)\]$")
LONGEST = 160
LONGEST_CORRECTION = 400


@dataclass(slots=True)
class Turn:
    """One turn of the model and what it was answered, if anything yet."""

    assistant: ChatMessage
    answer: ChatMessage | None = None


@dataclass(slots=True)
class Exchange:
    """A request of the user and the turns that followed it."""

    request: ChatMessage
    turns: list[Turn] = field(default_factory=list)

    def messages(self) -> list[ChatMessage]:
        """Return the exchange in order."""
        flat = [self.request]
        for turn in self.turns:
            flat.append(turn.assistant)
            if turn.answer is not None:
                flat.append(turn.answer)
        return flat


def split_turns(exchanges: Sequence[Exchange], turns: int) -> tuple[list[Exchange], list[Exchange]]:
    """Part exchanges into those with the newest turns and the older rest.

    The newest request always stays; an exchange is parted where the limit falls into it.
    """
    newest: list[Exchange] = []
    older: list[Exchange] = []
    for exchange in reversed(exchanges):
        cut = max(0, len(exchange.turns) - turns)
        if newest and turns <= 0:
            older.append(exchange)
            continue
        newest.append(Exchange(exchange.request, exchange.turns[cut:]))
        if cut:
            older.append(Exchange(exchange.request, exchange.turns[:cut]))
        turns -= len(exchange.turns) - cut
    return newest[::-1], older[::-1]


def digest(exchanges: Sequence[Exchange]) -> list[str]:
    """The requests, the calls with their outcomes, the corrections and the words, a line each."""
    lines: list[str] = []
    for exchange in exchanges:
        lines.append(f"- asked: {_short(exchange.request.content)}")
        for turn in exchange.turns:
            lines += _turn_lines(turn)
    return lines


def fit(lines: Sequence[str], limit: int) -> list[str]:
    """As many of the newest lines as fit; those with corrections stay longest."""
    kept = [line for line in lines if line != LEFT_OUT]
    cut = len(kept) < len(lines)
    excess = sum(len(line) + 1 for line in lines) - limit
    if excess > 0 and not cut:
        excess += len(LEFT_OUT) + 1
    for spare in (lambda line: DENIED not in line, lambda _: True):
        at = 0
        while excess > 0 and at < len(kept):
            if spare(kept[at]):
                excess -= len(kept.pop(at)) + 1
                cut = True
            else:
                at += 1
    return [LEFT_OUT, *kept] if cut else kept


def _turn_lines(turn: Turn) -> list[str]:
    words = turn.assistant.content.strip()
    calls = turn.assistant.tool_calls
    lines = [f"  - called {_call(call)}: {_outcome(call.name, turn.answer)}" for call in calls]
    if words and not calls:
        lines.append(f"  - answered: {_short(words)}")
    return lines


def _call(call: ToolCall) -> str:
    return _short(f"{call.name} {json.dumps(call.arguments, ensure_ascii=False)}")


def _outcome(tool: str, answer: ChatMessage | None) -> str:
    """How a call ended, in our own words only: what a file says must not be taken for them."""
    if answer is None:
        return "no answer"
    text = answer.content
    if text.startswith(DENIED):
        return f"{DENIED}{_short(text.removeprefix(DENIED), LONGEST_CORRECTION)}"
    edited = text.startswith(EDITED)
    text = text.removeprefix(EDITED).strip()
    said = "done"
    if tool == "bash":
        ended = EXIT.search(text)
        said = ended.group(1) if ended else "no exit status"
    elif text.startswith("error:"):
        said = _short(text)
    return f"edited by the user, {said}" if edited else said


def _short(text: str, limit: int = LONGEST) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
