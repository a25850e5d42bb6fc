"""The model with one adapter, and everything that is measured on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..anchors import Bank
from ..engine import Reply
from ..engines.adapter import Adapter, AdapterSettings
from ..engines.batch import Anchor, answer_together
from ..engines.generation import choose
from ..engines.loading import load_model
from ..engines.policy import Policy
from ..engines.prefix import Prefix, cache_of, keys_and_values
from ..engines.rendering import Prompt
from ..practice.tokenizer import TOOLS
from ..protocol import ChatMessage, ToolSchema
from ..teacher import render_call
from .arms import Variant
from .losses import chosen
from .oracle import Request

Messages = tuple[ChatMessage, ...]
TOOL_SCHEMAS = tuple(ToolSchema(name=name, description="", parameters={}) for name in TOOLS)
LONGEST_ANSWER = 160
ROWS_AT_ONCE = 24


class World:
    """One model with one adapter; the adapter begins as nothing."""

    def __init__(self, model: Path | None, variant: Variant) -> None:
        loaded = load_model(None if model is None else str(model), silent())
        settings = AdapterSettings(variant.rank, variant.targets, variant.scope)
        self.policy = Policy(loaded, Adapter(loaded.model, settings, seed=0))
        self.bank = Bank(self.policy, TOOL_SCHEMAS, None)
        self._prefixes: dict[tuple[int, ...], Prefix] = {}

    @property
    def cached(self) -> bool:
        """Whether a prefix stays as it is while the adapter learns."""
        return self.policy.scope == "answer"

    def reset(self) -> None:
        """Put the adapter back to nothing."""
        self.policy.adapter.restore(self.policy.adapter.initial())
        self.policy.weights_changed()

    def forget(self) -> None:
        """Drop the prefixes of the case that is over."""
        self._prefixes.clear()

    # --- answers ----------------------------------------------------------------------

    def prompt(self, messages: Messages) -> Prompt:
        """What the student reads."""
        return self.policy.renderer.prompt(messages, TOOL_SCHEMAS)

    def prefix(self, prompt: Prompt) -> Prefix:
        """The prefix of a prompt, kept while it stays valid."""
        found = self._prefixes.get(prompt.prefix) if self.cached else None
        if found is None:
            found = self.policy.prefix(prompt, keep=False)
            if self.cached:
                self._prefixes[prompt.prefix] = found
        return found

    def text(self, tokens: Sequence[int]) -> str:
        """The words of an answer, without the token that ends it."""
        kept = [token for token in tokens if token not in self.policy.end_tokens]
        return str(self.policy.loaded.tokenizer.decode(kept, skip_special_tokens=False))

    def tokens(self, text: str) -> tuple[int, ...]:
        """The tokens of an answer with the one that ends it."""
        end = self.policy.loaded.tokenizer.eos_token_id
        assert isinstance(end, int)
        return (*self.policy.renderer.encode(text), end)

    def greedy(self, conversations: Sequence[Messages]) -> list[tuple[int, ...]]:
        """The greedy answers to several conversations, made together."""
        return self.continued([self.prompt(m) for m in conversations], LONGEST_ANSWER)

    def continued(self, prompts: Sequence[Prompt], limit: int) -> list[tuple[int, ...]]:
        """The greedy answers to several prompts, cut after so many tokens."""
        found: list[tuple[int, ...]] = []
        for first in range(0, len(prompts), ROWS_AT_ONCE):
            group = prompts[first : first + ROWS_AT_ONCE]
            anchors = [Anchor("", prompt, self.prefix(prompt)) for prompt in group]
            *_, answers = answer_together(self.policy, anchors, limit)
            found += answers
        return found

    def answers(self, conversations: Sequence[Messages]) -> list[str]:
        """The greedy answers in words."""
        return [self.text(tokens) for tokens in self.greedy(conversations)]

    @torch.no_grad()
    def sample(
        self, messages: Messages, count: int, temperature: float, seed: int
    ) -> list[tuple[tuple[int, ...], tuple[float, ...]]]:
        """Several sampled answers to one conversation, with their log-probabilities."""
        prompt = self.prompt(messages)
        prefix = self.prefix(prompt)
        assert prefix.cache is not None
        pairs = keys_and_values(prefix.cache)
        cache = cache_of([(k.repeat(count, 1, 1, 1), v.repeat(count, 1, 1, 1)) for k, v in pairs])
        generator = torch.Generator().manual_seed(seed)
        pending = self.policy.tensor([prompt.header] * count)
        rows: list[tuple[list[int], list[float]]] = [([], []) for _ in range(count)]
        for _ in range(LONGEST_ANSWER):
            output = self.policy.adapter.model(
                input_ids=pending, past_key_values=cache, use_cache=True, logits_to_keep=1
            )
            cache = output.past_key_values
            drawn = [choose(row, temperature, generator) for row in output.logits[:, -1]]
            for (tokens, logprobs), (token, logprob) in zip(rows, drawn, strict=True):
                if not tokens or tokens[-1] not in self.policy.end_tokens:
                    tokens.append(token)
                    logprobs.append(logprob)
            if all(tokens[-1] in self.policy.end_tokens for tokens, _ in rows):
                break
            pending = self.policy.tensor([[token] for token, _ in drawn])
        return [(tuple(tokens), tuple(logprobs)) for tokens, logprobs in rows]

    # --- figures ----------------------------------------------------------------------

    def score(self, prompt: Prompt, tokens: Sequence[int], *, adapter: bool = True) -> Tensor:
        """Log-probabilities of an answer, ``[n, v]``, without a gradient."""
        prefix = self.prefix(prompt) if self.cached else None
        return self.policy.score(prompt, tokens, adapter=adapter, prefix=prefix)

    def prior(self, request: Request) -> float:
        """The probability of the right call, over the tokens that are not the first choice."""
        assert request.right is not None
        tokens = self.tokens(render_call(request.right))
        scored = self.score(self.prompt(request.messages), tokens)
        decided = scored.argmax(-1) != torch.tensor(tokens, device=scored.device)
        return float(chosen(scored, tokens)[decided].sum().exp())

    def moved(self, messages: Messages, tokens: Sequence[int]) -> float:
        """Forward KL from the base on a corrected prompt, in nats per answer."""
        prompt = self.prompt(messages)
        base = self.score(prompt, tokens, adapter=False)
        now = self.score(prompt, tokens)
        return float((base.exp() * (base - now)).sum())


def silent() -> Reply:
    """A reply that nobody reads."""
    return Reply(1, lambda _: None)
