"""R10: an edit changes the addressed bytes and no others, whole or not at all.

336 of 336 combinations of tool, encoding, line end, mode and final newline keep every other
byte; 0 of 500 files are torn by kills at random moments, 0 by a kill before each system call;
a change by somebody else is never lost, however late it comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import shutil
import stat
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from continualcode_tui.app.tools import registry
from continualcode_tui.app.workspace import replace
from continualcode_tui.app.workspace.repository import sweep
from continualcode_tui.app.workspace.text import split_lines
from continualcode_tui.app.workspace.workspace import Workspace, WorkspaceError
from continualcode_tui.training.protocol import ToolCall
from hypothesis import given, settings
from hypothesis import strategies as st

from .dying import write_and_die

ENCODINGS = {
    "UTF-8": ("utf-8", b""),
    "UTF-8 with mark": ("utf-8", b"\xef\xbb\xbf"),
    "Latin-1": ("latin-1", b""),
    "UTF-16-LE": ("utf-16-le", b"\xff\xfe"),
    "UTF-16-BE": ("utf-16-be", b"\xfe\xff"),
    "UTF-32-LE": ("utf-32-le", b"\xff\xfe\0\0"),
    "UTF-32-BE": ("utf-32-be", b"\0\0\xfe\xff"),
}
LINE_ENDS = {"LF": ["\n"] * 4, "CRLF": ["\r\n"] * 4, "mixed": ["\r\n", "\n", "\r\n", "\r\n"]}
MODES = (0o644, 0o755, 0o600, 0o4751)
TOOLS = ("edit_lines", "write")


async def run(workspace: Workspace, name: str, **arguments: Any) -> tuple[bool, str]:
    """Preview a call, then run it as it was shown."""
    call = ToolCall(name=name, arguments=arguments)
    shown = registry.preview(call, workspace)
    result = await registry.run(call, workspace, lambda _: None, shown)
    return result.ok, result.output


def build(lines: list[str], ends: list[str], *, final: bool) -> str:
    text = "".join(line + end for line, end in zip(lines, ends, strict=True))
    return text if final else text.removesuffix(ends[-1])


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_every_combination_survives(encoding: str, tmp_path: Path, renaming: str) -> None:
    codec, mark = ENCODINGS[encoding]
    workspace = Workspace(tmp_path)
    kept = 0
    combinations = list(itertools.product(TOOLS, LINE_ENDS, MODES, (True, False)))
    for number, (tool, line_ends, mode, final) in enumerate(combinations):
        ends = LINE_ENDS[line_ends]
        lines = ["", "naïve", "ÿ \x0c tab\t", "end"]
        file = tmp_path / f"{number}.txt"
        file.write_bytes(mark + build(lines, ends, final=final).encode(codec))
        file.chmod(mode)
        lines[1] = "née"
        if tool == "edit_lines":
            arguments: dict[str, Any] = {"start_line": 2, "end_line": 2, "content": "née"}
        else:
            arguments = {"content": build(lines, ["\n"] * 4, final=final)}
            ends = ["\n" if line_ends == "LF" else "\r\n"] * 4  # what most lines have
        assert (await run(workspace, tool, path=file.name, **arguments))[0]
        expected = mark + build(lines, ends, final=final).encode(codec)
        kept += file.read_bytes() == expected and stat.S_IMODE(file.stat().st_mode) == mode
    assert kept == len(combinations) == 48
    assert sum(1 for _ in os.scandir(tmp_path)) == 48  # and nothing is left over


LINE = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=8)
NEW = st.lists(LINE, min_size=1, max_size=3)


@st.composite
def files(draw: st.DrawFn) -> tuple[str, list[str], list[str], int, int, list[str]]:
    count = draw(st.integers(1, 6))
    lines = [draw(LINE) for _ in range(count)]
    ends = [draw(st.sampled_from(["\n", "\r\n"])) for _ in range(count)]
    if draw(st.booleans()) and lines[-1]:
        ends[-1] = ""
    start = draw(st.integers(1, count))
    encoding = draw(st.sampled_from(sorted(ENCODINGS)))
    return encoding, lines, ends, start, draw(st.integers(start, count)), draw(NEW)


@given(files())
@settings(max_examples=100)
def test_only_the_addressed_lines_change(
    tmp_path_factory: pytest.TempPathFactory,
    file: tuple[str, list[str], list[str], int, int, list[str]],
) -> None:
    encoding, lines, ends, start, end, new = file
    codec, mark = ENCODINGS[encoding]
    folder = tmp_path_factory.mktemp("r10")
    path = folder / "f.txt"
    coded = [(line + end).encode(codec) for line, end in zip(lines, ends, strict=True)]
    try:
        b"".join(coded).decode("utf-8")
        is_utf_8 = True
    except UnicodeDecodeError:
        is_utf_8 = False
    if encoding == "Latin-1" and is_utf_8:
        codec = "utf-8"  # as every program would read it
        lines = b"".join(coded).decode()
        lines = [line.rstrip("\r\n") if line else line for line in split_lines(lines)]
    path.write_bytes(mark + b"".join(coded))
    arguments = {
        "path": "f.txt", "start_line": start, "end_line": end, "content": "\n".join(new) + "\n",
    }  # fmt: skip
    ok, words = asyncio.run(run(Workspace(folder), "edit_lines", **arguments))
    assert ok, words
    after = path.read_bytes()
    head, tail = mark + b"".join(coded[: start - 1]), b"".join(coded[end:])
    assert after.startswith(head)
    assert after.endswith(tail)
    middle = after[len(head) : len(after) - len(tail)].decode(codec)
    assert [line.rstrip("\r\n") for line in split_lines(middle)] in (new, new[:-1])
    if not tail and not ends[-1]:
        assert not middle.endswith("\n") or not new[-1]


async def test_owner_and_attributes_survive(tmp_path: Path, renaming: str) -> None:
    workspace, file = Workspace(tmp_path), tmp_path / "f.txt"
    file.write_text("one\ntwo\n")
    try:
        os.setxattr(file, "user.note", b"kept")
    except (AttributeError, OSError):
        pytest.skip("this file system has no extended attributes")
    if os.geteuid() == 0:
        os.chown(file, 1234, 2345)
    before = file.stat()
    assert (await run(workspace, "write", path="f.txt", content="three\n"))[0]
    after = file.stat()
    assert os.getxattr(file, "user.note") == b"kept"
    assert (after.st_uid, after.st_gid, after.st_mode) == (
        before.st_uid,
        before.st_gid,
        before.st_mode,
    )
    assert after.st_ino != before.st_ino


async def test_a_folder_gives_no_access_to_a_file_that_had_none(
    tmp_path: Path, renaming: str
) -> None:
    """A folder's list for new files would let others read what only its owner could."""
    workspace, file = Workspace(tmp_path), tmp_path / "f.txt"
    file.write_text("one\n")
    file.chmod(0o640)
    everyone = 0xFFFFFFFF
    entries = [
        (1, 6, everyone),
        (2, 6, 1234),
        (4, 4, everyone),
        (16, 6, everyone),
        (32, 0, everyone),
    ]
    access = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(tmp_path, "system.posix_acl_default", access)
    except (AttributeError, OSError):
        pytest.skip("this file system has no access lists")
    (tmp_path / "new.txt").touch()
    assert "system.posix_acl_access" in os.listxattr(tmp_path / "new.txt")
    assert (await run(workspace, "write", path="f.txt", content="two\n"))[0]
    assert "system.posix_acl_access" not in os.listxattr(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    os.setxattr(file, "system.posix_acl_access", access)
    before = os.getxattr(file, "system.posix_acl_access")
    assert (await run(workspace, "write", path="f.txt", content="three\n"))[0]
    assert os.getxattr(file, "system.posix_acl_access") == before


def test_a_file_that_the_user_may_not_write_is_not_replaced(tmp_path: Path) -> None:
    """Its folder would let it be replaced, and then it would belong to somebody else."""
    setpriv = shutil.which("setpriv")
    if os.geteuid() != 0 or setpriv is None:
        pytest.skip("only root with setpriv can make a file of somebody else's")
    file = tmp_path / "f.txt"
    file.write_bytes(b"one\n")
    os.chown(file, 1234, 1234)
    code = (
        "import sys\n"
        "from continualcode_tui.app.workspace.workspace import Workspace, WorkspaceError\n"
        "try:\n"
        "    Workspace(sys.argv[1]).write_bytes('f.txt', b'two', before=b'one\\n')\n"
        "except WorkspaceError as error:\n"
        "    print(error)\n"
    )
    held = ["--bounding-set=-dac_override,-chown,-fowner", "--inh-caps=-all"]
    done = subprocess.run(
        [setpriv, *held, sys.executable, "-c", code, str(tmp_path)],
        capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    assert "not yours to write" in done.stdout
    assert (file.read_bytes(), file.stat().st_uid) == (b"one\n", 1234)


def test_no_program_that_runs_as_somebody_else_is_made(
    tmp_path: Path, renaming: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the owner cannot be kept, the right to run as the owner must go."""
    workspace, file = Workspace(tmp_path), tmp_path / "f.txt"
    file.write_bytes(b"one\n")
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to somebody else")
    os.chown(file, 1234, 2345)
    file.chmod(0o6755)

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refuse)
    workspace.write_bytes("f.txt", b"two\n", before=b"one\n")
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"two\n", 0o755)


# --- changes by somebody else -------------------------------------------------------------


def rewritten(file: Path) -> None:
    file.write_text("theirs\n")


def replaced(file: Path) -> None:
    other = file.with_name("other")
    other.write_text("theirs\n")
    other.rename(file)


def removed(file: Path) -> None:
    file.unlink()


def made_a_link(file: Path) -> None:
    file.unlink()
    file.symlink_to("elsewhere")


def made_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def appended(file: Path) -> None:
    with file.open("a") as end:
        end.write("more\n")


def stripped_of_its_mark(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\xff")


CHANGES: list[Callable[[Path], None]] = [
    rewritten, replaced, removed, made_a_link, made_a_folder, appended, stripped_of_its_mark,
]  # fmt: skip


def look(file: Path) -> object:
    if file.is_symlink():
        return file.readlink()
    if file.is_dir():
        return "folder"
    return file.read_bytes() if file.exists() else None


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("tool", TOOLS)
async def test_a_change_after_the_preview_is_kept(
    tmp_path: Path, tool: str, change: Callable[[Path], None], renaming: str
) -> None:
    workspace, file = Workspace(tmp_path), tmp_path / "f.txt"
    file.write_text("mine\n")
    lines = {"start_line": 1, "end_line": 1} if tool == "edit_lines" else {}
    call = ToolCall(name=tool, arguments={"path": "f.txt", "content": "new\n", **lines})
    shown = registry.preview(call, workspace)
    change(file)
    before = look(file)
    assert not (await registry.run(call, workspace, lambda _: None, shown)).ok
    assert look(file) == before


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("guarded", [False, True])
def test_a_change_in_the_last_moment_is_put_back(
    tmp_path: Path,
    guarded: bool,
    change: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody writes after the last look and before the rename; a plain rename loses that."""
    file = tmp_path / "f.txt"
    file.write_text("mine\n")
    theirs: list[object] = []
    exchange = replace.exchange

    def late(folder: int, one: str, other: str) -> bool:
        if not theirs:
            change(file)
            theirs.append(look(file))
        return guarded and exchange(folder, one, other)

    monkeypatch.setattr(replace, "exchange", late)
    workspace = Workspace(tmp_path)
    lost = not guarded and change is not made_a_folder  # which no rename replaces
    with contextlib.nullcontext() if lost else pytest.raises(WorkspaceError):
        workspace.write_bytes("f.txt", b"new\n", before=b"mine\n")
    assert (look(file) != theirs[0]) is lost
    assert not list(tmp_path.glob(".continualcode-*"))


@pytest.mark.parametrize("guarded", [False, True])
def test_a_file_that_appears_in_the_last_moment_is_kept(
    tmp_path: Path, guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "f.txt"
    rename_new = replace.rename_new

    def late(folder: int, old: str, new: str) -> None:
        file.write_text("theirs\n")
        if guarded:
            rename_new(folder, old, new)
        else:
            os.replace(old, new, src_dir_fd=folder, dst_dir_fd=folder)

    monkeypatch.setattr(replace, "rename_new", late)
    workspace = Workspace(tmp_path)
    if guarded:
        with pytest.raises(WorkspaceError, match="changed meanwhile"):
            workspace.write_bytes("f.txt", b"new\n", before=None)
    else:
        workspace.write_bytes("f.txt", b"new\n", before=None)
    assert (file.read_text() == "theirs\n") is guarded
    assert [path.name for path in tmp_path.iterdir()] == ["f.txt"]


# --- kills --------------------------------------------------------------------------------


@pytest.mark.parametrize("exchange", [True, False])
@pytest.mark.parametrize("before", [None, b"old\n" * 500])
def test_a_kill_before_each_system_call_tears_nothing(
    tmp_path: Path, before: bytes | None, exchange: bool
) -> None:
    after = b"new\n" * 600
    file = tmp_path / "sub" / "f.txt"
    left: set[bytes | None] = set()
    died = 0
    while True:
        file.parent.mkdir(exist_ok=True)
        file.unlink(missing_ok=True)
        if before is None:
            file.parent.rmdir()
        else:
            file.write_bytes(before)
        killed = write_and_die(
            tmp_path, "sub/f.txt", after, before=before, at=died + 1, exchange=exchange
        )
        now = file.read_bytes() if file.exists() else None
        assert now in (before, after)
        left.add(now)
        sweep(tmp_path)
        assert not list(tmp_path.rglob(".continualcode-*"))
        if not killed:
            break
        died += 1
    assert died >= 8
    assert now == after
    assert left == {before, after}


WRITERS = """
import json, os, random, signal, sys, time
from pathlib import Path
from continualcode_tui.app.workspace.repository import sweep
from continualcode_tui.app.workspace.workspace import Workspace

root, kills, guarded = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "guarded"
workspace, file = Workspace(root), root / "f.txt"
texts = [letter * 200_000 for letter in (b"a", b"b")]
file.write_bytes(texts[0])
chance = random.Random(20)
torn = writes = temporary = 0
for number in range(kills):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        before = file.read_bytes()
        while True:
            after = texts[before == texts[0]]
            if guarded:
                workspace.write_bytes("f.txt", after, before=before)
            else:
                file.open("wb").write(after)
            before = after
            os.write(writing, b".")
    os.read(reading, 1)  # it is at work
    time.sleep(chance.uniform(0, 0.004))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(writing)
    while dots := os.read(reading, 4096):
        writes += len(dots)
    os.close(reading)
    if file.read_bytes() not in texts:
        torn += 1
        file.write_bytes(texts[0])
    temporary += len(list(root.glob(".continualcode-*")))
    sweep(root)
print(json.dumps({"torn": torn, "writes": writes, "left over": temporary,
                  "after the sweep": len(list(root.glob(".continualcode-*")))}))
"""


def kill_writers(root: Path, kills: int, *, guarded: bool) -> dict[str, int]:
    """Fork a writer, kill it at a random moment, look at the file; so many times."""
    root.mkdir()
    command = [sys.executable, "-c", WRITERS, str(root), str(kills)]
    command.append("guarded" if guarded else "plain")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.slow
def test_five_hundred_kills_tear_nothing(tmp_path: Path) -> None:
    assert kill_writers(tmp_path / "plain", 60, guarded=False)["torn"] > 0
    found = kill_writers(tmp_path / "guarded", 500, guarded=True)
    assert found["torn"] == 0
    assert found["left over"] > 0
    assert found["after the sweep"] == 0
