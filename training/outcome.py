"""What comes of a lesson, in words, and what is kept of one that was learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .case import MINIMUM_CONTRAST
from .manifest import Replay
from .stepper import enough_of

if TYPE_CHECKING:
    from .case import Case
    from .protocol import Lesson

NOT_FINITE = "The step was not finite, so the weights were put back."
NOT_FOLLOWED = (
    "The retry did not come to follow the correction by itself, so the weights were put back; the "
    "correction stays in view."
)


def nothing_to_learn(case: Case, temperature: float) -> str:
    """Why the gate closes; empty where there is something to learn."""
    position = case.denied.decision
    if position is None:
        return (
            "With the correction in view the model would still give the same answer, so there is "
            "nothing to learn from it."
        )
    if case.gate < MINIMUM_CONTRAST:
        return (
            "The correction changes the answer no more than any other text would, so there is "
            "nothing to learn from it."
        )
    token = case.denied.wanted(position)
    taught = float(case.denied.teacher[position][token].exp())
    surely = float(case.student[position][token].exp()) >= enough_of(taught, temperature, 1)
    if surely and not case.teacher_answers[0].decisions:
        return (
            "The model already answers as the correction asks and only drew another answer by "
            "chance, so there is nothing to learn from it."
        )
    return ""


def praise(steps: int) -> str:
    """That a lesson was learned, and in how many steps."""
    taken = "one step" if steps == 1 else f"{steps} steps"
    return f"Learned in {taken}: the retry follows without seeing the correction."


def replay_of(lesson: Lesson, retry: Sequence[int], denied: Sequence[int]) -> Replay:
    """What later lessons need to see of this one: its proof, and where that decides."""
    shared = first_difference(retry, denied)
    return Replay(
        messages=lesson.messages,
        tools=lesson.tools,
        tokens=tuple(retry),
        decision=min(shared, len(retry) - 1),
    )


def first_difference(left: Sequence[int], right: Sequence[int]) -> int:
    """How many tokens two answers have in common at their beginning."""
    pairs = enumerate(zip(left, right, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(left), len(right)))
