"""A lesson made ready: what student, teacher and a neutral text say about the denied answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from . import objectives
from .engine import EngineFailure
from .protocol import ChatMessage, Completion, Lesson, TokenReport, ToolSchema
from .teacher import SLOT_CHARACTERS, trailing_block

if TYPE_CHECKING:
    from .engines.prefix import Prefix
    from .engines.rendering import Prompt
    from .reading import Reader, TeacherReader

NEUTRAL = "That is what it was, and it is noted here so that the length is the same as before. "
PLAUSIBLE_PART = 0.3
SURE = 0.5
LEAST_SLOT_CHARACTERS = 200
MINIMUM_CONTRAST = 0.2
SECOND_CHOICE = 0.25
SECOND_GAIN = 0.45  # nats: more than one and a half times as likely


@dataclass(eq=False)
class Sampled:
    """A completion of the student with everything that is known about its tokens.

    ``teacher`` is ``[n, v]``, the teacher's reading of the same tokens, and ``reference`` the
    base's where it is known; ``decisions`` are the positions where the teacher's first choice is
    another token.
    """

    prompt: Prompt
    teacher_prompt: Prompt
    tokens: tuple[int, ...]
    logprobs: Tensor
    teacher: Tensor
    decisions: list[int]
    reference: Tensor | None = None

    @property
    def decision(self) -> int | None:
        """The first decision token: where the answer first leaves the teacher's way."""
        return self.decisions[0] if self.decisions else None

    def wanted(self, position: int) -> int:
        """The teacher's first choice at a position."""
        return int(self.teacher[position].argmax())


@dataclass
class Case:
    """One lesson on its way: prompts, the denied completion and what was there before.

    ``student`` are the ``[n, v]`` log-probabilities of the denied completion before the lesson.
    """

    lesson: Lesson
    prompt: Prompt
    teacher_prompt: Prompt
    block: str
    denied: Sampled
    student: Tensor
    gate: float
    teacher_answers: list[Sampled] = field(default_factory=list)


def correction_block(
    lesson: Lesson, limit: int = SLOT_CHARACTERS, quote: Callable[[str], str] = str
) -> str:
    """The trailing block with every slot that the lesson fills, each of so many characters."""
    return trailing_block(
        correction=lesson.correction,
        notes=lesson.notes,
        solution=lesson.solution,
        tool_output=lesson.tool_output,
        limit=limit,
        quote=quote,
    )


def fitting_block(policy: Reader, lesson: Lesson) -> tuple[str, Prompt]:
    """The trailing block, cut down as far as a small context needs it, and the prompt with it."""
    answer = len(lesson.completion.tokens)
    limit = SLOT_CHARACTERS
    while True:
        block = correction_block(lesson, limit, policy.renderer.quote)
        prompt = policy.renderer.teacher_prompt(lesson.messages, lesson.tools, block)
        if len(prompt) + 2 * answer <= policy.context_tokens or limit <= LEAST_SLOT_CHARACTERS:
            return block, prompt
        limit //= 2


def neutral_block(policy: Reader, lesson: Lesson, block: str) -> str:
    """A trailing block of the same length that says nothing.

    The notes stay: they are in force whatever the correction says.
    """
    frame = trailing_block(correction="x", notes=lesson.notes, quote=policy.renderer.quote)
    missing = len(policy.renderer.encode(block)) - len(policy.renderer.encode(frame))
    words = NEUTRAL.split()
    text, index = words[0], 1
    while len(policy.renderer.encode(text)) < missing:
        text += " " + words[index % len(words)]
        index += 1
    return trailing_block(correction=text, notes=lesson.notes, quote=policy.renderer.quote)


def decisions(tokens: Sequence[int], teacher: Tensor) -> list[int]:
    """The positions where the teacher's first choice is not the token that stands there."""
    chosen = torch.tensor(list(tokens), device=teacher.device)
    return [int(i) for i in (teacher.argmax(-1) != chosen).nonzero()[:, 0]]


