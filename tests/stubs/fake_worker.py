"""A worker process with a script instead of a model; it speaks the real wire.

The script is a JSON file (first argument). Every list is used up from its front:

``completions``  texts that `sample` answers with; the last one is repeated
``lessons``      what `learn` does: {"outcome", "retry", "die", "commit", "hang", "failure"}
``load``         what `load` does: {"die"}, {"failure"}
``sample``       what `sample` does before it answers: {"die"}, {"hang"}, {"failure"}

``die`` names the stage before which the process kills itself; ``"answer"`` is after the commit.
What happened lies in STATE beside the script, so that the next process goes on from there.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from continualcode_tui.training.protocol import (
    REQUEST,
    Cancel,
    Completion,
    Done,
    Event,
    FailureEvent,
    Learn,
    LessonResult,
    Load,
    Loaded,
    ProgressEvent,
    ReadyEvent,
    Request,
    Result,
    ResultEvent,
    Sample,
    Sampled,
    Save,
    Saved,
    Shutdown,
    StageEvent,
    StageName,
    StepEvent,
    StepMetrics,
    TokenEvent,
    TokenReport,
    Undo,
    Undone,
)

STAGES: tuple[StageName, ...] = ("prepare", "gate", "snapshot", "step", "guard", "retry", "commit")


class Failure(Exception):
    def __init__(self, code: Any, message: str) -> None:
        super().__init__(message)
        self.code = code


class FakeWorker:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.script: dict[str, Any] = json.loads(path.read_text())
        self.state_path = path.with_suffix(".state")
        self.state: dict[str, Any] = {"used": {}, "requests": [], "committed": []}
        if self.state_path.exists():
            self.state = json.loads(self.state_path.read_text())
        self.cancelled: set[int] = set()

    def keep(self) -> None:
        beside = self.state_path.with_suffix(".new")
        beside.write_text(json.dumps(self.state))
        beside.replace(self.state_path)

    def take(self, name: str, default: Any, *, repeat_last: bool = False) -> Any:
        items = self.script.get(name, [])
        used = self.state["used"].get(name, 0)
        self.state["used"][name] = used + 1
        self.keep()
        if used < len(items):
            return items[used]
        return items[-1] if items and repeat_last else default

    def send(self, event: Event) -> None:
        sys.stdout.buffer.write(event.model_dump_json().encode() + b"\n")
        sys.stdout.buffer.flush()

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def trouble(self, plan: dict[str, Any], number: int) -> None:
        if plan.get("die"):
            self.die()
        if plan.get("failure"):
            raise Failure(plan["failure"], plan.get("message", "It did not work; try again."))
        if plan.get("hang"):
            self.hang(number)

    def hang(self, number: int) -> None:
        """Wait for a cancel, for ever."""
        while number not in self.cancelled:
            time.sleep(0.01)
        raise Failure("cancelled", "Cancelled; nothing was changed.")

    def completion(self, text: str, number: int, *, stream: bool = True) -> Completion:
        pieces = [text[at : at + 8] for at in range(0, len(text), 8)]
        for index, piece in enumerate(pieces if stream else []):
            self.send(TokenEvent(id=number, text=piece, token=index, logprob=-0.5))
        return Completion(
            tokens=tuple(range(len(pieces))),
            logprobs=(-0.5,) * len(pieces),
            text=text,
            stop_reason="stop",
            prompt_tokens=100,
            seconds=0.01,
        )

    def loaded(self, request: Load) -> Result:
        plan = self.take("load", {})
        self.send(ProgressEvent(id=request.id, message="loading the fake model", fraction=0.5))
        self.trouble(plan, request.id)
        committed = self.state["committed"]
        facts = {"training": True, "context_tokens": 2048, **self.script.get("loaded", {})}
        return Loaded(
            engine=request.engine,
            model_name=request.model_name or "fake-model",
            device="cpu",
            parameters=10,
            trainable_parameters=2,
            objective="forward_kl",
            adapter_scope="answer",
            snapshot=committed[-1] if committed else None,
            lesson=committed[-1] if committed else None,
            lessons=len(committed),
            **facts,
        )

    def sampled(self, request: Sample) -> Result:
        self.trouble(self.take("sample", {}), request.id)
        text = self.take("completions", "All done.", repeat_last=True)
        return Sampled(completion=self.completion(text, request.id))

    def learned(self, request: Learn) -> Result:
        lesson = request.lesson
        plan = {"outcome": "learned", "retry": "All done.", **self.take("lessons", {})}
        if plan.get("failure"):
            raise Failure(plan["failure"], plan.get("message", "It did not work; try again."))
        metrics: list[StepMetrics] = []
        retry = None
        for stage in STAGES:
            if plan.get("die") == stage:
                self.die()
            self.send(StageEvent(id=request.id, stage=stage, elapsed=0.1))
            if plan.get("hang") == stage:
                self.hang(request.id)
            if stage == "step":
                metrics.append(_metrics(1))
                self.send(StepEvent(id=request.id, metrics=metrics[-1]))
            if stage == "retry":
                retry = self.completion(plan["retry"], request.id)
        learned = plan["outcome"] == "learned"
        if learned:
            self.state["committed"].append(lesson.id)
            self.keep()
        if plan.get("die") == "answer":
            self.die()
        return LessonResult(
            lesson=lesson.id,
            outcome=plan["outcome"],
            reason=plan.get("reason", "The retry follows the correction."),
            steps=tuple(metrics),
            loss=plan.get("loss", 0.5),
            kl=0.01,
            tokens=(_report("<tool_call>"), _report("write")),
            retry=retry,
            proved=learned,
            snapshot=lesson.id if learned else None,
            seconds=0.5,
            stages={"gate": 0.1, "step": 0.3},
            tokens_sampled=5,
            tokens_scored=50,
        )

    def undone(self) -> Result:
        committed = self.state["committed"]
        taken = committed.pop() if committed else None
        self.keep()
        now = committed[-1] if committed else None
        return Undone(snapshot=now, lesson=now, undone_lesson=taken)

    def answer(self, request: Request) -> None:
        seen = request.model_dump(mode="json")
        self.state["requests"].append(seen)
        self.keep()
        try:
            result = self.result_of(request)
        except Failure as failure:
            self.send(FailureEvent(id=request.id, code=failure.code, message=str(failure)))
        else:
            self.send(ResultEvent(id=request.id, result=result))

    def result_of(self, request: Request) -> Result:
        match request:
            case Load():
                return self.loaded(request)
            case Sample():
                return self.sampled(request)
            case Learn():
                return self.learned(request)
            case Undo():
                return self.undone()
            case Save():
                return Saved(path=request.path or "/adapters/export")
            case _:
                return Done()


def _metrics(step: int) -> StepMetrics:
    return StepMetrics(
        step=step,
        loss=0.5,
        kl=0.01,
        grad_norm=1.0,
        scale=1.0,
        follow=0.9,
        teacher_gap=3.0,
        entropy=0.2,
        advantage_mean=-0.1,
        advantage_abs_max=4.0,
        seconds=0.1,
    )


def _report(text: str) -> TokenReport:
    return TokenReport(
        text=text, advantage=-2.0, before=0.9, after=0.1, teacher=0.1, teacher_token="edit_lines"
    )


def main() -> None:
    worker = FakeWorker(Path(sys.argv[1]))
    worker.send(ReadyEvent(pid=os.getpid()))
    for line in sys.stdin.buffer:
        request = REQUEST.validate_json(line)
        if isinstance(request, Cancel):
            worker.cancelled.add(request.target)
        elif isinstance(request, Shutdown):
            break
        else:
            threading.Thread(target=worker.answer, args=[request], daemon=True).start()
    os._exit(0)


if __name__ == "__main__":
    main()
