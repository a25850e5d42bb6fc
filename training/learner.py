"""The way of a correction: prepare, gate, snapshot, rounds of step, guard and retry, commit."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import case as cases
from . import objectives
from .case import Case, Sampled
from .engines.generation import generate
from .guard import Guard
from .protocol import (
    ChatMessage,
    Completion,
    GuardReport,
    Learn,
    LessonResult,
    Outcome,
    StepMetrics,
)
from .snapshots import Replay
from .stepper import NonFinite, Stepper, StepResult, StepSettings, Target, confidence
from .teachers import Teacher, TeacherSettings

if TYPE_CHECKING:
    from .anchors import Bank, Watch
    from .engine import Reply
    from .engines.adapter import State
    from .engines.policy import Policy


RARE = 1e-3
TIME_BUDGET_SECONDS = 60.0
OWN_SAMPLES = 3
TEACHER_PART = 0.9


@dataclass(frozen=True)
class LearnSettings:
    """What a user may choose about a lesson."""

    step: StepSettings = field(default_factory=StepSettings)
    teacher: TeacherSettings = field(default_factory=TeacherSettings)
    max_steps: int = 6


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
    """What a proved lesson hands to the snapshot store; ``average`` is a moving teacher's."""

    replay: Replay | None
    related_anchors: tuple[str, ...]
    figures: dict[str, float]
    average: State | None = None


