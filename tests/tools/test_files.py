"""read, write and edit_lines: their answers, previews and refusals."""

from collections.abc import Callable
from typing import Any

import pytest
from continualcode_tui.app.tools import registry
from continualcode_tui.app.tools.base import Preview, ToolResult
from continualcode_tui.app.workspace.text import split_lines
from continualcode_tui.app.workspace.workspace import Workspace
from continualcode_tui.training.protocol import ToolCall

from .conftest import Call


async def run(
    workspace: Workspace, name: str, arguments: dict[str, Any], shown: Preview | None
) -> ToolResult:
    return await registry.run(
        ToolCall(name=name, arguments=arguments), workspace, lambda _: None, shown
    )


async def test_read(call: Call, workspace: Workspace) -> None:
    assert await call("read", path="calc.py") == ToolResult(
        ok=True, output="1\tdef add(a, b):\n2\t    return a - b"
    )
    (workspace.root / "empty.txt").write_text("")
    assert (await call("read", path="empty.txt")).output == "[empty file]"
    (workspace.root / "no_end.txt").write_bytes(b"a\r\nb")
    assert (await call("read", path="no_end.txt")).output == "1\ta\n2\tb"


async def test_read_says_what_it_left_out(call: Call, workspace: Workspace) -> None:
    (workspace.root / "long.txt").write_text("".join(f"l{n}\n" for n in range(1, 1001)))
    lines = (await call("read", path="long.txt")).output.split("\n")
    assert (lines[0], lines[399], lines[400]) == ("1\tl1", "400\tl400", "[lines 1-400 of 1000]")
    part = await call("read", path="long.txt", offset="999", limit=2)
    assert part.output == "999\tl999\n1000\tl1000\n[lines 999-1000 of 1000]"
    part = await call("read", path="long.txt", offset=5, limit=1)
    assert part.output == "5\tl5\n[lines 5-5 of 1000]"


async def test_read_is_short_whatever_the_file(call: Call, workspace: Workspace) -> None:
    (workspace.root / "wide.txt").write_text("x" * 1_000_000 + "\n" + "y\n" * 3)
    answer = (await call("read", path="wide.txt")).output
    assert "[... 998000 characters left out ...]\n2\ty" in answer
    (workspace.root / "both.txt").write_text(("x" * 5_000 + "\n") * 300)
    answer = (await call("read", path="both.txt")).output
    assert len(answer) < 62_000
    assert answer.endswith("of 300]")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"path": "calc.py", "offset": 9}, "line 9 is past the end of calc.py, which has 2 lines"),
        ({"path": "calc.py", "offset": 0}, '"offset" must be at least 1, not 0'),
        ({"path": "calc.py", "limit": -1}, '"limit" must be at least 1'),
        ({"path": "calk.py"}, "no such file: calk.py (nearest: calc.py)"),
        ({"path": "../x"}, "outside the repository"),
        ({"path": "tests"}, "tests is a folder"),
    ],
)
async def test_read_refuses_in_words(call: Call, arguments: dict[str, Any], words: str) -> None:
    result = await call("read", **arguments)
    assert not result.ok
    assert result.output.startswith("error: ")
    assert words in result.output


async def test_write(call: Call, workspace: Workspace) -> None:
    assert (
        await call("write", path="a/new.py", content="x\ny")
    ).output == "wrote a/new.py (2 lines)"
    assert (workspace.root / "a/new.py").read_bytes() == b"x\ny"
    assert (await call("write", path="./calc.py", content="")).output == "wrote calc.py (0 lines)"
    assert (workspace.root / "calc.py").read_bytes() == b""


async def test_write_keeps_the_files_habits(call: Call, workspace: Workspace) -> None:
    file = workspace.root / "dos.bat"
    file.write_bytes(b"\xef\xbb\xbfa\r\nb\r\n")
    file.chmod(0o755)
    await call("write", path="dos.bat", content="c\nd\n")
    assert file.read_bytes() == b"\xef\xbb\xbfc\r\nd\r\n"
    assert file.stat().st_mode & 0o777 == 0o755


async def test_write_takes_line_ends_that_it_is_given(call: Call, workspace: Workspace) -> None:
    await call("write", path="calc.py", content="a\r\nb\r\n")
    assert (workspace.root / "calc.py").read_bytes() == b"a\r\nb\r\n"


def test_write_shows_both_whole_texts(show: Callable[..., Preview]) -> None:
    shown = show("write", path="calc.py", content="x\n")
    assert (shown.kind, shown.path) == ("diff", "calc.py")
    assert (shown.before, shown.after) == ("def add(a, b):\n    return a - b\n", "x\n")
    new = show("write", path="deep/er/new.py", content="x\n")
    assert (new.before, new.after, new.problem) == (None, "x\n", None)


