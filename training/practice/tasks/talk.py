"""Small talk and things that a small model cannot do: answered in words."""

from __future__ import annotations

from ...protocol import ToolCall
from ..wording import say
from .base import Choice, Task, bash

KINDS = {"talk-hello": 0.2, "talk-who": 0.2, "talk-thanks": 0.15, "talk-cannot": 0.45}


class Talk(Task):
    """A message that no tool answers."""

    family = "talk"

    def prepare(self) -> None:
        """Draw a message and its answer."""
        names = self.names
        kind = names.rng.choices(list(KINDS), list(KINDS.values()))[0]
        slots = {
            "word": names.word(),
            "other": names.word(),
            "number": str(names.rng.randint(2, 99)),
        }
        self.request = say(kind, names, slots)
        if names.chance(0.3):
            self.request = self.request[0].upper() + self.request[1:]
        self.reply = say(f"{kind}-answer", names)

    def answer(self, choice: Choice) -> ToolCall:
        """There is no call; ``reply`` is what the model says."""
        return bash("true")

    def result(self, call: ToolCall) -> str:
        """There is no result either."""
        return ""

    def closing(self, call: ToolCall, result: str) -> str:
        """The answer in words."""
        return self.reply
