"""R10, as a machine: the agent, the user, `/rewind`, kills and restarts in any order.

The model is a dictionary of paths to bytes. After every step the disk holds exactly that.
"""

from __future__ import annotations

import asyncio
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from continualcode_tui.app.controllers.files import FilesController
from continualcode_tui.app.tools import registry
from continualcode_tui.app.workspace.checkpoints import Checkpoints
from continualcode_tui.app.workspace.repository import sweep
from continualcode_tui.app.workspace.workspace import Workspace
from continualcode_tui.training.protocol import ToolCall
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from .dying import write_and_die

Files = dict[str, bytes]

PATHS = st.sampled_from(["a.txt", "b.sh", "sub/c.txt", "sub/deep/d.txt"])
LINES = st.lists(st.sampled_from(["", "one", "two", "é", "\t3"]), min_size=1, max_size=4)
MARKS = st.sampled_from([b"", b"\xef\xbb\xbf"])
ENDS = st.sampled_from(["\n", "\r\n"])


@st.composite
def contents(draw: st.DrawFn) -> bytes:
    end = draw(ENDS)
    text = end.join(draw(LINES)) + draw(st.sampled_from(["", end]))
    return draw(MARKS) + text.encode()


class Machine(RuleBasedStateMachine):
    """One repository and everything that happens to it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.root = self.folder / "root"
        self.root.mkdir()
        subprocess.run(["git", "init", "-q"], cwd=self.root, check=True)
        self.model: Files = {}
        # Of each request: the files before it, and how its call left the one that it changed.
        self.requests: list[tuple[Files, Files]] = []
        self.start()

    def start(self) -> None:
        """The program starts, as it does after each end of whatever kind."""
        sweep(self.root)
        self.workspace = Workspace(self.root)
        checkpoints = Checkpoints(self.root, self.folder / "store", git=True)
        self.files = FilesController(checkpoints=checkpoints, present=self.told)
        self.files.open(self.folder / "session.files")

    def told(self, event: Any) -> None:
        raise AssertionError(event)

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    # --- what happens -------------------------------------------------------------------

    @initialize(content=contents())
    def begin(self, content: bytes) -> None:
        self.put("b.sh", content)
        (self.root / "b.sh").chmod(0o755)

    @rule(path=PATHS, content=contents())
    def the_user_writes(self, path: str, content: bytes) -> None:
        self.put(path, content)

    def put(self, path: str, content: bytes) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        self.model[path] = content

    @rule(path=PATHS)
    def the_user_removes(self, path: str) -> None:
        (self.root / path).unlink(missing_ok=True)
        self.model.pop(path, None)

    @rule(path=PATHS, lines=LINES, meanwhile=st.none() | contents())
    def the_agent_writes(self, path: str, lines: list[str], meanwhile: bytes | None) -> None:
        call = ToolCall(name="write", arguments={"path": path, "content": "\n".join(lines)})
        old = self.model.get(path, b"").removeprefix(b"\xef\xbb\xbf").decode()
        end = "\r\n" if old.count("\r\n") * 2 > old.count("\n") else "\n"
        self.agent(call, path, end.join(lines), meanwhile)

    @rule(path=PATHS, lines=LINES, meanwhile=st.none() | contents())
    def the_agent_inserts(self, path: str, lines: list[str], meanwhile: bytes | None) -> None:
        arguments = {"path": path, "start_line": 1, "end_line": 0, "content": "\n".join(lines)}
        old = self.model.get(path, b"").removeprefix(b"\xef\xbb\xbf").decode()
        first = old.split("\n")[0] + "\n" if "\n" in old else ""
        end = "\r\n" if first.endswith("\r\n") else "\n"
        fresh = "".join(line + end for line in "\n".join(lines).removesuffix("\n").split("\n"))
        after = fresh + old if "\n".join(lines) else old
        self.agent(ToolCall(name="edit_lines", arguments=arguments), path, after, meanwhile)

    def agent(self, call: ToolCall, path: str, after: str, meanwhile: bytes | None) -> None:
        shown = registry.preview(call, self.workspace)
        if meanwhile is not None:
            self.put(path, meanwhile)
        before = dict(self.model)
        old = before.get(path)
        mark = b"\xef\xbb\xbf" if old is not None and old.startswith(b"\xef\xbb\xbf") else b""
        request = len(self.requests)

        async def run() -> bool:
            async with self.files.around(call, request):
                return (await registry.run(call, self.workspace, lambda _: None, shown)).ok

        left: Files = {}
        if asyncio.run(run()):
            # Only what had been shown may be written over what stands there.
            assert (shown.before is None) is (old is None)
            assert old is None or mark + (shown.before or "").encode() == old
            self.model[path] = mark + (shown.after or "").encode()
            if meanwhile is None:
                assert shown.after == after
            if self.model[path] != old:
                left[path] = self.model[path]
        elif meanwhile is None:
            assert call.name == "edit_lines"
            assert old is None
        self.requests.append((before, left))

    @rule(path=PATHS, content=contents(), at=st.integers(1, 18), exchange=st.booleans())
    def the_agent_is_killed(self, path: str, content: bytes, at: int, exchange: bool) -> None:
        old = self.model.get(path)
        killed = write_and_die(self.root, path, content, before=old, at=at, exchange=exchange)
        file = self.root / path
        now = file.read_bytes() if file.exists() else None
        assert now in (old, content)
        assert killed or now == content
        if now is not None:
            self.model[path] = now
        self.start()

    @rule()
    def the_program_restarts(self) -> None:
        self.start()

    @rule(back=st.integers(1, 3), yours=st.booleans())
    def the_user_goes_back(self, back: int, yours: bool) -> None:
        if not self.requests:
            return
        request = max(0, len(self.requests) - back)
        then = self.requests[request][0]
        left: Files = {}
        for _, files in self.requests[request:]:
            left |= files
        plan = self.files.plan(request)
        expected = dict(self.model)
        for path in {*then, *self.model}:
            is_agents = path in left and left[path] == self.model.get(path)
            if path in then and (is_agents or yours):
                expected[path] = then[path]
            elif path not in then and is_agents:
                del expected[path]
        assert self.files.restore(plan, yours=yours) == []
        self.files.went_back(request, restored=True)
        del self.requests[request:]
        self.model = expected

    # --- what always holds --------------------------------------------------------------

    @invariant()
    def the_disk_is_the_model(self) -> None:
        found = {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file() and ".git" not in path.relative_to(self.root).parts
        }
        assert found == self.model

    @invariant()
    def the_mode_is_kept(self) -> None:
        for path in self.model:
            mode = stat.S_IMODE((self.root / path).stat().st_mode)
            assert mode in ((0o755, 0o644) if path == "b.sh" else (0o644,))


TestMachine = pytest.mark.slow(Machine.TestCase)
TestMachine.settings = settings(max_examples=40, stateful_step_count=14, deadline=None)
