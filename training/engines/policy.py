"""Student, teacher and reference: one model, read through one prefix.

Shapes: a completion of ``n`` tokens over a vocabulary of ``v`` gives float32
log-probabilities ``[n, v]`` at temperature 1, each row predicting one completion token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..engine import EngineFailure
from ..protocol import AdapterScope, ChatMessage
from .adapter import Adapter, State
from .prefix import Prefix, PrefixCache
from .rendering import Prompt, Renderer

if TYPE_CHECKING:
    from transformers import DynamicCache

    from .loading import LoadedModel


class Policy:
    """The base model with its adapter, as a function from prompts to log-probabilities."""

    def __init__(self, loaded: LoadedModel, adapter: Adapter) -> None:
        self.loaded = loaded
        self.adapter = adapter
        self.scope: AdapterScope = "answer" if adapter.settings.scope == "answer" else "everywhere"
        self.device = loaded.device
        self.renderer = Renderer(loaded.tokenizer)
        self.prefixes = PrefixCache(self._extend)
        self.context_tokens = loaded.context_tokens
        self.tokens_scored = 0
        self.tokens_trained = 0
        self.end_tokens = self._end_tokens()
        self.vocabulary = int(loaded.model.config.get_text_config(decoder=True).vocab_size)

    def _end_tokens(self) -> frozenset[int]:
        """The ids that end an answer, by the generation settings and the tokenizer."""
        generation = self.loaded.model.generation_config
        configured = None if generation is None else generation.eos_token_id
        several = configured if isinstance(configured, list) else [configured]
        ids = [*several, self.loaded.tokenizer.eos_token_id]
        return frozenset(token for token in ids if isinstance(token, int))

    @torch.no_grad()
    def _extend(self, tokens: Sequence[int], cache: DynamicCache | None) -> DynamicCache:
        """Run prefix tokens through the base and append them to the cache."""
        with self.adapter.active(self.scope == "everywhere"):
            output = self.adapter.model(
                input_ids=self.tensor([tokens]),
                past_key_values=cache or self.new_cache(),
                use_cache=True,
                logits_to_keep=1,
            )
        return output.past_key_values

    def new_cache(self) -> DynamicCache:
        """An empty cache: every token keeps its key and value where the model allows it."""
        from transformers import DynamicCache

        return DynamicCache()

    def tensor(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Token ids on the model's device, ``[rows, tokens]``."""
        return torch.tensor([list(row) for row in rows], device=self.device)

    def prefix(
        self,
        prompt: Prompt,
        *,
        check: Callable[[], None] = lambda: None,
        seed: Prefix | None = None,
        keep: bool = True,
    ) -> Prefix:
        """The cached prefix of a prompt."""
        return self.prefixes.get(prompt.prefix, check=check, seed=seed, keep=keep)

    def require_room(self, prompt_tokens: int, answer_tokens: int) -> None:
        """Fail in words when prompt and answer do not fit into the context."""
        if prompt_tokens + answer_tokens > self.context_tokens:
            raise EngineFailure(
                "context_too_long",
                f"The conversation needs {prompt_tokens + answer_tokens} tokens and the model "
                f"reads {self.context_tokens}: start a new conversation, or shorten this one.",
            )

    def score(
        self,
        prompt: Prompt,
        completion: Sequence[int],
        *,
        adapter: bool = True,
        prefix: Prefix | None = None,
    ) -> Tensor:
        """Log-probabilities of a completion's positions, ``[n, v]``, without a gradient."""
        self.require_room(len(prompt), len(completion))
        self.tokens_scored += len(completion)
        with torch.no_grad():
            if self.scope == "everywhere":
                return self._uncached(prompt, completion, adapter)
            return self._answer(prefix or self.prefix(prompt), prompt, completion, adapter)

    def score_with_gradient(
        self, prompt: Prompt, completion: Sequence[int], prefix: Prefix | None = None
    ) -> Tensor:
        """The student's log-probabilities, ``[n, v]``, with a gradient in the adapter.

        With scope ``answer`` nothing before the header depends on the adapter, so leaving the
        prefix out of the graph loses nothing.
        """
        self.tokens_trained += len(completion)
        if self.scope == "everywhere":
            return self._uncached(prompt, completion, adapter=True)
        return self._answer(prefix or self.prefix(prompt), prompt, completion, adapter=True)

    def _answer(
        self, prefix: Prefix, prompt: Prompt, completion: Sequence[int], adapter: bool
    ) -> Tensor:
        tokens = [*prompt.header, *completion[:-1]]
        with self.adapter.active(adapter):
            output = self.adapter.model(
                input_ids=self.tensor([tokens]),
                past_key_values=prefix.fork() or self.new_cache(),
                use_cache=True,
                logits_to_keep=len(completion),
            )
        return output.logits[0].float().log_softmax(-1)

    def _uncached(self, prompt: Prompt, completion: Sequence[int], adapter: bool) -> Tensor:
        tokens = [*prompt.tokens, *completion[:-1]]
        with self.adapter.active(adapter):
            output = self.adapter.model(
                input_ids=self.tensor([tokens]), use_cache=False, logits_to_keep=len(completion)
            )
        return output.logits[0].float().log_softmax(-1)

    @contextmanager
    def as_base(self) -> Iterator[None]:
        """Compute prefixes and answers as the model came, whatever the scope."""
        if self.scope == "answer":
            with self.adapter.active(False):
                yield
            return
        with self.holding(self.adapter.initial()):
            yield

    @contextmanager
    def holding(self, state: State) -> Iterator[None]:
        """Compute with another state of the adapter for a moment."""
        with self.adapter.holding(state):
            self.weights_changed()
            try:
                yield
            finally:
                self.weights_changed()

    def header_tokens(self) -> tuple[int, ...]:
        """The assistant header by which an exported adapter knows where the answer begins."""
        return self.renderer.prompt([ChatMessage(role="user", content="x")], ()).header

    def peak_memory(self) -> int:
        """The most memory used so far, in bytes: the GPU's, or the process's."""
        if self.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self.device))
        import resource
        import sys

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024

    def weights_changed(self) -> None:
        """Forget the caches that the adapter had a part in."""
        if self.scope == "everywhere":
            self.prefixes.clear()
