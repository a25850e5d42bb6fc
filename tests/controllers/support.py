"""A session on a scratch repository and the fake worker, with every event kept."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from pathlib import Path
from typing import Any, TypeVar

from continualcode_tui.app.agent.proposal import Decision, Proposal
from continualcode_tui.app.controllers.session import SessionController
from continualcode_tui.app.events import AgentEvent
from continualcode_tui.app.settings import load_settings
from continualcode_tui.app.store.journal import Journal

E = TypeVar("E")
FAKE_WORKER = Path(__file__).parents[1] / "stubs" / "fake_worker.py"
TEST = "from calc import add\n\n\ndef test_add():\n    assert add(2, 2) == 5\n"


def call(name: str, **arguments: Any) -> str:
    """What the model writes to propose a call."""
    body = json.dumps({"name": name, "arguments": arguments})
    return f"<tool_call>\n{body}\n</tool_call>"


class Stage:
    """A folder, a script for the worker, and the settings of a session there."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "scratch"
        self.folder.mkdir()
        (self.folder / "calc.py").write_text("def add(a, b):\n    return a + b\n")
        (self.folder / "test_calc.py").write_text(TEST)
        self.data = root / "data"
        self.script = root / "script.json"
        self.events: list[AgentEvent] = []
        self.proposals: list[Proposal] = []
        self.decisions: list[Decision] = []
        self.waiting = asyncio.Event()

    def write_script(self, **script: Any) -> None:
        self.script.write_text(json.dumps(script))

    def arguments(self, *more: str) -> list[str]:
        command = shlex.join([sys.executable, "-SE", str(FAKE_WORKER), str(self.script)])
        fixed = ["sandbox=off"]  # the best boundary is another one on another machine
        return [f"worker_command={command}", f"data_dir={self.data}", *fixed, *more]

    def session(self, *arguments: str) -> SessionController:
        if not self.script.exists():
            self.write_script()
        return SessionController(
            settings=load_settings(self.arguments(*arguments), environ={}),
            folder=self.folder,
            present=self.events.append,
            decide=self.decide,
        )

    async def decide(self, proposal: Proposal) -> Decision:
        self.proposals.append(proposal)
        if self.decisions:
            return self.decisions.pop(0)
        self.waiting.set()
        return await asyncio.get_running_loop().create_future()

    async def run(self, *decisions: Decision, request: str = "fix the test") -> SessionController:
        """Start a session, answer one request with these decisions, close it."""
        self.decisions = list(decisions)
        session = self.session()
        try:
            assert await session.start()
            await asyncio.wait_for(session.submit(request), 20)
        finally:
            await session.close()
        return session

    def seen(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    def requests(self, kind: str) -> list[dict[str, Any]]:
        """What the worker was asked, over all of its lives."""
        state = json.loads(self.script.with_suffix(".state").read_text())
        return [request for request in state["requests"] if request["type"] == kind]

    def journal(self) -> Journal:
        (path,) = self.data.glob("lessons/*/*/journal.jsonl")
        return Journal(path)
