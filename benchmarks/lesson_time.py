"""Seconds from sending a correction to the first token of the retry, by stage.

Each case of `corrections/held_out.jsonl` runs in a session of its own, with a fresh adapter and
the real worker. The clock starts when the correction is sent (Enter in the box) and stops at the
first token of the retry that stands; it includes the journal on disk and both pipes. Before it the
user reads the call and types for `--typing` seconds, in which the worker makes its anchors ready.
Cases that were not learned have no retry and are left out of the median, but counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections import defaultdict
from typing import Any

from continualcode_tui.app.agent.proposal import Approve, Decision, Deny, Proposal
from continualcode_tui.app.controllers.session import SessionController
from continualcode_tui.app.events import (
    AgentEvent,
    LessonFinished,
    LessonStage,
    TokenArrived,
    TurnDropped,
    TurnStarted,
)
from continualcode_tui.app.settings import load_settings
from scratch import HERE, scratch_repository


class Stopwatch:
    """Denies the first proposal, and notes when the retry's first token came."""

    def __init__(self, correction: str, typing: float) -> None:
        self._correction = correction
        self._typing = typing
        self._sent = 0.0
        self._stage: tuple[str, float] | None = None
        self._retrying = False
        self.first_token: float | None = None
        self.outcome = "never asked"
        self.stages: dict[str, float] = defaultdict(float)
        self.session: SessionController | None = None

    async def decide(self, proposal: Proposal) -> Decision:
        del proposal
        if not self._sent:
            await asyncio.sleep(self._typing)
            self._sent = time.perf_counter()
            return Deny(self._correction)
        if self.session is not None:
            asyncio.get_running_loop().create_task(self.session.interrupt())
        await asyncio.sleep(30)
        return Approve()

    def present(self, event: AgentEvent) -> None:
        now = time.perf_counter()
        match event:
            case LessonStage(stage=stage):
                self._end_stage(now)
                self._stage = (stage, now)
            case TurnStarted(retry=True):
                self._retrying = True
            case TokenArrived() if self._retrying and self.first_token is None:
                self.first_token = now - self._sent
            case TurnDropped():
                self.first_token, self._retrying = None, False
            case LessonFinished(result=result):
                self._end_stage(now)
                self.outcome = result.outcome

    def _end_stage(self, now: float) -> None:
        if self._stage is not None and self.first_token is None:
            self.stages[self._stage[0]] += now - self._stage[1]


async def time_case(case: dict[str, Any], typing: float, settings: list[str]) -> Stopwatch:
    watch = Stopwatch(case["correction"], typing)
    readonly = "true" if case.get("auto", True) else "false"
    with scratch_repository(case["repository"]) as root, tempfile.TemporaryDirectory() as data:
        arguments = [f"data_dir={data}", f"auto_approve_readonly={readonly}", *settings]
        session = SessionController(
            settings=load_settings(arguments, environ={}),
            folder=root,
            present=watch.present,
            decide=watch.decide,
        )
        watch.session = session
        try:
            if not await session.start():
                raise SystemExit(session.failure)
            await session.submit(case["request"])
        finally:
            await session.close()
    return watch


async def measure(cases: list[dict[str, Any]], typing: float, settings: list[str]) -> None:
    watches: list[Stopwatch] = []
    for case in cases:
        watch = await time_case(case, typing, settings)
        watches.append(watch)
        first = "–" if watch.first_token is None else f"{watch.first_token:.2f} s"
        print(
            f"{first:>8}  {watch.outcome:16} {case['request']} | {case['correction']}", flush=True
        )
    learned = [w for w in watches if w.outcome == "learned" and w.first_token is not None]
    if not learned:
        raise SystemExit("no lesson was learned, so there is nothing to time")
    times = sorted(w.first_token or 0.0 for w in learned)
    print(f"\n{len(learned)} of {len(watches)} learned")
    print(
        f"correction sent to first token of the retry: median {statistics.median(times):.2f} s, "
        f"fastest {times[0]:.2f} s, slowest {times[-1]:.2f} s"
    )
    for stage in ("prepare", "gate", "snapshot", "step", "guard", "retry"):
        print(f"  {stage:10} median {statistics.median(w.stages[stage] for w in learned):.3f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=16, help="how many, spread over the file")
    parser.add_argument("--typing", type=float, default=4.0, help="seconds before the correction")
    parser.add_argument("settings", nargs="*", help="key=value for the program")
    options = parser.parse_args()
    lines = (HERE / "corrections" / "held_out.jsonl").read_text().splitlines()
    chosen = lines[:: max(1, len(lines) // options.cases)][: options.cases]
    cases = [json.loads(line) for line in chosen]
    asyncio.run(measure(cases, options.typing, options.settings))


if __name__ == "__main__":
    main()
