"""The key-value caches of prompt prefixes, kept between requests.

With scope ``answer`` everything before the last assistant header is computed by the base
model, so one cache serves the student, the teacher and the reference, whatever the adapter
has learned since. Entries are immutable: whoever reads one gets views of its tensors, and
appending copies.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from .rendering import common_prefix

if TYPE_CHECKING:
    from transformers import DynamicCache

MAX_ENTRIES = 8
CHUNK_TOKENS = 1024

Extend = Callable[[Sequence[int], "DynamicCache | None"], "DynamicCache"]


@dataclass(frozen=True)
class Prefix:
    """Tokens and the cache that the base model made of them."""

    tokens: tuple[int, ...]
    cache: DynamicCache | None

    def fork(self, length: int | None = None) -> DynamicCache | None:
        """A cache of the first ``length`` tokens that can be appended to."""
        length = len(self.tokens) if length is None else length
        return None if length == 0 or self.cache is None else fork_cache(self.cache, length)


def keys_and_values(cache: DynamicCache) -> list[tuple[Tensor, Tensor]]:
    """Each layer's ``[1, heads, tokens, size]`` keys and values; only of a sliceable cache."""
    from transformers.cache_utils import DynamicLayer

    found: list[tuple[Tensor, Tensor]] = []
    for layer in cache.layers:
        assert isinstance(layer, DynamicLayer)
        assert layer.keys is not None
        assert layer.values is not None
        found.append((layer.keys, layer.values))
    return found


def cache_of(pairs: Sequence[tuple[Tensor, Tensor]]) -> DynamicCache:
    """A cache that begins with these keys and values; appending copies them."""
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    cache = DynamicCache()
    for keys, values in pairs:
        layer = DynamicLayer()
        layer.lazy_initialization(keys, values)
        layer.keys, layer.values = keys, values
        cache.layers.append(layer)
    return cache


def sliceable(cache: DynamicCache) -> bool:
    """Whether every layer holds plain keys and values, one per token."""
    from transformers.cache_utils import DynamicLayer

    return all(type(layer) is DynamicLayer for layer in cache.layers)


def fork_cache(cache: DynamicCache, length: int) -> DynamicCache:
    """A cache that begins with the first ``length`` tokens of another.

    Plain keys and values are shared as views; a cache with a running state is copied, and
    then ``length`` has to be all of it.
    """
    if not sliceable(cache):
        return copy.deepcopy(cache)
    pairs = keys_and_values(cache)
    return cache_of([(keys[:, :, :length], values[:, :, :length]) for keys, values in pairs])


class PrefixCache:
    """The least recently used prefixes, found by their longest common beginning."""

    def __init__(self, extend: Extend, max_entries: int = MAX_ENTRIES) -> None:
        self._extend = extend
        self._max_entries = max_entries
        self._entries: OrderedDict[tuple[int, ...], Prefix] = OrderedDict()
        self.computed_tokens = 0

    def __len__(self) -> int:
        return len(self._entries)

    def clear(self) -> None:
        """Forget everything, as after a change of the weights that made the caches."""
        self._entries.clear()

    def _usable(self, entry: Prefix, tokens: Sequence[int]) -> int:
        """How many tokens of ``entry`` can begin ``tokens``."""
        length = common_prefix(entry.tokens, tokens)
        assert entry.cache is not None
        if length < len(entry.tokens) and not sliceable(entry.cache):
            return 0
        return length

    def get(
        self,
        tokens: tuple[int, ...],
        *,
        check: Callable[[], None] = lambda: None,
        seed: Prefix | None = None,
        keep: bool = True,
    ) -> Prefix:
        """The prefix of exactly these tokens, computing only what no entry holds.

        ``check`` is called between chunks and may raise; ``seed`` is one more candidate to
        begin from; ``keep=False`` leaves the result out of the cache.
        """
        if not tokens:
            return Prefix((), None)
        found = self._entries.get(tokens)
        if found is not None:
            self._entries.move_to_end(tokens)
            return found
        candidates = [*self._entries.values()] + ([seed] if seed and seed.tokens else [])
        best = max(candidates, key=lambda entry: self._usable(entry, tokens), default=None)
        done = self._usable(best, tokens) if best else 0
        cache = best.fork(done) if best and done else None
        for start in range(done, len(tokens), CHUNK_TOKENS):
            check()
            cache = self._extend(tokens[start : start + CHUNK_TOKENS], cache)
        self.computed_tokens += len(tokens) - done
        result = Prefix(tokens, cache)
        if keep:
            self._store(result)
        return result

    def _store(self, prefix: Prefix) -> None:
        """Keep a prefix, and drop those that it contains and those longest unused."""
        for tokens in list(self._entries):
            contained = prefix.tokens[: len(tokens)] == tokens
            if contained and prefix.cache is not None and sliceable(prefix.cache):
                del self._entries[tokens]
        self._entries[prefix.tokens] = prefix
        while len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)