@pytest.mark.parametrize("name", ["write", "edit_lines"])
@pytest.mark.parametrize(
    ("path", "words"),
    [
        (".git/hooks/pre-commit", "off limits"),
        ("../up.py", "outside the repository"),
        ("/etc/motd", "outside the repository"),
        ("tests", "is a folder"),
        ("new/", "names a folder"),
        ("calc.py/x", "calc.py is a file, not a folder"),
        ("image.png", "binary file"),
        ("latin.txt", "the file is not UTF-8"),
        ("linked.py", "is a link to calc.py"),
    ],
)
async def test_changes_are_refused_in_words(
    call: Call, workspace: Workspace, name: str, path: str, words: str
) -> None:
    (workspace.root / "image.png").write_bytes(b"\x89PNG\0\0")
    (workspace.root / "latin.txt").write_bytes(b"caf\xe9\n")
    (workspace.root / "linked.py").symlink_to("calc.py")
    lines = {"start_line": 1, "end_line": 1} if name == "edit_lines" else {}
    before = sorted(workspace.root.iterdir())
    result = await call(name, path=path, content="→", **lines)
    assert words in result.output
    assert sorted(workspace.root.iterdir()) == before


async def test_edit_lines(call: Call, workspace: Workspace) -> None:
    file = workspace.root / "calc.py"
    result = await call(
        "edit_lines", path="calc.py", start_line=2, end_line=2, content="    return a + b"
    )
    assert result.output == "edited calc.py (lines 2-2 are now 2-2)"
    assert file.read_text() == "def add(a, b):\n    return a + b\n"
    result = await call(
        "edit_lines", path="calc.py", start_line="3", end_line="2", content="\n\nx = 1\n"
    )
    assert result.output == "edited calc.py (lines 3-2 are now 3-5)"
    assert file.read_text() == "def add(a, b):\n    return a + b\n\n\nx = 1\n"
    result = await call("edit_lines", path="calc.py", start_line=3, end_line=5, content="")
    assert result.ok
    assert file.read_text() == "def add(a, b):\n    return a + b\n"


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        (3, 3, "lines 3-3 are out of range because calc.py has 2 lines"),
        (4, 3, "start_line = 3 with end_line = 2 appends"),
        (1, 9, "out of range"),
        (2, 0, "end_line 0 is before start_line 2; end_line = 1 would insert before line 2"),
        (0, 1, '"start_line" must be at least 1'),
    ],
)
async def test_edit_lines_checks_the_range(call: Call, start: int, end: int, words: str) -> None:
    result = await call("edit_lines", path="calc.py", start_line=start, end_line=end, content="x")
    assert words in result.output


async def test_edit_lines_needs_a_file(call: Call) -> None:
    result = await call("edit_lines", path="calk.py", start_line=1, end_line=1, content="x")
    assert "no such file: calk.py (nearest: calc.py)" in result.output


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("write", {"path": "calc.py", "content": "new\n"}),
        ("edit_lines", {"path": "calc.py", "start_line": 2, "end_line": 2, "content": "new"}),
    ],
)
async def test_a_file_that_changed_since_it_was_shown_is_left_alone(
    workspace: Workspace, show: Callable[..., Preview], name: str, arguments: dict[str, Any]
) -> None:
    shown = show(name, **arguments)
    (workspace.root / "calc.py").write_text("the user's own\nwork\n")
    result = await run(workspace, name, arguments, shown)
    assert not result.ok
    assert "calc.py changed since this change was shown" in result.output
    assert (workspace.root / "calc.py").read_text() == "the user's own\nwork\n"
    assert (await run(workspace, name, arguments, show(name, **arguments))).ok


async def test_a_new_file_that_appeared_is_left_alone(
    workspace: Workspace, show: Callable[..., Preview]
) -> None:
    shown = show("write", path="new.py", content="x\n")
    (workspace.root / "new.py").write_text("y\n")
    result = await run(workspace, "write", {"path": "new.py", "content": "x\n"}, shown)
    assert "changed since" in result.output
    assert (workspace.root / "new.py").read_text() == "y\n"


async def test_what_could_not_be_shown_is_not_done(
    workspace: Workspace, show: Callable[..., Preview]
) -> None:
    arguments = {"path": "late.py", "start_line": 1, "end_line": 1, "content": "x"}
    shown = show("edit_lines", **arguments)
    assert shown.problem is not None
    (workspace.root / "late.py").write_text("y\n")
    assert not (await run(workspace, "edit_lines", arguments, shown)).ok
    assert (workspace.root / "late.py").read_text() == "y\n"


async def test_what_is_shown_is_what_is_written(
    workspace: Workspace, show: Callable[..., Preview], call: Call
) -> None:
    contents = ["a\r\nb\r\n", "a\nb", "\ufeffa\n", "", "a\u2028b\x0c\n\n", "ü\r\n\n"]
    for number, content in enumerate(contents):
        path = f"f{number}"
        (workspace.root / path).write_bytes(content.encode())
        count = len(split_lines(content.removeprefix("\ufeff")))
        arguments = {"path": path, "start_line": count + 1, "end_line": count, "content": "z\ny"}
        for name in ("edit_lines", "write"):
            given = arguments if name == "edit_lines" else {"path": path, "content": "p\nq\n"}
            shown = show(name, **given)
            assert (await call(name, **given)).ok
            now = (workspace.root / path).read_bytes().decode()
            assert now.removeprefix("\ufeff") == shown.after
