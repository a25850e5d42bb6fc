"""R14: no process outlives a command."""

from __future__ import annotations

import asyncio
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from continualcode_tui.app.controllers.shell import ShellController
from continualcode_tui.app.sandbox.gate import Kind

from ..support.waiting import until
from .scene import Scene, need, survivors

DAEMON = """
import os, sys
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
os.execvp("sleep", ["sleep", sys.argv[1]])
"""
CHILDREN = {
    "background": "sleep {mark} &",
    "nohup": "nohup sleep {mark} > /dev/null 2>&1 &",
    "setsid": "setsid sleep {mark} &",
    "job control": "set -m; sleep {mark} & disown;",
    "double fork": f"{shlex.join([sys.executable, '-c', DAEMON])} {{mark}};",
    "deaf": "(trap '' TERM HUP INT QUIT; exec sleep {mark}) &",
    "parent killed": "setsid sleep {mark} & sleep 0.1; kill -9 $PPID;",
}
KINDS: tuple[Kind, ...] = ("bwrap", "partial", "none")
KINDS_IN_TIME = ("bwrap", *(pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS[1:]))


@pytest.fixture
def mark() -> Iterator[str]:
    word = f"{86_400 + random.random():.9f}"
    yield word
    for process in survivors(word):
        process.kill()


@pytest.mark.slow
@pytest.mark.parametrize("child", CHILDREN)
def test_a_child_survives_where_nobody_sees_to_it(child: str, scene: Scene, mark: str) -> None:
    """7 of 7 kinds of children outlive a command that is simply run."""
    scene.run_unguarded(f"exec > /dev/null 2>&1; {CHILDREN[child].format(mark=mark)} sleep 0.2")
    assert len(survivors(mark)) == 1


@pytest.mark.parametrize("kind", KINDS_IN_TIME)
@pytest.mark.parametrize("child", CHILDREN)
async def test_no_child_survives(child: str, kind: Kind, scene: Scene, mark: str) -> None:
    """0 of 7 outlive a command that ends, behind each of three boundaries."""
    result = await scene.run(f"{CHILDREN[child].format(mark=mark)} sleep 0.2; echo done", kind)
    assert survivors(mark) == []
    if child != "parent killed":
        assert result.ok
        assert "[processes in the background were stopped]" in result.output


@pytest.mark.parametrize("kind", KINDS_IN_TIME)
async def test_no_child_survives_the_time_limit(kind: Kind, scene: Scene, mark: str) -> None:
    """0 of 6 outlive a command that is stopped, and it takes no longer than it must."""
    children = [text for name, text in CHILDREN.items() if name != "parent killed"]
    command = " ".join(text.format(mark=mark) for text in children)
    began = time.monotonic()
    result = await scene.run(f"{command} echo begun; sleep {mark}", kind, seconds=1)
    assert "begun" in result.output
    assert "[stopped after 1 s]" in result.output
    assert survivors(mark) == []
    assert time.monotonic() - began < 6


