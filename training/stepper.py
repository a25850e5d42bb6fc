"""One gradient step: its loss, its direction, and how far to go."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from . import objectives
from .linesearch import Choice, search
from .protocol import Objective

if TYPE_CHECKING:
    from .anchors import Watch
    from .case import Sampled
    from .engines.adapter import State
    from .engines.policy import Policy

ANCHOR_WEIGHT = 10.0
ANCHORS_A_STEP = 16
CLIP = 1.0
BETAS = (0.9, 0.95)


@dataclass(frozen=True)
class StepSettings:
    """What a user may choose about a step."""

    objective: Objective = "forward_kl"
    learning_rate: float = 1e-2
    kl_coef: float = 0.04
    kl_budget: float = 0.015
    confidence: float = 0.85


@dataclass(frozen=True)
class Target:
    """A token that the student should choose: at ``position`` of an answer, with ``enough``."""

    answer: Sampled
    position: int
    token: int
    enough: float


@dataclass(frozen=True)
class StepResult:
    """What a step did; ``finite`` is False when its gradient was not, and nothing moved."""

    loss: float
    grad_norm: float
    choice: Choice
    follow: float
    kl: float
    finite: bool = True


class NonFinite(Exception):
    """A loss or a gradient that is not a number."""


class Stepper:
    """Takes the steps of one lesson; its optimiser starts fresh with each lesson."""

    def __init__(
        self, policy: Policy, settings: StepSettings, anchors: Watch, left_out: set[str]
    ) -> None:
        self.policy = policy
        self.settings = settings
        self.anchors = anchors
        self.adapter = policy.adapter
        self.optimizer = torch.optim.Adam(
            self.adapter.parameters, lr=settings.learning_rate, betas=BETAS
        )
        self.counted = anchors.mask(left_out)
        self.before = anchors.now()
        self.moved = False

    # --- the loss ---------------------------------------------------------------------

    def _answer_loss(self, answer: Sampled) -> Tensor:
        """The distillation loss of one answer, over its informative tokens."""
        student = self.policy.score_with_gradient(answer.prompt, answer.tokens)
        tokens = torch.tensor(answer.tokens, device=student.device)
        per_token = objectives.token_loss(
            self.settings.objective, student, answer.teacher, tokens, answer.logprobs
        )
        keep = objectives.informative(student, answer.teacher)
        loss = objectives.aggregate(per_token, keep)
        if self.settings.kl_coef and self.moved:
            reference = self.policy.score(answer.prompt, answer.tokens, adapter=False)
            loss = loss + self.settings.kl_coef * objectives.reverse_kl(student, reference).mean()
        return loss

    def _anchor_loss(self) -> Tensor:
        """Forward KL from before the lesson on some anchors, a mean over their tokens."""
        rows = self.counted.nonzero()[:ANCHORS_A_STEP, 0]
        now = self.anchors.batch.logprobs(rows)
        real = self.anchors.batch.real[rows]
        before = self.before[rows]
        per_token = (before.exp() * (before - now)).sum(-1)
        return (per_token * real).sum() / real.sum()

    def _gradient(self, answers: Sequence[Sampled]) -> tuple[float, float]:
        """Backpropagate the loss; returns it and the gradient's norm before clipping."""
        self.optimizer.zero_grad()
        total = 0.0
        for answer in answers:
            loss = self._answer_loss(answer) / len(answers)
            loss.backward()
            total += float(loss.detach())
        if self.moved and bool(self.counted.any()):
            (ANCHOR_WEIGHT * self._anchor_loss()).backward()
        norm = float(torch.nn.utils.clip_grad_norm_(self.adapter.parameters, CLIP))
        if not math.isfinite(norm) or not math.isfinite(total):
            raise NonFinite
        return total, norm

    # --- the step ---------------------------------------------------------------------

    def step(self, answers: Sequence[Sampled], targets: Sequence[Target]) -> StepResult:
        """Step on these answers, to the smallest scale at which the targets follow.

        Raises ``NonFinite`` with the weights as they were.
        """
        start = self.adapter.state()
        try:
            loss, norm = self._gradient(answers)
            self.optimizer.step()
            direction = {
                name: parameter.detach() - start[name]
                for name, parameter in zip(self.adapter.names, self.adapter.parameters, strict=True)
            }
        except BaseException:
            self.adapter.restore(start)
            raise
        choice, kl = self._search(start, direction, targets)
        self.adapter.move(start, direction, choice.scale)
        self.policy.weights_changed()
        self.moved = True
        follow = self.follow(targets)
        return StepResult(loss, norm, choice, follow, kl)

    def _search(
        self, start: State, direction: State, targets: Sequence[Target]
    ) -> tuple[Choice, float]:
        """Search a scale; also the mean KL from the base there, in nats per answer."""
        from_base: dict[float, float] = {}

        def follows(scale: float) -> bool:
            self.adapter.move(start, direction, scale)
            return self._follows(targets)

        def cost(scale: float) -> float:
            self.adapter.move(start, direction, scale)
            seen = self.anchors.compare(self.before)
            from_base[scale] = _mean(seen.from_base, self.counted)
            price = _mean(seen.from_before, self.counted)
            return price if math.isfinite(price) else math.inf

        choice = search(follows, cost, self.settings.kl_budget)
        if choice.scale not in from_base:
            cost(choice.scale)
        return choice, from_base[choice.scale]

    def _rows(self, targets: Sequence[Target]) -> list[tuple[Target, Tensor]]:
        """The student's log-probabilities at each target, scoring every answer once."""
        scored: dict[int, Tensor] = {}
        rows: list[tuple[Target, Tensor]] = []
        for target in targets:
            key = id(target.answer)
            if key not in scored:
                last = max(t.position for t in targets if t.answer is target.answer)
                scored[key] = self.policy.score(
                    target.answer.prompt, target.answer.tokens[: last + 1]
                )
            rows.append((target, scored[key][target.position]))
        return rows

    def _follows(self, targets: Sequence[Target]) -> bool:
        return all(
            int(row.argmax()) == target.token and float(row[target.token].exp()) >= target.enough
            for target, row in self._rows(targets)
        )

    def follow(self, targets: Sequence[Target]) -> float:
        """The student's probability of the wanted token at the first target."""
        rows = self._rows(targets[:1])
        return float(rows[0][1][rows[0][0].token].exp()) if rows else 0.0

    def optimizer_state(self) -> dict[str, Tensor]:
        """Adam's moments as flat tensors."""
        found: dict[str, Tensor] = {}
        for name, parameter in zip(self.adapter.names, self.adapter.parameters, strict=True):
            for key, value in self.optimizer.state.get(parameter, {}).items():
                if isinstance(value, Tensor):
                    found[f"{name}.{key}"] = value.detach().clone().contiguous()
        return found


def _mean(values: Tensor, keep: Tensor) -> float:
    """The mean over the kept rows; 0 when there are none."""
    return float(values[keep].mean()) if bool(keep.any()) else 0.0
