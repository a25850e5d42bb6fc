"""The journal of lessons: what the user corrected and what came of it.

One line is ``{"seq":N,"crc":"XXXXXXXX","entry":{…}}``; the checksum covers the number and the
entry's bytes as they stand. A line is synced before ``append`` returns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...training.protocol import Lesson, LessonResult

Standing = Literal[
    "pending", "learned", "gated", "in_context_only", "rolled_back", "failed", "undone"
]


@dataclass(frozen=True, slots=True)
class LessonRecord:
    """A lesson and where it stands; ``result`` is without token reports when read from disk."""

    lesson: Lesson
    time: float
    standing: Standing = "pending"
    attempts: int = 0
    result: LessonResult | None = None
