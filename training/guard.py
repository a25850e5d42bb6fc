"""The guard: what a lesson did to prompts that it was not about, and to earlier lessons."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .protocol import GuardReport

if TYPE_CHECKING:
    from .anchors import Watch
    from .engines.policy import Policy
    from .rehearsal import Row

LEAST_AGREEMENT = 0.75
BUDGETS = 3.0
CHANGED = 1.0  # nats: an answer that changed altogether counts once, in the drift as well


@dataclass
class Guard:
    """Held-out probes and the earlier lessons that held, as they stood before the lesson."""

    policy: Policy
    probes: Watch
    left_out: set[str]
    earlier: Sequence[Row]
    kl_budget: float

    def __post_init__(self) -> None:
        self._before = self.probes.now()
        self._counted = self.probes.mask(self.left_out)
        self._entropy = float(self.probes.entropy(self._before)[self._counted].sum())

    def _holds(self, row: Row) -> bool:
        """Whether the student still does by itself what an earlier lesson taught."""
        choices = self.policy.score(row.prompt, row.tokens, prefix=row.prefix).argmax(-1)
        return all(int(choices[at]) == row.tokens[at] for at in row.positions)

    def earlier_hold(self) -> bool:
        """Whether every earlier lesson that held before the lesson still does."""
        return all(self._holds(row) for row in self.earlier)

    def look(self) -> GuardReport:
        """Compare the probes with before the lesson."""
        count = int(self._counted.sum())
        seen = self.probes.compare(self._before)
        if not count:
            return GuardReport(kl=0.0, agreement=1.0, probes=0, passed=True)
        drift = seen.from_before[self._counted]
        kl = float(drift.mean())
        agreement = float(seen.same[self._counted].float().mean())
        entropy = float(seen.entropy[self._counted].sum())
        ratio = entropy / self._entropy if self._entropy > 0 else 1.0
        bounded = float(drift.clamp(max=CHANGED).mean())
        reason = complaint(bounded, agreement, count, self.kl_budget, self.earlier_hold)
        return GuardReport(
            kl=kl if math.isfinite(kl) else 1e9,
            agreement=agreement,
            probes=count + len(self.earlier),
            entropy_ratio=ratio if math.isfinite(ratio) else 0.0,
            passed=not reason,
            reason=reason,
        )


def complaint(
    kl: float, agreement: float, count: int, kl_budget: float, earlier_hold: Callable[[], bool]
) -> str:
    """Why the weights cannot stay as they are; empty when they can.

    ``kl`` and ``agreement`` are of ``count`` unrelated answers; the earlier lessons are looked at
    only where those are well.
    """
    if not math.isfinite(kl):
        return "the model's output is no longer finite"
    if agreement < LEAST_AGREEMENT:
        return f"{round((1 - agreement) * count)} of {count} unrelated answers changed"
    if kl > BUDGETS * kl_budget:
        return f"unrelated answers drifted by {kl:.3f} nats"
    return "" if earlier_hold() else "an earlier lesson would be forgotten"
