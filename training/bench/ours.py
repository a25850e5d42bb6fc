"""This program's own lesson as an arm: the learner as it ships, with all that guards it."""

from __future__ import annotations

from itertools import chain

from ..attempt import Attempt, Commit, Progress
from ..learner import Learner, LearnSettings
from ..manifest import Replay
from ..protocol import Learn, Lesson
from ..rehearsal import Rehearsal
from ..stepper import Stepper
from .pupils import Denial, Effort, Pupil
from .world import LONGEST_ANSWER, TOOL_SCHEMAS, World, silent

TEMPERATURE = 0.3
EARLIER_LESSONS = 16


class Ours(Pupil):
    """Learns a lesson with its gate, line search, guard and proof, or not at all."""

    def __init__(self, world: World, *, rehearse: bool = True, shown: bool = False) -> None:
        super().__init__(world)
        self._shown = shown
        self._settings = LearnSettings(rehearse=rehearse)
        world.bank.finish(lambda: None)
        self.start()

    def start(self) -> None:
        """Forget every lesson."""
        super().start()
        self.learned: list[Commit] = []

    def _wanted(self, denial: Denial) -> Learn:
        """The lesson of a denial, as the program would send it."""
        request = denial.request
        lesson = Lesson(
            id="bench",
            kind="edit" if self._shown else "deny",
            messages=request.messages,
            tools=TOOL_SCHEMAS,
            completion=denial.completion,
            correction=request.correction,
            solution=request.right if self._shown else None,
            siblings=denial.siblings,
        )
        return Learn(
            id=1, lesson=lesson, temperature=TEMPERATURE, max_tokens=LONGEST_ANSWER, seed=0
        )

    def correct(self, denial: Denial) -> Effort:
        """Learn one lesson; the weights stay as they were unless it is proved."""
        learner = Learner(
            self.world.policy,
            self._settings,
            earlier=self._replays(),
            earlier_related=[name for commit in self.learned for name in commit.related_anchors],
        )
        result = learner.learn(self._wanted(denial), self.world.bank, silent(), self._commit)
        return Effort(len(result.steps), result.tokens_sampled, result.outcome)

    def _replays(self) -> list[Replay]:
        newest = self.learned[::-1][:EARLIER_LESSONS]
        return [commit.replay for commit in newest if commit.replay is not None]

    def _commit(self, proved: Commit) -> str:
        self.learned.append(proved)
        return str(len(self.learned))


class Together(Ours):
    """Learns all lessons of a sequence at its end, in the same steps."""

    def start(self) -> None:
        """Forget every lesson, and those that wait."""
        super().start()
        self._waiting: list[Denial] = []

    def correct(self, denial: Denial) -> Effort:
        """Let the lesson wait."""
        self._waiting.append(denial)
        return Effort()

    def finish(self) -> Effort:
        """Step on everything that waits until every lesson is proved, or the steps are over.

        The lessons that the proof leaves out are not taken back: they cannot be told apart.
        """
        policy, bank, reply, progress = self.world.policy, self.world.bank, silent(), Progress()
        learner, before = Learner(policy, self._settings), policy.adapter.state()
        attempts: list[Attempt] = []
        for denial in self._waiting:
            request = self._wanted(denial)
            case, teacher, gated = learner.examine(request, bank, reply, before, progress)
            if not gated:
                attempts.append(Attempt(learner, case, teacher, bank, request, reply, progress))
        outcomes = ["gated"] * (len(self._waiting) - len(attempts))
        if not attempts:
            return Effort(0, progress.tokens_sampled, " ".join(outcomes))
        rows = [row for attempt in attempts for row in attempt.stepper.rehearsal.rows]
        left_out = {name for attempt in attempts for name in attempt.own_related}
        taught = {row.prompt for row in rows if row.teacher is not None}
        elsewhere = [d for a in attempts for d in a.elsewhere if d.prompt not in taught]
        stepper = Stepper(
            policy, self._settings.step, bank.anchors, left_out, Rehearsal(policy, rows), elsewhere
        )
        proved: set[int] = set()
        steps = 0
        while len(proved) < len(attempts) and steps < self._settings.max_steps:
            steps += 1
            answers = [[a.case.denied, *a.case.teacher_answers] for a in attempts]
            targets = [
                a.targets(said, steps - 1) for a, said in zip(attempts, answers, strict=True)
            ]
            moved = stepper.step([*chain(*answers)], [*chain(*targets)])
            retries = [attempt.retry(steps) for attempt in attempts]
            proved = {at for at, (_, complaint) in enumerate(retries) if not complaint}
            if moved.choice.scale == 0:
                break
        outcomes += ["learned"] * len(proved)
        outcomes += ["in_context_only"] * (len(attempts) - len(proved))
        return Effort(steps, progress.tokens_sampled, " ".join(outcomes))
