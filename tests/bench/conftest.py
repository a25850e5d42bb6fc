"""Cases and records without a model."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from continualcode_tui.training.bench.drawing import Draft
from continualcode_tui.training.bench.oracle import BenchCase
from continualcode_tui.training.bench.records import Record
from continualcode_tui.training.teacher import render_call


def usual_answer(draft: Draft) -> str:
    """What a student says that does everything the usual way."""
    options = draft.task.options.items()
    return render_call(
        draft.task.call({n: max(o.usual, key=o.usual.__getitem__) for n, o in options})
    )


def cases(seed: int, count: int) -> list[BenchCase]:
    found: list[BenchCase] = []
    number = 0
    while len(found) < count:
        draft = Draft(seed, number)
        if case := draft.rule(usual_answer(draft)):
            found.append(case)
        number += 1
    return found


def record(**values: object) -> Record:
    plain: dict[str, object] = {"part": "lesson", "arm": "ours", "rate": 0.0, "seed": 1, "case": 0}
    return Record.model_validate(plain | values)
