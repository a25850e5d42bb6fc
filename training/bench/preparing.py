"""Cases with what the model says to them: what is denied, and what a near miss has to keep."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from ..engine import EngineFailure
from ..teacher import render_call
from .drawing import OTHERS, Draft, tool_of
from .oracle import BenchCase, Request, canonical_answer, judge, parse_call
from .world import World

DRAFTS_TOGETHER = 16
DRAFTS_A_CASE = 30
NEAR_OF_A_KIND = 2
SEQUENCE_SEEDS = 1000
HEEDED = 0.7  # nats: twice the odds


def prepared(world: World, seed: int, count: int) -> list[BenchCase]:
    """The first cases of a seed; numbers whose request has no rule in it are drawn again."""
    found: list[BenchCase] = []
    for draft, answer in _drafts(world, seed, count):
        if case := complete(world, draft.rule(answer), answer):
            found.append(case)
        if len(found) == count:
            return found
    raise _unfit(world)


def sequence(world: World, seed: int, number: int, count: int) -> list[BenchCase]:
    """Cases for lessons that follow each other, no two of which are about the same thing."""
    found: dict[str, BenchCase] = {}
    for draft, answer in _drafts(world, SEQUENCE_SEEDS * (seed + 1) + number, count):
        case = draft.rule(answer)
        if case is None or case.option in found:
            continue
        if whole := complete(world, case, answer):
            found[case.option] = whole
        if len(found) == count:
            return list(found.values())
    raise _unfit(world)


def _unfit(world: World) -> EngineFailure:
    return EngineFailure(
        "bad_model",
        f"{world.policy.loaded.name} answers too few of the curriculum's requests with the calls "
        "of this program's tools: choose another --model.",
    )


def _drafts(world: World, seed: int, count: int) -> Iterator[tuple[Draft, str]]:
    """Drafts with the model's greedy answers, several at a time, up to a reasonable number."""
    for first in range(0, DRAFTS_A_CASE * count + DRAFTS_TOGETHER, DRAFTS_TOGETHER):
        group = [Draft(seed, first + at) for at in range(DRAFTS_TOGETHER)]
        answers = world.answers([draft.messages for draft in group])
        world.forget()
        yield from zip(group, answers, strict=True)


def complete(world: World, case: BenchCase | None, denied: str) -> BenchCase | None:
    """The case with its prior, its kind and its near misses; None where these are too few."""
    if case is None or judge(case.corrected, denied) != "denied":
        return None
    near, others = list(_near(world, case, denied)), _understood(world, case)
    prior = world.prior(case.corrected)
    world.forget()
    if len(near) <= NEAR_OF_A_KIND or len(others) < OTHERS:
        return None
    chosen = {"near": tuple(near), "others": tuple(others[:OTHERS]), "prior": prior}
    return case.model_copy(update=chosen)


def _understood(world: World, case: BenchCase) -> list[Request]:
    """Requests of the kind that the base understands: it does them, whichever way.

    Where it does not know what is asked, or spells a name wrongly, there is nothing to see of
    what a correction has taught.
    """
    answers = world.answers([request.messages for request in case.others])
    pairs = zip(case.others, answers, strict=True)
    return [request for request, answer in pairs if judge(request, answer) != "other"]


def _near(world: World, case: BenchCase, denied: str) -> Iterator[Request]:
    """Near misses to which the base has an answer that can be kept.

    Where the user's own words settle the option, the base has to do as they say; another task
    has to use the tool of the denied or of the right call.
    """
    tools = {tool_of(parse_call(denied)), tool_of(case.corrected.right)}
    left = {"settled": NEAR_OF_A_KIND, "task": NEAR_OF_A_KIND}
    spare: list[Request] = []
    answers = world.answers([request.messages for request in case.near])
    for request, answer in zip(case.near, answers, strict=True):
        call = parse_call(answer)
        fits = judge(request, answer) == "denied" if request.kind == "settled" else call
        if not call or not fits or tool_of(call) not in tools:
            continue
        kind = "unheard" if request.plain and not heeded(world, request, answer) else request.kind
        kept = request.model_copy(update={"answer": canonical_answer(answer), "kind": kind})
        if left[request.kind]:
            left[request.kind] -= 1
            yield kept
        else:
            spare.append(kept)
    yield from spare[: sum(left.values())]


def heeded(world: World, request: Request, answer: str) -> bool:
    """Whether the base does as the user's words say because of them, and not anyway.

    They have to raise the odds of its answer over the call that the rule would want.
    """
    assert request.right is not None
    said, other = world.tokens(answer), world.tokens(render_call(request.right))
    at = next((at for at, (a, b) in enumerate(zip(said, other, strict=False)) if a != b), None)
    if at is None:
        return False
    odds: list[float] = []
    for messages in (request.messages, request.plain):
        row = world.score(world.prompt(messages), said[: at + 1])[at]
        odds.append(float(row[said[at]] - row[other[at]]))
    return odds[0] - odds[1] >= HEEDED


class CaseFile:
    """Prepared cases, kept beside the records so that a rerun need not draw them again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def cases(self, world: World, seed: int, count: int) -> list[BenchCase]:
        """The first cases of a seed."""
        name = f"cases-{world.policy.loaded.identity}-{seed}.jsonl"
        return self._kept(name, count, lambda: prepared(world, seed, count))

    def sequence(self, world: World, seed: int, number: int, count: int) -> list[BenchCase]:
        """The cases of one sequence of lessons."""
        name = f"sequence-{world.policy.loaded.identity}-{seed}-{number}.jsonl"
        return self._kept(name, count, lambda: sequence(world, seed, number, count))

    def _kept(self, name: str, count: int, make: Callable[[], list[BenchCase]]) -> list[BenchCase]:
        path = self.folder / name
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
            found = [BenchCase.model_validate_json(line) for line in lines]
        except (OSError, ValidationError):
            found = []
        if len(found) < count:
            found = make()
            self._write(path, found)
        return found[:count]

    def _write(self, path: Path, cases: Sequence[BenchCase]) -> None:
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text("".join(case.model_dump_json() + "\n" for case in cases), "utf-8")
        temporary.replace(path)
