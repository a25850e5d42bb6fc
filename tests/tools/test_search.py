"""glob and grep."""

import asyncio
import shutil
import time
from collections.abc import Callable
from itertools import pairwise

import pytest
from continualcode_tui.app.tools import registry
from continualcode_tui.app.tools.base import Preview
from continualcode_tui.app.tools.grep import Grep
from continualcode_tui.app.tools.patterns import compile_glob, matches
from continualcode_tui.app.workspace.workspace import Workspace, WorkspaceError
from continualcode_tui.training.protocol import ToolCall

from .conftest import Call


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("**/*.py", "a.py", True),
        ("**/*.py", "a/b/c.py", True),
        ("*.py", "a/b.py", False),
        ("a/**", "a/b/c", True),
        ("a/**", "b/a/c", False),
        ("**", "a/b", True),
        ("a/**/b", "a/b", True),
        ("a/**/**/b", "a/x/y/b", True),
        ("a/*/b", "a/x/y/b", False),
        ("?.py", "a.py", True),
        ("[ab].py", "c.py", False),
        ("[!ab].py", "c.py", True),
        ("*.{js,ts}", "x.ts", True),
        ("{a,b}/{c,d}.py", "b/d.py", True),
        ("{a}", "{a}", True),
        ("a{", "a{", True),
        ("./a.py", "a.py", True),
        ("*", ".env", True),
        ("**/test_*.py", "tests/x_test_a.py", False),
    ],
)
def test_patterns(pattern: str, path: str, expected: bool) -> None:
    assert matches(path, compile_glob(pattern)) is expected


def test_patterns_take_no_exponential_time() -> None:
    began = time.monotonic()
    assert not matches("a" * 200, compile_glob("*a" * 40 + "b"))
    assert not matches("/".join("a" * 60), compile_glob("/".join(["**", "a"] * 20) + "/b"))
    with pytest.raises(WorkspaceError, match="too many alternatives"):
        compile_glob("{a,b}" * 20)
    assert time.monotonic() - began < 1


async def test_glob(call: Call, workspace: Workspace) -> None:
    (workspace.root / "build").mkdir()
    (workspace.root / "build" / "out.py").write_text("")
    assert (await call("glob", pattern="**/*.py")).output == "calc.py\ntests/test_calc.py"
    assert (await call("glob", pattern="*.py", path="tests")).output == "tests/test_calc.py"
    assert (await call("glob", pattern="*.md")).output == "no files match *.md"
    assert (await call("glob", pattern="*", path="build")).output == "build/out.py"
    assert (await call("glob", pattern=f"{workspace.root}/*.py")).output == "calc.py"


async def test_glob_is_capped(call: Call, workspace: Workspace) -> None:
    for number in range(210):
        (workspace.root / f"f{number:03}.txt").write_text("")
    lines = (await call("glob", pattern="*.txt")).output.split("\n")
    assert len(lines) == 201
    assert (lines[0], lines[199], lines[200]) == ("f000.txt", "f199.txt", "... and 10 more")


async def test_glob_refuses_in_words(call: Call) -> None:
    assert "outside" in (await call("glob", pattern="*", path="..")).output
    assert "leads out" in (await call("glob", pattern="../*")).output
    assert "leads out" in (await call("glob", pattern="/etc/*")).output
    assert "is a file" in (await call("glob", pattern="*", path="calc.py")).output
    assert (
        "no such file: test (nearest: tests/)"
        in (await call("glob", pattern="*", path="test")).output
    )
    assert "empty" in (await call("glob", pattern=" ")).output


async def test_a_file_name_cannot_fake_a_line(call: Call, workspace: Workspace) -> None:
    (workspace.root / "a\nb.md").write_text("x\n")
    assert (await call("glob", pattern="*.md")).output == "a<U+000A>b.md"
    assert (await call("grep", pattern="x", path=".")).output == "a<U+000A>b.md:1: x"