@pytest.mark.parametrize("kind", KINDS_IN_TIME)
async def test_no_child_survives_an_interruption(kind: Kind, scene: Scene, mark: str) -> None:
    task = asyncio.ensure_future(scene.run(f"setsid sleep {mark} & sleep {mark}", kind))
    await until(lambda: len(survivors(mark)) >= 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert survivors(mark) == []
    assert list(scene.repo.glob(".*")) == [scene.repo / ".git"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS_IN_TIME)
async def test_a_command_that_stops_what_is_above_it(kind: Kind, scene: Scene, mark: str) -> None:
    command = f"setsid sleep {mark} & echo begun; kill -STOP $PPID; sleep {mark}"
    result = await scene.run(command, kind, seconds=1)
    assert "begun" in result.output
    assert "[stopped after 1 s]" in result.output
    assert survivors(mark) == []


@pytest.mark.parametrize("kind", KINDS_IN_TIME)
async def test_a_stopped_command_may_clear_up_first(kind: Kind, scene: Scene) -> None:
    """The polite signal comes first, so that git, say, can remove its lock."""
    command = "trap 'echo gone politely; exit' TERM; echo begun; while :; do sleep 0.05; done"
    result = await scene.run(command, kind, seconds=0.5)
    assert "gone politely" in result.output


@pytest.mark.parametrize("kind", KINDS_IN_TIME)
def test_no_child_survives_a_killed_program(kind: Kind, scene: Scene, mark: str) -> None:
    """kill -9 of the program itself, with a command under way."""
    need(kind)
    program = (
        "import asyncio, sys, os, shutil\n"
        "from pathlib import Path\n"
        "from continualcode_tui.app.sandbox.gate import Gate\n"
        "from continualcode_tui.app.sandbox.sandbox import Sandbox\n"
        "from continualcode_tui.app.tools import registry\n"
        "from continualcode_tui.app.workspace.workspace import Workspace\n"
        "from continualcode_tui.training.protocol import ToolCall\n"
        "kind, data, root, command = sys.argv[1:]\n"
        "sandbox = Sandbox(data_dir=Path(data))\n"
        "sandbox.gate = Gate(kind, binary=shutil.which('bwrap'))\n"
        "call = ToolCall(name='bash', arguments={'command': command})\n"
        "tools = registry.make_tools(60, sandbox)\n"
        "asyncio.run(registry.run(call, Workspace(root), len, tools=tools))\n"
    )
    command = f"setsid sleep {mark} & nohup sleep {mark} & sleep {mark}"
    process = subprocess.Popen(
        [sys.executable, "-c", program, kind, str(scene.data), str(scene.repo), command],
        env={**os.environ, "HOME": str(scene.home)},
    )
    try:
        wait_for(lambda: len(survivors(mark)) == 3)
        process.send_signal(signal.SIGKILL)
        process.wait()
        wait_for(lambda: not survivors(mark))
    finally:
        process.kill()


def wait_for(condition: object, seconds: float = 10) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("child", CHILDREN)
async def test_the_users_own_commands_leave_nothing_either(
    child: str, tmp_path: Path, mark: str
) -> None:
    """0 of 7 outlive a command that was typed after `!`, which no boundary holds."""
    command = f"{CHILDREN[child].format(mark=mark)} sleep 0.2"
    ran = await ShellController().run(command, tmp_path, lambda _: None)
    assert survivors(mark) == []
    if child != "parent killed":
        assert ran.words == "exit 0; processes in the background were stopped"


@pytest.mark.parametrize("kind", KINDS_IN_TIME)
async def test_a_flood_from_behind_is_capped(kind: Kind, scene: Scene) -> None:
    result = await scene.run("yes flood", kind, seconds=0.7)
    assert "characters left out" in result.output
    assert len(result.output) < 31_000


@pytest.mark.parametrize("kind", KINDS_IN_TIME)
async def test_exit_codes_come_through(kind: Kind, scene: Scene) -> None:
    ends = {"exit 3": "[exit 3]", "kill -9 $$": "[exit 137]", "true": "[exit 0]"}
    for command, end in ends.items():
        assert (await scene.run(command, kind)).output == end


@pytest.mark.parametrize("kind", KINDS_IN_TIME)
async def test_limits_hold(kind: Kind, scene: Scene) -> None:
    """No core file, no file without end."""
    output = (await scene.run("ulimit -c; ulimit -f", kind)).output
    assert output.split()[:2] == ["0", str(32 * 2**20)]


async def test_nothing_stays_open(scene: Scene) -> None:
    sandboxes = [scene.sandbox(kind) for kind in KINDS]

    async def all_kinds() -> None:
        for sandbox in sandboxes:
            await scene.run("sleep 60 & true", sandbox=sandbox)
            await scene.run("sleep 60", sandbox=sandbox, seconds=0.2)

    await all_kinds()
    before = open_files()
    await all_kinds()
    await asyncio.sleep(0)
    assert open_files() <= before


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))
