"""The conversation with the model, as it is sent to the worker and kept in a session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import BaseModel, ConfigDict

from ...training.protocol import ChatMessage, ToolCall
from .digest import DENIED, DIGEST_HEAD, EDITED, Exchange, Turn, digest, fit, split_turns

MAX_SIBLINGS = 3
UNANSWERED = "error: the call was interrupted before it had an answer"
STOPPED = "Stopped."
"""What stands as the answer to a request that was stopped before the model had one."""
WENT_WITH_IT = "what went with it"
Messages = tuple[ChatMessage, ...]


class _SavedTurn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    assistant: ChatMessage
    answer: ChatMessage | None = None


class _SavedExchange(BaseModel):
    model_config = ConfigDict(extra="forbid")
    request: ChatMessage
    turns: list[_SavedTurn] = []


class _Saved(BaseModel):
    model_config = ConfigDict(extra="forbid")
    system: str
    exchanges: list[_SavedExchange] = []
    earlier_requests: list[str] = []
    notes: list[str] = []
    digest: list[str] = []


class Conversation:
    """Grows by requests, turns and answers; gives out immutable messages.

    Notes are kept aside: they strengthen the teacher and never stand in the messages.
    """

    def __init__(self, system: str) -> None:
        self.system = system
        self._exchanges: list[Exchange] = []
        self._requests: list[str] = []
        self._notes: list[str] = []
        self._context: list[tuple[str, str]] = []
        self._digest: list[str] = []

    # --- reading ----------------------------------------------------------------------

    def messages(self) -> Messages:
        """Return all messages, the system message first."""
        flat = [ChatMessage(role="system", content=self._system_with_digest())]
        for exchange in self._exchanges:
            flat.extend(exchange.messages())
            if not exchange.turns and exchange is not self._exchanges[-1]:
                # Else the model answers it now, and many a template refuses two in a row.
                flat.append(ChatMessage(role="assistant", content=STOPPED))
        return tuple(flat)

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes that wait for the next correction."""
        return tuple(self._notes)

    @property
    def context(self) -> tuple[str, ...]:
        """What goes with the next request, each by its title."""
        return tuple(title for title, _ in self._context)

    @property
    def requests(self) -> tuple[str, ...]:
        """The requests that the model sees, oldest first, each as the user wrote it."""
        return tuple(self._requests[len(self._requests) - len(self._exchanges) :])

    @property
    def count(self) -> int:
        """How many requests there were, those that the model no longer sees included."""
        return len(self._requests)

    @property
    def size(self) -> int:
        """How many characters the model sees."""
        return sum(
            len(message.content) + sum(len(call.model_dump_json()) for call in message.tool_calls)
            for message in self.messages()
        )

    @property
    def waiting_call(self) -> ToolCall | None:
        """The newest turn's call, while it has no answer."""
        if not self._exchanges or not self._exchanges[-1].turns:
            return None
        turn = self._exchanges[-1].turns[-1]
        return (
            turn.assistant.tool_calls[0] if turn.assistant.tool_calls and not turn.answer else None
        )

    def siblings(self) -> tuple[Messages, ...]:
        """Return up to three earlier requests, each as a prompt of its own, newest first."""
        if not self._requests:
            return ()
        *earlier, current = self._requests
        distinct = [text for text in dict.fromkeys(reversed(earlier)) if text != current]
        return tuple(
            (
                ChatMessage(role="system", content=self.system),
                ChatMessage(role="user", content=text),
            )
            for text in distinct[:MAX_SIBLINGS]
        )

    # --- growing ----------------------------------------------------------------------

    def add_request(self, text: str) -> None:
        """Begin an exchange with what the user asks for; no call stays without an answer.

        What the user shared goes before it, once; the request alone becomes a sibling.
        """
        if self.waiting_call is not None:
            self.add_answer(UNANSWERED)
        content = "\n\n".join([*(shared for _, shared in self._context), text])
        self._context.clear()
        self._exchanges.append(Exchange(ChatMessage(role="user", content=content)))
        self._requests.append(text)

    def add_context(self, title: str, text: str) -> None:
        """Keep a text that the model is to see with the next request."""
        self._context.append((title, text))

    async def change_context(self, change: Callable[[str], Awaitable[str]]) -> None:
        """Put each text that the model is to see with the next request into another form."""
        self._context = [(title, await change(text)) for title, text in self._context]

    def drop_context(self) -> None:
        """Let the next request go alone."""
        self._context.clear()

    def add_turn(self, text: str, call: ToolCall | None = None) -> None:
        """Add the model's turn: its prose and its call."""
        calls = () if call is None else (call.model_copy(deep=True),)
        message = ChatMessage(role="assistant", content=text, tool_calls=calls)
        self._exchange().turns.append(Turn(message))

    def add_answer(self, output: str) -> None:
        """Answer the newest turn's call with what the tool said."""
        turn = self._newest_turn()
        if turn.answer is not None:
            raise ValueError("the newest turn has its answer already")
        turn.answer = ChatMessage(role="tool", content=output)

    def reject(self, text: str, problem: str) -> None:
        """Add a turn whose call could not be understood, and tell the model why."""
        self.add_turn(text)
        self.add_answer(f"error: {problem}")

    def deny(self, correction: str) -> None:
        """Answer the waiting call with the user's correction."""
        self.add_answer(f"{DENIED}{correction}")

    def edit(self, call: ToolCall, output: str) -> None:
        """Let the waiting call stand as it ran after the user's edit, and answer it."""
        turn = self._newest_turn()
        calls = (call.model_copy(deep=True),)
        turn.assistant = turn.assistant.model_copy(update={"tool_calls": calls})
        self.add_answer(f"{EDITED}\n{output}")

    def add_note(self, text: str) -> None:
        """Keep a note for the next correction."""
        self._notes.append(text)

    def take_notes(self) -> tuple[str, ...]:
        """Return the notes and keep them no longer."""
        notes, self._notes = tuple(self._notes), []
        return notes

    # --- shrinking --------------------------------------------------------------------

    def rewind(self) -> Messages:
        """Drop the newest turn with its answer; return what it was sampled from."""
        self._newest_turn()
        self._exchange().turns.pop()
        return self.messages()

    def trim(self) -> bool:
        """Drop the oldest exchange, or the oldest turn of the only one; False at the least.

        The system message, the newest request and the newest turn always stay, and an answer
        goes with its call.
        """
        if len(self._exchanges) > 1:
            del self._exchanges[0]
            return True
        if self._exchanges and len(self._exchanges[0].turns) > 1:
            del self._exchanges[0].turns[0]
            return True
        return False

    def compact(self, turns: int, limit: int) -> bool:
        """Leave all but the newest turns out, but for a digest; False where that saves nothing."""
        before, kept = self.size, (self._exchanges, self._digest)
        newest, older = split_turns(self._exchanges, turns)
        self._exchanges = newest
        self._digest = fit(self._digest + digest(older), limit)
        if self.size < before:
            return True
        self._exchanges, self._digest = kept
        return False

    def go_back(self, number: int) -> str:
        """Forget a request, by its place in ``requests``, and all after it; return its text.

        What went with it goes with the next one.
        """
        gone = self._exchanges[number:]
        if not gone:
            raise ValueError("there is no such request")
        del self._exchanges[number:]
        text = self._requests[len(self._requests) - len(gone)]
        del self._requests[len(self._requests) - len(gone) :]
        shared = gone[0].request.content.removesuffix(text).rstrip()
        if shared:
            self._context.append((WENT_WITH_IT, shared))
        return text

    def clear(self) -> None:
        """Forget all exchanges and notes; earlier requests remain siblings."""
        self._exchanges.clear()
        self._digest.clear()
        self._notes.clear()
        self._context.clear()

    # --- keeping ----------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """Return all of it in JSON's types."""
        saved = _Saved(
            system=self.system,
            exchanges=[
                _SavedExchange(
                    request=exchange.request,
                    turns=[
                        _SavedTurn(assistant=turn.assistant, answer=turn.answer)
                        for turn in exchange.turns
                    ],
                )
                for exchange in self._exchanges
            ],
            earlier_requests=self._requests,
            notes=self._notes,
            digest=self._digest,
        )
        return saved.model_dump(mode="json")

    @classmethod
    def from_json(cls, data: Any) -> Conversation:
        """Rebuild a conversation; raises ValueError where the data is none."""
        saved = _Saved.model_validate(data)
        conversation = cls(saved.system)
        conversation._exchanges = [
            Exchange(item.request, [Turn(turn.assistant, turn.answer) for turn in item.turns])
            for item in saved.exchanges
        ]
        conversation._requests = list(saved.earlier_requests)
        conversation._notes = list(saved.notes)
        conversation._digest = list(saved.digest)
        return conversation

    def _system_with_digest(self) -> str:
        if not self._digest:
            return self.system
        return "\n".join([f"{self.system}\n\n{DIGEST_HEAD}", *self._digest])

    def _exchange(self) -> Exchange:
        if not self._exchanges:
            raise ValueError("there is no request yet")
        return self._exchanges[-1]

    def _newest_turn(self) -> Turn:
        turns = self._exchange().turns
        if not turns:
            raise ValueError("the model has not answered this request yet")
        return turns[-1]