async def test_grep(call: Call, workspace: Workspace) -> None:
    (workspace.root / "binary").write_bytes(b"add\0")
    (workspace.root / "dos.txt").write_bytes(b"one\r\nadd\r\n")
    assert (await call("grep", pattern=r"\badd\b")).output == (
        "calc.py:1: def add(a, b):\ndos.txt:2: add\ntests/test_calc.py:1: from calc import add"
    )
    assert (await call("grep", pattern="add", path="tests")).output.startswith(
        "tests/test_calc.py:1: "
    )
    assert (
        await call("grep", pattern="add", path="./calc.py")
    ).output == "calc.py:1: def add(a, b):"
    assert (await call("grep", pattern="nothing")).output == "no matches for nothing"


async def test_grep_falls_back_to_the_literal_text(call: Call) -> None:
    lines = (await call("grep", pattern="add(")).output.split("\n")
    assert lines[0] == "calc.py:1: def add(a, b):"
    assert lines[1].startswith("[not a regular expression (missing )")
    assert lines[1].endswith("so it was searched for literally]")


async def test_grep_lets_no_warning_through(call: Call) -> None:
    assert (await call("grep", pattern="[[a]dd")).output.startswith("calc.py:1: ")


async def test_a_search_that_dies_is_told(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", shutil.which("false"))
    assert "ended unexpectedly" in (await call("grep", pattern="add")).output
    monkeypatch.setattr("sys.executable", "/nowhere")
    assert "could not be started" in (await call("grep", pattern="add")).output


async def test_grep_is_capped(call: Call, workspace: Workspace) -> None:
    (workspace.root / "many.txt").write_text("hit\n" * 500 + "hit" * 1000 + "\n")
    lines = (await call("grep", pattern="hit")).output.split("\n")
    assert (len(lines), lines[-1]) == (201, "... and 301 more")
    wide = (await call("grep", pattern="(hit){1000}")).output
    assert wide.endswith("hit [... 2700 characters left out ...]")


async def test_grep_says_what_it_did_not_search(call: Call, workspace: Workspace) -> None:
    (workspace.root / "huge.txt").write_bytes(b"add\n" * 600_000)
    assert (await call("grep", pattern="import add")).output == (
        "tests/test_calc.py:1: from calc import add\n[1 large files were not searched]"
    )


async def test_grep_refuses_in_words(call: Call) -> None:
    assert "outside" in (await call("grep", pattern="a", path="../..")).output
    assert "no such file: src" in (await call("grep", pattern="a", path="src")).output
    assert "empty" in (await call("grep", pattern="")).output
    assert "off limits" in (await call("grep", pattern="a", path=".git")).output


async def test_grep_follows_no_link_out(call: Call, workspace: Workspace) -> None:
    (workspace.root.parent / "secret.txt").write_text("password\n")
    (workspace.root / "link.txt").symlink_to("../secret.txt")
    assert (await call("grep", pattern="password")).output == "no matches for password"
    assert "link out" in (await call("grep", pattern="password", path="link.txt")).output


async def test_a_catastrophic_pattern_freezes_nothing(workspace: Workspace) -> None:
    (workspace.root / "trap.txt").write_text("a" * 40 + "b\n")
    beats: list[float] = []

    async def beat() -> None:
        while True:
            beats.append(time.monotonic())
            await asyncio.sleep(0.01)

    heart = asyncio.create_task(beat())
    tool = Grep(timeout=0.7)
    result = await registry.run(
        ToolCall(name="grep", arguments={"pattern": "(a+)+$"}),
        workspace,
        lambda _: None,
        tools={"grep": tool},
    )
    heart.cancel()
    assert not result.ok
    assert "the search took longer than 0.7 s; use a simpler pattern" in result.output
    assert max(b - a for a, b in pairwise(beats)) < 0.5  # a busy machine has gaps of its own


def test_previews_name_what_is_searched(show: Callable[..., Preview]) -> None:
    assert show("grep", pattern="x", path="tests").text == "search for x in tests"
    assert show("glob", pattern="*.py").text == "list the files that match *.py"
