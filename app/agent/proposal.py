"""A proposed call and what the user decided about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...training.protocol import ChatMessage, Completion, ToolCall
from ..tools.base import Preview


@dataclass(frozen=True, slots=True)
class Proposal:
    """A call parsed from a completion, with the messages it was sampled from."""

    number: int
    call: ToolCall
    preview: Preview
    completion: Completion
    messages: tuple[ChatMessage, ...]
    text: str = ""
    retry: bool = False


@dataclass(frozen=True, slots=True)
class Approve:
    """Run the call; ``always`` remembers exactly this call for the session.

    ``for_good`` remembers it in this repository beyond the session.
    """

    always: bool = False
    for_good: bool = False


@dataclass(frozen=True, slots=True)
class Deny:
    """Do not run the call; learn from the correction."""

    correction: str


@dataclass(frozen=True, slots=True)
class Edit:
    """Run the call with these arguments instead; learn from the difference."""

    arguments: Mapping[str, Any] = field(default_factory=dict)


Decision = Approve | Deny | Edit
