"""This program's own lesson as an arm: the learner as it ships, with all that guards it."""

from __future__ import annotations

from ..attempt import Commit
from ..learner import Learner, LearnSettings
from ..protocol import Learn, Lesson
from ..snapshots import Replay
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

    def correct(self, denial: Denial) -> Effort:
        """Learn one lesson; the weights stay as they were unless it is proved."""
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
        wanted = Learn(
            id=1, lesson=lesson, temperature=TEMPERATURE, max_tokens=LONGEST_ANSWER, seed=0
        )
        learner = Learner(
            self.world.policy,
            self._settings,
            earlier=self._replays(),
            earlier_related=[name for commit in self.learned for name in commit.related_anchors],
        )
        result = learner.learn(wanted, self.world.bank, silent(), self._commit)
        return Effort(len(result.steps), result.tokens_sampled, result.outcome)

    def _replays(self) -> list[Replay]:
        newest = self.learned[::-1][:EARLIER_LESSONS]
        return [commit.replay for commit in newest if commit.replay is not None]

    def _commit(self, proved: Commit) -> str:
        self.learned.append(proved)
        return str(len(self.learned))
