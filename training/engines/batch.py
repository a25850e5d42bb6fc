"""Many prompts with known answers, scored in one forward pass.

Shapes: ``b`` rows of up to ``n`` answer tokens give log-probabilities ``[b, n, v]``; a
boolean ``[b, n]`` says which positions are real.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .prefix import Prefix, cache_of, keys_and_values

if TYPE_CHECKING:
    from transformers import DynamicCache

    from .policy import Policy
    from .rendering import Prompt

# PEFT's names for a row that the adapter reads, and for one that the base reads alone.
ADAPTER, NO_ADAPTER = "default", "__base__"
MOST_TOKENS_TOGETHER = 8_192
MOST_FIGURES_TOGETHER = 2**26  # of log-probabilities: a quarter of a GiB
LARGE_VOCABULARY = 32_768
ROWS_AT_ONCE = 24
LARGE_ROWS_AT_ONCE = 4


def rows_at_once(policy: Policy) -> int:
    """How many rows of the bank are read side by side."""
    return LARGE_ROWS_AT_ONCE if policy.vocabulary > LARGE_VOCABULARY else ROWS_AT_ONCE


@dataclass(frozen=True)
class Reading:
    """An answer to a prompt, read with the adapter or without."""

    prompt: Prompt
    tokens: tuple[int, ...]
    adapter: bool = True


@torch.no_grad()
def read_together(policy: Policy, readings: Sequence[Reading]) -> list[Tensor]:
    """Log-probabilities of several readings, each ``[n, v]``, in one forward pass.

    One after the other where so many tokens or figures side by side would take too much memory.
    """
    tokens = sum(len(r.prompt) + len(r.tokens) for r in readings)
    figures = len(readings) * max(len(r.tokens) for r in readings) * policy.vocabulary
    if tokens > MOST_TOKENS_TOGETHER or figures > MOST_FIGURES_TOGETHER:
        return [policy.score(r.prompt, r.tokens, adapter=r.adapter) for r in readings]
    cached = policy.scope == "answer"
    anchors = [
        Anchor("", r.prompt, policy.prefix(r.prompt) if cached else Prefix((), None), r.tokens)
        for r in readings
    ]
    read = Batch(policy, anchors).mixed([r.adapter for r in readings])
    return [row[: len(r.tokens)] for row, r in zip(read, readings, strict=True)]


@dataclass
class Anchor:
    """One prompt with its prefix, and what the base answers to it."""

    id: str
    prompt: Prompt
    prefix: Prefix
    answer: tuple[int, ...] = ()


class Batch:
    """Prompts with known answers, scored together over their stacked prefixes.

    The prefixes are padded on the left with zeros that the attention mask hides, so that the
    answers line up; every position keeps the id that it has alone.
    """

    def __init__(self, policy: Policy, anchors: Sequence[Anchor]) -> None:
        self.policy = policy
        self.anchors = list(anchors)
        self.cached = policy.scope == "answer"
        self.width = max(len(anchor.answer) for anchor in self.anchors)
        rows = [self._fed(anchor) for anchor in self.anchors]
        self._starts = torch.tensor(
            [0 if not self.cached else len(a.prefix.tokens) for a in self.anchors]
        )
        longest = max(map(len, rows))
        padded = [row + [row[-1]] * (longest - len(row)) for row in rows]
        self.inputs = policy.tensor(padded)
        self._lengths = [len(row) for row in rows]
        self.answers = policy.tensor(
            [list(a.answer) + [0] * (self.width - len(a.answer)) for a in self.anchors]
        )
        self.real = policy.tensor(
            [[1] * len(a.answer) + [0] * (self.width - len(a.answer)) for a in self.anchors]
        ).bool()
        self._where = policy.tensor(
            [self._positions(a, row) for a, row in zip(self.anchors, rows, strict=True)]
        )
        self._keys, self._values, self._mask, self._ids = self._stack(longest)

    def _fed(self, anchor: Anchor) -> list[int]:
        """The tokens that have to be run for this row."""
        before = anchor.prompt.header if self.cached else anchor.prompt.tokens
        return [*before, *anchor.answer[:-1]]

    def _positions(self, anchor: Anchor, row: list[int]) -> list[int]:
        """Which outputs predict the answer's tokens."""
        first = len(row) - len(anchor.answer)
        return [min(first + i, len(row) - 1) for i in range(self.width)]

    def _stack(self, longest: int) -> tuple[list[Tensor], list[Tensor], Tensor, Tensor]:
        """The prefixes side by side, their mask and the position ids of the fed tokens."""
        device = self.policy.device
        deepest = int(self._starts.max())
        mask = torch.zeros(len(self.anchors), deepest + longest, dtype=torch.long)
        ids = torch.zeros(len(self.anchors), longest, dtype=torch.long)
        keys: list[Tensor] = []
        values: list[Tensor] = []
        for row, (start, length) in enumerate(
            zip(self._starts.tolist(), self._lengths, strict=True)
        ):
            mask[row, deepest - start : deepest + length] = 1
            ids[row] = torch.arange(start, start + longest)
        if self.cached:
            caches = [keys_and_values(a.prefix.cache) for a in self.anchors if a.prefix.cache]
            for layer in zip(*caches, strict=True):
                keys.append(_pad_left([pair[0] for pair in layer], deepest))
                values.append(_pad_left([pair[1] for pair in layer], deepest))
        return keys, values, mask.to(device), ids.to(device)

    def _cache(self, rows: Tensor) -> DynamicCache:
        pairs = zip(self._keys, self._values, strict=True)
        return cache_of([(keys[rows], values[rows]) for keys, values in pairs])

    def logprobs(self, rows: Tensor | None = None, *, adapter: bool = True) -> Tensor:
        """Log-probabilities of the chosen rows' answers, ``[b, n, v]``, with a gradient if on."""
        if rows is None:
            rows = torch.arange(len(self.anchors), device=self.policy.device)
        with self.policy.adapter.active(adapter):
            return self._read(rows)

    @torch.no_grad()
    def mixed(self, adapter: Sequence[bool]) -> Tensor:
        """Log-probabilities of all rows, ``[b, n, v]``, the adapter on in some of them only."""
        rows = torch.arange(len(self.anchors), device=self.policy.device)
        if all(adapter):
            return self._read(rows)
        return self._read(rows, adapter_names=[ADAPTER if on else NO_ADAPTER for on in adapter])

    def _read(self, rows: Tensor, **options: Any) -> Tensor:
        tokens = int(self.real[rows].sum())
        if torch.is_grad_enabled():
            self.policy.tokens_trained += tokens
        else:
            self.policy.tokens_scored += tokens
        where = self._where[rows]
        kept = torch.arange(int(where.min()), int(where.max()) + 1, device=where.device)
        output = self.policy.adapter.model(
            input_ids=self.inputs[rows],
            attention_mask=self._mask[rows],
            position_ids=self._ids[rows],
            past_key_values=self._cache(rows) if self.cached else None,
            use_cache=self.cached,
            logits_to_keep=kept,
            **options,
        )
        where = (where - kept[0])[:, :, None].expand(-1, -1, output.logits.shape[-1])
        return output.logits.gather(1, where).float().log_softmax(-1)


