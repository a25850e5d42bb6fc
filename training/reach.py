"""How far a correction reaches: to which other requests it speaks as well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch

from . import case as cases
from .collateral import Decision, turning_point
from .engines.batch import Anchor, Batch, rows_at_once
from .engines.prefix import Prefix
from .engines.rendering import Prompt, common_prefix

if TYPE_CHECKING:
    from .anchors import Kindred, Watch
    from .bank import BankEntry
    from .case import Case
    from .engine import Reply
    from .engines.policy import Policy
    from .manifest import Replay
    from .protocol import Learn
    from .variants import Messages

T = TypeVar("T")


@dataclass(frozen=True)
class Decided:
    """A request that is answered like the denied one up to ``token``."""

    entry: BankEntry
    prefix: Prefix
    token: int


class Reach:
    """Shows one correction to other requests and sees whether it changes the same decision."""

    def __init__(self, policy: Policy, case: Case, request: Learn, reply: Reply) -> None:
        self.policy = policy
        self.case = case
        self.tools = request.lesson.tools
        self.reply = reply
        position = case.denied.decision
        assert position is not None
        self.position = position
        self.before = case.denied.tokens[:position]
        self.denied = case.denied.tokens[position]
        self.wanted = case.denied.wanted(position)
        self._inside = '"arguments"' in str(policy.loaded.tokenizer.decode(list(self.before)))

    def watched(self, watch: Watch) -> set[str]:
        """The watched prompts to which the correction speaks as well.

        They answer like the denied completion up to its decision token, and the correction,
        shown there, turns that token into the one that it wants here.
        """
        alike = [
            Decided(entry, anchor.prefix, anchor.answer[self.position])
            for anchor, entry in zip(watch.anchors, watch.entries, strict=True)
            if len(anchor.answer) > self.position
            and anchor.answer[: self.position] == self.before
            and self._open(anchor.answer[self.position])
        ]
        return {decided.entry.id for decided in self._turned(alike)}

    def kindred(self, requests: Sequence[Kindred]) -> tuple[list[Messages], list[Decision]]:
        """The requests to which the correction speaks as well, and what the others decide.

        The first are those that the student, as it is now, decides as it did the denied one,
        and that the correction turns around. Where it turns another decision around, the user
        may have meant it or not: such a request is neither learned nor held.
        """
        found: list[Messages] = []
        others: list[Decision] = []
        for group in _groups(requests, rows_at_once(self.policy)):
            said = self._said(group)
            alike = [
                Decided(kindred.entry, kindred.prefix, tokens[-1])
                for kindred, tokens in zip(group, said, strict=True)
                if tokens[:-1] == self.before and self._open(tokens[-1])
            ]
            turned = {decided.entry.id for decided in self._turned(alike)}
            for kindred, tokens in zip(group, said, strict=True):
                if kindred.entry.id not in turned:
                    others += self._decision(kindred.prompt, kindred.prefix, tokens)
                elif tokens[-1] == self.denied:
                    found.append(kindred.entry.messages())
        return found, others

    def decisions(self, watch: Watch, left_out: set[str]) -> list[Decision]:
        """What the watched prompts decide where their answers leave the wanted one's way."""
        return [
            decision
            for anchor in watch.anchors
            if anchor.id not in left_out
            for decision in self._decision(anchor.prompt, anchor.prefix, anchor.answer)
        ]

    def _decision(
        self, prompt: Prompt, prefix: Prefix, said: tuple[int, ...]
    ) -> Iterator[Decision]:
        wanted = (*self.before, self.wanted)
        at = turning_point(said, wanted)
        if at is not None:
            yield Decision(prompt, prefix, wanted[:at], said[at], wanted[at])

    def overrules(self, replay: Replay) -> bool:
        """Whether the correction, shown there, changes an earlier lesson's decision too."""
        tokens = replay.tokens[: replay.decision + 1]
        said = cases.related(self.policy, self.case, replay.messages, replay.tools, tokens)
        return said != tokens[-1]

    @torch.no_grad()
    def _said(self, group: Sequence[Kindred]) -> list[tuple[int, ...]]:
        """The student's first choices after each beginning of the denied answer."""
        self.reply.check()
        tokens = (*self.before, self.denied)
        rows = [Anchor(k.entry.id, k.prompt, k.prefix, tokens) for k in group]
        choices = Batch(self.policy, rows).logprobs().argmax(-1)
        return [tuple(row) for row in choices.tolist()]

    def _open(self, token: int) -> bool:
        """Whether a decision that was made so elsewhere may be one of this kind.

        Where the decision is which tool to use, it has to be the denied one there too: a
        correction is easily taken further than it was meant.
        """
        return token != self.wanted and (self._inside or token == self.denied)

    @torch.no_grad()
    def _turned(self, alike: Sequence[Decided]) -> list[Decided]:
        """Those that the correction, shown to the base there, turns into the wanted token."""
        found: list[Decided] = []
        for group in _groups(alike, rows_at_once(self.policy)):
            self.reply.check()
            batch = Batch(self.policy, [self._shown(decided) for decided in group])
            said = batch.logprobs(adapter=False)[:, -1].argmax(-1).tolist()
            found += [one for one, token in zip(group, said, strict=True) if token == self.wanted]
        return found

    def _shown(self, decided: Decided) -> Anchor:
        """A request with the correction after it, on the prefix that it has without."""
        messages = decided.entry.messages()
        prompt = self.policy.renderer.teacher_prompt(messages, self.tools, self.case.block)
        shared = common_prefix(decided.prefix.tokens, prompt.prefix)
        rest = Prompt(prompt.tokens[:shared], prompt.tokens[shared:])
        prefix = Prefix(rest.prefix, decided.prefix.fork(shared))
        return Anchor(decided.entry.id, rest, prefix, (*self.before, decided.token))


def _groups(rows: Sequence[T], count: int) -> Iterator[Sequence[T]]:
    for first in range(0, len(rows), count):
        yield rows[first : first + count]
