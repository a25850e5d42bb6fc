"""The wire between the app and the worker: one JSON object a line, both ways.

The app writes requests to the worker's stdin; the worker answers on stdout with
events that carry the request's id. A request ends with exactly one ``result`` or
``failure``; before it come any number of ``progress``, ``token``, ``retry_dropped``,
``stage`` and ``step`` events. The worker's first line is ``ready`` with id 0.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from .adapter_messages import (
    AdapterEnabled,
    AdapterList,
    Adapters,
    EnableAdapter,
    Import,
    Imported,
    Save,
    Saved,
    Undo,
    Undone,
)
from .wire import Wire

PROTOCOL_VERSION = 1

EngineName = Literal["practice", "local", "tinker"]
AdapterScope = Literal["answer", "everywhere"]
LoraTargets = Literal["all", "attention"]
Objective = Literal["forward_kl", "reverse_kl", "jsd", "importance_sampling"]
Support = Literal["teacher", "student", "union"]
TeacherKind = Literal["before", "live", "moving_average", "synced", "frozen", "trust_region"]
Outcome = Literal["learned", "in_context_only", "gated", "rolled_back", "failed"]
StageName = Literal["prepare", "gate", "snapshot", "step", "guard", "retry", "commit"]
Hold = Literal["call", "decision", "lost"]
FailureCode = Literal[
    "bad_adapter",
    "bad_model",
    "bad_request",
    "cancelled",
    "context_too_long",
    "disk_full",
    "internal",
    "missing_extra",
    "not_loaded",
    "out_of_memory",
    "read_only",
    "unavailable",
]


class ToolCall(Wire):
    """A tool's name and its arguments."""

    name: str
    arguments: dict[str, Any]


class ToolSchema(Wire):
    """What the model is told about a tool; ``parameters`` is a JSON schema."""

    name: str
    description: str
    parameters: dict[str, Any]