def assess(
    teacher: TeacherReader,
    prompt: Prompt,
    teacher_prompt: Prompt,
    tokens: tuple[int, ...],
    logprobs: Sequence[float],
) -> Sampled:
    """Let the teacher score a completion of the student."""
    read = teacher.score(teacher_prompt, tokens)
    sampled = torch.tensor(list(logprobs), device=read.device, dtype=read.dtype)
    return Sampled(prompt, teacher_prompt, tokens, sampled, read, decisions(tokens, read))


def prepare(policy: Reader, teacher: TeacherReader, lesson: Lesson) -> Case:
    """Render the prompts and score the denied completion."""
    renderer = policy.renderer
    if not lesson.completion.tokens:
        raise EngineFailure(
            "bad_request", "The denied answer has no tokens, so there is nothing to learn from."
        )
    block, teacher_prompt = fitting_block(policy, lesson)
    prompt = renderer.prompt(lesson.messages, lesson.tools)
    completion = lesson.completion
    policy.require_room(len(teacher_prompt), len(completion.tokens))
    tokens = completion.tokens
    student, read, reference = teacher.read_with_student(prompt, teacher_prompt, tokens)
    sampled = torch.tensor(list(completion.logprobs), device=read.device, dtype=read.dtype)
    decided = decisions(tokens, read)
    denied = Sampled(prompt, teacher_prompt, tokens, sampled, read, decided, reference)
    if not bool(student.isfinite().all() and denied.teacher.isfinite().all()):
        raise EngineFailure(
            "bad_adapter",
            "The model's output is not finite, so nothing can be learned: undo to an earlier "
            "lesson, or start afresh.",
        )
    return Case(lesson, prompt, teacher_prompt, block, denied, student, gate=0.0)


def _neutral(policy: Reader, case: Case) -> tuple[Prompt, Prefix | None]:
    """What the teacher would read with the neutral text, and its prefix where that can be kept."""
    lesson = case.lesson
    block = neutral_block(policy, lesson, case.block)
    prompt = policy.renderer.teacher_prompt(lesson.messages, lesson.tools, block)
    return prompt, policy.prefix(prompt, keep=False) if policy.scope == "answer" else None


def contrast(policy: Reader, teacher: TeacherReader, case: Case, answer: Sampled) -> float:
    """How much more the correction says than a neutral text, in nats.

    It is the larger of two differences between the teacher and the same model with the
    neutral text: in how much less likely the denied token is at the first decision, and in
    the log-probability of the teacher's own whole ``answer``. Zero where the teacher agrees
    with the student.
    """
    position = case.denied.decision
    if position is None:
        return 0.0
    neutral_prompt, prefix = _neutral(policy, case)
    tokens = case.denied.tokens[: position + 1]
    neutral = teacher.score(neutral_prompt, tokens, prefix)[-1]
    away = float(neutral[tokens[-1]] - case.denied.teacher[position][tokens[-1]])
    chosen = torch.tensor(answer.tokens, device=neutral.device)[:, None]
    plain = teacher.score(neutral_prompt, answer.tokens, prefix)
    towards = float((answer.teacher.gather(-1, chosen) - plain.gather(-1, chosen)).sum())
    return max(0.0, towards, away)


def second_choice(policy: Reader, teacher: TeacherReader, case: Case) -> int | None:
    """Where the teacher would come to something else if it may not repeat what was denied.

    It would still say the denied answer, but the correction makes another token clearly more
    likely than it is to the student and than a neutral text makes it. The user said no to the
    first choice, so the second is what is left. None where nothing stands out.
    """
    prompt, prefix = _neutral(policy, case)
    tokens = torch.tensor(case.denied.tokens, device=case.student.device)[:, None]
    taught = case.denied.teacher.scatter(-1, tokens, -torch.inf)
    best = taught.max(-1)
    chosen = best.indices[:, None]
    neutral = teacher.score(prompt, case.denied.tokens, prefix).gather(-1, chosen)[:, 0]
    student = case.student.gather(-1, chosen)[:, 0]
    gain = best.values - torch.maximum(neutral, student)
    gain[best.values.exp() < SECOND_CHOICE] = -torch.inf
    at = int(gain.argmax())
    return at if float(gain[at]) >= SECOND_GAIN else None


