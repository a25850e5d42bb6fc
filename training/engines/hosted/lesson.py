"""One lesson on a service: gate, steps, guard and a retry that does not see the correction."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ... import case as cases
from ... import objectives
from ...case import Case, Sampled
from ...manifest import Replay
from ...outcome import NOT_FINITE, NOT_FOLLOWED, nothing_to_learn, praise, replay_of
from ...protocol import (
    Completion,
    GuardReport,
    Learn,
    LessonResult,
    Objective,
    Outcome,
    StepMetrics,
)
from ...stepper import NonFinite, enough_of
from ..generation import Sampling
from . import examples
from .adapter import HostedAdapter, StepReport
from .probes import HostedGuard
from .reader import Reader
from .recipes import Example, Step
from .teacher import HostedTeacher

if TYPE_CHECKING:
    from torch import Tensor

    from ...engine import Reply
    from .lineage import Kept

LEARNING_RATE = 1e-3
MAX_STEPS = 6
KL_COEF = 0.04
KL_BUDGET = 0.1
OWN_SAMPLES = 3
FIRST_TRY = 0.5  # a step cannot be measured out here, so a retry is worth trying early


@dataclass(frozen=True)
class HostedSettings:
    """What may be chosen about a lesson on a service."""

    objective: Objective = "forward_kl"
    alpha: float = 0.5
    top_k: int = 20
    learning_rate: float = LEARNING_RATE
    kl_coef: float = KL_COEF
    kl_budget: float = KL_BUDGET
    max_steps: int = MAX_STEPS


@dataclass(frozen=True)
class Proved:
    """What a proved lesson hands over to be kept."""

    replay: Replay
    recipe: tuple[Step, ...]
    figures: dict[str, float]


@dataclass
class HostedLesson:
    """Learns one lesson; whoever calls it puts the adapter back where it was not proved."""

    adapter: HostedAdapter
    reader: Reader
    teacher: HostedTeacher
    settings: HostedSettings
    request: Learn
    reply: Reply
    guard: Callable[[str], HostedGuard]
    recipe: list[Step] = field(default_factory=list)
    metrics: list[StepMetrics] = field(default_factory=list)
    report: GuardReport | None = None
    retry: Completion | None = None
    _read: dict[tuple[Sampled, object], Tensor] = field(default_factory=dict)

    def learn(self, commit: Callable[[Proved], Kept]) -> LessonResult:
        """Learn the lesson, and keep it by ``commit`` if it was proved."""
        sampled, scored = self.reader.tokens_sampled, self.reader.tokens_scored
        lesson = self.request.lesson
        with self.reply.stage("prepare"):
            case = cases.prepare(self.reader, self.teacher, lesson)
        with self.reply.stage("gate"):
            self._read[case.denied, self.reader.student] = case.student
            reason = self._gate(case)
        outcome: Outcome = "gated"
        kept: Kept | None = None
        after = case.student
        if not reason:
            outcome, reason = self._rounds(case)
            if outcome == "learned":
                self.reader.settle(case.prompt)
                with self.reply.stage("commit"):
                    kept = commit(self._proved(case))
                (after,) = self._readings([case.denied])
        last = self.metrics[-1] if self.metrics else None
        return LessonResult(
            lesson=lesson.id,
            outcome=outcome,
            reason=reason,
            steps=tuple(self.metrics),
            loss=last.loss if last else None,
            kl=last.kl if last else None,
            gate=case.gate,
            guard=self.report,
            tokens=cases.token_reports(self.reader, case, after),
            retry=self.retry,
            proved=outcome == "learned",
            snapshot=kept.snapshot if kept else None,
            saved=kept.saved if kept else "",
            seconds=self.reply.elapsed(),
            stages={name: round(value, 4) for name, value in self.reply.seconds.items()},
            tokens_sampled=self.reader.tokens_sampled - sampled,
            tokens_scored=self.reader.tokens_scored - scored,
            tokens_trained=sum(step.tokens for step in self.recipe),
        )

    # --- the gate ---------------------------------------------------------------------

    def _gate(self, case: Case) -> str:
        """Why there is nothing to learn; empty where there is."""
        if case.denied.decision is not None:
            answer = self._teacher_answer(case)
            case.teacher_answers.append(answer)
            case.gate = cases.contrast(self.reader, self.teacher, case, answer)
        return nothing_to_learn(case, self.request.temperature)

    def _teacher_answer(self, case: Case) -> Sampled:
        """What the teacher itself says, greedily; its decisions are where the student differs."""
        said = self.reader.sample(
            case.teacher_prompt,
            Sampling(0, self.request.max_tokens),
            client=self.teacher.speaker,
        )
        sampled = cases.assess(
            self.teacher, case.prompt, case.teacher_prompt, said.tokens, said.logprobs
        )
        (student,) = self._readings([sampled])
        sampled.decisions = cases.decisions(said.tokens, student)
        return sampled

    # --- rounds -----------------------------------------------------------------------

    def _rounds(self, case: Case) -> tuple[Outcome, str]:
        """Step until the decision follows, then look at the guard and at a retry."""
        with self.reply.stage("snapshot"):
            guard = self.guard(case.block)
        own = [case.denied]
        failures = 0
        for number in range(1, self.settings.max_steps + 1):
            with self.reply.stage("step", f"{number} of at most {self.settings.max_steps}"):
                answers = [*own, *case.teacher_answers]
                try:
                    follow = self._step(number, case, answers, guard)
                except NonFinite:
                    return "rolled_back", NOT_FINITE
            last = number == self.settings.max_steps
            if follow < self._enough(case, failures) and not last:
                continue
            with self.reply.stage("guard"):
                self.report = guard.look()
            if not self.report.passed:
                return (
                    "rolled_back",
                    f"Taken back: {self.report.reason}. The correction stays in view.",
                )
            with self.reply.stage("retry"):
                sampled, complaint = self._retry(case, number)
            if not complaint:
                return "learned", praise(number)
            self.reply.retry_dropped()
            failures += 1
            if sampled.decisions:
                own = [*own, sampled][-OWN_SAMPLES:]
        return "in_context_only", NOT_FOLLOWED

    def _enough(self, case: Case, failures: int) -> float:
        position = case.denied.decision
        assert position is not None
        taught = float(case.denied.teacher[position][case.denied.wanted(position)].exp())
        enough = enough_of(taught, self.request.temperature, failures)
        return enough if failures else min(enough, FIRST_TRY)

    def _step(
        self, number: int, case: Case, answers: Sequence[Sampled], guard: HostedGuard
    ) -> float:
        """One gradient step; returns how likely the wanted token now is."""
        if number > 1 and not self.teacher.stands_still:
            for answer in answers:
                answer.teacher = self.teacher.score(answer.teacher_prompt, answer.tokens)
        made = tuple(
            self._example(answer, student, first=number == 1)
            for answer, student in zip(answers, self._readings(answers), strict=True)
        )
        step = self._made_of(made)
        self.reader.settle(case.prompt)
        taken = self.adapter.step(step, self.reply)
        self.recipe.append(step)
        self.reader.student = self.adapter.publish(self.reply)
        (now,) = self._readings([case.denied])
        position = case.denied.decision
        assert position is not None
        follow = float(now[position][case.denied.wanted(position)].exp())
        self._tell(number, case, taken, now, (follow, guard.from_base()))
        return follow

    def _made_of(self, made: tuple[Example, ...]) -> Step:
        rate = self.settings.learning_rate
        match self.settings.objective:
            case "importance_sampling":
                return Step("cispo", made, rate)
            case "forward_kl":
                return Step("cross_entropy", made, rate)
            case "reverse_kl":
                return Step("divergence", made, rate, alpha=1.0)
            case "jsd":
                return Step("divergence", made, rate, alpha=self.settings.alpha)

    def _readings(self, answers: Sequence[Sampled]) -> list[Tensor]:
        """How the student reads these answers, each ``[n, v]``; asked once for each weights."""
        missing = [a for a in answers if (a, self.reader.student) not in self._read]
        if missing:
            scored = self.reader.score_all([(a.prompt, a.tokens) for a in missing])
            keys = [(answer, self.reader.student) for answer in missing]
            self._read |= zip(keys, scored, strict=True)
        return [self._read[answer, self.reader.student] for answer in answers]

    def _example(self, answer: Sampled, student: Tensor, *, first: bool) -> Example:
        if answer.reference is None:
            answer.reference = self.reader.score(
                answer.prompt, answer.tokens, client=self.reader.base
            )
        coefficient = 0.0 if first else self.settings.kl_coef
        if self.settings.objective == "importance_sampling":
            return examples.sampled_tokens(answer, student, kl_coef=coefficient)
        made = examples.soft_targets
        if self.settings.objective != "forward_kl":
            made = examples.divergence_targets
        return made(answer, student, top_k=self.settings.top_k, kl_coef=coefficient)

    def _tell(
        self,
        number: int,
        case: Case,
        taken: StepReport,
        student: Tensor,
        reached: tuple[float, float],
    ) -> None:
        """Send the figures of a step."""
        follow, kl = reached
        tokens = student.new_tensor(case.denied.tokens).long()
        gained = objectives.advantages(student, case.denied.teacher, tokens)
        metrics = StepMetrics(
            step=number,
            loss=taken.loss,
            kl=kl,
            grad_norm=taken.grad_norm,
            scale=1.0,
            follow=follow,
            teacher_gap=float(objectives.forward_kl(student, case.denied.teacher).max()),
            entropy=float(objectives.entropy(student).mean()),
            advantage_mean=float(gained.mean()),
            advantage_abs_max=float(gained.abs().max()),
            seconds=self.reply.elapsed(),
        )
        self.metrics.append(metrics)
        self.reply.step(metrics)

    def _retry(self, case: Case, number: int) -> tuple[Sampled, str | None]:
        """Sample without the correction and ask the teacher; returns why it does not follow."""
        seed = None if self.request.seed is None else self.request.seed + number
        retry = self.reader.sample(
            case.prompt,
            Sampling(self.request.temperature, self.request.max_tokens, seed),
            on_token=self.reply.token,
        )
        self.retry = retry
        sampled = cases.assess(
            self.teacher, case.prompt, case.teacher_prompt, retry.tokens, retry.logprobs
        )
        before = self.reader.score(case.prompt, retry.tokens, client=self.teacher.before)
        now = self.reader.score(case.prompt, retry.tokens)
        sure = cases.sureness(sampled.teacher, before, now, retry.tokens)
        return sampled, cases.follow_reason(case, retry, sampled, sure)

    def _proved(self, case: Case) -> Proved:
        assert self.retry is not None
        replay = replay_of(self.request.lesson, self.retry.tokens, case.denied.tokens)
        last = self.metrics[-1]
        figures = {"loss": last.loss, "kl": last.kl, "follow": last.follow}
        finite = {name: value for name, value in figures.items() if math.isfinite(value)}
        return Proved(replay, tuple(self.recipe), finite)
