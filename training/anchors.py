"""The bank of unrelated prompts, answered by the base model and watched during lessons."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from .bank import ANCHORS, KINDRED, PROBES, BankEntry
from .durable import make_folder, replace_durably
from .engines.batch import (
    LARGE_VOCABULARY,
    Anchor,
    Batch,
    answer_together,
    rows_at_once,
    sequence_kl,
)
from .engines.policy import Policy
from .engines.prefix import Prefix
from .engines.rendering import Prompt
from .protocol import ToolSchema

ANSWER_TOKENS = 32
LARGE_ANSWER_TOKENS = 24
PAIRS_TOGETHER = 6
LARGE_KINDRED = 12
PATIENCE_SECONDS = 20.0
BANK_VERSION = 3
SHIPPED_ANSWERS = "answers.json"


class AnswerFile:
    """The base's answers to the bank, kept on disk so that they are made once per model.

    An answer is known by the prompt's tokens, so it stands as long as the model reads the same.
    The model's folder may bring answers of its own in a file of the same form.
    """

    def __init__(self, folder: Path | None, identity: str, beside: Path | None = None) -> None:
        self.identity = identity
        self.path = None if folder is None else folder / f"{identity}.json"
        self.answers: dict[str, tuple[int, ...]] = {}
        for path in (beside, self.path):
            if path is not None and path.is_file():
                self.answers |= self._read(path)

    def _read(self, path: Path) -> dict[str, tuple[int, ...]]:
        """What a file holds for this model and this bank; a damaged file holds nothing."""
        try:
            stored = json.loads(path.read_text())
            if (stored["bank"], stored["identity"]) != (BANK_VERSION, self.identity):
                return {}
            return {str(key): tuple(map(int, ids)) for key, ids in stored["answers"].items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return {}

    def write(self, path: Path | None = None) -> None:
        """Keep the answers; a disk that refuses costs only the time to make them again."""
        path = path or self.path
        if path is None:
            return
        told = {"bank": BANK_VERSION, "identity": self.identity, "answers": self.answers}
        with contextlib.suppress(OSError):
            make_folder(path.parent)
            replace_durably(path, json.dumps(told).encode())


def prompt_key(prompt: Prompt) -> str:
    """A short hash of what the model reads."""
    ids = ",".join(map(str, (*prompt.prefix, *prompt.header)))
    return hashlib.sha256(ids.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Comparison:
    """What a change did to each watched row: nats per answer, and the greedy answer."""

    from_base: Tensor
    from_before: Tensor
    same: Tensor
    entropy: Tensor


class Watch:
    """Answered prompts whose distributions are followed through a lesson."""

    def __init__(
        self, policy: Policy, entries: Sequence[BankEntry], anchors: Sequence[Anchor]
    ) -> None:
        self.entries = list(entries)
        self.ids = [anchor.id for anchor in anchors]
        self.anchors = list(anchors)
        self.batch = Batch(policy, anchors)
        self._rows_at_once = rows_at_once(policy)
        self.base = self.now(adapter=False)

    def _chunks(self) -> Iterator[Tensor]:
        rows = torch.arange(len(self.ids), device=self.batch.inputs.device)
        yield from rows.split(self._rows_at_once)

    @torch.no_grad()
    def now(self, *, adapter: bool = True) -> Tensor:
        """The present log-probabilities of every row, ``[b, n, v]``."""
        return torch.cat([self.batch.logprobs(rows, adapter=adapter) for rows in self._chunks()])

    @torch.no_grad()
    def compare(self, before: Tensor) -> Comparison:
        """Compare the present with the base and with an earlier state."""
        parts: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        for rows in self._chunks():
            real = self.batch.real[rows]
            now = self.batch.logprobs(rows)
            same = (now.argmax(-1) == before[rows].argmax(-1)) | ~real
            parts.append(
                (
                    sequence_kl(self.base[rows], now, real),
                    sequence_kl(before[rows], now, real),
                    same.all(-1),
                    self.entropy(now, rows),
                )
            )
        return Comparison(*(torch.cat(column) for column in zip(*parts, strict=True)))

    def entropy(self, logprobs: Tensor, rows: Tensor | None = None) -> Tensor:
        """The entropy of each answer, in nats: ``[b]``."""
        real = self.batch.real if rows is None else self.batch.real[rows]
        return (-(logprobs.exp() * logprobs).sum(-1) * real).sum(-1)

    def mask(self, left_out: set[str]) -> Tensor:
        """Which rows count, ``[b]``."""
        keep = [name not in left_out for name in self.ids]
        return torch.tensor(keep, device=self.batch.inputs.device)


@dataclass(frozen=True)
class Kindred:
    """A common request in other words, among which a lesson looks for its own kind."""

    entry: BankEntry
    prompt: Prompt
    prefix: Prefix


class Bank:
    """Anchors, probes and kindred requests for one model and one set of tools.

    They are prepared piece by piece.
    """

    def __init__(self, policy: Policy, tools: tuple[ToolSchema, ...], folder: Path | None) -> None:
        self.policy = policy
        self.tools = tools
        beside = Path(policy.loaded.source) / SHIPPED_ANSWERS
        self.file = AnswerFile(folder, policy.loaded.identity, beside)
        large = policy.vocabulary > LARGE_VOCABULARY
        self._limit = LARGE_ANSWER_TOKENS if large else ANSWER_TOKENS
        self._kindred = KINDRED[:: len(KINDRED) // LARGE_KINDRED] if large else KINDRED
        self.kindred: list[Kindred] = []
        self._steps = self._prepare()
        self._anchors: Watch | None = None
        self._probes: Watch | None = None

    @property
    def ready(self) -> bool:
        """Whether every piece is prepared."""
        return self._probes is not None and len(self.kindred) == len(self._kindred)

    @property
    def anchors(self) -> Watch:
        """The prompts that hold a step back."""
        assert self._anchors is not None, "the bank is not finished"
        return self._anchors

    @property
    def probes(self) -> Watch:
        """The prompts that watch a step."""
        assert self._probes is not None, "the bank is not finished"
        return self._probes

    def advance(self) -> bool:
        """Prepare one piece; False when there is none left."""
        return next(self._steps, None) is not None

    def finish(self, check: Callable[[], None]) -> None:
        """Prepare what is left; ``check`` may raise between pieces."""
        while self.advance():
            check()

    def _prepare(self) -> Iterator[bool]:
        """Anchors and probes in turn, fewer of them when the model is slow."""
        made: list[tuple[Anchor, Anchor]] = []
        started = time.monotonic()
        pairs = list(zip(ANCHORS, PROBES, strict=True))
        for first in range(0, len(pairs), PAIRS_TOGETHER):
            if time.monotonic() - started > PATIENCE_SECONDS:
                break
            group = [entry for pair in pairs[first : first + PAIRS_TOGETHER] for entry in pair]
            anchors: list[Anchor] = []
            for entry in group:
                anchors.append(self._rendered(entry))
                yield True
            yield from self._answer([anchor for anchor in anchors if not anchor.answer])
            made += zip(anchors[::2], anchors[1::2], strict=True)
        self._anchors = Watch(self.policy, ANCHORS[: len(made)], [pair[0] for pair in made])
        yield True
        self._probes = Watch(self.policy, PROBES[: len(made)], [pair[1] for pair in made])
        for entry in self._kindred:
            yield True
            rendered = self._rendered(entry)
            self.kindred.append(Kindred(entry, rendered.prompt, rendered.prefix))

    def _rendered(self, entry: BankEntry) -> Anchor:
        """One entry with its prefix, and the base's answer if it is known."""
        prompt = self.policy.renderer.prompt(entry.messages(), self.tools)
        with self.policy.as_base():
            prefix = self.policy.prefix(prompt, keep=False)
        answer = self.file.answers.get(prompt_key(prompt), ())
        return Anchor(id=entry.id, prompt=prompt, prefix=prefix, answer=answer)

    def _answer(self, anchors: Sequence[Anchor]) -> Iterator[bool]:
        """Let the base answer these greedily, a token of each at a time, and keep the answers."""
        if not anchors:
            return
        answers: list[tuple[int, ...]] = []
        steps = answer_together(self.policy, anchors, self._limit)
        while True:
            with self.policy.as_base():
                said = next(steps, None)
            if said is None:
                break
            answers = said
            yield True
        for anchor, answer in zip(anchors, answers, strict=True):
            anchor.answer = answer
            self.file.answers[prompt_key(anchor.prompt)] = answer
        self.file.write()
