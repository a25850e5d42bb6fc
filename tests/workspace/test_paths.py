"""Hostile and mistaken paths: nothing outside the root is read or written."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from continualcode_tui.app.workspace.workspace import MissingError, Workspace, WorkspaceError


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret.txt").write_text("secret\n")
    return folder


@pytest.fixture
def workspace(tmp_path: Path, outside: Path) -> Workspace:
    root = tmp_path / "root"
    (root / "src").mkdir(parents=True)
    (root / "src" / "calc.py").write_text("x = 1\n")
    (root / ".git" / "hooks").mkdir(parents=True)
    (root / ".git" / "config").write_text("[core]\n")
    return Workspace(root)


def hostile(workspace: Workspace, outside: Path) -> dict[str, str]:
    root = workspace.root
    (root / "link.txt").symlink_to(outside / "secret.txt")
    (root / "up.txt").symlink_to("../outside/secret.txt")
    (root / "folder").symlink_to(outside)
    (root / "deep").symlink_to("src/../../outside")
    (root / "loop").symlink_to("loop")
    (root / "proc").symlink_to("/proc/self/root")
    (root / "dotgit").symlink_to(".git")
    os.mkfifo(root / "fifo")
    (root / "device").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as unix:
        here = Path.cwd()
        os.chdir(root)
        try:
            unix.bind("socket")
        finally:
            os.chdir(here)
    return {
        "parent": "../outside/secret.txt",
        "parent inside": "src/../../outside/secret.txt",
        "absolute": str(outside / "secret.txt"),
        "absolute with parent": f"{root}/../outside/secret.txt",
        "system file": "/etc/passwd",
        "link out": "link.txt",
        "relative link out": "up.txt",
        "folder link": "folder/secret.txt",
        "folder link up": "deep/secret.txt",
        "loop": "loop",
        "loop inside": "loop/x",
        "magic link": f"proc{outside}/secret.txt",
        "pipe": "fifo",
        "device": "device",
        "socket": "socket",
        "git": ".git/config",
        "git in capitals": ".GIT/config",
        "git with an invisible letter": ".g\u200cit/config",
        "git by a link": "dotgit/config",
        "nested git": "src/.git/config",
        "git after a step back": "src/../.git/hooks/pre-commit",
        "folder": "src",
        "root": ".",
        "empty": " ",
        "nul": "src/calc.py\0.txt",
        "half character": "src/\ud800.py",
        "long name": "a" * 300,
        "long path": "src/" * 2_000 + "calc.py",
        "below a file": "src/calc.py/x",
    }


def test_hostile_paths_are_neither_read_nor_written(workspace: Workspace, outside: Path) -> None:
    for what, path in hostile(workspace, outside).items():
        with pytest.raises(WorkspaceError) as reading:
            workspace.read_bytes(path)
        with pytest.raises(WorkspaceError) as writing:
            workspace.write_bytes(path, b"changed", before=None)
        for error in (reading.value, writing.value):
            assert "\n" not in str(error), what
            assert 10 < len(str(error)) < 700, what
            assert "secret\n" not in str(error), what
    assert (outside / "secret.txt").read_text() == "secret\n"
    assert names(outside) == ["secret.txt"]
    assert names(workspace.root / ".git" / "hooks") == []
    assert (workspace.root / ".git" / "config").read_text() == "[core]\n"


def test_errors_name_the_way_out(workspace: Workspace) -> None:
    (workspace.root / "src" / "core").mkdir()
    nearest = {
        "src/clac.py": " (nearest: src/calc.py)",
        "scr/calc.py": " (nearest: src/calc.py)",
        "scr/clac.py": " (nearest: src/calc.py)",
        "scr/other.md": " (nearest: src/)",
        "src/zzzzzz/other.md": " (nearest: src/)",
        "src/cor": " (nearest: src/core/)",
        "src/calc.pyx/y": " (nearest: src/calc.py)",
        "zzzzzz": "",
    }
    for path, words in nearest.items():
        with pytest.raises(MissingError) as error:
            workspace.read_bytes(path)
        assert str(error.value) == f"no such file: {path}{words}"
    with pytest.raises(WorkspaceError, match="relative to the repository's root"):
        workspace.read_bytes("/etc/passwd")
    with pytest.raises(WorkspaceError, match="src is a folder; list its files with glob"):
        workspace.read_bytes("src")


def test_links_that_stay_inside_are_read_but_not_written(workspace: Workspace) -> None:
    root = workspace.root
    (root / "alias.py").symlink_to("src/calc.py")
    (root / "lib").symlink_to(root / "src")
    (root / "src" / "back").symlink_to("../src/./calc.py")
    for path in ("alias.py", "lib/calc.py", "src/back", "lib/../src/calc.py"):
        assert workspace.read_bytes(path) == b"x = 1\n"
        assert workspace.read_text(path).path == "src/calc.py"
    for path in ("alias.py", "lib/calc.py", "src/back"):
        with pytest.raises(WorkspaceError, match="name the file itself"):
            workspace.write_bytes(path, b"y", before=b"x = 1\n")
    assert workspace.read_bytes("src/calc.py") == b"x = 1\n"


def test_a_path_may_be_absolute_or_untidy(workspace: Workspace) -> None:
    for path in (f"{workspace.root}/src/calc.py", "./src//calc.py", "src/../src/calc.py"):
        assert workspace.read_bytes(path) == b"x = 1\n"
        assert workspace.relative(path) == "src/calc.py"
    assert workspace.relative(str(workspace.root)) == "."


def test_a_root_that_is_a_link_works(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "short").symlink_to(workspace.root)
    linked = Workspace(tmp_path / "short")
    assert linked.read_bytes("src/calc.py") == b"x = 1\n"


def test_hard_links_out_are_neither_read_nor_written(workspace: Workspace, outside: Path) -> None:
    os.link(outside / "secret.txt", workspace.root / "hard.txt")
    for use in (workspace.read_bytes, workspace.check_writable):
        with pytest.raises(WorkspaceError, match="not all of them are known to lie in"):
            use("hard.txt")
    with pytest.raises(WorkspaceError, match="hard links"):
        workspace.write_bytes("hard.txt", b"x", before=b"secret\n")
    assert (outside / "secret.txt").read_bytes() == b"secret\n"


def test_hard_links_inside_are_read_but_not_written(workspace: Workspace, outside: Path) -> None:
    other = workspace.root / "src" / "same.py"
    os.link(workspace.root / "src" / "calc.py", other)
    assert workspace.read_bytes("src/calc.py") == workspace.read_bytes("src/same.py") == b"x = 1\n"
    with pytest.raises(WorkspaceError, match="2 hard links"):
        workspace.write_bytes("src/same.py", b"y", before=b"x = 1\n")
    other.rename(outside / "calc.py")
    with pytest.raises(WorkspaceError, match="not all of them"):
        workspace.read_bytes("src/calc.py")
    (outside / "calc.py").rename(workspace.root / ".git" / "calc.py")
    with pytest.raises(WorkspaceError, match="not all of them"):
        workspace.read_bytes("src/calc.py")


def test_read_only_files_are_not_replaced(workspace: Workspace) -> None:
    (workspace.root / "src" / "calc.py").chmod(0o444)
    with pytest.raises(WorkspaceError, match="read-only; make it writable"):
        workspace.write_bytes("src/calc.py", b"x", before=b"x = 1\n")


def test_size_is_limited_both_ways(workspace: Workspace) -> None:
    small = Workspace(workspace.root, max_bytes=10)
    (workspace.root / "big.txt").write_bytes(b"a" * 11)
    with pytest.raises(WorkspaceError, match="too large"):
        small.read_bytes("big.txt")
    with pytest.raises(WorkspaceError, match="too large"):
        small.write_bytes("new.txt", b"a" * 11, before=None)
    assert not (workspace.root / "new.txt").exists()


def test_a_swapped_folder_never_leads_out(workspace: Workspace, outside: Path) -> None:
    """While another thread swaps a folder for a link, no read returns the secret."""
    root = workspace.root
    (root / "a").mkdir()
    (root / "a" / "secret.txt").write_text("public\n")
    (root / "b").symlink_to(outside)
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            try:
                (root / "a").rename(root / "c")
                (root / "b").rename(root / "a")
                (root / "a").rename(root / "b")
                (root / "c").rename(root / "a")
            except OSError:  # a write has just made the folder anew
                if (root / "c").exists():
                    shutil.rmtree(root / "a", ignore_errors=True)
                    with contextlib.suppress(OSError):
                        (root / "c").rename(root / "a")

    swapper = threading.Thread(target=swap)
    swapper.start()
    seen: set[bytes] = set()
    try:
        for number in range(1_500):
            with contextlib.suppress(WorkspaceError):
                seen.add(workspace.read_bytes("a/secret.txt"))
            if number % 5 == 0:
                with contextlib.suppress(WorkspaceError):
                    workspace.write_bytes("a/new.txt", b"x", before=None)
    finally:
        stop.set()
        swapper.join()
    assert seen <= {b"public\n"}
    assert names(outside) == ["secret.txt"]


def test_a_full_disk_leaves_the_old_file_and_no_rubbish(workspace: Workspace) -> None:
    """A child with a file size limit stands for a full disk."""
    script = """
