"""Whose weights the teacher has: the student's before the lesson, or others that were proposed.

Whatever they are, the teacher reads the correction and the student does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .engines.batch import Reading, read_together
from .protocol import TeacherKind

if TYPE_CHECKING:
    from .engines.adapter import State
    from .engines.policy import Policy
    from .engines.prefix import Prefix
    from .engines.rendering import Prompt

REFUSAL = 12.0  # nats: as good as never, and yet no infinity in a divergence


@dataclass(frozen=True)
class TeacherSettings:
    """Which weights, and how fast they follow the student where they do.

    ``before``: the student's at the start of the lesson, so that the target stands still.
    ``live``: the student's, after each step anew. ``moving_average``: W ← W + rate·(student − W)
    after each step, over all lessons, from the state in which the adapter does nothing.
    ``synced``: the student's as they were at the start of every so many lessons.
    ``frozen``: none, which is the model as it came. ``trust_region``: the student's, but its
    log-probabilities only ``rate`` of the way from the frozen teacher's (SDPO, arXiv
    2601.20802, has these but ``before`` and ``synced``).
    """

    kind: TeacherKind = "before"
    rate: float = 0.05

    @property
    def outlives(self) -> bool:
        """Whether the weights are kept from one lesson to the next."""
        return self.kind in ("moving_average", "synced")


class Teacher:
    """Scores answers by the chosen weights, for one lesson."""

    def __init__(
        self,
        policy: Policy,
        settings: TeacherSettings,
        before: State,
        average: State | None = None,
    ) -> None:
        """``average`` are the weights of a teacher that outlives lessons, averaged or synced."""
        self.policy = policy
        self.settings = settings
        self.average = average or policy.adapter.initial()
        self.before = before
        self.refused: tuple[int, ...] = ()

    @property
    def stands_still(self) -> bool:
        """Whether a step leaves the teacher as it is."""
        return self.settings.kind in ("before", "synced", "frozen")

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """Let the policy generate and score as the teacher; a trust region speaks as live."""
        weights: dict[TeacherKind, State] = {
            "before": self.before,
            "moving_average": self.average,
            "synced": self.average,
            "frozen": self.policy.adapter.initial(),
        }
        state = weights.get(self.settings.kind)
        if state is None:
            yield
            return
        with self.policy.holding(state):
            yield

    def score(self, prompt: Prompt, tokens: Sequence[int], prefix: Prefix | None = None) -> Tensor:
        """The teacher's log-probabilities of an answer to its own prompt, ``[n, v]``.

        Where the answer begins as the refused one does, the refused token is next to impossible.
        """
        with self.speaking():
            spoken = self.policy.score(prompt, tokens, prefix=prefix)
        if self.settings.kind == "trust_region":
            frozen = self.policy.score(prompt, tokens, adapter=False, prefix=prefix)
            spoken = torch.lerp(frozen, spoken, self.settings.rate).log_softmax(-1)
        at = len(self.refused) - 1
        if 0 <= at < len(tokens) and tuple(tokens[:at]) == self.refused[:-1]:
            return without(spoken, at, self.refused[-1])
        return spoken

    def read_with_student(
        self, prompt: Prompt, teacher_prompt: Prompt, tokens: tuple[int, ...]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What student, teacher and reference say of an answer before the lesson's first step.

        Each is ``[n, v]``. They are read together where the teacher has the weights of one of
        the others.
        """
        student, reference = Reading(prompt, tokens), Reading(prompt, tokens, adapter=False)
        if self.settings.kind in ("before", "live", "frozen"):
            adapter = self.settings.kind != "frozen"
            taught = Reading(teacher_prompt, tokens, adapter)
            first, second, third = read_together(self.policy, [student, taught, reference])
            return first, second, third
        first, third = read_together(self.policy, [student, reference])
        return first, self.score(teacher_prompt, tokens), third

    def follow(self) -> None:
        """After a step: let the moving average follow the student."""
        if self.settings.kind != "moving_average":
            return
        student = self.policy.adapter.state()
        self.average = {
            name: torch.lerp(part.to(student[name]), student[name], self.settings.rate)
            for name, part in self.average.items()
        }


def without(logprobs: Tensor, position: int, token: int) -> Tensor:
    """Log-probabilities ``[n, v]`` with a token next to impossible at one position."""
    changed = logprobs.clone()
    changed[position, token] -= REFUSAL
    changed[position] = changed[position].log_softmax(-1)
    return changed
