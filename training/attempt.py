"""The rounds of one lesson: snapshot, then step, guard and retry until the proof or the end."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import case as cases
from . import objectives
from .case import Case, Sampled
from .collateral import Decision
from .engines.generation import Sampling, generate
from .guard import Guard
from .outcome import NOT_FINITE, NOT_FOLLOWED, praise, replay_of
from .protocol import Completion, GuardReport, Learn, Outcome, StepMetrics
from .reach import Reach
from .rehearsal import MOST_RELATED, Rehearsal, Rehearser, earlier_rows
from .stepper import NonFinite, Stepper, StepResult, Target, enough_of
from .teachers import Teacher, TeacherSettings

if TYPE_CHECKING:
    from .anchors import Bank
    from .engine import Reply
    from .engines.adapter import State
    from .learner import Learner
    from .manifest import Replay

TIME_BUDGET_SECONDS = 60.0
OWN_SAMPLES = 3
STILL_SAID = 0.5
POLISH = 4  # steps in which a lesson may still be brought to keep to itself before its proof


@dataclass
class Progress:
    """What a lesson has come to so far."""

    steps: list[StepMetrics] = field(default_factory=list)
    guard: GuardReport | None = None
    retry: Completion | None = None
    proved: bool = False
    tokens_sampled: int = 0


@dataclass(frozen=True)
class Commit:
    """What a proved lesson hands to the snapshot store.

    ``average`` are the weights of a teacher that outlives the lesson.
    """

    replay: Replay | None
    related_anchors: tuple[str, ...]
    figures: dict[str, float]
    average: State | None = None


class Attempt:
    """The rounds of one lesson, from its first step to its proof or its end."""

    def __init__(
        self,
        learner: Learner,
        case: Case,
        teacher: Teacher,
        bank: Bank,
        request: Learn,
        reply: Reply,
        progress: Progress,
    ) -> None:
        self.policy = learner.policy
        self.settings = learner.settings
        self.case = case
        self.teacher = teacher
        self.judge = Teacher(self.policy, TeacherSettings(), teacher.before)
        self.judge.refused = teacher.refused
        self.request = request
        self.slipped = self._slipped()
        self.reply = reply
        self.progress = progress
        reach = Reach(self.policy, case, request, reply)
        self.own_related = reach.watched(bank.anchors)
        left_out = self.own_related | learner.earlier_related
        earlier = earlier_rows(self.policy, [r for r in learner.earlier if not reach.overrules(r)])
        rehearsal = Rehearsal(self.policy, ())
        related, elsewhere = reach.kindred(bank.kindred)
        if self.settings.rehearse:
            rehearsal = Rehearser(
                self.policy,
                teacher,
                case,
                request,
                reply,
                related=related[:MOST_RELATED],
                earlier=earlier,
            ).find()
        self.elsewhere = [
            *self._rest_of_the_answer(),
            *reach.decisions(bank.anchors, left_out),
            *elsewhere,
        ]
        self.stepper = Stepper(
            self.policy, self.settings.step, bank.anchors, left_out, rehearsal, self.elsewhere
        )
        self.guard = Guard(
            policy=self.policy,
            probes=bank.probes,
            left_out=reach.watched(bank.probes),
            earlier=earlier,
            kl_budget=self.settings.step.kl_budget,
        )
        self.deadline = time.monotonic() + TIME_BUDGET_SECONDS

    def _rest_of_the_answer(self) -> list[Decision]:
        """Where the teacher's answer goes on after the new words, and must not repeat them."""
        answer = self.case.teacher_answers[0]
        if not answer.decisions:
            return []
        first = answer.decisions[0]
        prefix = self.policy.prefix(self.case.prompt)
        new, tokens = answer.tokens[first], answer.tokens
        return [
            Decision(self.case.prompt, prefix, tokens[:at], tokens[at], new)
            for at in range(first + 1, len(tokens))
            if tokens[at] != new
        ]

    def _slipped(self) -> bool:
        """Whether the student wanted what the teacher wants and drew the denied token by chance.

        Then its confidence was not enough, and has to grow as after a retry that failed.
        """
        position = self.case.denied.decision
        assert position is not None
        row = self.case.student[position]
        wanted = self.case.denied.wanted(position)
        taught = float(self.case.denied.teacher[position][wanted].exp())
        enough = enough_of(taught, self.request.temperature)
        return int(row.argmax()) == wanted and float(row[wanted].exp()) >= enough

    # --- rounds -----------------------------------------------------------------------

    def run(self) -> tuple[Outcome, str]:
        """Step, guard and retry until the proof comes or the budget ends."""
        own = [self.case.denied]
        failures = int(self.slipped)
        for number in range(1, self.settings.max_steps + 1):
            with self.reply.stage("step", f"{number} of at most {self.settings.max_steps}"):
                answers = [*own, *self.case.teacher_answers]
                if number > 1 and not self.teacher.stands_still:
                    self._read_again(answers)
                try:
                    result = self.stepper.step(answers, self.targets(answers, failures))
                except NonFinite:
                    return "rolled_back", NOT_FINITE
                self.teacher.follow()
                self._report(number, result, answers[0])
            if result.unsettled and number < min(POLISH, self.settings.max_steps):
                continue
            with self.reply.stage("guard"):
                self.progress.guard = self.guard.look()
            if not self.progress.guard.passed:
                return (
                    "rolled_back",
                    f"Taken back: {self.progress.guard.reason}. The correction stays in view.",
                )
            with self.reply.stage("retry"):
                sampled, complaint = self.retry(number)
            if not complaint:
                self.progress.proved = True
                return "learned", praise(number)
            self.reply.retry_dropped()
            failures += 1
            stuck = result.choice.scale == 0 and not self.stepper.restraining
            if stuck or time.monotonic() > self.deadline:
                break
            if sampled.decisions:
                own = [*own, self._taught(sampled)][-OWN_SAMPLES:]
        return "in_context_only", NOT_FOLLOWED

    def _taught(self, sampled: Sampled) -> Sampled:
        """What the judge has read, as the lesson's own teacher reads it."""
        if self.teacher.settings.kind != "before":
            self._read_again([sampled])
        return sampled

    def _read_again(self, answers: Sequence[Sampled]) -> None:
        """Let a teacher that has moved score the answers anew."""
        for answer in answers:
            answer.teacher = self.teacher.score(answer.teacher_prompt, answer.tokens)

    def targets(self, answers: Sequence[Sampled], failures: int) -> list[Target]:
        """What the student has to choose for the step to have gone far enough.

        In the teacher's own answers that is every token from the first decision on: a step that
        goes too far says the new words twice.
        """
        targets: list[Target] = []
        for answer in answers:
            whole = answer in self.case.teacher_answers
            for position in answer.decisions if whole else answer.decisions[:1]:
                token = answer.wanted(position)
                sure = float(answer.teacher[position][token].exp())
                enough = enough_of(sure, self.request.temperature, failures)
                targets.append(Target(answer, position, token, enough))
            if whole and answer.decisions:
                others = set(range(answer.decisions[0], len(answer.tokens))) - {*answer.decisions}
                targets += [
                    Target(answer, at, answer.tokens[at], enough=STILL_SAID)
                    for at in sorted(others)
                    if float(answer.teacher[at][answer.tokens[at]].exp()) > STILL_SAID
                ]
        return targets

    def retry(self, number: int) -> tuple[Sampled, str | None]:
        """Sample without the correction and ask the teacher; returns why it does not follow."""
        seed = None if self.request.seed is None else self.request.seed + number
        retry = generate(
            self.policy,
            self.case.prompt,
            Sampling(self.request.temperature, self.request.max_tokens, seed),
            on_token=self.reply.token,
            check=self.reply.check,
        )
        self.progress.retry = retry
        self.progress.tokens_sampled += len(retry.tokens)
        now = self.policy.score(self.case.prompt, retry.tokens)
        sampled = cases.assess(
            self.judge, self.case.prompt, self.case.teacher_prompt, retry.tokens, retry.logprobs
        )
        with self.judge.speaking():
            student = self.policy.score(self.case.prompt, retry.tokens)
        sure = cases.sureness(sampled.teacher, student, now, retry.tokens)
        return sampled, cases.follow_reason(self.case, retry, sampled, sure)

    def _report(self, number: int, result: StepResult, answer: Sampled) -> None:
        """Send the figures of a step."""
        student = self.policy.score(answer.prompt, answer.tokens)
        tokens = student.new_tensor(answer.tokens).long()
        gained = objectives.advantages(student, answer.teacher, tokens)
        metrics = StepMetrics(
            step=number,
            loss=result.loss,
            kl=result.kl,
            grad_norm=result.grad_norm,
            scale=result.choice.scale,
            follow=result.follow,
            teacher_gap=float(objectives.forward_kl(student, answer.teacher).max()),
            entropy=float(objectives.entropy(student).mean()),
            advantage_mean=float(gained.mean()),
            advantage_abs_max=float(gained.abs().max()),
            seconds=self.reply.elapsed(),
        )
        self.progress.steps.append(metrics)
        self.reply.step(metrics)

    def commit(self) -> Commit:
        """What has to be kept of a proved lesson."""
        assert self.progress.retry is not None
        retry, denied = self.progress.retry.tokens, self.case.denied.tokens
        replay = replay_of(self.request.lesson, retry, denied)
        last = self.progress.steps[-1]
        figures = {"kl": last.kl, "follow": last.follow, "steps": float(last.step)}
        return Commit(
            replay=replay,
            related_anchors=tuple(sorted(self.own_related)),
            figures={k: v for k, v in figures.items() if math.isfinite(v)},
            average=self.teacher.average if self.teacher.settings.outlives else None,
        )
