"""A worker process with a script instead of a model; it speaks the real wire.

The script is a JSON file (first argument). Every list is used up from its front:

``completions``  texts that `sample` answers with; the last one is repeated
``lessons``      what `learn` does: {"outcome", "retry", "die", "hang", "failure", "loss"}; and
                 {"result"} for fields of a lesson that was recorded
``load``         what `load` does: {"die"}, {"failure"}, {"seconds"} to take so long
``sample``       what `sample` does before it answers: {"die"}, {"hang"}, {"failure"}
``checks``       what `check` does: the same, or {"lost": {"a correction": ["of a suspect"]}}
``undos``        what `undo` does before it answers: the same as `sample`
``adapters``     what `adapters` does, ``imports`` what `import` does: the same

``die`` names the stage before which the process kills itself; ``"answer"`` is after the commit.
``loaded`` replaces fields of what `load` answers. What happened lies in a ``.state`` file beside
the script, so that the next process goes on from there. Only the standard library is imported:
the app's end checks every line against the protocol, and a test starts many of these.
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

STAGES = ("prepare", "gate", "snapshot", "step", "guard", "retry", "commit")
Json = dict[str, Any]


class Failure(Exception):
    def __init__(self, plan: Json) -> None:
        super().__init__(plan.get("message", "It did not work; try again."))
        self.code = plan["failure"]


class FakeWorker:
    def __init__(self, path: Path) -> None:
        self.script: Json = json.loads(path.read_text())
        self.state_path = path.with_suffix(".state")
        self.state: Json = {
            "used": {}, "requests": [], "committed": [], "pinned": [], "corrections": {},
            "chains": {},
        }  # fmt: skip
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

    def send(self, event: str, number: int, **fields: Any) -> None:
        sys.stdout.write(json.dumps({"event": event, "id": number, **fields}) + "\n")
        sys.stdout.flush()

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def trouble(self, plan: Json, number: int) -> None:
        if plan.get("die"):
            self.die()
        if plan.get("failure"):
            raise Failure(plan)
        if plan.get("hang"):
            self.hang(number)

    def hang(self, number: int) -> None:
        """Wait for a cancel, for ever."""
        while number not in self.cancelled:
            time.sleep(0.01)
        raise Failure({"failure": "cancelled", "message": "Cancelled; nothing was changed."})

    def completion(self, text: str, number: int) -> Json:
        pieces = [text[at : at + 8] for at in range(0, len(text), 8)]
        for index, piece in enumerate(pieces):
            self.send("token", number, text=piece, token=index, logprob=-0.5)
        return {
            "tokens": list(range(len(pieces))),
            "logprobs": [-0.5] * len(pieces),
            "text": text,
            "stop_reason": "stop",
            "prompt_tokens": 100,
            "seconds": 0.01,
        }

    # --- requests -----------------------------------------------------------------------

    def load(self, request: Json) -> Json:
        plan = self.take("load", {})
        self.send("progress", request["id"], message="loading the fake model", fraction=0.5)
        self.trouble(plan, request["id"])
        time.sleep(plan.get("seconds", 0))
        committed = self.state["committed"]
        lessons = lessons_of(committed)
        return {
            "type": "loaded",
            "engine": request["engine"],
            "model_name": request["model_name"] or "fake-model",
            "device": "cpu",
            "parameters": 10,
            "trainable_parameters": 2,
            "context_tokens": 2048,
            "training": True,
            "objective": "forward_kl",
            "adapter_scope": "answer",
            "snapshot": committed[-1] if committed else None,
            "lesson": lessons[-1] if lessons else None,
            "lessons": len(lessons),
            **self.script.get("loaded", {}),
        }

    def sample(self, request: Json) -> Json:
        self.trouble(self.take("sample", {}), request["id"])
        text = self.take("completions", "All done.", repeat_last=True)
        return {"type": "sampled", "completion": self.completion(text, request["id"])}

    def learn(self, request: Json) -> Json:
        plan = {"outcome": "learned", "retry": "All done.", **self.take("lessons", {})}
        if plan.get("failure"):
            raise Failure(plan)
        number, lesson = request["id"], request["lesson"]["id"]
        recorded = plan.get("result", {})
        self.state["corrections"][lesson] = request["lesson"]["correction"]
        retry = None
        for stage in STAGES:
            if plan.get("die") == stage:
                self.die()
            self.send("stage", number, stage=stage, elapsed=0.1)
            if plan.get("hang") == stage:
                self.hang(number)
            if stage == "step":
                for metrics in recorded.get("steps", [METRICS]):
                    self.send("step", number, metrics=metrics)
            if stage == "retry":
                retry = self.completion(plan["retry"], number)
        learned = plan["outcome"] == "learned"
        if learned:
            self.commit(lesson)
        if plan.get("die") == "answer":
            self.die()
        return {
            "type": "lesson_result",
            "lesson": lesson,
            "outcome": plan["outcome"],
            "reason": plan.get("reason", "The retry follows the correction."),
            "steps": [METRICS],
            "guard": plan.get("guard"),
            "loss": plan.get("loss", 0.5),
            "kl": 0.01,
            "tokens": [TOKEN],
            "retry": retry,
            "proved": learned,
            "snapshot": lesson if learned else None,
            "seconds": 0.5,
            "stages": {"gate": 0.1, "step": 0.3},
            "tokens_sampled": 5,
            "tokens_scored": 50,
            **recorded,
        }

    def undo(self, request: Json) -> Json:
        self.trouble(self.take("undos", {}), request["id"])
        committed, left = self.state["committed"], list(self.state["committed"])
        if request["before"] is not None:
            if request["before"] not in left:
                raise Failure({"failure": "bad_request", "message": "It does not hold this."})
            del committed[left.index(request["before"]) :]
            self.state["pinned"] = left
        elif request["snapshot"] is not None:
            pinned, name = self.state["pinned"], request["snapshot"]
            known = {"base": [], **self.state["chains"]}
            committed[:] = pinned if pinned and pinned[-1] == name else known[name]
        else:
            del committed[-1:]
        self.keep()
        lessons = lessons_of(committed)
        gone = [name for name in left if name not in committed]
        return {
            "type": "undone",
            "snapshot": committed[-1] if committed else None,
            "lesson": lessons[-1] if lessons else None,
            "undone_lesson": gone[-1] if gone else None,
            "undone_lessons": gone,
            "again": {name: name for name in lessons if name not in left},
        }

    def commit(self, name: str) -> None:
        """Make a snapshot, which is called like its lesson, current."""
        self.state["committed"].append(name)
        self.state["chains"][name] = list(self.state["committed"])
        self.keep()

    def adapters(self, request: Json) -> Json:
        self.trouble(self.take("adapters", {}), request["id"])
        committed = self.state["committed"]
        current = committed[-1] if committed else None
        snapshots = [
            {
                "id": name,
                "parent": chain[-2] if len(chain) > 1 else None,
                "lesson": name,
                "created": 0.0,
                "rank": 16,
                "targets": "all",
                "scope": "answer",
                "current": name == current,
                "in_use": name in committed,
                "pruned": False,
            }
            for name, chain in self.state["chains"].items()
        ]
        enabled = self.state.get("enabled", True)
        listed = {"snapshots": snapshots, "current": current, "enabled": enabled}
        return {"type": "adapter_list", **listed}

    def enable_adapter(self, request: Json) -> Json:
        self.state["enabled"] = request["enabled"]
        self.keep()
        return {"type": "adapter_enabled", "enabled": request["enabled"]}

    def import_(self, request: Json) -> Json:
        plan = self.take("imports", {})
        self.trouble(plan, request["id"])
        name = f"import-{len(self.state['chains']):08x}"
        self.commit(name)
        return {"type": "imported", "snapshot": name, "notice": plan.get("notice", "")}

    def check(self, request: Json) -> Json:
        number, corrections = request["id"], self.state["corrections"]
        plan = self.take("checks", {}, repeat_last=True)
        self.send("progress", number, message="Checking lesson 1 of 1", fraction=0.0)
        self.trouble(plan, number)
        names = {correction: name for name, correction in corrections.items()}
        checks: list[Json] = []
        for lesson in request["lessons"]:
            suspects = plan.get("lost", {}).get(corrections[lesson["lesson"]])
            lost = suspects is not None
            checks.append(
                {
                    "lesson": lesson["lesson"],
                    "holds": "lost" if lost else "call",
                    "probability": 0.1 if lost else 0.9,
                    "answer": "All done.",
                    "suspects": [names[each] for each in suspects or []],
                }
            )
        return {"type": "checked", "checks": checks}

    def save(self, request: Json) -> Json:
        return {"type": "saved", "path": request["path"] or "/adapters/export"}

    def answer(self, request: Json) -> None:
        self.state["requests"].append(request)
        self.keep()
        try:
            kind = request["type"]
            result = getattr(self, "import_" if kind == "import" else kind)(request)
        except Failure as failure:
            self.send("failure", request["id"], code=failure.code, message=str(failure))
        else:
            self.send("result", request["id"], result=result)


def lessons_of(chain: list[str]) -> list[str]:
    return [name for name in chain if not name.startswith("import-")]


METRICS: Json = {
    "step": 1,
    "loss": 0.5,
    "kl": 0.01,
    "grad_norm": 1.0,
    "scale": 1.0,
    "follow": 0.9,
    "teacher_gap": 3.0,
    "entropy": 0.2,
    "advantage_mean": -0.1,
    "advantage_abs_max": 4.0,
    "seconds": 0.1,
}
TOKEN: Json = {
    "text": "<tool_call>",
    "advantage": -2.0,
    "before": 0.9,
    "after": 0.1,
    "teacher": 0.1,
    "teacher_token": "edit_lines",
}


def main() -> None:
    worker = FakeWorker(Path(sys.argv[1]))
    worker.send("ready", 0, protocol=1, pid=os.getpid())
    for line in sys.stdin:
        request = json.loads(line)
        if request["type"] == "cancel":
            worker.cancelled.add(request["target"])
        elif request["type"] == "shutdown":
            break
        else:
            threading.Thread(target=worker.answer, args=[request], daemon=True).start()
    os._exit(0)


if __name__ == "__main__":
    main()
