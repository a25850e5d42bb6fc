"""What the controllers tell whoever presents them: the screen, or `exec`.

A presenter takes each event in order through one callable. Nothing here knows of Textual.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..training.protocol import (
    Checked,
    Completion,
    Lesson,
    LessonResult,
    Loaded,
    StageName,
    StepMetrics,
)
from .agent.proposal import Decision, Proposal
from .sandbox.gate import Gate
from .store.display import Shown
from .tools.base import ToolResult

Severity = Literal["information", "warning", "error"]


@dataclass(frozen=True, slots=True)
class SandboxTried:
    """Which boundary commands run behind is known."""

    gate: Gate


@dataclass(frozen=True, slots=True)
class EngineLoading:
    """The worker is starting or loading; ``fraction`` is None where it cannot be known."""

    message: str
    fraction: float | None = None


@dataclass(frozen=True, slots=True)
class EngineReady:
    """The engine can sample."""

    loaded: Loaded


@dataclass(frozen=True, slots=True)
class EngineFailed:
    """The engine cannot be used; the sentence names the way out."""

    message: str


@dataclass(frozen=True, slots=True)
class EngineWaiting:
    """A service is being waited for while it samples or learns: for what, how long, and why."""

    message: str


@dataclass(frozen=True, slots=True)
class UserSaid:
    """A request entered the conversation."""

    text: str


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """The model begins a turn; ``retry`` marks the one that follows a lesson."""

    retry: bool = False


@dataclass(frozen=True, slots=True)
class TokenArrived:
    """A piece of the model's turn, as raw text; tool-call markup included."""

    text: str


@dataclass(frozen=True, slots=True)
class TurnDropped:
    """What streamed since the last TurnStarted is discarded."""


@dataclass(frozen=True, slots=True)
class TurnSampled:
    """The turn is complete; ``text`` is its prose, without the call."""

    text: str
    completion: Completion


@dataclass(frozen=True, slots=True)
class CallRejected:
    """The turn held no call that could be understood; the model is told why."""

    problem: str


@dataclass(frozen=True, slots=True)
class ProposalMade:
    """A call waits for a decision, or was approved by ``rule`` without one."""

    proposal: Proposal
    rule: str | None = None


@dataclass(frozen=True, slots=True)
class SecretAsked:
    """The user is asked about a secret; the sentence says where it is and what it looks like."""

    sentence: str


@dataclass(frozen=True, slots=True)
class ProposalDecided:
    """The user, or a rule, decided."""

    proposal: Proposal
    decision: Decision
    rule: str | None = None


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """A piece of a running tool's output."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A call ran."""

    proposal: Proposal
    result: ToolResult
    seconds: float


@dataclass(frozen=True, slots=True)
class OwnCommandRan:
    """A shell command of the user's own ended, which the screen has shown as it ran.

    ``output`` is as much as is kept of what it printed.
    """

    command: str
    shared: bool
    output: str
    ok: bool
    words: str
    seconds: float


@dataclass(frozen=True, slots=True)
class LessonStarted:
    """A lesson is in the journal and goes to the worker; ``attempt`` counts from 1."""

    lesson: Lesson
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class LessonStage:
    """A lesson entered a stage; ``elapsed`` is in seconds."""

    stage: StageName
    detail: str
    elapsed: float


@dataclass(frozen=True, slots=True)
class LessonStep:
    """A gradient step was taken."""

    metrics: StepMetrics


@dataclass(frozen=True, slots=True)
class LessonFinished:
    """What came of a lesson; the journal has it already."""

    lesson: Lesson
    result: LessonResult


@dataclass(frozen=True, slots=True)
class AdapterMoved:
    """The adapter went to another snapshot by an undo, a switch or a forgetting."""


@dataclass(frozen=True, slots=True)
class SuiteProgress:
    """Lessons are asked again without their corrections; ``fraction`` is of all of them."""

    message: str
    fraction: float | None = None


@dataclass(frozen=True, slots=True)
class LessonsChecked:
    """Which lessons hold; the journal has it already."""

    checked: Checked


@dataclass(frozen=True, slots=True)
class AtRest:
    """Something other than a turn is over, and the agent waits for the user."""


@dataclass(frozen=True, slots=True)
class TurnFinished:
    """The agent waits for the user; ``reason`` is empty when it simply finished.

    ``failed`` says that the engine could not go on.
    """

    reason: str = ""
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """One sentence for the user."""

    text: str
    severity: Severity = "information"


@dataclass(frozen=True, slots=True)
class ConversationReplaced:
    """The conversation is another one: resumed, or gone back; ``draft`` is for the prompt."""

    records: tuple[Shown, ...]
    draft: str = ""


@dataclass(frozen=True, slots=True)
class ContextCounted:
    """The conversation takes about this many tokens now, outside of any turn."""

    tokens: int


AgentEvent = (
    SandboxTried
    | EngineLoading
    | EngineReady
    | EngineFailed
    | EngineWaiting
    | UserSaid
    | TurnStarted
    | TokenArrived
    | TurnDropped
    | TurnSampled
    | CallRejected
    | ProposalMade
    | SecretAsked
    | ProposalDecided
    | ToolOutput
    | ToolFinished
    | OwnCommandRan
    | LessonStarted
    | LessonStage
    | LessonStep
    | LessonFinished
    | AdapterMoved
    | SuiteProgress
    | LessonsChecked
    | AtRest
    | TurnFinished
    | Notice
    | ConversationReplaced
    | ContextCounted
)
