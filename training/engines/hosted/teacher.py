"""Whose weights the teacher on a service has; whatever they are, it reads the correction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...teachers import TeacherSettings
from ..prefix import Prefix
from ..rendering import Prompt
from .reader import Reader

if TYPE_CHECKING:
    import tinker

MOST_MIXED = 4


@dataclass
class HostedTeacher:
    """Scores answers by one sampling client or by several, mixed in probability.

    ``before``: the student's weights at the start of the lesson. ``live``: those it has now.
    ``frozen``: the model as it came. ``moving_average``: the last snapshots in equal parts, as
    weights on a service cannot be averaged. ``synced``: the student's every so many lessons.
    ``trust_region``: log-probabilities ``rate`` of the
    way from frozen to live. ``other`` is a model of its own, which goes before all of them.
    """

    reader: Reader
    settings: TeacherSettings
    before: tinker.SamplingClient
    recent: Sequence[tinker.SamplingClient] = ()
    synced: tinker.SamplingClient | None = None
    other: tinker.SamplingClient | None = None

    @property
    def stands_still(self) -> bool:
        """Whether a step leaves the teacher as it is."""
        return self.other is not None or self.settings.kind in ("before", "synced", "frozen")

    @property
    def speaker(self) -> tinker.SamplingClient:
        """The client that answers for the teacher."""
        if self.other is not None:
            return self.other
        speakers = {"before": self.before, "synced": self.synced, "frozen": self.reader.base}
        return speakers.get(self.settings.kind) or self.reader.student

    def score(self, prompt: Prompt, tokens: Sequence[int], prefix: Prefix | None = None) -> Tensor:
        """The teacher's log-probabilities of an answer to its own prompt, ``[n, v]``."""
        del prefix
        if self.other is None and self.settings.kind == "moving_average":
            clients = [self.reader.student, *self.recent][:MOST_MIXED]
            each = [self.reader.score(prompt, tokens, client=one) for one in clients]
            return torch.logsumexp(torch.stack(each), dim=0) - math.log(len(each))
        spoken = self.reader.score(prompt, tokens, client=self.speaker)
        if self.other is None and self.settings.kind == "trust_region":
            frozen = self.reader.score(prompt, tokens, client=self.reader.base)
            return torch.lerp(frozen, spoken, self.settings.rate).log_softmax(-1)
        return spoken

    def read_with_student(
        self, prompt: Prompt, teacher_prompt: Prompt, tokens: tuple[int, ...]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What student, teacher and reference say of an answer, each ``[n, v]``."""
        student = self.reader.score(prompt, tokens)
        taught = self.score(teacher_prompt, tokens)
        return student, taught, self.reader.score(prompt, tokens, client=self.reader.base)
