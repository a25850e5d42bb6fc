"""The lesson suite: every learned lesson asked again without its correction.

A lesson *holds* as long as the student's own greedy answer is the call that proved it, or at
least begins with the decision that the lesson was about. For one that no longer holds, the kept
snapshots since then are searched for the later lesson after which it first failed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .case import same_answer
from .engines.generation import Sampling, generate
from .outcome import first_difference
from .protocol import Check, Checked, Hold, LessonCheck, ProvedLesson
from .snapshots import DamagedSnapshot

if TYPE_CHECKING:
    from .engine import Reply
    from .engines.policy import Policy
    from .engines.prefix import Prefix
    from .engines.rendering import Prompt
    from .snapshots import Manifest, SnapshotStore

ROOM = 32


@dataclass(frozen=True)
class Question:
    """A lesson ready to be asked; ``decision`` is where its proof leaves the denied answer."""

    lesson: ProvedLesson
    prompt: Prompt
    prefix: Prefix | None
    decision: int
    proof: str


@dataclass(frozen=True)
class Answer:
    """What the student does by itself, and how likely the decision is to it."""

    holds: Hold
    probability: float
    text: str


class Suite:
    """Asks lessons under the present adapter, and under those of kept snapshots."""

    def __init__(self, policy: Policy, store: SnapshotStore, snapshot: str | None) -> None:
        self._policy = policy
        self._store = store
        self._snapshot = snapshot
        self._chain = list(reversed(list(store.chain(snapshot))))

    def check(self, request: Check, reply: Reply) -> Checked:
        """Ask every lesson once; the weights are afterwards as they were."""
        started = time.monotonic()
        found: list[LessonCheck] = []
        for number, lesson in enumerate(request.lessons):
            reply.check()
            count = f"{number + 1} of {len(request.lessons)}"
            reply.progress(f"Checking lesson {count}", number / len(request.lessons))
            question = self._question(lesson, reply)
            answer = self._ask(question, reply)
            suspects = self._suspects(question, reply) if answer.holds == "lost" else ()
            found.append(
                LessonCheck(
                    lesson=lesson.lesson,
                    holds=answer.holds,
                    probability=answer.probability,
                    answer=answer.text,
                    suspects=suspects,
                )
            )
        return Checked(
            checks=tuple(found), snapshot=self._snapshot, seconds=time.monotonic() - started
        )

    # --- asking -----------------------------------------------------------------------

    def _question(self, lesson: ProvedLesson, reply: Reply) -> Question:
        prompt = self._policy.renderer.prompt(lesson.messages, lesson.tools)
        self._policy.require_room(len(prompt), len(lesson.tokens))
        # Kept out of the cache: the conversation that is under way needs its own prefixes there.
        cached = self._policy.scope == "answer"
        prefix = self._policy.prefix(prompt, check=reply.check, keep=False) if cached else None
        shared = first_difference(lesson.tokens, lesson.denied)
        decision = min(shared, len(lesson.tokens) - 1)
        return Question(lesson, prompt, prefix, decision, self._text(lesson.tokens))

    def _ask(self, question: Question, reply: Reply) -> Answer:
        """One forward pass over the proof; only where it differs is an answer written."""
        tokens = question.lesson.tokens
        scores = self._policy.score(question.prompt, tokens, prefix=question.prefix)
        choices = scores.argmax(-1).tolist()
        probability = float(scores[question.decision, tokens[question.decision]].exp())
        if choices == list(tokens):
            return Answer("call", probability, question.proof)
        text = generate(
            self._policy,
            question.prompt,
            Sampling(0, 2 * len(tokens) + ROOM),
            check=reply.check,
            prefix=question.prefix,
        ).text
        if same_answer(text, question.proof):
            return Answer("call", probability, text)
        decided = choices[: question.decision + 1] == list(tokens[: question.decision + 1])
        return Answer("decision" if decided else "lost", probability, text)

    def _text(self, tokens: Sequence[int]) -> str:
        ended = bool(tokens) and tokens[-1] in self._policy.end_tokens
        words = list(tokens[:-1] if ended else tokens)
        return str(self._policy.loaded.tokenizer.decode(words, skip_special_tokens=False))

    # --- looking back -----------------------------------------------------------------

    def _suspects(self, question: Question, reply: Reply) -> tuple[str, ...]:
        """The lessons one of which lost it: one where every snapshot is kept, none if unknown.

        A binary search between the lesson's own snapshot, under which it held, and the present
        one; pruned snapshots in between leave several.
        """
        own = [at for at, m in enumerate(self._chain) if m.lesson == question.lesson.lesson]
        if not own:
            return ()
        held, failed = own[-1], len(self._chain) - 1
        kept = [at for at in range(held + 1, failed) if not self._chain[at].pruned]
        while kept:
            middle = kept[len(kept) // 2]
            holds = self._holds_under(self._chain[middle], question, reply)
            if holds is None:
                kept.remove(middle)
                continue
            held, failed = (middle, failed) if holds else (held, middle)
            kept = [at for at in kept if held < at < failed]
        return tuple(manifest.lesson for manifest in self._chain[held + 1 : failed + 1])

    def _holds_under(self, manifest: Manifest, question: Question, reply: Reply) -> bool | None:
        """Whether the lesson held after a later one; None where that cannot be told."""
        reply.check()
        try:
            state = self._store.tensors(manifest.id)
        except DamagedSnapshot:
            return None
        if not self._policy.adapter.fits(state):
            return None
        with self._policy.holding(state):
            return self._ask(question, reply).holds != "lost"