def follow_reason(case: Case, retry: Completion, scored: Sampled, sure: float) -> str | None:
    """Why a retry does not follow the correction; None when it does.

    It follows when it ends properly, is not the denied call, does not repeat the denied
    choice, and each of its tokens is at least three tenths as likely to the teacher as the
    teacher's first choice: free choices stay free, the denied one and garbage do not pass.
    ``sure`` is the student's least probability among the tokens that the lesson is about; a
    retry that took one of them by luck proves nothing.
    """
    if retry.stop_reason != "stop":
        return "it did not end"
    if same_answer(retry.text, case.lesson.completion.text):
        return "it is the denied call"
    at = case.denied.decision
    denied = case.denied.tokens
    if at is not None and retry.tokens[: at + 1] == denied[: at + 1]:
        return "it makes the denied choice"
    chosen = torch.tensor(retry.tokens, device=scored.teacher.device)[:, None]
    behind = scored.teacher.max(-1).values - scored.teacher.gather(-1, chosen)[:, 0]
    if float(behind.exp().max()) > 1 / PLAUSIBLE_PART:
        return "the teacher would not have said it"
    if sure < SURE:
        return "it followed by luck"
    return None


def sureness(teacher: Tensor, before: Tensor, now: Tensor, tokens: Sequence[int]) -> float:
    """The student's least probability of a token that only the lesson makes its first choice.

    All are ``[n, v]`` log-probabilities of the same completion; 1 where nothing was learned.
    """
    chosen = torch.tensor(list(tokens), device=now.device)
    new = (teacher.argmax(-1) == chosen) & (before.argmax(-1) != chosen)
    probabilities = now.gather(-1, chosen[:, None])[:, 0].exp()
    return float(probabilities[new].min()) if bool(new.any()) else 1.0


def same_answer(left: str, right: str) -> bool:
    """Whether two answers are the same call, or the same words."""
    return _canonical(left) == _canonical(right)


def _canonical(text: str) -> Any:
    start, end = text.find("{"), text.rfind("}")
    if 0 <= start < end:
        try:
            return json.dumps(json.loads(text[start : end + 1]), sort_keys=True)
        except ValueError:
            pass
    return " ".join(text.split())


def token_reports(policy: Reader, case: Case, after: Tensor) -> tuple[TokenReport, ...]:
    """One line per token of the denied completion; ``after`` is ``[n, v]``."""
    tokens = torch.tensor(case.denied.tokens, device=after.device)
    gained = objectives.advantages(case.student, case.denied.teacher, tokens)
    preferred = case.denied.teacher.argmax(-1)
    decode = policy.loaded.tokenizer.decode
    index = tokens[:, None]
    columns = [
        distribution.gather(-1, index)[:, 0].exp().tolist()
        for distribution in (case.student, after, case.denied.teacher)
    ]
    return tuple(
        TokenReport(
            text=str(decode([token])),
            advantage=advantage,
            before=before,
            after=now,
            teacher=teacher,
            teacher_token=str(decode([best])),
        )
        for token, advantage, before, now, teacher, best in zip(
            tokens.tolist(), gained.tolist(), *columns, preferred.tolist(), strict=True
        )
    )


def related(
    policy: Reader,
    case: Case,
    messages: Sequence[ChatMessage],
    tools: Sequence[ToolSchema],
    tokens: tuple[int, ...],
) -> int:
    """What the teacher would say at the decision token of another conversation.

    ``tokens`` is an answer up to and including that token.
    """
    prompt = policy.renderer.teacher_prompt(messages, tools, case.block)
    cached = policy.scope == "answer"
    prefix = policy.prefix(prompt, keep=False) if cached else None
    return int(policy.score(prompt, tokens, prefix=prefix)[-1].argmax())
