"""Small talk and things that a small model cannot do: answered in words."""

from __future__ import annotations

from ...protocol import ToolCall
from ..wording import ask, say
from .arithmetic import drawn_term, wrong_number
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


class Values(Talk):
    """Small sums, claimed or asked for: the arithmetic behind repairing a test."""

    family = "values"

    def prepare(self) -> None:
        """Draw some terms, some of them with a wrong claim."""
        names = self.names
        size = names.rng.choice((1, 2, 3, 4, 5, 6))
        drawn = [drawn_term(names) for _ in range(size)]
        self.reply = ", ".join(f"{term} == {value}" for term, value in drawn)
        if names.chance(0.65):
            claims = [
                f"{term} == {wrong_number(names, value) if names.chance(0.6) else value}"
                for term, value in drawn
            ]
            self.request = ask(self.sentence("values", claims=", ".join(claims)), names, plain=True)
        else:
            terms = ", ".join(term for term, _ in drawn)
            self.request = ask(self.sentence("values-open", terms=terms), names, plain=True)