class ChatMessage(Wire):
    """One message of a conversation, in the form that chat templates take."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()


class Completion(Wire):
    """The tokens sampled from the student for one turn, as sampled, with the end token."""

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    text: str
    stop_reason: Literal["stop", "length", "cancelled"]
    prompt_tokens: int
    seconds: float


class Lesson(Wire):
    """A correction with all that is needed to learn from it, now or replayed later.

    ``messages`` is the conversation up to the denied or edited completion, and the
    retry is sampled from exactly these messages: none of them holds the correction.
    """

    id: str
    kind: Literal["deny", "edit"]
    messages: tuple[ChatMessage, ...]
    tools: tuple[ToolSchema, ...]
    completion: Completion
    correction: str
    notes: tuple[str, ...] = ()
    solution: ToolCall | None = None
    tool_output: str | None = None
    siblings: tuple[tuple[ChatMessage, ...], ...] = ()


# --- requests -------------------------------------------------------------------------


class Load(Wire):
    """Load a model and the adapter that belongs to it and to ``repository``."""

    type: Literal["load"] = "load"
    id: int
    engine: EngineName
    model_name: str | None = None
    repository: str
    data_dir: str | None = None
    enable_training: bool = True
    adapter_scope: AdapterScope = "answer"
    lora_targets: LoraTargets = "all"
    lora_rank: int = 16
    objective: Objective | None = None
    jsd_alpha: float | None = None
    top_k: int | None = None
    support: Support | None = None
    token_clip: float | None = None
    teacher: TeacherKind | None = None
    teacher_rate: float | None = None
    teacher_sync_every: int = 5
    learning_rate: float | None = None
    kl_coef: float | None = None
    kl_budget: float | None = None
    max_steps: int | None = None
    save_every: int = 10
    seed: int = 0
    base_url: str | None = None
    load_checkpoint_path: str | None = None
    teacher_model: str | None = None
    teacher_checkpoint: str | None = None


class Sample(Wire):
    """Sample one completion from the student."""

    type: Literal["sample"] = "sample"
    id: int
    messages: tuple[ChatMessage, ...]
    tools: tuple[ToolSchema, ...]
    temperature: float
    max_tokens: int
    seed: int | None = None


class Learn(Wire):
    """Learn one lesson; the proof is sampled at this temperature."""

    type: Literal["learn"] = "learn"
    id: int
    lesson: Lesson
    temperature: float
    max_tokens: int
    seed: int | None = None


class ProvedLesson(Wire):
    """A learned lesson as it can be asked again.

    ``tokens`` are those of the retry that proved it, ``denied`` those of the answer that was
    denied; the first token in which the two differ is the decision.
    """

    lesson: str
    messages: tuple[ChatMessage, ...]
    tools: tuple[ToolSchema, ...]
    tokens: Annotated[tuple[int, ...], Field(min_length=1)]
    denied: tuple[int, ...] = ()


class Check(Wire):
    """Ask lessons again without their corrections, at temperature 0."""

    type: Literal["check"] = "check"
    id: int
    lessons: tuple[ProvedLesson, ...]


class Cancel(Wire):
    """Stop the request with id ``target`` at the next token or stage."""

    type: Literal["cancel"] = "cancel"
    id: int
    target: int


class Shutdown(Wire):
    """End the worker; closing its stdin does the same."""

    type: Literal["shutdown"] = "shutdown"
    id: int


Request = Annotated[
    Load
    | Sample
    | Learn
    | Undo
    | Check
    | Save
    | Adapters
    | EnableAdapter
    | Import
    | Cancel
    | Shutdown,
    Field(discriminator="type"),
]
REQUEST: TypeAdapter[Request] = TypeAdapter(Request)


# --- results --------------------------------------------------------------------------


class Loaded(Wire):
    """What was loaded, and what it can do.

    ``lesson`` is the newest that the adapter holds and ``lessons`` how many it does.
    ``kl_budget`` is how far a lesson may move unrelated answers, in nats an answer.
    ``notice`` is one sentence that the user should see, such as that the newest snapshot was
    damaged and an older one was taken. ``server`` says what a service can do, by name.
    """

    type: Literal["loaded"] = "loaded"
    engine: EngineName
    model_name: str
    device: str
    parameters: int
    trainable_parameters: int
    context_tokens: int
    training: bool
    read_only: str | None = None
    objective: Objective
    adapter_scope: AdapterScope
    snapshot: str | None = None
    lesson: str | None = None
    lessons: int = 0
    kl_budget: float | None = None
    seconds: float = 0.0
    notice: str = ""
    server: dict[str, str] = Field(default_factory=dict)


class Sampled(Wire):
    """The completion that was asked for."""

    type: Literal["sampled"] = "sampled"
    completion: Completion


class StepMetrics(Wire):
    """The figures of one gradient step.

    ``kl`` is the mean forward KL per answer from the base on the anchors after the step,
    in nats; ``scale`` is the part of the step that the line search kept; ``follow`` is the
    student's probability of the teacher's choice at the first decision token.
    """

    step: int
    loss: float
    kl: float
    grad_norm: float
    scale: float
    follow: float
    teacher_gap: float
    entropy: float
    advantage_mean: float
    advantage_abs_max: float
    seconds: float


class TokenReport(Wire):
    """One token of the corrected completion.

    ``advantage`` is log p(teacher) − log p(student) before the lesson, in nats;
    ``before`` and ``after`` are the student's probabilities of the token; ``teacher_token``
    is the token that the teacher prefers there.
    """

    text: str
    advantage: float
    before: float
    after: float
    teacher: float
    teacher_token: str


class GuardReport(Wire):
    """What the lesson did to prompts that it was not about.

    ``kl`` is the mean forward KL per answer from before the lesson, in nats; ``agreement``
    is the part of the probes whose greedy answer stayed the same.
    """

    kl: float
    agreement: float
    probes: int
    entropy_ratio: float = 1.0
    passed: bool
    reason: str = ""


class LessonResult(Wire):
    """What came of a lesson.

    ``reason`` is one sentence for the user. ``retry`` is the newest context-free completion;
    ``proved`` says that it follows the correction. ``snapshot`` is set when it was committed,
    and ``saved`` where a service has saved its state. ``tokens_trained`` are those that went
    through a gradient: of the answers on this machine, of prompts and answers on a service.
    """

    type: Literal["lesson_result"] = "lesson_result"
    lesson: str
    outcome: Outcome
    reason: str
    steps: tuple[StepMetrics, ...] = ()
    loss: float | None = None
    kl: float | None = None
    gate: float | None = None
    guard: GuardReport | None = None
    tokens: tuple[TokenReport, ...] = ()
    retry: Completion | None = None
    proved: bool = False
    snapshot: str | None = None
    saved: str = ""
    seconds: float = 0.0
    stages: dict[str, float] = Field(default_factory=dict)
    tokens_sampled: int = 0
    tokens_scored: int = 0
    tokens_trained: int = 0
    memory_bytes: int = 0


class LessonCheck(Wire):
    """Whether a lesson still holds by itself.

    ``holds`` is ``call`` when the greedy answer is the call that proved it, ``decision`` when at
    least the decision is the same; ``probability`` is that of the decision token, ``answer`` what
    the student says now. One of the ``suspects`` lost it: the lesson after which it first
    failed, several where snapshots between them are pruned, none where nothing is known.
    """

    lesson: str
    holds: Hold
    probability: float
    answer: str = ""
    suspects: tuple[str, ...] = ()


class Checked(Wire):
    """What came of asking lessons again under the adapter of ``snapshot``."""

    type: Literal["checked"] = "checked"
    checks: tuple[LessonCheck, ...]
    snapshot: str | None = None
    seconds: float = 0.0


class Done(Wire):
    """The answer to requests that have nothing more to say."""

    type: Literal["done"] = "done"


Result = Annotated[
    Loaded
    | Sampled
    | LessonResult
    | Undone
    | Checked
    | Saved
    | AdapterList
    | AdapterEnabled
    | Imported
    | Done,
    Field(discriminator="type"),
]


# --- events ---------------------------------------------------------------------------


class ReadyEvent(Wire):
    """The worker's first line."""

    event: Literal["ready"] = "ready"
    id: int = 0
    protocol: int = PROTOCOL_VERSION
    pid: int


