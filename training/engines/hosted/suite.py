"""Past lessons asked again on a service: one pass over each proof, one greedy answer."""

from __future__ import annotations

from ...case import same_answer
from ...outcome import first_difference
from ...protocol import Hold, LessonCheck, ProvedLesson
from ..generation import Sampling
from .reader import Reader

ROOM = 32


def ask_again(reader: Reader, lesson: ProvedLesson) -> LessonCheck:
    """Whether a lesson still holds by itself; which later one lost it is not searched for."""
    prompt = reader.renderer.prompt(lesson.messages, lesson.tools)
    decision = min(first_difference(lesson.tokens, lesson.denied), len(lesson.tokens) - 1)
    rows = reader.score(prompt, lesson.tokens)
    choices = rows.argmax(-1).tolist()
    said = reader.sample(prompt, Sampling(0, 2 * len(lesson.tokens) + ROOM))
    holds: Hold = "lost"
    if same_answer(said.text, reader.text(lesson.tokens)):
        holds = "call"
    elif choices[: decision + 1] == list(lesson.tokens[: decision + 1]):
        holds = "decision"
    return LessonCheck(
        lesson=lesson.lesson,
        holds=holds,
        probability=float(rows[decision, lesson.tokens[decision]].exp()),
        answer=said.text,
    )