def _pad_left(tensors: Sequence[Tensor], length: int) -> Tensor:
    """Stack ``[1, heads, tokens, size]`` tensors, padded on the left with zeros."""
    padded = [torch.nn.functional.pad(t, (0, 0, length - t.shape[2], 0)) for t in tensors]
    return torch.cat(padded, dim=0)


@torch.no_grad()
def answer_together(
    policy: Policy, anchors: Sequence[Anchor], limit: int
) -> Iterator[list[tuple[int, ...]]]:
    """Greedy answers to several prompts at once, one more token of each at every look.

    Yields the answers so far; the last are complete, or ``limit`` tokens long.
    """
    caches = [keys_and_values(a.prefix.cache) for a in anchors if a.prefix.cache]
    starts = [len(anchor.prefix.tokens) for anchor in anchors]
    deepest = max(starts)
    cache = cache_of(
        [
            (_pad_left([p[0] for p in layer], deepest), _pad_left([p[1] for p in layer], deepest))
            for layer in zip(*caches, strict=True)
        ]
    )
    hidden = policy.tensor([[0] * (deepest - s) + [1] * s for s in starts])
    pending = policy.tensor([anchor.prompt.header for anchor in anchors])
    position = policy.tensor([[start] for start in starts])
    said: list[list[int]] = [[] for _ in anchors]
    for _ in range(limit):
        width = pending.shape[1]
        hidden = torch.cat([hidden, torch.ones_like(pending)], dim=1)
        output = policy.adapter.model(
            input_ids=pending,
            attention_mask=hidden,
            position_ids=position + torch.arange(width, device=policy.device),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        cache, position = output.past_key_values, position + width
        pending = output.logits[:, -1].argmax(-1, keepdim=True)
        for row, token in zip(said, pending[:, 0].tolist(), strict=True):
            if not row or row[-1] not in policy.end_tokens:
                row.append(token)
        yield [tuple(row) for row in said]
        if all(row[-1] in policy.end_tokens for row in said):
            return


def sequence_kl(before: Tensor, after: Tensor, real: Tensor) -> Tensor:
    """KL(before ‖ after) summed over each answer, in nats: ``[b]``."""
    per_token = (before.exp() * (before - after)).sum(-1)
    return (per_token * real).sum(-1)
