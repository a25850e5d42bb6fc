"""What a service says about an answer, as the same tensors that a local model gives.

A service tells the likeliest tokens of each position and the one that stands there, not the whole
vocabulary. Shapes: a completion of ``n`` tokens gives ``[n, v]`` log-probabilities, in which the
tokens that were not told share what is left in equal parts.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...engine import EngineFailure, Reply
from ...protocol import AdapterScope, Completion
from ..generation import Detokeniser, OnToken, Sampling
from ..prefix import Prefix
from ..rendering import Prompt, Renderer
from .connection import Connection

if TYPE_CHECKING:
    import tinker
    from transformers import PreTrainedTokenizerBase

TOP_K = 20
LEFT_OUT = (
    "The service left out log-probabilities that it was asked for, so nothing can be learned from "
    "it: use another server, or engine=practice."
)
LEAST = 1e-9  # what a token that was not told has at least, so that nothing becomes infinite


@dataclass(frozen=True)
class Abilities:
    """What the service was seen to do when it was asked for three tokens."""

    top_k: int = TOP_K
    last_n: bool = True
    wide_targets: bool = True
    custom_loss: bool = False
    sums: bool = True
    resumes: bool = True


@dataclass
class Named:
    """A model as far as it is known here: its name, its tokenizer and how much it reads."""

    name: str
    tokenizer: PreTrainedTokenizerBase
    context_tokens: int


class Reader:
    """Samples and scores through sampling clients: the student's, and the base model's."""

    scope: AdapterScope = "everywhere"

    def __init__(
        self,
        connection: Connection,
        loaded: Named,
        reply: Reply,
    ) -> None:
        self.connection = connection
        self.loaded = loaded
        self.abilities = Abilities()
        self.reply = reply
        self.renderer = Renderer(loaded.tokenizer)
        self.context_tokens = loaded.context_tokens
        self.vocabulary = len(loaded.tokenizer)
        end = loaded.tokenizer.eos_token_id
        self.end = end if isinstance(end, int) else None
        self.tokens_scored = 0
        self.tokens_sampled = 0
        self.open()

    def open(self) -> None:
        """Begin to ask in the connection's session; the student is the base at first."""
        service = self.connection.client
        if service is None:
            raise EngineFailure("not_loaded", "There is no connection: load a model first.")
        self.base = self.connection.wait(
            "Opening the model",
            lambda: service.create_sampling_client(base_model=self.loaded.name),
            self.reply,
            self.connection.limits.connect,
        )
        self.student = self._asked_last = self.base

    def require_room(self, prompt_tokens: int, answer_tokens: int) -> None:
        """Fail in words when prompt and answer do not fit into the context."""
        if prompt_tokens + answer_tokens > self.context_tokens:
            raise EngineFailure(
                "context_too_long",
                f"The conversation needs {prompt_tokens + answer_tokens} tokens and the model "
                f"reads {self.context_tokens}: start a new conversation, or shorten this one.",
            )

    def prefix(self, prompt: Prompt, *, keep: bool = True) -> Prefix:
        """An empty one: a service keeps its own, if it does."""
        del prompt, keep
        return Prefix((), None)

    def settle(self, prompt: Prompt) -> None:
        """Ask the student something, if an older snapshot was asked last.

        There are servers (SkyRL with JAX) on which asking a snapshot makes its weights those
        that the next step starts from and that are saved.
        """
        if self._asked_last not in (self.student, self.base):
            self.score(prompt, prompt.tokens[-1:])

    # --- scoring ----------------------------------------------------------------------

    def score(
        self,
        prompt: Prompt,
        completion: Sequence[int],
        *,
        client: tinker.SamplingClient | None = None,
        prefix: Prefix | None = None,
    ) -> Tensor:
        """Log-probabilities of a completion's positions, ``[n, v]``; the student's by default."""
        del prefix  # a service keeps its own
        return self.score_all([(prompt, completion)], client=client)[0]

    def score_all(
        self,
        pairs: Sequence[tuple[Prompt, Sequence[int]]],
        *,
        client: tinker.SamplingClient | None = None,
    ) -> list[Tensor]:
        """Several answers at once, each ``[n, v]``: the service may work on them side by side."""
        scorer = client or self.student
        began: list[Any] = []

        def begin() -> Any:
            began.extend(self._asked(scorer, prompt, answer) for prompt, answer in pairs)
            return began[0]

        found: list[Tensor] = []
        for at, (prompt, answer) in enumerate(pairs):
            self.require_room(len(prompt) + len(answer), 1)
            response = self.connection.wait(
                "Scoring",
                begin if at == 0 else lambda at=at: began[at],
                self.reply,
                self.connection.limits.sample,
            )
            self.tokens_scored += len(answer)
            chosen = _numbers(response.prompt_logprobs, len(answer))
            top = self._told(response.topk_prompt_logprobs, len(answer))
            found.append(self._spread(answer, chosen, top))
        return found

    def _told(self, found: Sequence[Any] | None, count: int) -> Sequence[Any]:
        """The likeliest tokens of an answer's positions; fails in words where some are missing."""
        if not self.abilities.top_k:
            return ()
        told = list(found or ())[-count:]
        if len(told) < count or not all(told):
            raise EngineFailure("unavailable", LEFT_OUT)
        return told

    def _asked(
        self, scorer: tinker.SamplingClient, prompt: Prompt, completion: Sequence[int]
    ) -> Any:
        """The request for one score, under way."""
        from tinker import types

        self._asked_last = scorer
        asked: dict[str, Any] = {"include_prompt_logprobs": True}
        if self.abilities.top_k:
            asked["topk_prompt_logprobs"] = self.abilities.top_k
        if self.abilities.last_n:
            # Only the answer's positions, so that the price does not grow with the conversation.
            asked["prompt_logprobs_last_n"] = len(completion)
        tokens = types.ModelInput.from_ints([*prompt.tokens, *completion])
        return scorer.sample(tokens, 1, types.SamplingParams(max_tokens=1), **asked)

    def _spread(
        self, completion: Sequence[int], chosen: Sequence[float], top: Sequence[Any]
    ) -> Tensor:
        """Whole rows from what was told of each.

        Where only the token that stands there is told, all others are one column more, so that
        it can still be seen that something else is likelier.
        """
        columns = self.vocabulary + (not self.abilities.top_k)
        rows = torch.empty(len(completion), columns)
        for at, (token, logprob) in enumerate(zip(completion, chosen, strict=True)):
            told = {int(i): float(p) for i, p in top[at]} if top else {}
            told[int(token)] = logprob
            rest = max(LEAST, 1.0 - sum(map(math.exp, told.values())))
            if self.abilities.top_k:
                rows[at] = math.log(rest / max(1, self.vocabulary - len(told)))
            else:
                rows[at] = math.log(LEAST / columns)
                rows[at, -1] = math.log(rest)
            rows[at, list(told)] = torch.tensor(list(told.values()))
        return rows.log_softmax(-1)

    # --- sampling ---------------------------------------------------------------------

    def sample(
        self,
        prompt: Prompt,
        sampling: Sampling,
        *,
        client: tinker.SamplingClient | None = None,
        on_token: OnToken | None = None,
    ) -> Completion:
        """Sample one completion; it comes whole, as a service does not stream."""
        from tinker import types

        started = time.monotonic()
        room = self.context_tokens - len(prompt)
        if room < sampling.max_tokens // 4:
            self.require_room(len(prompt), sampling.max_tokens)
        parameters = types.SamplingParams(
            max_tokens=max(1, min(sampling.max_tokens, room)),
            temperature=sampling.temperature,
            seed=sampling.seed,
            # Said, as not every server takes the end token for granted.
            stop=None if self.end is None else [self.end],
        )
        sampler = self._asked_last = client or self.student
        response = self.connection.wait(
            "Sampling",
            lambda: sampler.sample(types.ModelInput.from_ints(list(prompt.tokens)), 1, parameters),
            self.reply,
            self.connection.limits.sample,
        )
        (sequence,) = response.sequences
        tokens = tuple(int(token) for token in sequence.tokens)
        logprobs = tuple(_numbers(sequence.logprobs, len(tokens)))
        self.tokens_sampled += len(tokens)
        ended = sequence.stop_reason == "stop"
        text = self._show(tokens, logprobs, ended=ended, on_token=on_token)
        return Completion(
            tokens=tokens,
            logprobs=logprobs,
            text=text,
            stop_reason="stop" if ended else "length",
            prompt_tokens=len(prompt),
            seconds=time.monotonic() - started,
        )

    def text(self, tokens: Sequence[int]) -> str:
        """An answer's text without the token that ends it."""
        ended = bool(tokens) and tokens[-1] == self.end
        words = list(tokens[:-1] if ended else tokens)
        return self._decode(words)

    def _decode(self, tokens: list[int]) -> str:
        return str(self.loaded.tokenizer.decode(tokens, skip_special_tokens=False))

    def _show(
        self,
        tokens: Sequence[int],
        logprobs: Sequence[float],
        *,
        ended: bool,
        on_token: OnToken | None,
    ) -> str:
        """The text of an answer without its end token, told token by token."""
        text = Detokeniser(self._decode)
        for at, (token, logprob) in enumerate(zip(tokens, logprobs, strict=True)):
            last = ended and at == len(tokens) - 1 and token == self.end
            shown = "" if last else text.push(token)
            if on_token is not None:
                on_token(shown, token, logprob)
        text.finish()
        return text.text


def _numbers(found: Sequence[float | None] | None, count: int) -> list[float]:
    """The last log-probabilities of an answer; fails in words where one is no number."""
    if found is None or len(found) < count:
        raise EngineFailure("unavailable", LEFT_OUT)
    numbers = [math.nan if one is None else float(one) for one in list(found)[-count:]]
    if not all(map(math.isfinite, numbers)):
        raise EngineFailure(
            "unavailable",
            "The service answered with log-probabilities that are no numbers, so nothing was "
            "changed: undo to an earlier lesson, or start afresh.",
        )
    return numbers
