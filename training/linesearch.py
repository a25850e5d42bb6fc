"""How far to go along a direction: the least that changes the decision, within a budget."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

FIRST, SMALLEST, LARGEST = 1 / 2, 1 / 256, 32.0
REFINEMENTS = 2
BUDGET_TRIES = 4
ENOUGH_OF_BUDGET = 0.6


@dataclass(frozen=True)
class Choice:
    """The scale that was chosen, what it costs in nats, and whether the decision follows."""

    scale: float
    cost: float
    follows: bool


def smallest_following(miss: Callable[[float], float]) -> tuple[float | None, float]:
    """The smallest scale at which the decision follows, and the one that comes nearest.

    ``miss`` says how far a scale falls short; the decision follows where it is zero. From the
    first guess scales are doubled until one follows, or halved while they do; then the last
    interval is divided a few times. The first is None when nothing up to the largest follows;
    the second is then zero if no scale comes nearer than standing still.
    """
    tried: dict[float, float] = {}

    def follows(scale: float) -> bool:
        tried[scale] = miss(scale)
        return tried[scale] <= 0

    scale = FIRST
    if follows(scale):
        while scale > SMALLEST and follows(scale / 2):
            scale /= 2
    else:
        scale *= 2
        while not follows(scale):
            scale *= 2
            if scale > LARGEST:
                tried |= {small: miss(small) for small in (0.0, FIRST / 4, FIRST / 2)}
                return None, min(tried, key=lambda s: (tried[s], s))
    low = scale / 2
    for _ in range(REFINEMENTS):
        middle = math.sqrt(low * scale)
        if follows(middle):
            scale = middle
        else:
            low = middle
    return scale, scale


def largest_affordable(cost: Callable[[float], float], budget: float, most: float) -> Choice:
    """The largest scale found at or below ``most`` whose cost is within the budget.

    A divergence grows about as the square of a small step. From the second look on, the
    growth between the last two is used instead; a scale that spends most of the budget is
    good enough.
    """
    best = Choice(0.0, 0.0, follows=False)
    scale, power = min(most, 1.0), 2.0
    last: tuple[float, float] | None = None
    for _ in range(BUDGET_TRIES):
        price = cost(scale)
        if price <= budget:
            best = max(best, Choice(scale, price, follows=False), key=lambda c: c.scale)
            if price >= ENOUGH_OF_BUDGET * budget or scale >= most:
                break
        if last is not None and min(price, last[1]) > 0 and math.isfinite(price + last[1]):
            slope = math.log(price / last[1]) / math.log(scale / last[0])
            power = min(max(slope, 1.0), 6.0)
        last = (scale, price)
        if not math.isfinite(price):
            scale *= 0.25
            continue
        ratio = (0.9 * budget / max(price, budget * 1e-4)) ** (1 / power)
        scale = min(most, scale * min(max(ratio, 0.02), 8.0))
        if scale == last[0]:
            break
    return best


def search(miss: Callable[[float], float], cost: Callable[[float], float], budget: float) -> Choice:
    """The smallest scale that follows if it is affordable, else the best that is.

    Where nothing follows, going on beyond the scale that comes nearest would only do damage.
    """
    wanted, nearest = smallest_following(miss)
    if wanted is not None:
        price = cost(wanted)
        if price <= budget:
            return Choice(wanted, price, follows=True)
    if nearest <= 0:
        return Choice(0.0, 0.0, follows=False)
    return largest_affordable(cost, budget, nearest)
