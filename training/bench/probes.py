"""Unrelated prompts, the same for every case: how far learning moves what it is not about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..anchors import Watch
from ..engines.batch import Anchor, sequence_kl
from .drawing import unrelated
from .world import Messages, World

LONGEST_PROBE = 32


@dataclass(frozen=True)
class Drift:
    """What became of the unrelated prompts: nats per answer, and unchanged greedy answers."""

    kl: float
    agreement: float


class Probes:
    """The unrelated prompts with the base's greedy answers."""

    def __init__(self, world: World) -> None:
        self.world = world
        drawn = list(unrelated())
        self.conversations = [messages for messages, _ in drawn]
        self.decided = [options for _, options in drawn]
        with world.policy.as_base():
            prompts = [world.prompt(messages) for messages in self.conversations]
            self.answers = world.continued(prompts, LONGEST_PROBE)
        world.forget()
        self.watch = Watch(world.policy, (), self._anchors(lambda messages: messages))

    def _anchors(self, view: Callable[[Messages], Messages]) -> list[Anchor]:
        """The prompts as an arm shows them, with the base's answers to them as they are."""
        policy = self.world.policy
        found: list[Anchor] = []
        for at, (messages, answer) in enumerate(zip(self.conversations, self.answers, strict=True)):
            prompt = self.world.prompt(view(messages))
            found.append(Anchor(str(at), prompt, policy.prefix(prompt, keep=False), answer))
        return found

    def drift(self, options: set[str], view: Callable[[Messages], Messages] | None) -> Drift:
        """How far the prompts in which none of these options is decided are from the base.

        ``view`` says what an arm puts into every conversation; None where it is only the weights.
        """
        keep = torch.tensor([options.isdisjoint(found) for found in self.decided])
        if view is None:
            seen = self.watch.compare(self.watch.base)
            return Drift(float(seen.from_base[keep].mean()), float(seen.same[keep].float().mean()))
        now = Watch(self.world.policy, (), self._anchors(view)).now()
        real = self.watch.batch.real
        kl = sequence_kl(self.watch.base, now, real)[keep]
        same = ((now.argmax(-1) == self.watch.base.argmax(-1)) | ~real).all(-1)
        return Drift(float(kl.mean()), float(same[keep].float().mean()))
