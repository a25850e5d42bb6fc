"""How far to go along a direction: the least that changes the decision, within a budget."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

SMALLEST, LARGEST = 1 / 64, 4.0
REFINEMENTS = 2
BUDGET_TRIES = 4


@dataclass(frozen=True)
class Choice:
    """The scale that was chosen, what it costs in nats, and whether the decision follows."""

    scale: float
    cost: float
    follows: bool


def smallest_following(follows: Callable[[float], bool]) -> float | None:
    """The smallest scale at which the decision follows; None when none up to the largest does.

    Scales are tried upwards in powers of two, so a decision that flips and flips back at
    larger scales is still found early; then the last interval is halved a few times.
    """
    low, scale = 0.0, SMALLEST
    while not follows(scale):
        low, scale = scale, scale * 2
        if scale > LARGEST:
            return None
    for _ in range(REFINEMENTS if low else 0):
        middle = math.sqrt(low * scale)
        if follows(middle):
            scale = middle
        else:
            low = middle
    return scale


def largest_affordable(cost: Callable[[float], float], budget: float, start: float) -> Choice:
    """The largest scale found at or below ``start`` whose cost is within the budget.

    A divergence grows with the square of a small step, which says where to look next; the
    guess is kept a tenth low so that most searches end at the second try.
    """
    scale, price = start, cost(start)
    for _ in range(BUDGET_TRIES):
        if price <= budget:
            return Choice(scale, price, follows=False)
        guess = math.sqrt(budget / price) if math.isfinite(price) and price > 0 else 0.25
        scale *= 0.9 * min(max(guess, 0.1), 0.9)
        price = cost(scale)
    return Choice(scale, price, False) if price <= budget else Choice(0.0, 0.0, follows=False)


def search(
    follows: Callable[[float], bool], cost: Callable[[float], float], budget: float
) -> Choice:
    """The smallest scale that follows if it is affordable, else the largest that is."""
    wanted = smallest_following(follows)
    if wanted is None:
        return largest_affordable(cost, budget, LARGEST)
    price = cost(wanted)
    if price <= budget:
        return Choice(wanted, price, follows=True)
    return largest_affordable(cost, budget, wanted)
