"""The way of a correction: prepare and gate here, then the rounds of an attempt, and the result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import case as cases
from .attempt import Attempt, Commit, Progress
from .case import Case, Sampled
from .engines.generation import Sampling, generate
from .outcome import nothing_to_learn
from .protocol import ChatMessage, Learn, LessonResult, Outcome
from .stepper import StepSettings
from .teachers import Teacher, TeacherSettings, without

if TYPE_CHECKING:
    from .anchors import Bank
    from .engine import Reply
    from .engines.adapter import State
    from .engines.policy import Policy
    from .manifest import Replay


RARE = 1e-3


@dataclass(frozen=True)
class LearnSettings:
    """What may be chosen about a lesson; ``rehearse`` adds requests made from its own words."""

    step: StepSettings = field(default_factory=StepSettings)
    teacher: TeacherSettings = field(default_factory=TeacherSettings)
    max_steps: int = 6
    rehearse: bool = True


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
        scored, trained = self.policy.tokens_scored, self.policy.tokens_trained
        case, teacher, reason = self.examine(request, bank, reply, before, progress)
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
            tokens_trained=self.policy.tokens_trained - trained,
            memory_bytes=self.policy.peak_memory(),
        )

    def examine(
        self, request: Learn, bank: Bank, reply: Reply, before: State, progress: Progress
    ) -> tuple[Case, Teacher, str]:
        """The case with what its teacher says, and why it is gated; empty where it is not."""
        teacher = Teacher(self.policy, self.settings.teacher, before, self.average)
        with reply.stage("prepare"):
            bank.finish(reply.check)
            case = cases.prepare(self.policy, teacher, request.lesson)
        with reply.stage("gate"):
            self._teach(case, teacher, request, reply, progress)
            return case, teacher, nothing_to_learn(case, request.temperature)

    def _teach(
        self, case: Case, teacher: Teacher, request: Learn, reply: Reply, progress: Progress
    ) -> None:
        """Let the teacher answer itself, and see what the correction adds to a neutral text.

        The siblings are answered as well where the student's own tokens cannot teach what is
        wanted, because it gives the wanted token next to no probability.
        """
        if case.denied.decision is None and request.lesson.kind == "deny":
            self._refuse(case, teacher)
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

    def _refuse(self, case: Case, teacher: Teacher) -> None:
        """Where the teacher would repeat the denied answer, take it at its second choice."""
        at = cases.second_choice(self.policy, teacher, case)
        if at is None:
            return
        tokens = case.denied.tokens
        teacher.refused = tokens[: at + 1]
        case.denied.teacher = without(case.denied.teacher, at, tokens[at])
        case.denied.decisions = [at]

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
                Sampling(0, request.max_tokens, refused=teacher.refused),
                check=reply.check,
            )
        sampled = cases.assess(teacher, prompt, teacher_prompt, said.tokens, said.logprobs)
        student = self.policy.score(prompt, said.tokens)
        sampled.decisions = cases.decisions(said.tokens, student)
        return sampled