import resource, signal, sys
from continualcode_tui.app.workspace.workspace import Workspace, WorkspaceError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (16, 16))
try:
    Workspace(sys.argv[1]).write_bytes("src/calc.py", b"y" * 71, before=b"x = 1\\n")
except WorkspaceError as error:
    print(error)
"""
    command = [sys.executable, "-c", script, str(workspace.root)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "the disk is full" in done.stdout
    assert workspace.read_bytes("src/calc.py") == b"x = 1\n"
    assert names(workspace.root / "src") == ["calc.py"]


def test_a_killed_write_tears_nothing(workspace: Workspace) -> None:
    script = """
import sys
from continualcode_tui.app.workspace.workspace import Workspace
workspace = Workspace(sys.argv[1])
before = workspace.read_bytes("src/calc.py")
print("ready", flush=True)
while True:
    after = (b"a" if before[:1] == b"b" else b"b") * 200_000
    workspace.write_bytes("src/calc.py", after, before=before)
    before = after
"""
    for number in range(8):
        command = [sys.executable, "-c", script, str(workspace.root)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            time.sleep(0.01 + 0.003 * number)
            child.kill()
        data = workspace.read_bytes("src/calc.py")
        assert data in (b"a" * 200_000, b"b" * 200_000, b"x = 1\n")


def test_files_are_not_left_open(workspace: Workspace, outside: Path) -> None:
    paths = hostile(workspace, outside)
    before = len(names(Path("/dev/fd")))
    for path in [*paths.values(), "src/calc.py", "nowhere/x"]:
        for act in (workspace.read_bytes, workspace.check_writable, workspace.is_folder):
            with contextlib.suppress(WorkspaceError):
                act(path)
    assert len(names(Path("/dev/fd"))) == before
