"""Fuzzy search that stays fast on long texts."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from textual.fuzzy import Matcher

MOST_WAYS = 32
"""Textual tries every way in which the letters may lie; with more than these it takes too long."""

MOST_SCORED = 100
LONGEST_SCORED = 400


def in_order(query: str) -> re.Pattern[str]:
    """A pattern that finds the letters of a query in their order, never going back."""
    letters = [re.escape(letter) for letter in query]
    return re.compile("".join(f"[^{letter}]*+{letter}" for letter in letters), re.DOTALL)


class Fuzzy:
    """Scores texts against a query; case does not count."""

    def __init__(self, query: str) -> None:
        self.query = query.lower()
        self._pattern = in_order(self.query)
        self._matcher = Matcher(self.query)

    def score(self, text: str) -> float:
        """Say how well a text fits; 0 where it does not."""
        text = text[:LONGEST_SCORED].lower()
        if self._pattern.match(text) is None:
            return 0.0
        if self.query not in text and self._ways(text) > MOST_WAYS:
            return 0.5
        return self._matcher.match(text)

    def best(self, texts: Iterable[str], most: int) -> list[str]:
        """The texts that fit: those that hold the query as it is before the others.

        Among equals the order stays as it was.
        """
        whole: list[str] = []
        loose: list[str] = []
        for text in texts:
            lower = text.lower()
            if self.query in lower:
                whole.append(text)
                if len(whole) >= most:
                    return whole
            elif len(loose) < MOST_SCORED and self._pattern.match(lower):
                loose.append(text)
        loose.sort(key=self.score, reverse=True)
        return [*whole, *loose][:most]

    def _ways(self, text: str) -> int:
        return math.prod(map(text.count, self.query))
