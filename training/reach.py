"""How far a correction reaches: to which other requests it speaks as well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from . import case as cases
from .engines.batch import Anchor, Batch

if TYPE_CHECKING:
    from .anchors import Kindred, Watch
    from .bank import BankEntry
    from .case import Case
    from .engine import Reply
    from .engines.policy import Policy
    from .engines.prefix import Prefix
    from .protocol import Learn
    from .snapshots import Replay
    from .variants import Messages

ROWS_AT_ONCE = 24


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
        return {
            anchor.id
            for anchor, entry in zip(watch.anchors, watch.entries, strict=True)
            if len(anchor.answer) > self.position
            and anchor.answer[: self.position] == self.before
            and self._open(anchor.answer[self.position])
            and self._follows(entry, anchor.answer[self.position], anchor.prefix)
        }

    def kindred(self, requests: Sequence[Kindred], most: int) -> list[Messages]:
        """Some requests that the student, as it is now, decides as it did the denied one."""
        found: list[Messages] = []
        for first in range(0, len(requests), ROWS_AT_ONCE):
            group = requests[first : first + ROWS_AT_ONCE]
            for kindred, said in zip(group, self._said(group), strict=True):
                if len(found) == most:
                    return found
                alike = said[:-1] == self.before and self._open(said[-1])
                if alike and self._follows(kindred.entry, said[-1], kindred.prefix):
                    found.append(kindred.entry.messages())
        return found

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

    def _follows(self, entry: BankEntry, token: int, seed: Prefix) -> bool:
        """Whether the correction, shown there, turns this token into the wanted one."""
        self.reply.check()
        said = cases.related(
            self.policy,
            self.case,
            entry.messages(),
            self.tools,
            (*self.before, token),
            seed=seed,
        )
        return said == self.wanted
