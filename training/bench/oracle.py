"""Who is right: an answer is judged by the call in it, never by its wording."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from ..protocol import ChatMessage, ToolCall

Verdict = Literal["wanted", "denied", "other"]
_CALL = re.compile(r"<tool_call>\n(.*)\n</tool_call>", re.DOTALL)


class Plain(BaseModel):
    """A record that is written to a file and read back."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Request(Plain):
    """A conversation up to an answer, and the calls that follow the rule or break it.

    ``wanted`` and ``denied`` are calls in their canonical form; ``right`` is the one wanted call
    that changes nothing else, and ``correction`` what a user says to the denied one. A near miss
    has neither: ``answer`` is the base's call, which the rule must leave alone. In a ``settled``
    one the user's own words ask for the denied way, and ``plain`` is the request without them;
    where the base does not heed such words it is ``unheard``.
    """

    kind: Literal["corrected", "paraphrase", "other", "task", "settled", "unheard"]
    messages: tuple[ChatMessage, ...]
    correction: str = ""
    right: ToolCall | None = None
    wanted: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    answer: str = ""
    result: str = ""
    closing: str = ""
    plain: tuple[ChatMessage, ...] = ()


class BenchCase(Plain):
    """One rule: the corrected request, others of its kind, and requests that it is not about.

    ``prior`` is the student's probability of the right call, over the tokens that are not its
    own first choice. ``irrelevant`` is a correction that has nothing to do with the request.
    """

    seed: int
    number: int
    family: str
    option: str
    value: str
    denied_value: str
    corrected: Request
    others: tuple[Request, ...]
    near: tuple[Request, ...]
    further: tuple[Request, ...]
    irrelevant: str
    prior: float = 0.0


def parse_call(answer: str) -> ToolCall | None:
    """The call in an answer, if the answer is a call and nothing else."""
    found = _CALL.fullmatch(answer.strip())
    if not found:
        return None
    try:
        return ToolCall.model_validate(json.loads(found[1]))
    except ValueError:
        return None


def canonical(call: ToolCall) -> str:
    """The one way to write a call down."""
    plain: dict[str, Any] = {"name": call.name, "arguments": call.arguments}
    return json.dumps(plain, sort_keys=True, ensure_ascii=False)


def canonical_answer(answer: str) -> str:
    """The call in an answer in its canonical form, or the words of an answer without one."""
    call = parse_call(answer)
    return canonical(call) if call else " ".join(answer.split())


def judge(request: Request, answer: str) -> Verdict:
    """Whether an answer follows the rule, does what was denied, or neither."""
    said = canonical_answer(answer)
    if said in request.wanted:
        return "wanted"
    return "denied" if said in request.denied else "other"


def unchanged(request: Request, answer: str) -> bool:
    """Whether a near miss is answered as the base answers it."""
    return canonical_answer(answer) == request.answer
