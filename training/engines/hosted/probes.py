"""A few unrelated requests, and the earlier lessons, that a lesson on a service has to leave alone.

Every look costs the service a pass over their answers, so they are few; they are sent together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from ...anchors import AnswerFile, prompt_key
from ...bank import PROBES, BankEntry
from ...guard import complaint
from ...manifest import Replay
from ...protocol import GuardReport, ToolSchema
from ..generation import Sampling
from ..rendering import Prompt
from .reader import Reader

if TYPE_CHECKING:
    import tinker

MOST_PROBES = 6
MOST_EARLIER = 4
ANSWER_TOKENS = 24


def chosen_probes() -> list[BankEntry]:
    """Some of the bank's probes, from the first to the last."""
    return list(PROBES[:: len(PROBES) // MOST_PROBES][:MOST_PROBES])


class Probes:
    """The base's answers to the probes for one set of tools, and how the base reads them."""

    def __init__(self, reader: Reader, tools: Sequence[ToolSchema], answers: AnswerFile) -> None:
        self.reader = reader
        self.pairs: list[tuple[Prompt, tuple[int, ...]]] = []
        for entry in chosen_probes():
            prompt = reader.renderer.prompt(entry.messages(), tuple(tools))
            if len(prompt) + 2 * ANSWER_TOKENS > reader.context_tokens:
                continue
            self.pairs.append((prompt, self._answer(prompt, answers)))
        answers.write()
        self.tools = tuple(tools)
        self.base = self.now(reader.base)

    def _answer(self, prompt: Prompt, answers: AnswerFile) -> tuple[int, ...]:
        """What the base says, made once for each model and kept."""
        key = prompt_key(prompt)
        if key not in answers.answers:
            said = self.reader.sample(prompt, Sampling(0, ANSWER_TOKENS), client=self.reader.base)
            answers.answers[key] = said.tokens
        return answers.answers[key]

    def now(self, client: tinker.SamplingClient | None = None) -> list[Tensor]:
        """How the student, or another, reads the answers: each ``[n, v]``."""
        return self.reader.score_all(self.pairs, client=client) if self.pairs else []


def mean_drift(before: Sequence[Tensor], now: Sequence[Tensor]) -> float:
    """The mean forward KL of the answers, in nats an answer; 0 where there are none."""
    drift = [float((b.exp() * (b - n)).sum()) for b, n in zip(before, now, strict=True)]
    return sum(drift) / len(drift) if drift else 0.0


class HostedGuard:
    """Compares the probes and the earlier lessons with before the lesson.

    An earlier lesson that the correction, shown there, takes back is none of them.
    """

    def __init__(
        self,
        reader: Reader,
        probes: Probes,
        earlier: Sequence[Replay],
        block: str,
        kl_budget: float,
    ) -> None:
        self.reader = reader
        self.probes = probes
        self.kl_budget = kl_budget
        self.before = self._now = probes.now()
        self._seen = reader.student
        replays = [(reader.renderer.prompt(r.messages, r.tools), r) for r in earlier[:MOST_EARLIER]]
        shown = [
            (reader.renderer.teacher_prompt(r.messages, r.tools, block), r)
            for r in earlier[:MOST_EARLIER]
        ]
        held = self._hold(replays)
        stands = self._hold(shown)
        self.earlier = [
            pair for pair, *both in zip(replays, held, stands, strict=True) if all(both)
        ]

    def _hold(self, replays: Sequence[tuple[Prompt, Replay]]) -> list[bool]:
        """Which earlier lessons the student decides as they taught it, asked by these prompts."""
        pairs = [(prompt, replay.tokens[: replay.decision + 1]) for prompt, replay in replays]
        scored = self.reader.score_all(pairs) if pairs else []
        return [
            int(rows[-1].argmax()) == tokens[-1]
            for rows, (_, tokens) in zip(scored, pairs, strict=True)
        ]

    def now(self) -> list[Tensor]:
        """How the student reads the probes' answers; asked once for each weights."""
        if self._seen is not self.reader.student:
            self._now, self._seen = self.probes.now(), self.reader.student
        return self._now

    def from_base(self) -> float:
        """The mean forward KL of the probes' answers from the base, in nats an answer."""
        return mean_drift(self.probes.base, self.now())

    def earlier_hold(self) -> bool:
        """Whether every earlier lesson that held before the lesson still does."""
        return all(self._hold(self.earlier))

    def look(self) -> GuardReport:
        """What the lesson did."""
        now = self.now()
        pairs = zip(self.before, now, strict=True)
        same = [bool((b.argmax(-1) == n.argmax(-1)).all()) for b, n in pairs]
        kl = mean_drift(self.before, now)
        agreement = sum(same) / len(same) if same else 1.0
        reason = complaint(kl, agreement, len(same), self.kl_budget, self.earlier_hold)
        return GuardReport(
            kl=kl if math.isfinite(kl) else 1e9,
            agreement=agreement,
            probes=len(same) + len(self.earlier),
            passed=not reason,
            reason=reason,
        )
