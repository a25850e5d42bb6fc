"""Secrets in what is about to be kept: the user is asked once, and they are left out unless kept.

A text is looked at where it enters the conversation, so that what is redacted is seen neither by
the model nor by anything that is made from the conversation later. What goes to the disk is
looked at once more. Who is not asked, because there is no screen, is told.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

from ...training.protocol import ChatMessage, Completion, Lesson, LessonResult, ToolCall
from ...training.redaction import MARK, Secret, find_secrets, known_secrets, redact
from ..events import AgentEvent, Notice, SecretAsked
from ..store.display import Shown
from ..tools import registry

CACHED = 256
LONG = 16
HINT = 4
SEALED = "{} holds a secret that is redacted, so nothing is trained on it"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SecretFound:
    """What the user is asked about: where it stands, and what it looks like."""

    where: str
    what: str

    @property
    def sentence(self) -> str:
        """That it is there."""
        return f"{self.where} holds what looks like {self.what}."


Asker = Callable[[SecretFound], Awaitable[bool]]
"""Asks whether to keep what was found; False redacts it."""


class SecretsController:
    """Remembers for one session which secrets the user has decided about, and how."""

    def __init__(self, *, present: Callable[[AgentEvent], None], ask: Asker | None = None) -> None:
        self._present = present
        self._ask = ask
        self._known = known_secrets(os.environ)
        self._kept: set[str] = set()
        self._redacted: set[str] = set()
        self._marks: set[str] = set()
        self._asking: asyncio.Future[bool] | None = None
        self._stopped = False
        self._find = lru_cache(CACHED)(lambda text: tuple(find_secrets(text, self._known)))

    # --- what enters the conversation ---------------------------------------------------

    def undecided(self, text: str) -> list[Secret]:
        """The secrets of a text about which the user has not decided yet."""
        decided = self._kept | self._redacted
        return [secret for secret in self._find(text) if secret.value not in decided]

    async def decide(self, text: str, where: str) -> None:
        """Ask about what is new in a text; ``where`` begins the sentence."""
        new = self.undecided(text)
        if not new:
            return
        found = SecretFound(where, _described(text, new))
        keep = await self._answer(found)
        (self._kept if keep else self._redacted).update(secret.value for secret in new)
        if keep:
            words = f"Kept as it is: {found.what}. It may be stored and learned from."
        elif self._ask is None:
            words = f"{found.sentence[:-1]}; it was redacted, and the model does not see it."
        else:
            words = f"Redacted: {found.what}."
        self._present(Notice(words, "information" if self._ask else "warning"))

    async def clean(self, text: str, where: str) -> str:
        """The text as the conversation may have it."""
        await self.decide(text, where)
        return self.scrub(text)

    async def clean_command(self, text: str) -> str:
        """What a command of the user's own printed, for the model to see."""
        return await self.clean(text, "What your command printed")

    def stop(self) -> None:
        """Ask no longer: what is being asked about is redacted."""
        if self._asking is not None:
            self._stopped = True
            self._asking.cancel()

    async def _answer(self, found: SecretFound) -> bool:
        if self._ask is None:
            return False
        self._stopped = False
        self._present(SecretAsked(found.sentence))
        self._asking = asyncio.ensure_future(_awaited(self._ask(found)))
        try:
            return await self._asking
        except asyncio.CancelledError:
            if self._stopped:
                return False
            raise
        finally:
            self._asking = None

    # --- what is kept -------------------------------------------------------------------

    def scrub(self, text: str) -> str:
        """The text without every secret that the user did not keep."""
        found = self._find(text)
        if all(secret.value in self._kept for secret in found):
            return text
        self._marks.update(secret.mark for secret in found if secret.value not in self._kept)
        return redact(text, self._known, lambda secret: secret.value in self._kept)

    def scrub_all(self, value: T) -> T:
        """The same for every text in JSON's types."""
        cleaned: Any = value
        match value:
            case str():
                cleaned = self.scrub(value)
            case dict():
                cleaned = {
                    self.scrub(str(key)): self.scrub_all(each) for key, each in value.items()
                }
            case list() | tuple():
                cleaned = type(value)(self.scrub_all(each) for each in value)
        return cleaned

    def adopt(self, saved: Any) -> Any:
        """A conversation that is gone on with: scrubbed, and its marks known."""
        self._marks.update(MARK.findall(json.dumps(saved, ensure_ascii=False)))
        return self.scrub_all(saved)

    def scrub_call(self, call: ToolCall) -> ToolCall:
        """A call as it is kept; what runs is the call itself."""
        return call.model_copy(update={"arguments": self.scrub_all(call.arguments)})

    def scrub_record(self, record: Shown) -> Shown:
        """What the screen showed, as it is kept."""
        texts = {name: getattr(record, name) for name in type(record).model_fields}
        changed = {
            name: scrubbed
            for name, text in texts.items()
            if isinstance(text, str) and (scrubbed := self.scrub(text)) != text
        }
        return record.model_copy(update=changed) if changed else record

    def seal(self, lesson: Lesson) -> tuple[Lesson, str | None]:
        """A lesson without secrets, and why nothing is to be trained on it if that touches it.

        The tokens that the student sampled are never altered: where a secret stands in them, or in
        the call that shows what is right, the lesson keeps no tokens and cannot be trained.
        """
        completion, why = self._scrub_completion(lesson.completion), None
        solution = None if lesson.solution is None else self.scrub_call(lesson.solution)
        if completion is not lesson.completion:
            why = SEALED.format("The denied answer")
        elif solution != lesson.solution:
            why = SEALED.format("The call that you gave")
            completion = completion.model_copy(update={"tokens": (), "logprobs": ()})
        clean = lesson.model_copy(
            update={
                "messages": self._scrub_messages(lesson.messages),
                "siblings": tuple(self._scrub_messages(each) for each in lesson.siblings),
                "completion": completion,
                "correction": self.scrub(lesson.correction),
                "notes": self.scrub_all(lesson.notes),
                "solution": solution,
                "tool_output": self.scrub_all(lesson.tool_output),
            }
        )
        return clean, why

    def scrub_result(self, result: LessonResult) -> LessonResult:
        """What came of a lesson, as it is kept."""
        update: dict[str, Any] = {"reason": self.scrub(result.reason)}
        if result.retry is not None:
            update["retry"] = self._scrub_completion(result.retry)
        return result.model_copy(update=update)

    def problem_with(self, call: ToolCall) -> str | None:
        """What the model is told of a call that would write a mark where a secret belongs."""
        tool = registry.TOOLS.get(call.name)
        if tool is None or tool.read_only or not self._marks:
            return None
        marks = self._marks.intersection(MARK.findall(json.dumps(call.arguments)))
        if not marks:
            return None
        return (
            f"the call holds {min(marks)}, which stands for a secret that you cannot see; leave "
            "those lines as they are and change others, or ask the user"
        )

    def _scrub_messages(self, messages: tuple[ChatMessage, ...]) -> tuple[ChatMessage, ...]:
        return tuple(
            message.model_copy(
                update={
                    "content": self.scrub(message.content),
                    "tool_calls": tuple(self.scrub_call(call) for call in message.tool_calls),
                }
            )
            for message in messages
        )

    def _scrub_completion(self, completion: Completion) -> Completion:
        """The same completion, or one with neither its secrets nor its tokens."""
        text = self.scrub(completion.text)
        if text == completion.text:
            return completion
        return completion.model_copy(update={"text": text, "tokens": (), "logprobs": ()})


def _described(text: str, secrets: list[Secret]) -> str:
    """Some secrets in words, without telling them."""
    kinds = list(dict.fromkeys(secret.kind for secret in secrets))
    if len(secrets) > 1:
        return f"{len(secrets)} secrets ({', '.join(kinds)})"
    (secret,) = secrets
    article = "an" if secret.kind[0] in "AEIOUaeiou" else "a"
    hints: list[str] = []
    if len(secret.value) >= LONG and secret.kind not in ("password", "private key"):
        hints.append(f"{secret.value[:HINT]}…")
    if "\n" in text:
        hints.append(f"line {text.count(chr(10), 0, secret.start) + 1}")
    hint = f" ({', '.join(hints)})" if hints else ""
    return f"{article} {secret.kind}{hint}"


async def _awaited(answer: Awaitable[bool]) -> bool:
    return await answer
