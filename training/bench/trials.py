"""One trial: an arm is corrected, and then asked everything that shows what it has learned."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..protocol import Completion
from .adam import AdamPupil
from .arms import Arm
from .losses import chosen
from .oracle import BenchCase, Request, Verdict, judge, unchanged
from .ours import TEMPERATURE, Ours, Together
from .probes import Probes
from .pupils import Denial, Effort, InContext, InRules, Pupil
from .records import MOST_CORRECTIONS, Record, sequence_case
from .world import Messages, World

RETRIES = 4
MOST_SIBLINGS = 4


def pupil_of(world: World, arm: Arm, rate: float) -> Pupil:
    """What learns by an arm's rule."""
    if arm.rule == "ours":
        made = Together if arm.together else Ours
        return made(world, rehearse=arm.rehearse, shown=arm.shown)
    if arm.trains:
        return AdamPupil(world, arm, rate)
    return {"context": InContext, "rules": InRules}.get(arm.rule, Pupil)(world)


@dataclass
class Asked:
    """Answers to a case's requests, as the student gives them by itself."""

    corrected: Verdict
    others: tuple[Verdict, ...]
    near: tuple[bool, ...]


class Trial:
    """One arm in one world; every trial begins with the student as it came."""

    def __init__(self, world: World, probes: Probes, arm: Arm, rate: float) -> None:
        self.world = world
        self.probes = probes
        self.arm = arm
        self.rate = rate
        self.pupil = pupil_of(world, arm, rate)

    # --- asking -----------------------------------------------------------------------

    def _answers(self, requests: Sequence[Request]) -> list[str]:
        answers = self.world.answers([self.pupil.view(r.messages) for r in requests])
        if self.pupil.changes_prompt:
            # No other arm reads these prompts, and a long conversation's prefix is large.
            self.world.forget()
        return answers

    def ask(self, case: BenchCase) -> Asked:
        """Ask the corrected request, its kind and the near misses, all together."""
        requests = (case.corrected, *case.others, *case.near)
        answers = self._answers(requests)
        verdicts: list[Verdict] = [judge(r, a) for r, a in zip(requests, answers, strict=True)]
        first_near = 1 + len(case.others)
        kept = zip(case.near, answers[first_near:], strict=True)
        return Asked(
            verdicts[0],
            tuple(verdicts[1:first_near]),
            tuple(unchanged(request, answer) for request, answer in kept),
        )

    def _retries(self, request: Request) -> float:
        """The share of sampled retries that are right."""
        view = self.pupil.view(request.messages)
        drawn = self.world.sample(view, RETRIES, TEMPERATURE, 0)
        right = [judge(request, self.world.text(tokens)) == "wanted" for tokens, _ in drawn]
        return sum(right) / len(right)

    # --- correcting -------------------------------------------------------------------

    def _completion(self, request: Request) -> Completion:
        """What the student says to a request now, with log-probabilities."""
        (tokens,) = self.world.greedy([self.pupil.view(request.messages)])
        prompt = self.world.prompt(self.pupil.view(request.messages))
        return Completion(
            tokens=tokens,
            logprobs=tuple(chosen(self.world.score(prompt, tokens), tokens).tolist()),
            text=self.world.text(tokens),
            stop_reason="stop" if tokens[-1] in self.world.policy.end_tokens else "length",
            prompt_tokens=len(prompt),
            seconds=0.0,
        )

    def _correct(self, request: Request, siblings: Sequence[Messages] = ()) -> Effort | None:
        """Correct a request; None where the student does it rightly already."""
        said = self._completion(request)
        if judge(request, said.text) == "wanted":
            return None
        started = time.monotonic()
        effort = self.pupil.correct(Denial(request, said, tuple(siblings[-MOST_SIBLINGS:])))
        return replace(effort, seconds=time.monotonic() - started)

    def _drift(self, cases: Sequence[BenchCase]) -> tuple[float, float]:
        view = self.pupil.view if self.pupil.changes_prompt else None
        seen = self.probes.drift({case.option for case in cases}, view)
        return seen.kl, seen.agreement

    # --- trials -----------------------------------------------------------------------

    def lesson(self, case: BenchCase, *, sweep: bool = False) -> Record:
        """One correction, and, but for a sweep, as many more as it takes."""
        self.pupil.start()
        denied = self.world.greedy([case.corrected.messages])[0]
        effort = self._correct(case.corrected) or Effort()
        asked = self.ask(case)
        drift, agreement = self._drift([case])
        sampled = self._retries(case.corrected)
        moved = self.world.moved(case.corrected.messages, denied)
        course = () if sweep else self._course(case, asked)
        return Record(
            part="sweep" if sweep else "lesson",
            arm=self.arm.name,
            rate=self.rate,
            seed=case.seed,
            case=case.number,
            option=case.option,
            prior=case.prior,
            greedy=asked.corrected == "wanted",
            sampled=sampled,
            others=asked.others,
            near=asked.near,
            near_kinds=tuple(request.kind for request in case.near),
            drift=drift,
            agreement=agreement,
            moved=moved,
            steps=effort.steps,
            seconds=round(effort.seconds, 4),
            tokens_sampled=effort.sampled,
            outcome=effort.outcome,
            course=course,
            irrelevant="" if sweep else self._irrelevant(case),
        )

    def _irrelevant(self, case: BenchCase) -> str:
        """What comes of a correction that is not about the request, where the arm can refuse it."""
        if self.arm.rule != "ours" or self.arm.shown:
            return ""
        self.pupil.start()
        beside = case.corrected.model_copy(update={"correction": case.irrelevant})
        effort = self._correct(beside)
        return effort.outcome if effort else ""

    def _course(self, case: BenchCase, asked: Asked) -> tuple[float, ...]:
        """The share of the kind that is right after each correction, until all are."""
        shares = [_share(asked.others)]
        seen = [case.corrected.messages]
        for request in case.further:
            if shares[-1] == 1.0 or len(shares) == MOST_CORRECTIONS or self.arm.rule == "none":
                break
            if self._correct(request, seen) is None:
                continue
            seen.append(request.messages)
            answers = self._answers(case.others)
            verdicts: list[Verdict] = [
                judge(r, a) for r, a in zip(case.others, answers, strict=True)
            ]
            shares.append(_share(verdicts))
        return tuple(shares)

    def sequence(self, seed: int, number: int, cases: Sequence[BenchCase]) -> Record:
        """Lessons about different things one after the other, with a look back after each."""
        self.pupil.start()
        held: list[tuple[bool, ...]] = []
        efforts: list[Effort] = []
        for at, case in enumerate(cases):
            seen = [earlier.corrected.messages for earlier in cases[:at]]
            efforts.append(self._correct(case.corrected, seen) or Effort())
            if at == len(cases) - 1:
                efforts.append(self.pupil.finish())
            past = [earlier.corrected for earlier in cases[: at + 1]]
            answers = self._answers(past)
            held.append(tuple(judge(r, a) == "wanted" for r, a in zip(past, answers, strict=True)))
        asked = [self.ask(case) for case in cases]
        drift, agreement = self._drift(cases)
        return Record(
            part="sequence",
            arm=self.arm.name,
            rate=self.rate,
            seed=seed,
            case=sequence_case(number, len(cases)),
            others=tuple(verdict for one in asked for verdict in one.others),
            near=tuple(kept for one in asked for kept in one.near),
            near_kinds=tuple(request.kind for case in cases for request in case.near),
            drift=drift,
            agreement=agreement,
            steps=sum(effort.steps for effort in efforts),
            seconds=round(sum(effort.seconds for effort in efforts), 4),
            tokens_sampled=sum(effort.sampled for effort in efforts),
            outcome=" ".join(effort.outcome for effort in efforts).strip(),
            held=tuple(held),
        )


def _share(verdicts: Sequence[Verdict]) -> float:
    return sum(verdict == "wanted" for verdict in verdicts) / len(verdicts)
