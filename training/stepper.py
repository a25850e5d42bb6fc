"""One gradient step: its loss, its direction, and how far to go."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from . import objectives
from .collateral import Collateral, Decision, open_decisions
from .linesearch import Choice, search
from .rehearsal import lack

if TYPE_CHECKING:
    from .anchors import Watch
    from .case import Sampled
    from .engines.adapter import State
    from .engines.policy import Policy
    from .rehearsal import Rehearsal, Row

ANCHORS_A_STEP = 16
RESTORING = 1.5
STAYING = 1.0
LEAST_CONFIDENCE, MOST_CONFIDENCE = 0.85, 0.95
SAMPLED_ODDS = 9.0
TEACHER_PART = 0.9


@dataclass(frozen=True)
class StepSettings:
    """What a user may choose about a step."""

    loss: objectives.Loss = field(default_factory=objectives.Loss)
    learning_rate: float = 1.0
    kl_coef: float = 0.04
    kl_budget: float = 0.05


def confidence(temperature: float, failures: int = 0) -> float:
    """The probability at temperature 1 that a sampled retry follows nine times out of ten.

    Between two choices, sampling at temperature T raises the odds to the power 1/T. Each
    retry that failed halves the doubt that is left.
    """
    odds = SAMPLED_ODDS ** max(0.0, temperature)
    enough = min(max(odds / (1 + odds), LEAST_CONFIDENCE), MOST_CONFIDENCE)
    return 1 - (1 - enough) / 2**failures


def enough_of(teacher: float, temperature: float, failures: int = 0) -> float:
    """The probability that a token needs where the teacher gives it ``teacher``."""
    return min(confidence(temperature, failures), TEACHER_PART * teacher)


@dataclass(frozen=True)
class Target:
    """A token that the student should choose: at ``position`` of an answer, with ``enough``."""

    answer: Sampled
    position: int
    token: int
    enough: float


@dataclass(frozen=True)
class StepResult:
    """What a step did; ``unsettled`` says that the lesson does not yet keep to itself."""

    loss: float
    grad_norm: float
    choice: Choice
    follow: float
    kl: float
    unsettled: bool


class NonFinite(Exception):
    """A loss, a gradient or weights that are not finite."""


class Stepper:
    """Takes the steps of one lesson.

    A step goes straight down the gradient, and nothing of one step drags the next: at the
    same change of the decision Adam's first step, which is the sign of the gradient, was
    measured to change more unrelated answers.
    """

    def __init__(
        self,
        policy: Policy,
        settings: StepSettings,
        anchors: Watch,
        left_out: set[str],
        rehearsal: Rehearsal,
        elsewhere: Sequence[Decision],
    ) -> None:
        self.policy = policy
        self.settings = settings
        self.anchors = anchors
        self.rehearsal = rehearsal
        self.adapter = policy.adapter
        self.counted = anchors.mask(left_out)
        self.before = anchors.now()
        undecided = open_decisions(anchors.anchors, self.before, self.counted)
        self.collateral = Collateral(policy, [*elsewhere, *undecided])
        self.moved = False
        # The lesson is there, and now it has to keep to itself.
        self.restraining = False

    # --- the loss ---------------------------------------------------------------------

    def _answer_loss(self, answer: Sampled) -> Tensor:
        """The distillation loss of one answer, over its informative tokens."""
        student = self.policy.score_with_gradient(answer.prompt, answer.tokens)
        tokens = torch.tensor(answer.tokens, device=student.device)
        loss = self._distilled(student, answer.teacher, tokens, answer.logprobs)
        chosen = self.settings.loss
        if self.settings.kl_coef and self.moved:
            if answer.reference is None:
                answer.reference = self.policy.score(answer.prompt, answer.tokens, adapter=False)
            near = objectives.reference_loss(chosen, student, answer.reference, tokens)
            loss = loss + self.settings.kl_coef * near.mean()
        return loss

    def _distilled(
        self, student: Tensor, teacher: Tensor, tokens: Tensor, sampled: Tensor
    ) -> Tensor:
        per_token = self.settings.loss.per_token(student, teacher, tokens, sampled)
        return objectives.aggregate(per_token, objectives.informative(student, teacher))

    def _alike_losses(self) -> list[Tensor]:
        """The distillation losses of the requests that are rehearsed."""
        rows = self.rehearsal.alike
        found: list[Tensor] = []
        for row, student in zip(rows, self.rehearsal.logprobs(rows), strict=True):
            assert row.teacher is not None
            tokens = torch.tensor(row.tokens, device=student.device)
            found.append(self._distilled(student, row.teacher, tokens, row.before.log()))
        return found

    def _staying(self, row: Row) -> State:
        """The gradient of what a row otherwise would lose."""
        student = self.policy.score_with_gradient(row.prompt, row.tokens, row.prefix)
        loss = -torch.stack([student[at][row.tokens[at]] for at in row.positions]).mean()
        gradient = self._zeros()
        self._add(gradient, loss, 1.0)
        return gradient

    def _anchor_loss(self) -> Tensor:
        """Forward KL from before the lesson on some anchors, a mean over their tokens."""
        rows = self.counted.nonzero()[:ANCHORS_A_STEP, 0]
        now = self.anchors.batch.logprobs(rows)
        real = self.anchors.batch.real[rows]
        before = self.before[rows]
        per_token = (before.exp() * (before - now)).sum(-1)
        return (per_token * real).sum() / real.sum()

    def _gradient(
        self, answers: Sequence[Sampled], targets: Sequence[Target]
    ) -> tuple[float, float, State]:
        """The loss, the norm of its gradient, and the gradient that keeps off the anchors."""
        total = 0.0
        gradient = self._zeros()
        more = self._alike_losses()
        count = len(answers) + len(more)
        for answer in answers:
            loss = self._answer_loss(answer) / count
            total += float(loss.detach())
            self._add(gradient, loss, 1.0)
        if more:
            loss = torch.stack(more).sum() / count
            total += float(loss.detach())
            self._add(gradient, loss, 1.0)
        norm = _norm(gradient)
        if not math.isfinite(norm) or not math.isfinite(total):
            raise NonFinite
        self.collateral.spare(gradient)
        gradient = self._kept_to_itself(gradient, targets)
        if self.moved and bool(self.counted.any()):
            anchors = self._zeros()
            self._add(anchors, self._anchor_loss(), 1.0)
            turn_away(gradient, anchors, RESTORING)
        return total, norm, gradient

    def _kept_to_itself(self, gradient: State, targets: Sequence[Target]) -> State:
        """The gradient without what would take rows otherwise along, each row in its turn.

        Where the lesson is there and rows gave way all the same, it is those that are followed.
        """
        rows = self.rehearsal.otherwise
        lacking, otherwise = self._miss(targets) if self.moved and rows else (1.0, 0.0)
        self.restraining = bool(otherwise) and not lacking
        if not self.restraining:
            for row in rows:
                turn_away(gradient, self._staying(row), STAYING)
            return gradient
        staying = self._zeros()
        for row in rows:
            for name, part in self._staying(row).items():
                staying[name].add_(part)
        turn_away(staying, gradient, STAYING)
        return staying

    def _zeros(self) -> State:
        named = zip(self.adapter.names, self.adapter.parameters, strict=True)
        return {name: torch.zeros_like(parameter) for name, parameter in named}

    def _add(self, gradient: State, loss: Tensor, weight: float) -> None:
        """Add the gradient of a loss."""
        found = torch.autograd.grad(loss, self.adapter.parameters, allow_unused=True)
        for name, part in zip(self.adapter.names, found, strict=True):
            if part is not None:
                gradient[name].add_(part, alpha=weight)

    # --- the step ---------------------------------------------------------------------

    def step(self, answers: Sequence[Sampled], targets: Sequence[Target]) -> StepResult:
        """Step on these answers, to the smallest scale at which the targets follow.

        Raises ``NonFinite`` with the weights as they were.
        """
        start = self.adapter.state()
        loss, norm, gradient = self._gradient(answers, targets)
        direction = self._direction(gradient)
        choice, kl = self._search(start, direction, targets)
        self.adapter.move(start, direction, choice.scale)
        self.policy.weights_changed()
        if not self.adapter.is_finite():
            self.adapter.restore(start)
            raise NonFinite
        self.moved = True
        follow = self.follow(targets)
        lacking, otherwise = self._miss(targets)
        unsettled = choice.scale > 0 and bool(
            lacking if self.restraining else not lacking and otherwise
        )
        return StepResult(loss, norm, choice, follow, kl, unsettled)

    def _direction(self, gradient: State) -> State:
        """Down the gradient, as long as the learning rate."""
        norm = _norm(gradient)  # of what was added to it since, too
        if not math.isfinite(norm):
            raise NonFinite
        length = self.settings.learning_rate / max(norm, 1e-12)
        return {name: -length * part for name, part in gradient.items()}

    def _search(
        self, start: State, direction: State, targets: Sequence[Target]
    ) -> tuple[Choice, float]:
        """Search a scale; also the mean KL from the base there, in nats per answer."""
        from_base: dict[float, float] = {}

        def miss(scale: float) -> float:
            self.adapter.move(start, direction, scale)
            lacking, otherwise = self._miss(targets)
            return lacking + otherwise if self.restraining else lacking

        def cost(scale: float) -> float:
            self.adapter.move(start, direction, scale)
            seen = self.anchors.compare(self.before)
            from_base[scale] = _mean(seen.from_base, self.counted)
            price = _mean(seen.from_before, self.counted)
            return price if math.isfinite(price) else math.inf

        choice = search(miss, cost, self.settings.kl_budget)
        if self.restraining:
            self.adapter.move(start, direction, choice.scale)
            if self._miss(targets)[0]:
                # What keeps a lesson to itself may not cost the lesson.
                choice = Choice(0.0, 0.0, follows=False)
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

    def _miss(self, targets: Sequence[Target]) -> tuple[float, float]:
        """How much probability the targets lack, and what has to stay; 0 where all is well."""
        missing = sum(lack(row, target.token, target.enough) for target, row in self._rows(targets))
        enough = max((target.enough for target in targets), default=LEAST_CONFIDENCE)
        alike, otherwise = self.rehearsal.miss(enough)
        return missing + alike, otherwise

    def follow(self, targets: Sequence[Target]) -> float:
        """The student's probability of the wanted token at the first target."""
        rows = self._rows(targets[:1])
        return float(rows[0][1][rows[0][0].token].exp()) if rows else 0.0


def turn_away(gradient: State, other: State, amount: float) -> None:
    """Take out of a gradient what would make another loss grow.

    Going down the lesson's loss may go up the other one; then so much of the other's gradient
    is added that the step goes down both. There is no weight to choose.
    """
    along = sum(float((gradient[name] * part).sum()) for name, part in other.items())
    square = _norm(other) ** 2
    if along < 0 and square > 0 and math.isfinite(square):
        for name, part in other.items():
            gradient[name].add_(part, alpha=-amount * along / square)


def _norm(state: State) -> float:
    """The length of all tensors together."""
    return math.sqrt(sum(float(part.float().square().sum()) for part in state.values()))


def _mean(values: Tensor, keep: Tensor) -> float:
    """The mean over the kept rows; 0 when there are none."""
    return float(values[keep].mean()) if bool(keep.any()) else 0.0
