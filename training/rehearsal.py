"""The requests that a lesson is practised on beside its own: other names, and the other way.

Rows *alike* are the corrected request with other names in it; the teacher, which reads the
correction, says what is right there. Rows *otherwise* are requests whose own words ask for what
was denied; there the student has to stay as it was before the lesson.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .case import PLAUSIBLE_PART, Case
from .engines.batch import Anchor, Batch, answer_together
from .protocol import Learn
from .teachers import without
from .variants import Messages, asking_otherwise, change, renamings, settled_words

if TYPE_CHECKING:
    from .engine import Reply
    from .engines.policy import Policy
    from .engines.prefix import Prefix
    from .engines.rendering import Prompt
    from .manifest import Replay
    from .teachers import Teacher

MOST_ALIKE = 2
MOST_RELATED = 2
LONGEST_PART = 3
MOST_OTHERWISE = 6
MOST_TOKENS = 16_384
MOST_FIGURES = 2**26  # of log-probabilities: a quarter of a GiB, and several times that in a step
PATIENCE_SECONDS = 5.0
KEPT = 0.5
HEEDED = 0.7  # nats by which words raise the odds of what they ask for, where they are understood
KEPT_PART = 0.8
SECOND = 0.01
TAUGHT_PART = 0.9


@dataclass(frozen=True, eq=False)
class Row:
    """One request with the beginning of an answer, as far as the lesson decides in it.

    ``positions`` are the places where it does. ``teacher`` is ``[n, v]`` for a row alike, where
    the student is to come to say the answer; None for a row otherwise, where it says it already.
    ``before`` is the student's probability of each token before the lesson, ``[n]``.
    """

    prompt: Prompt
    prefix: Prefix | None
    tokens: tuple[int, ...]
    positions: tuple[int, ...]
    before: Tensor
    teacher: Tensor | None


class Rehearsal:
    """The rows of one lesson, scored together."""

    def __init__(self, policy: Policy, rows: Sequence[Row]) -> None:
        self.rows = list(rows)
        anchors = [
            Anchor(str(at), row.prompt, row.prefix or policy.prefix(row.prompt), row.tokens)
            for at, row in enumerate(rows)
        ]
        self._batch = Batch(policy, anchors) if rows else None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def alike(self) -> list[Row]:
        """The rows in which the student is to learn the answer."""
        return [row for row in self.rows if row.teacher is not None]

    @property
    def otherwise(self) -> list[Row]:
        """The rows in which the student has to stay as it is."""
        return [row for row in self.rows if row.teacher is None]

    def logprobs(self, rows: Sequence[Row] | None = None) -> list[Tensor]:
        """The student's reading of these rows' answers, each ``[n, v]``, with a gradient if on."""
        rows = self.rows if rows is None else rows
        if self._batch is None or not rows:
            return []
        places = torch.tensor(
            [self.rows.index(row) for row in rows], device=self._batch.inputs.device
        )
        scored = self._batch.logprobs(places)
        return [each[: len(row.tokens)] for each, row in zip(scored, rows, strict=True)]

    @torch.no_grad()
    def miss(self, enough: float) -> tuple[float, float]:
        """How much probability the decisions lack in rows alike and otherwise; 0 when made."""
        alike = otherwise = 0.0
        for row, scored in zip(self.rows, self.logprobs(), strict=True):
            lacking = sum(
                lack(scored[at], row.tokens[at], self._needed(row, at, enough))
                for at in row.positions
            )
            if row.teacher is None:
                otherwise += lacking
            else:
                alike += lacking
        return alike, otherwise

    def _needed(self, row: Row, at: int, enough: float) -> float:
        if row.teacher is None:
            return min(enough, KEPT_PART * float(row.before[at]))
        return min(enough, TAUGHT_PART * float(row.teacher[at][row.tokens[at]].exp()))


def lack(logprobs: Tensor, token: int, enough: float) -> float:
    """How much probability a token lacks of ``enough``; more than 0 where it is not the first."""
    lacking = enough - float(logprobs[token].exp())
    if int(logprobs.argmax()) != token:
        lacking = max(lacking, SECOND)
    return max(0.0, lacking) if math.isfinite(lacking) else 1.0


def earlier_rows(policy: Policy, replays: Sequence[Replay]) -> list[Row]:
    """What earlier lessons taught and the student still does, as rows that have to stay.

    The positions are the lesson's decision and every other token that the adapter has made the
    student's first choice.
    """
    rows: list[Row] = []
    room = MOST_TOKENS
    for replay in replays:
        prompt = policy.renderer.prompt(replay.messages, replay.tools)
        prefix = policy.prefix(prompt, keep=False) if policy.scope == "answer" else None
        tokens = torch.tensor(replay.tokens, device=policy.device)
        now = policy.score(prompt, replay.tokens, prefix=prefix)
        base = policy.score(prompt, replay.tokens, adapter=False, prefix=prefix)
        taught = (now.argmax(-1) == tokens) & (base.argmax(-1) != tokens)
        if int(now[replay.decision].argmax()) != replay.tokens[replay.decision]:
            continue
        found = {replay.decision, *(int(at) for at in taught.nonzero()[:, 0])}
        positions = tuple(sorted(found))
        kept = replay.tokens[: positions[-1] + 1]
        room -= len(prompt)
        held = _probabilities(now, kept)
        rows.append(Row(prompt, prefix if room > 0 else None, kept, positions, held, None))
    return rows


class Rehearser:
    """Finds the rows of a lesson, as many as there is room and time for.

    ``related`` are conversations to which the correction speaks as well, and ``earlier`` are the
    rows of earlier lessons that this one is not to change.
    """

    def __init__(
        self,
        policy: Policy,
        teacher: Teacher,
        case: Case,
        request: Learn,
        reply: Reply,
        *,
        related: Sequence[Messages] = (),
        earlier: Sequence[Row] = (),
    ) -> None:
        self.policy = policy
        self.teacher = teacher
        self.case = case
        self.lesson = request.lesson
        self.reply = reply
        self.related = related
        self.earlier = earlier
        decode = policy.loaded.tokenizer.decode
        self.denied = str(decode(list(case.denied.tokens[:-1])))
        self.wanted = str(decode(list(case.teacher_answers[0].tokens[:-1])))
        self.end = case.denied.tokens[-1:]
        self.changed = change(self.denied, self.wanted)
        fixed = [self.lesson.correction, *self.lesson.notes]
        fixed += settled_words(self.changed) if self.changed else []
        self.renamings = renamings(self.lesson.messages, (self.denied, self.wanted), fixed)
        self.deadline = time.monotonic() + PATIENCE_SECONDS
        self.room = MOST_TOKENS

    def find(self) -> Rehearsal:
        """Rows of both kinds."""
        rows: list[Row] = []
        if self.end[0] in self.policy.end_tokens:
            told = self._can_be_told()
            earlier = [row for row in self.earlier if self._fits(row.prompt)]
            rows = [*(self._alike() if told else ()), *earlier, *self._related()]
            rows += self._otherwise() if told else ()
        while rows and self._figures(rows) > MOST_FIGURES:
            rows.pop()
        return Rehearsal(self.policy, rows)

    def _can_be_told(self) -> bool:
        """Whether the answers' texts have the control tokens that were sampled, and no others.

        One that writes ``<|im_end|>`` as a text into a file cannot be made anew from its text.
        """
        control = self.policy.renderer.control
        pairs = (
            (self.case.denied.tokens, self.denied),
            (self.case.teacher_answers[0].tokens, self.wanted),
        )
        return all(
            control(tokens[:-1]) == control(self._encode(text)[:-1]) for tokens, text in pairs
        )

    def _figures(self, rows: Sequence[Row]) -> int:
        return len(rows) * max(len(row.tokens) for row in rows) * self.policy.vocabulary

    def _fits(self, *prompts: Prompt) -> bool:
        """Whether there is still room and time for these prompts; takes the room if so."""
        self.reply.check()
        answer = 2 * len(self.case.denied.tokens)
        size = sum(map(len, prompts))
        if max(map(len, prompts)) + answer > self.policy.context_tokens:
            return False
        if size > self.room or time.monotonic() > self.deadline:
            return False
        self.room -= size
        return True

    def _encode(self, text: str) -> tuple[int, ...]:
        return (*self.policy.renderer.encode(text), *self.end)

    def _prefix(self, prompt: Prompt) -> Prefix | None:
        """The prefix of a prompt that nobody will ask for again."""
        cached = self.policy.scope == "answer"
        return self.policy.prefix(prompt, keep=False) if cached else None

    # --- the same with other names ----------------------------------------------------

    def _alike(self) -> list[Row]:
        renderer, lesson = self.policy.renderer, self.lesson
        rows: list[Row] = []
        for renaming in self.renamings[:MOST_ALIKE]:
            messages = renaming.messages(lesson.messages)
            prompt = renderer.prompt(messages, lesson.tools)
            taught = renderer.teacher_prompt(messages, lesson.tools, self.case.block)
            if not self._fits(prompt, taught):
                break
            tokens = self._encode(renaming.text(self.wanted))
            read = self.teacher.score(taught, tokens, self._prefix(taught))
            if self.teacher.refused:
                denied = self._encode(renaming.text(self.denied))
                at = _first_difference(tokens, denied)
                read = without(read, at, denied[at])
            row = self._row_alike(prompt, tokens, read)
            if row is not None:
                rows.append(row)
        return rows

    def _row_alike(self, prompt: Prompt, tokens: tuple[int, ...], teacher: Tensor) -> Row | None:
        """A row, where the teacher might well have said this itself and the student did not."""
        chosen = torch.tensor(tokens, device=teacher.device)
        behind = teacher.max(-1).values - teacher.gather(-1, chosen[:, None])[:, 0]
        if float(behind.exp().max()) > 1 / PLAUSIBLE_PART:
            return None
        prefix = self._prefix(prompt)
        before = self.policy.score(prompt, tokens, prefix=prefix)
        new = (before.argmax(-1) != chosen) & (teacher.argmax(-1) == chosen)
        positions = tuple(int(at) for at in new.nonzero()[:, 0])
        if not positions:
            return None
        kept = tokens[: positions[-1] + 1]
        return Row(
            prompt, prefix, kept, positions, _probabilities(before, kept), teacher[: len(kept)]
        )

    # --- the same in other words ------------------------------------------------------

    def _related(self) -> list[Row]:
        """Other requests to which the correction speaks, with what the teacher says there."""
        renderer, lesson = self.policy.renderer, self.lesson
        prompts: list[tuple[Prompt, Prompt]] = []
        for messages in self.related if not self.teacher.refused else ():
            prompt = renderer.prompt(messages, lesson.tools)
            taught = renderer.teacher_prompt(messages, lesson.tools, self.case.block)
            if self._fits(prompt, taught):
                prompts.append((prompt, taught))
        if not prompts:
            return []
        with self.teacher.speaking():
            asked = [Anchor("", t, self.policy.prefix(t, keep=False)) for _, t in prompts]
            limit = LONGEST_PART * len(self.case.denied.tokens)
            *_, answers = answer_together(self.policy, asked, limit)
        self.reply.check()
        rows: list[Row] = []
        cached = self.policy.scope == "answer"
        for (prompt, taught), row, tokens in zip(prompts, asked, answers, strict=True):
            if tokens[-1] in self.policy.end_tokens:
                read = self.teacher.score(taught, tokens, row.prefix if cached else None)
                rows += filter(None, [self._row_alike(prompt, tokens, read)])
        return rows

    # --- what the user asks for otherwise ---------------------------------------------

    def _otherwise(self) -> list[Row]:
        least = self._odds_without_words() + HEEDED
        rows: list[Row] = []
        for messages, denied, wanted in self._requests():
            prompt = self.policy.renderer.prompt(messages, self.lesson.tools)
            if not self._fits(prompt):
                break
            tokens, other = self._encode(denied), self._encode(wanted)
            at = _first_difference(tokens, other)
            prefix, kept = self._prefix(prompt), tokens[: at + 1]
            read = self.policy.score(prompt, kept, prefix=prefix)
            held = _probabilities(read, kept)
            heeded = float(read[at][tokens[at]] - read[at][other[at]]) >= least
            if heeded and float(held[at]) >= KEPT:
                rows.append(Row(prompt, prefix, kept, (at,), held, None))
        rows.sort(key=lambda row: float(row.before[row.positions[0]]))
        return _spread(rows, MOST_OTHERWISE)

    def _odds_without_words(self) -> float:
        """The log-odds of the denied decision over the wanted one where nobody asks for it."""
        denied, wanted = self.case.denied.tokens, self._encode(self.wanted)
        at = _first_difference(denied, wanted)
        read = self.case.student[at]
        return float(read[denied[at]] - read[wanted[at]])

    def _requests(self) -> Iterator[tuple[Messages, str, str]]:
        """Requests for the denied way, with the denied answer and the wanted one."""
        if self.changed is None:
            return
        for at, messages in enumerate(
            asking_otherwise(self.lesson.messages, self.lesson.correction, self.changed)
        ):
            # Each wish with other names as well, so that it is not the names that are learned.
            if self.renamings and at % 2:
                renaming = self.renamings[at % len(self.renamings)]
                changed = renaming.messages(messages)
                yield changed, renaming.text(self.denied), renaming.text(self.wanted)
            else:
                yield messages, self.denied, self.wanted


def _probabilities(logprobs: Tensor, tokens: tuple[int, ...]) -> Tensor:
    chosen = torch.tensor(tokens, device=logprobs.device)
    logprobs = logprobs[: len(tokens)]
    return logprobs.gather(-1, chosen[:, None])[:, 0].exp()


def _spread(rows: Sequence[Row], count: int) -> list[Row]:
    """Some of the rows, evenly from the first to the last."""
    if len(rows) <= count:
        return list(rows)
    return [rows[round(at * (len(rows) - 1) / (count - 1))] for at in range(count)]


def _first_difference(left: Sequence[int], right: Sequence[int]) -> int:
    for at, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return at
    return min(len(left), len(right)) - 1
