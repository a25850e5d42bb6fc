"""What a lesson needs of a model, wherever it runs: to render, to score and to say its limits.

Shapes: a completion of ``n`` tokens over a vocabulary of ``v`` gives log-probabilities ``[n, v]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

    from .engines.prefix import Prefix
    from .engines.rendering import Prompt, Renderer
    from .protocol import AdapterScope


class Named(Protocol):
    """A model that has a name and a tokenizer."""

    @property
    def name(self) -> str:
        """The name that the user knows it by."""
        ...

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Its tokenizer."""
        ...


class Reader(Protocol):
    """The student, as far as a case reads it."""

    renderer: Renderer
    context_tokens: int

    @property
    def loaded(self) -> Named:
        """The base model."""
        ...

    @property
    def scope(self) -> AdapterScope:
        """Where the adapter is active."""
        ...

    def score(
        self, prompt: Prompt, completion: Sequence[int], *, prefix: Prefix | None = None
    ) -> Tensor:
        """The student's log-probabilities of an answer, ``[n, v]``."""
        ...

    def prefix(self, prompt: Prompt, *, keep: bool = True) -> Prefix:
        """The cached prefix of a prompt; only where the adapter is active in the answer alone."""
        ...

    def require_room(self, prompt_tokens: int, answer_tokens: int) -> None:
        """Fail in words when prompt and answer do not fit into the context."""
        ...


class TeacherReader(Protocol):
    """The teacher, as far as a case reads it."""

    def score(self, prompt: Prompt, tokens: Sequence[int], prefix: Prefix | None = None) -> Tensor:
        """The teacher's log-probabilities of an answer to its own prompt, ``[n, v]``."""
        ...

    def read_with_student(
        self, prompt: Prompt, teacher_prompt: Prompt, tokens: tuple[int, ...]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What student, teacher and reference say of an answer, each ``[n, v]``."""
        ...