class Learner:
    """Learns one lesson at a time on a policy; it leaves the weights changed only if proved."""

    def __init__(
        self,
        policy: Policy,
        settings: LearnSettings,
        *,
        earlier: Sequence[Replay] = (),
        earlier_related: Sequence[str] = (),
        average: State | None = None,
    ) -> None:
        self.policy = policy
        self.average = average
        self.settings = settings
        self.earlier = list(earlier)
        self.earlier_related = set(earlier_related)

    def learn(
        self, request: Learn, bank: Bank, reply: Reply, commit: Callable[[Commit], str | None]
    ) -> LessonResult:
        """Learn a lesson; ``commit`` makes it durable and returns the snapshot's name.

        Any exception, a cancel included, leaves the weights bit for bit as they were.
        """
        before = self.policy.adapter.state()
        try:
            return self._learn(request, bank, reply, commit, before)
        except BaseException:
            self._put_back(before)
            raise

    def _put_back(self, before: State) -> None:
        self.policy.adapter.restore(before)
        self.policy.weights_changed()

    def _learn(
        self,
        request: Learn,
        bank: Bank,
        reply: Reply,
        commit: Callable[[Commit], str | None],
        before: State,
    ) -> LessonResult:
        progress = Progress()
        scored = self.policy.tokens_scored
        teacher = Teacher(self.policy, self.settings.teacher, self.average)
        with reply.stage("prepare"):
            bank.finish(reply.check)
            case = cases.prepare(self.policy, teacher, request.lesson)
        with reply.stage("gate"):
            self._teach(case, teacher, request, reply, progress)
            reason = self._gated(case, request.temperature)
        outcome: Outcome = "gated"
        snapshot: str | None = None
        if not reason:
            with reply.stage("snapshot"):
                attempt = Attempt(self, case, teacher, bank, request, reply, progress)
            outcome, reason = attempt.run()
            if outcome == "learned":
                with reply.stage("commit"):
                    snapshot = commit(attempt.commit())
        if outcome != "learned":
            self._put_back(before)
        after = self.policy.score(case.prompt, case.denied.tokens)
        last = progress.steps[-1] if progress.steps else None
        return LessonResult(
            lesson=request.lesson.id,
            outcome=outcome,
            reason=reason,
            steps=tuple(progress.steps),
            loss=last.loss if last else None,
            kl=last.kl if last else None,
            gate=case.gate,
            guard=progress.guard,
            tokens=cases.token_reports(self.policy, case, after),
            retry=progress.retry,
            proved=progress.proved,
            snapshot=snapshot,
            seconds=reply.elapsed(),
            stages={name: round(value, 4) for name, value in reply.seconds.items()},
            tokens_sampled=progress.tokens_sampled,
            tokens_scored=self.policy.tokens_scored - scored,
            memory_bytes=self.policy.peak_memory(),
        )

    def _teach(
        self, case: Case, teacher: Teacher, request: Learn, reply: Reply, progress: Progress
    ) -> None:
        """Let the teacher answer itself, and see what the correction adds to a neutral text.

        The siblings are answered as well where the student's own tokens cannot teach what is
        wanted, because it gives the wanted token next to no probability.
        """
        position = case.denied.decision
        if position is None:
            return
        rare = float(case.student[position][case.denied.wanted(position)].exp()) < RARE
        siblings = request.lesson.siblings if rare else ()
        for messages in (request.lesson.messages, *siblings):
            answer = self._teacher_answer(case, teacher, messages, request, reply)
            progress.tokens_sampled += len(answer.tokens)
            case.teacher_answers.append(answer)
        case.gate = cases.contrast(self.policy, teacher, case, case.teacher_answers[0])

    def _teacher_answer(
        self,
        case: Case,
        teacher: Teacher,
        messages: Sequence[ChatMessage],
        request: Learn,
        reply: Reply,
    ) -> Sampled:
        """What the teacher itself says, greedily; its decisions are where the student differs."""
        tools = request.lesson.tools
        prompt = self.policy.renderer.prompt(messages, tools)
        teacher_prompt = self.policy.renderer.teacher_prompt(messages, tools, case.block)
        with teacher.speaking():
            said = generate(
                self.policy,
                teacher_prompt,
                temperature=0,
                max_tokens=request.max_tokens,
                check=reply.check,
            )
        sampled = cases.assess(teacher, prompt, teacher_prompt, said.tokens, said.logprobs)
        student = self.policy.score(prompt, said.tokens)
        sampled.decisions = cases.decisions(said.tokens, student)
        return sampled

    def _gated(self, case: Case, temperature: float) -> str:
        """Why there is nothing to learn; empty when there is."""
        position = case.denied.decision
        if position is None:
            return (
                "With the correction in view the model would still give the same answer, so "
                "there is nothing to learn from it."
            )
        if case.gate < cases.MINIMUM_CONTRAST:
            return (
                "The correction changes the answer no more than any other text would, so there "
                "is nothing to learn from it."
            )
        wanted = float(case.student[position][case.denied.wanted(position)].exp())
        if wanted >= confidence(temperature) and not case.teacher_answers[0].decisions:
            return (
                "The model already answers as the correction asks and only drew another answer "
                "by chance, so there is nothing to learn from it."
            )
        return ""


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
        self.judge = Teacher(self.policy, TeacherSettings())
        self.request = request
        self.reply = reply
        self.progress = progress
        self.own_related = self._related(bank.anchors)
        left_out = self.own_related | learner.earlier_related
        self.stepper = Stepper(self.policy, self.settings.step, bank.anchors, left_out)
        self.guard = Guard(
            policy=self.policy,
            probes=bank.probes,
            left_out=self._related(bank.probes),
            earlier=[replay for replay in learner.earlier if not self._overrules(replay)],
            kl_budget=self.settings.step.kl_budget,
        )
        self.deadline = time.monotonic() + TIME_BUDGET_SECONDS

    # --- what the lesson is about -----------------------------------------------------

    def _related(self, watch: Watch) -> set[str]:
        """The watched prompts to which the correction speaks as well.

        They answer like the denied completion up to its decision token, and the correction,
        shown there, turns that token into the one that it wants here. Where the decision is
        which tool to use, that token has to be the denied one too: there a correction is
        easily taken further than it was meant.
        """
        position = self.case.denied.decision
        assert position is not None
        before = self.case.denied.tokens[:position]
        denied = self.case.denied.tokens[position]
        wanted = self.case.denied.wanted(position)
        inside = '"arguments"' in str(self.policy.loaded.tokenizer.decode(list(before)))
        found: set[str] = set()
        for anchor, entry in zip(watch.anchors, watch.entries, strict=True):
            if anchor.answer[:position] != before or len(anchor.answer) <= position:
                continue
            if anchor.answer[position] != denied and not inside:
                continue
            if anchor.answer[position] == wanted:
                continue
            self.reply.check()
            said = cases.related(
                self.policy,
                self.case,
                entry.messages(),
                self.request.lesson.tools,
                anchor.answer[: position + 1],
                seed=anchor.prefix,
            )
            if said == wanted:
                found.add(anchor.id)
        return found

    def _overrules(self, replay: Replay) -> bool:
        """Whether the correction, shown there, changes an earlier lesson's decision too."""
        tokens = replay.tokens[: replay.decision + 1]
        said = cases.related(self.policy, self.case, replay.messages, replay.tools, tokens)
        return said != tokens[-1]

    # --- rounds -----------------------------------------------------------------------

    def run(self) -> tuple[Outcome, str]:
        """Step, guard and retry until the proof comes or the budget ends."""
        own = [self.case.denied]
        for number in range(1, self.settings.max_steps + 1):
            with self.reply.stage("step", f"{number} of at most {self.settings.max_steps}"):
                answers = [*own, *self.case.teacher_answers]
                if number > 1 and not self.teacher.stands_still:
                    self._read_again(answers)
                try:
                    result = self.stepper.step(answers, self._targets(answers, number - 1))
                except NonFinite:
                    return "rolled_back", "The step was not finite, so the weights were put back."
                self.teacher.follow()
                self._report(number, result, answers[0])
            with self.reply.stage("guard"):
                self.progress.guard = self.guard.look()
            if not self.progress.guard.passed:
                return (
                    "rolled_back",
                    f"Taken back: {self.progress.guard.reason}. The correction stays in view.",
                )
            with self.reply.stage("retry"):
                sampled, complaint = self._retry(number)
            if not complaint:
                self.progress.proved = True
                return "learned", self._praise(number)
            self.reply.retry_dropped()
            if result.choice.scale == 0 or time.monotonic() > self.deadline:
                break
            if sampled.decisions:
                own = [*own, self._taught(sampled)][-OWN_SAMPLES:]
        return (
            "in_context_only",
            "The retry did not come to follow the correction by itself, so the weights were put "
            "back; the correction stays in view.",
        )

    def _taught(self, sampled: Sampled) -> Sampled:
        """What the judge has read, as the lesson's own teacher reads it."""
        if self.teacher.settings.kind != "before":
            self._read_again([sampled])
        return sampled

    def _read_again(self, answers: Sequence[Sampled]) -> None:
        """Let a teacher that has moved score the answers anew."""
        for answer in answers:
            answer.teacher = self.teacher.score(answer.teacher_prompt, answer.tokens)

    def _praise(self, number: int) -> str:
        steps = "one step" if number == 1 else f"{number} steps"
        return f"Learned in {steps}: the retry follows without seeing the correction."

    def _targets(self, answers: Sequence[Sampled], failures: int) -> list[Target]:
        """What the student has to choose for the step to have gone far enough."""
        targets: list[Target] = []
        for answer in answers:
            for position in (
                answer.decisions if answer in self.case.teacher_answers else answer.decisions[:1]
            ):
                token = answer.wanted(position)
                sure = float(answer.teacher[position][token].exp())
                enough = min(confidence(self.request.temperature, failures), TEACHER_PART * sure)
                targets.append(Target(answer, position, token, enough))
        return targets

    def _retry(self, number: int) -> tuple[Sampled, str | None]:
        """Sample without the correction and ask the teacher; returns why it does not follow."""
        seed = None if self.request.seed is None else self.request.seed + number
        retry = generate(
            self.policy,
            self.case.prompt,
            temperature=self.request.temperature,
            max_tokens=self.request.max_tokens,
            seed=seed,
            on_token=self.reply.token,
            check=self.reply.check,
        )
        self.progress.retry = retry
        self.progress.tokens_sampled += len(retry.tokens)
        now = self.policy.score(self.case.prompt, retry.tokens)
        sampled = cases.assess(
            self.judge, self.case.prompt, self.case.teacher_prompt, retry.tokens, retry.logprobs
        )
        student = self.judge.score(self.case.prompt, retry.tokens)
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
        retry = self.progress.retry.tokens
        shared = 0
        for mine, denied in zip(retry, self.case.denied.tokens, strict=False):
            if mine != denied:
                break
            shared += 1
        replay = Replay(
            messages=self.request.lesson.messages,
            tools=self.request.lesson.tools,
            tokens=retry,
            decision=min(shared, len(retry) - 1),
        )
        last = self.progress.steps[-1]
        figures = {"kl": last.kl, "follow": last.follow, "steps": float(last.step)}
        return Commit(
            replay=replay,
            related_anchors=tuple(sorted(self.own_related)),
            figures={k: v for k, v in figures.items() if math.isfinite(v)},
            average=(
                self.teacher.average if self.teacher.settings.kind == "moving_average" else None
            ),
        )
