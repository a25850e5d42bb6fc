"""The files of a repository, found by a few letters of their path."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from .fuzzy import Fuzzy, in_order

MOST_LOOSE = 200


class FileIndex:
    """Finds paths; making one of many paths takes a moment, so make it off the screen's thread.

    What fitted a query is kept while letters are added to it, so that each key has less to do.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        # Whatever fits equally well is then in this order: near the root first, short first.
        self._paths = sorted(paths, key=lambda path: (path.count("/"), len(path), path))
        self._lower = [path.lower() for path in self._paths]
        self._names = [path.rpartition("/")[2] for path in self._lower]
        self._fitting: dict[str, Sequence[int]] = {"": range(len(self._paths))}

    def __len__(self) -> int:
        return len(self._paths)

    def best(self, query: str, most: int) -> list[str]:
        """The paths that fit best, best first.

        A name that begins with the query comes first, then a name that holds it, a path that
        holds it, and last a path in which its letters lie in this order.
        """
        query = query.lower()
        found = self._fit(query)
        lower, names = self._lower, self._names
        tiers: tuple[Callable[[int], bool], ...] = (
            lambda at: names[at].startswith(query),
            lambda at: query in names[at],
            lambda at: query in lower[at],
        )
        chosen: dict[int, None] = {}
        for fits in tiers:
            if len(chosen) < most:
                chosen.update(dict.fromkeys(islice(filter(fits, found), most)))
        if len(chosen) < most:
            chosen.update(dict.fromkeys(self._loose(query, found)))
        return [self._paths[at] for at in islice(chosen, most)]

    def _fit(self, query: str) -> Sequence[int]:
        """Every path that has the letters of the query in their order."""
        known = next(
            query[:end] for end in range(len(query), -1, -1) if query[:end] in self._fitting
        )
        found = self._fitting[known]
        if known != query:
            fits, lower = in_order(query).match, self._lower
            found = [at for at in found if fits(lower[at])]
        kept = {start: each for start, each in self._fitting.items() if query.startswith(start)}
        self._fitting = {**kept, query: found}
        return found

    def _loose(self, query: str, found: Iterable[int]) -> list[int]:
        """The nearest of those that do not hold the query as it is, the best fitting first."""
        fuzzy = Fuzzy(query)
        lower, names = self._lower, self._names
        loose = list(islice((at for at in found if query not in lower[at]), MOST_LOOSE))
        # The letters of a name say more than letters from all over the path.
        scores = {at: 2 * fuzzy.score(names[at]) or fuzzy.score(lower[at]) for at in loose}
        return sorted(loose, key=lambda at: -scores[at])
