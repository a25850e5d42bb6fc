"""What an arm is while the bench runs: something that is corrected, and then asked."""

from __future__ import annotations

from dataclasses import dataclass

from ..protocol import ChatMessage, Completion
from .oracle import Request
from .world import Messages, World

DENIED = "denied by the user: "


@dataclass(frozen=True)
class Denial:
    """A request, what the student said to it, and that it was wrong."""

    request: Request
    completion: Completion
    siblings: tuple[Messages, ...] = ()


@dataclass(frozen=True)
class Effort:
    """What a correction cost, and what the arm itself says came of it."""

    steps: int = 0
    sampled: int = 0
    outcome: str = ""
    seconds: float = 0.0


class Pupil:
    """The student as it came: corrections leave no trace."""

    changes_prompt = False

    def __init__(self, world: World) -> None:
        self.world = world

    def start(self) -> None:
        """Forget every correction."""
        self.world.reset()

    def correct(self, denial: Denial) -> Effort:
        """Take a correction."""
        del denial
        return Effort()

    def finish(self) -> Effort:
        """Do what was put off until no more corrections come."""
        return Effort()

    def view(self, messages: Messages) -> Messages:
        """What the student reads when it is asked this."""
        return messages


class InContext(Pupil):
    """Every denial stays in the conversation, with the right call after it."""

    changes_prompt = True

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.past: list[Denial] = []

    def start(self) -> None:
        """Begin a new conversation."""
        super().start()
        self.past = []

    def correct(self, denial: Denial) -> Effort:
        """Keep the exchange."""
        self.past.append(denial)
        return Effort()

    def view(self, messages: Messages) -> Messages:
        """The conversation so far and the new request; right after a denial, the retry."""
        retried = bool(self.past) and self.past[-1].request.messages == messages
        done = self.past[:-1] if retried else self.past
        before = [m for denial in done for m in (*_refused(denial), *_finished(denial.request))]
        after = _refused(self.past[-1]) if retried else messages[1:]
        return (messages[0], *before, *after)


def _refused(denial: Denial) -> Messages:
    """A request, the denied answer and the words of the denial."""
    return (
        *denial.request.messages[1:],
        ChatMessage(role="assistant", content=denial.completion.text),
        ChatMessage(role="tool", content=DENIED + denial.request.correction),
    )


def _finished(request: Request) -> Messages:
    """The right call, what it printed, and the closing words."""
    assert request.right is not None
    return (
        ChatMessage(role="assistant", tool_calls=(request.right,)),
        ChatMessage(role="tool", content=request.result),
        ChatMessage(role="assistant", content=request.closing),
    )


class InRules(Pupil):
    """Every correction becomes a note in the system message."""

    changes_prompt = True

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.notes: list[str] = []

    def start(self) -> None:
        """Begin without notes."""
        super().start()
        self.notes = []

    def correct(self, denial: Denial) -> Effort:
        """Keep the correction as it was said."""
        self.notes.append(denial.request.correction)
        return Effort()

    def view(self, messages: Messages) -> Messages:
        """The system message with the notes in it, as the program shows AGENTS.md."""
        if not self.notes:
            return messages
        notes = "\n".join(f"- {note}" for note in self.notes)
        content = f"{messages[0].content}\n\nAGENTS.md:\n{notes}"
        return (messages[0].model_copy(update={"content": content}), *messages[1:])
