"""Which conversation the screen opens with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Opening:
    """A new conversation, or the saved one with this id, or one chosen from the list."""

    resume: str = ""
    choose: bool = False


NEW = Opening()