class ProgressEvent(Wire):
    """How far a load or a check has come; ``fraction`` is None where it cannot be known."""

    event: Literal["progress"] = "progress"
    id: int
    message: str
    fraction: float | None = None


class TokenEvent(Wire):
    """One sampled token; ``text`` may be empty while a character is incomplete."""

    event: Literal["token"] = "token"
    id: int
    text: str
    token: int
    logprob: float


class RetryDroppedEvent(Wire):
    """The retry streamed so far did not follow the correction; another will come."""

    event: Literal["retry_dropped"] = "retry_dropped"
    id: int


class StageEvent(Wire):
    """A lesson entered a stage; ``elapsed`` is seconds since the lesson began."""

    event: Literal["stage"] = "stage"
    id: int
    stage: StageName
    detail: str = ""
    elapsed: float = 0.0


class StepEvent(Wire):
    """A gradient step was taken."""

    event: Literal["step"] = "step"
    id: int
    metrics: StepMetrics


class ResultEvent(Wire):
    """The request succeeded."""

    event: Literal["result"] = "result"
    id: int
    result: Result


class FailureEvent(Wire):
    """The request failed; ``message`` is one sentence that names the way out."""

    event: Literal["failure"] = "failure"
    id: int
    code: FailureCode
    message: str


Event = Annotated[
    ReadyEvent
    | ProgressEvent
    | TokenEvent
    | RetryDroppedEvent
    | StageEvent
    | StepEvent
    | ResultEvent
    | FailureEvent,
    Field(discriminator="event"),
]
EVENT: TypeAdapter[Event] = TypeAdapter(Event)
