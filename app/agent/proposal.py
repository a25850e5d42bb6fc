"""A proposed call and what the user decided about it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ...training.protocol import ChatMessage, Completion, ToolCall
from ..tools.base import Preview


def fingerprint(call: ToolCall, preview: Preview) -> str:
    """SHA-256 of a call as it is shown: the tool, every argument and what it would do."""
    shown = json.dumps([call.name, call.arguments, asdict(preview)], sort_keys=True)
    return hashlib.sha256(shown.encode("ascii")).hexdigest()


@dataclass(frozen=True, slots=True)
class Proposal:
    """A call parsed from a completion, with the messages it was sampled from.

    ``sha256`` is the fingerprint of what is shown; nothing else is run.
    """

    number: int
    call: ToolCall
    preview: Preview
    completion: Completion
    messages: tuple[ChatMessage, ...]
    text: str = ""
    retry: bool = False
    sha256: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sha256", fingerprint(self.call, self.preview))


@dataclass(frozen=True, slots=True)
class Approve:
    """Run the call; ``always`` remembers exactly this call for the session.

    ``for_good`` remembers it in this repository beyond the session. ``shown`` is the fingerprint
    of what was on the screen, where there is one.
    """

    always: bool = False
    for_good: bool = False
    shown: str = ""


@dataclass(frozen=True, slots=True)
class Deny:
    """Do not run the call; learn from the correction."""

    correction: str


@dataclass(frozen=True, slots=True)
class Edit:
    """Run the call with these arguments instead; learn from the difference.

    ``shown`` is what the edited call was said to do, where that was on the screen.
    """

    arguments: Mapping[str, Any] = field(default_factory=dict)
    shown: Preview | None = None


Decision = Approve | Deny | Edit
