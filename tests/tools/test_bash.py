"""bash: answers, limits, and that nothing freezes or stays behind."""

import asyncio
import os
import shutil
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from continualcode_tui.app.tools import registry
from continualcode_tui.app.tools.base import Preview, ToolResult
from continualcode_tui.app.tools.process import Capture, child_environment
from continualcode_tui.app.workspace.workspace import Workspace
from continualcode_tui.training.protocol import ToolCall
from hypothesis import given, settings
from hypothesis import strategies as st

from ..support.waiting import until
from .conftest import Call


def bash(
    workspace: Workspace, command: str, timeout: float = 120, sink: Callable[[str], None] = len
):
    return registry.run(
        ToolCall(name="bash", arguments={"command": command}),
        workspace,
        sink,
        tools=registry.make_tools(bash_timeout=timeout),
    )


def running(pid_file: Path) -> bool:
    pid = int(pid_file.read_text())
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


def has_text(file: Path) -> bool:
    return file.exists() and bool(file.read_text().strip())


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


async def test_answers(call: Call, workspace: Workspace) -> None:
    assert await call("bash", command="echo hi") == ToolResult(ok=True, output="hi\n[exit 0]")
    assert (await call("bash", command="true")).output == "[exit 0]"
    assert (await call("bash", command="printf x")).output == "x\n[exit 0]"
    assert await call("bash", command="echo a; echo b >&2; exit 3") == ToolResult(
        ok=False, output="a\nb\n[exit 3]"
    )
    assert (await call("bash", command="pwd")).output == f"{workspace.root}\n[exit 0]"
    assert (await call("bash", command="kill -9 $$")).output == "[exit 137]"
    for data in ("\\377", "\\303"):
        assert (await call("bash", command=f"printf '{data}'")).output == "\ufffd\n[exit 0]"


async def test_there_is_no_input(call: Call) -> None:
    assert (await call("bash", command="cat; read x; echo $?")).output == "1\n[exit 0]"


async def test_refusals(call: Call) -> None:
    assert "empty" in (await call("bash", command="  ")).output
    assert "NUL" in (await call("bash", command="a\0b")).output
    assert "too long" in (await call("bash", command=": " + "é" * 60_000)).output
    assert (await call("bash", command=": " + "x" * 99_000)).ok


def test_the_preview_is_the_command(show: Callable[..., Preview], workspace: Workspace) -> None:
    shown = show("bash", command="echo \u202e x ")
    assert (shown.kind, shown.command) == ("command", "echo \u202e x ")
    assert shown.folder == str(workspace.root)


async def test_output_streams(workspace: Workspace) -> None:
    pieces: list[tuple[float, str]] = []
    began = time.monotonic()
    await bash(
        workspace,
        "echo one; sleep 0.4; printf 'zw\\303'; printf '\\266lf'",
        sink=lambda text: pieces.append((time.monotonic() - began, text)),
    )
    assert "".join(text for _, text in pieces) == "one\nzwölf"
    assert pieces[0][1] == "one\n"
    assert pieces[0][0] < 0.35


async def test_the_time_limit_stops_the_whole_group(workspace: Workspace) -> None:
    began = time.monotonic()
    result = await bash(workspace, "sleep 60 & echo $! > pid; echo started; wait", timeout=0.4)
    assert result == ToolResult(ok=False, output="started\n[stopped after 0.4 s]")
    assert time.monotonic() - began < 4
    assert not running(workspace.root / "pid")


async def test_a_command_that_ignores_the_polite_signal_ends_too(workspace: Workspace) -> None:
    result = await bash(workspace, "trap '' TERM; echo $$ > pid; sleep 60; sleep 60", timeout=0.4)
    assert "[stopped after 0.4 s]" in result.output
    assert not running(workspace.root / "pid")


async def test_cancelling_stops_it(workspace: Workspace) -> None:
    task = asyncio.ensure_future(bash(workspace, "sleep 60 & echo $! > pid; wait"))
    await until(lambda: has_text(workspace.root / "pid"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not running(workspace.root / "pid")


async def test_the_background_does_not_outlive_the_command(workspace: Workspace) -> None:
    began = time.monotonic()
    result = await bash(workspace, "sleep 60 & echo $! > pid")
    assert result.output == "[processes in the background were stopped]\n[exit 0]"
    assert not running(workspace.root / "pid")
    assert time.monotonic() - began < 4


@pytest.mark.skipif(shutil.which("setsid") is None, reason="there is no setsid here")
async def test_who_keeps_the_pipe_open_delays_nobody(workspace: Workspace) -> None:
    began = time.monotonic()
    result = await bash(
        workspace, "setsid sh -c 'echo $$ > pid; exec sleep 30' & sleep 0.3; echo done"
    )
    assert "done\n" in result.output
    assert time.monotonic() - began < 5
    assert not running(workspace.root / "pid")


async def test_a_flood_is_capped_and_freezes_nothing(workspace: Workspace) -> None:
    beats: list[float] = []
    streamed = 0

    def sink(text: str) -> None:
        nonlocal streamed
        streamed += len(text)

    async def beat() -> None:
        while True:
            beats.append(time.monotonic())
            await asyncio.sleep(0.01)

    heart = asyncio.create_task(beat())
    result = await bash(workspace, "echo first; yes flood", timeout=1.0, sink=sink)
    heart.cancel()
    assert result.output.startswith("first\nflood\n")
    assert " characters left out ...]\n" in result.output
    assert result.output.endswith("[stopped after 1 s]")
    assert len(result.output) < 30_200
    assert 0 < streamed < 200_000
    assert max(b - a for a, b in pairwise(beats)) < 0.5  # a busy machine has gaps of its own


async def test_no_file_stays_open(workspace: Workspace) -> None:
    await bash(workspace, "true")
    before = open_files()
    for _ in range(3):
        await bash(workspace, "echo x")
        await bash(workspace, "sleep 9", timeout=0.05)
    await asyncio.sleep(0)
    assert open_files() <= before


async def test_keys_do_not_reach_the_command(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["TINKER_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD", "my_api_key",
             "STRIPE_KEY", "GH_PAT", "MYSQL_PWD", "GOOGLE_APPLICATION_CREDENTIALS"]  # fmt: skip
    for name in names:
        monkeypatch.setenv(name, "canary")
    monkeypatch.setenv("BASH_ENV", "/dev/stdin")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    output = (await bash(workspace, "env; git rev-parse --git-dir")).output
    assert "canary" not in output
    assert "PYTHONPATH=/somewhere" in output
    assert output.endswith("\n.git\n[exit 0]")


def test_ordinary_variables_stay() -> None:
    ordinary = {"PATH": "/bin", "HOME": "/root", "LANG": "C", "PWD": "/", "OLDPWD": "/",
                "KEYBOARD": "de", "MONKEY": "1", "VIRTUAL_ENV": "/",
                "SSH_AUTH_SOCK": "/s"}  # fmt: skip
    assert child_environment(ordinary).items() >= ordinary.items()


@settings(max_examples=50)
@given(st.lists(st.text("aü\n", max_size=30), max_size=6))
def test_capture_keeps_head_and_tail(pieces: list[str]) -> None:
    capture = Capture(keep=40)
    for piece in pieces:
        capture.add(piece)
    whole = "".join(pieces)
    if len(whole) <= 40:
        assert capture.text() == whole
    else:
        middle = f"\n[... {len(whole) - 40} characters left out ...]\n"
        assert capture.text() == whole[:20] + middle + whole[-20:]
