"""Sampling: one token at a time, streamed, with log-probabilities, until the answer ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..protocol import Completion
from .policy import Policy
from .prefix import Prefix
from .rendering import Prompt

REPLACEMENT = "�"

OnToken = Callable[[str, int, float], None]
StopReason = Literal["stop", "length", "cancelled"]


class Detokeniser:
    """Token ids to text as they come, holding back characters that are incomplete.

    It decodes from a few tokens back, so that spaces and multi-byte characters come out as
    in the whole text.
    """

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self._decode = decode
        self._tokens: list[int] = []
        self._start = 0
        self._shown = 0
        self.text = ""

    def push(self, token: int) -> str:
        """The text that this token completes."""
        self._tokens.append(token)
        before = self._decode(self._tokens[self._start : self._shown])
        now = self._decode(self._tokens[self._start :])
        if now.endswith(REPLACEMENT) or len(now) <= len(before):
            return ""
        new = now[len(before) :]
        self._start, self._shown = self._shown, len(self._tokens)
        self.text += new
        return new

    def finish(self) -> str:
        """What is left over, incomplete as it may be."""
        before = self._decode(self._tokens[self._start : self._shown])
        rest = self._decode(self._tokens[self._start :])[len(before) :]
        self._start = self._shown = len(self._tokens)
        self.text += rest
        return rest


def choose(logits: Tensor, temperature: float, generator: torch.Generator) -> tuple[int, float]:
    """A token and its log-probability at temperature 1; temperature 0 takes the likeliest."""
    logprobs = logits.float().log_softmax(-1).cpu()
    if temperature <= 0:
        token = int(logprobs.argmax())
    else:
        weights = (logprobs / temperature).softmax(-1)
        token = int(torch.multinomial(weights, 1, generator=generator))
    return token, float(logprobs[token])


@dataclass(frozen=True)
class Sampling:
    """How an answer is drawn: temperature 0 is greedy, and a seed makes it the same again.

    ``refused`` are tokens with which the answer may not begin.
    """

    temperature: float
    max_tokens: int
    seed: int | None = None
    refused: tuple[int, ...] = ()


@torch.no_grad()
def generate(
    policy: Policy,
    prompt: Prompt,
    sampling: Sampling,
    *,
    on_token: OnToken | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
    check: Callable[[], None] = lambda: None,
    prefix: Prefix | None = None,
) -> Completion:
    """Sample one completion.

    ``is_cancelled`` ends it early with what there is; ``check`` may raise between tokens.
    Raises ``context_too_long`` when the prompt leaves no room for ``max_tokens``, which is
    first reduced to what fits, down to a quarter.
    """
    started = time.monotonic()
    room = policy.context_tokens - len(prompt)
    if room < sampling.max_tokens // 4:
        policy.require_room(len(prompt), sampling.max_tokens)
    limit = max(1, min(sampling.max_tokens, room))
    generator = torch.Generator()
    if sampling.seed is None:
        generator.seed()
    else:
        generator.manual_seed(sampling.seed)
    tokenizer = policy.loaded.tokenizer
    text = Detokeniser(lambda ids: str(tokenizer.decode(ids, skip_special_tokens=False)))
    tokens: list[int] = []
    logprobs: list[float] = []
    stop: StopReason = "length"
    cache = (prefix or policy.prefix(prompt, check=check)).fork() or policy.new_cache()
    pending = list(prompt.header)
    while len(tokens) < limit:
        check()
        if is_cancelled():
            stop = "cancelled"
            break
        output = policy.adapter.model(
            input_ids=policy.tensor([pending]),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        cache = output.past_key_values
        logits = output.logits[0, -1]
        if sampling.refused and (*tokens,) == sampling.refused[:-1]:
            logits[sampling.refused[-1]] = -torch.inf
        token, logprob = choose(logits, sampling.temperature, generator)
        tokens.append(token)
        logprobs.append(logprob)
        pending = [token]
        if token in policy.end_tokens:
            stop = "stop"
        shown = "" if stop == "stop" else text.push(token)
        if on_token is not None:
            on_token(shown, token, logprob)
        if stop == "stop":
            break
    text.finish()
    return Completion(
        tokens=tuple(tokens),
        logprobs=tuple(logprobs),
        text=text.text,
        stop_reason=stop,
        prompt_tokens=len(prompt),
        seconds=time.monotonic() - started,
    )
