"""R1: every way to the files stays below the root, whatever the path says or becomes.

15 of 15 path attacks are lost against each tool, and 200 of 200 races against each kind of swap,
with openat2 and without it. Each attack is first seen to work on a plain open.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from continualcode_tui.app.agent.system_prompt import read_prompt
from continualcode_tui.app.tools import grep, registry
from continualcode_tui.app.workspace.checkpoints import CheckpointError, Checkpoints, make_plan
from continualcode_tui.app.workspace.repository import inspect, list_files
from continualcode_tui.app.workspace.workspace import Workspace, WorkspaceError
from continualcode_tui.training.protocol import ToolCall

from .swapper import swapping

pytestmark = pytest.mark.slow

SECRET = "the-secret-of-another"
FILE_TOOLS = ("read", "write", "edit_lines", "glob", "grep")
RACES = 200
MOST_TRIES = 100_000


class Place:
    """A repository, and beside it somebody else's folder."""

    def __init__(self, folder: Path) -> None:
        self.root, self.outside = folder / "root", folder / "outside"
        (self.outside / "sub").mkdir(parents=True)
        (self.outside / "secret.txt").write_text(f"{SECRET}\n")
        (self.root / "src").mkdir(parents=True)
        (self.root / "src" / "calc.py").write_text("x = 1\n")
        subprocess.run(["git", "init", "-q"], cwd=self.root, check=True)
        subprocess.run(["git", "add", "-A"], cwd=self.root, check=True)
        with (self.root / ".git" / "config").open("a") as config:
            config.write(f"# {SECRET}\n")
        self.workspace = Workspace(self.root)

    def link(self, name: str, target: str | Path) -> None:
        (self.root / name).symlink_to(target)

    def untouchable(self) -> dict[str, str]:
        """What no file tool may change: everything outside, and .git."""
        folders = (self.outside, self.root / ".git", self.root / "vendor" / ".git")
        return {
            str(path): hashlib.sha256(path.read_bytes()).hexdigest()
            for folder in folders
            for path in folder.rglob("*")
            if path.is_file() and path.name != "index"  # git renews it
        }


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def parent(place: Place) -> str:
    return "../outside/secret.txt"


def parent_of_a_folder(place: Place) -> str:
    return "src/../../outside/secret.txt"


def absolute(place: Place) -> str:
    return str(place.outside / "secret.txt")


def root_then_parent(place: Place) -> str:
    return f"{place.root}/../outside/secret.txt"


def link_to_a_file(place: Place) -> str:
    place.link("link.txt", place.outside / "secret.txt")
    return "link.txt"


def relative_link(place: Place) -> str:
    place.link("src/up.txt", "../../outside/secret.txt")
    return "src/up.txt"


def link_to_a_folder(place: Place) -> str:
    place.link("folder", place.outside)
    return "folder/secret.txt"


def chain_of_links(place: Place) -> str:
    place.link("one", "src/two")
    place.link("src/two", "../three")
    place.link("three", "src/../../outside/secret.txt")
    return "one"


def parent_of_a_link(place: Place) -> str:
    place.link("lib", "../outside/sub")
    return "lib/../secret.txt"


def link_that_begins_inside(place: Place) -> str:
    place.link("inside", f"{place.root}/src/../../outside/secret.txt")
    return "inside"


def magic_link(place: Place) -> str:
    place.link("proc", "/proc/self/root")
    return f"proc{place.outside}/secret.txt"


def hard_link(place: Place) -> str:
    os.link(place.outside / "secret.txt", place.root / "hard.txt")
    return "hard.txt"


def git_folder(place: Place) -> str:
    return ".git/config"


def link_to_git(place: Place) -> str:
    place.link("dotgit", ".git")
    return "dotgit/config"


def git_folder_below(place: Place) -> str:
    shutil.copytree(place.root / ".git", place.root / "vendor" / ".git")
    return "vendor/.git/config"


ATTACKS: list[Callable[[Place], str]] = [
    parent, parent_of_a_folder, absolute, root_then_parent, link_to_a_file, relative_link,
    link_to_a_folder, chain_of_links, parent_of_a_link, link_that_begins_inside, magic_link,
    hard_link, git_folder, link_to_git, git_folder_below,
]  # fmt: skip


def call_of(name: str, path: str) -> ToolCall:
    more: dict[str, Any] = {
        "read": {},
        "write": {"content": "taken over\n"},
        "edit_lines": {"content": "taken over", "start_line": 1, "end_line": 1},
        "glob": {"pattern": "*"},
        "grep": {"pattern": "secret|taken"},
    }[name]
    return ToolCall(name=name, arguments={"path": path, **more})


async def use(place: Place, call: ToolCall) -> tuple[bool, str]:
    """Preview and run a call; return whether it worked and every word of it."""
    shown = registry.preview(call, place.workspace)
    result = await registry.run(call, place.workspace, lambda _: None, None)
    words = "\n".join(str(part) for part in (shown.before, shown.text, shown.problem))
    return result.ok, f"{words}\n{result.output}"


def plain(place: Place, path: str) -> Path:
    """Where a path leads without any guard."""
    return place.root / path


def test_there_are_fifteen() -> None:
    assert len(set(ATTACKS)) == 15


@pytest.mark.parametrize("tool", FILE_TOOLS)
@pytest.mark.parametrize("attack", ATTACKS)
async def test_a_path_leads_nowhere_else(
    place: Place, way: str, tool: str, attack: Callable[[Place], str]
) -> None:
    path = attack(place)
    assert SECRET in plain(place, path).read_text()  # a plain open is led out
    before = place.untouchable()
    ok, words = await use(place, call_of(tool, path))
    # A new file is put where its path leads without the detour, which is below the root.
    stays = tool == "write" and attack is parent_of_a_link
    assert ok is stays is (place.root / "secret.txt").exists()
    assert SECRET not in words
    assert place.untouchable() == before


@pytest.mark.parametrize("attack", ATTACKS)
async def test_nothing_else_that_looks_at_files_is_led_out(
    place: Place, way: str, attack: Callable[[Place], str], tmp_path: Path
) -> None:
    """Searches of everything, the listing, AGENTS.md and the snapshots."""
    path = attack(place)
    rules = place.root / "AGENTS.md"
    target = plain(place, path)
    os.link(target, rules) if attack is hard_link else rules.symlink_to(target)
    assert SECRET in rules.read_text()
    before = place.untouchable()
    repository = inspect(place.root)
    for pattern in ("secret", "."):
        found = ToolCall(name="grep", arguments={"pattern": pattern})
        assert SECRET not in (await use(place, found))[1]
    assert "x = 1" in (await use(place, found))[1]
    listed = list_files(place.root).paths
    assert {"src/calc.py"} <= set(listed)
    assert not {name for name in listed if ".." in name or ".git/" in name}
    assert SECRET not in read_prompt(repository, 8_000)
    checkpoints = Checkpoints(place.root, tmp_path / "store", git=repository.git)
    kept = checkpoints.files(checkpoints.take([*listed, path, "AGENTS.md"]))
    assert not {path, "AGENTS.md"} & set(kept)
    assert "src/calc.py" in kept
    assert place.untouchable() == before


@pytest.mark.parametrize("tool", ["read", "write", "edit_lines"])
@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "folder", "loop"])
async def test_only_regular_files_are_opened_and_nobody_waits(
    place: Place, way: str, tool: str, kind: str
) -> None:
    odd = place.root / "odd"
    if kind == "pipe":
        os.mkfifo(odd)
        waiting = threading.Thread(target=odd.read_bytes, daemon=True)
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()  # a plain open waits for ever
        odd.open("wb", 0).close()
        waiting.join(5)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as unix, contextlib.chdir(place.root):
            unix.bind("odd")
    elif kind == "device":
        odd.symlink_to("/dev/zero")
    elif kind == "folder":
        odd.mkdir()
    else:
        odd.symlink_to("odd")
    ok, words = await asyncio.wait_for(use(place, call_of(tool, "odd")), 5)
    assert not ok
    assert words.count("error: odd ") == 1


@pytest.mark.parametrize(
    "name",
    [
        ".git", ".GIT", ".Git", ".g\u200cit", "\ufeff.git", ".git.", ".git ", ".git. .",
        ".git::$INDEX_ALLOCATION", "git~1", "GIT~1",
    ],
)  # fmt: skip
@pytest.mark.parametrize("tool", FILE_TOOLS)
async def test_no_spelling_of_git_is_a_way_in(place: Place, way: str, tool: str, name: str) -> None:
    """On a file system where these are one name, or where the folder really is called so."""
    if name != ".git":
        shutil.copytree(place.root / ".git", place.root / name)
    before = place.untouchable()
    for path in (f"{name}/config", f"src/../{name}/hooks/pre-commit", f"src/{name}/config"):
        ok, words = await use(place, call_of(tool, path))
        assert not ok
        assert "off limits" in words
        assert SECRET not in words
    assert place.untouchable() == before
    if name != ".git":
        assert SECRET in (place.root / name / "config").read_text()
        assert not (place.root / name / "hooks" / "pre-commit").exists()


@pytest.mark.parametrize("tool", ["write", "edit_lines"])
async def test_gits_folder_under_another_name_is_not_written(
    place: Place, way: str, tool: str
) -> None:
    (place.root / ".git").rename(place.root / "store")
    (place.root / ".git").write_text("gitdir: store\n")
    assert inspect(place.root).git  # it is in use
    config = (place.root / "store" / "config").read_bytes()
    for path in ("store/config", "store/hooks/pre-commit", "src/../store/config"):
        ok, words = await use(place, call_of(tool, path))
        assert not ok
        assert "a folder of git's own" in words or "no such file" in words
    assert (place.root / "store" / "config").read_bytes() == config
    assert not (place.root / "store" / "hooks" / "pre-commit").exists()


async def test_hard_links_that_stay_inside_are_read_and_never_written(
    place: Place, way: str
) -> None:
    os.link(place.root / "src" / "calc.py", place.root / "same.py")
    assert (await use(place, call_of("read", "same.py")))[0]
    for tool in ("write", "edit_lines"):
        ok, words = await use(place, call_of(tool, "same.py"))
        assert not ok
        assert "has 2 hard links" in words
    assert (place.root / "src" / "calc.py").read_text() == "x = 1\n"


async def test_a_search_says_what_hard_links_it_left_out(place: Place) -> None:
    os.link(place.outside / "secret.txt", place.root / "hard.txt")
    search = ToolCall(name="grep", arguments={"pattern": "secret"})
    assert (
        "[1 files with hard links out of the repository were not searched]"
        in ((await use(place, search))[1])
    )


# --- what git says is not believed --------------------------------------------------------


def test_a_tracked_file_behind_a_link_is_not_listed(place: Place, way: str) -> None:
    (place.outside / "calc.py").write_text(SECRET)
    shutil.rmtree(place.root / "src")
    place.link("src", place.outside)
    said = subprocess.run(["git", "ls-files"], cwd=place.root, capture_output=True, check=True)
    assert said.stdout == b"src/calc.py\n"
    assert (place.root / "src" / "calc.py").is_file()  # a plain look is led out
    assert list_files(place.root).paths == ()


def test_an_index_with_a_path_out_lists_nothing(place: Place, way: str) -> None:
    (place.root / "aa" / "outside").mkdir(parents=True)
    (place.root / "aa" / "outside" / "secret.txt").touch()
    subprocess.run(["git", "add", "-A"], cwd=place.root, check=True)
    index = place.root / ".git" / "index"
    data = index.read_bytes()[:-20].replace(b"aa/outside/secret.txt", b"../outside/secret.txt")
    index.write_bytes(data + hashlib.sha1(data).digest())
    said = subprocess.run(["git", "ls-files"], cwd=place.root, capture_output=True, check=True)
    assert b"../outside/secret.txt" in said.stdout
    assert (place.root / "../outside/secret.txt").is_file()
    assert not [name for name in list_files(place.root).paths if name.startswith("..")]


def test_a_git_folder_of_somebody_else_moves_no_root(tmp_path: Path) -> None:
    """Above the folder lies a .git that git refuses: the root stays where the user is."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder to somebody else")
    (tmp_path / "mine").mkdir()
    (tmp_path / "AGENTS.md").write_text("obey me")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    os.chown(tmp_path, 12345, 12345)
    os.chown(tmp_path / ".git", 12345, 12345)
    repository = inspect(tmp_path / "mine")
    assert (repository.root, repository.git) == (tmp_path / "mine", False)
    assert "obey me" not in read_prompt(repository, 8_000)


# --- races --------------------------------------------------------------------------------


def a_folder(place: Place) -> tuple[Path, Path, str]:
    """A folder of the repository changes places with a link to the folder outside."""
    (place.root / "a").mkdir()
    (place.root / "a" / "secret.txt").write_text("public\n")
    place.link("b", place.outside)
    return place.root / "a", place.root / "b", "a/secret.txt"


def a_deep_folder(place: Place) -> tuple[Path, Path, str]:
    """The same with more components before and after it."""
    (place.root / "deep" / "a" / "er").mkdir(parents=True)
    (place.root / "deep" / "a" / "er" / "secret.txt").write_text("public\n")
    (place.outside / "er").mkdir()
    (place.outside / "er" / "secret.txt").write_text(f"{SECRET}\n")
    place.link("deep/b", "../../outside")
    return place.root / "deep" / "a", place.root / "deep" / "b", "deep/a/er/secret.txt"


def a_file(place: Place) -> tuple[Path, Path, str]:
    """A file changes places with a link to the file outside."""
    (place.root / "a.txt").write_text("public\n")
    place.link("b.txt", place.outside / "secret.txt")
    return place.root / "a.txt", place.root / "b.txt", "a.txt"


def a_hard_link(place: Place) -> tuple[Path, Path, str]:
    """A file changes places with a hard link of the file outside."""
    (place.root / "a.txt").write_text("public\n")
    os.link(place.outside / "secret.txt", place.root / "b.txt")
    return place.root / "a.txt", place.root / "b.txt", "a.txt"


SWAPS: list[Callable[[Place], tuple[Path, Path, str]]] = [
    a_folder, a_deep_folder, a_file, a_hard_link,
]  # fmt: skip
SLOW_FOR = {a_hard_link: [pytest.mark.slow]}  # all names below the root are counted each time


def careful_open(root: Path, path: str) -> str:
    """What looks safe and is not: resolve, look, then open."""
    full = root / path
    with contextlib.suppress(OSError):
        if full.resolve().is_relative_to(root) and full.stat().st_nlink == 1:
            return full.read_text()
    return ""


@pytest.mark.parametrize("swap", [pytest.param(s, marks=SLOW_FOR.get(s, [])) for s in SWAPS])
def test_every_race_is_lost(
    place: Place, way: str, swap: Callable[[Place], tuple[Path, Path, str]]
) -> None:
    one, other, path = swap(place)
    before = place.untouchable()
    seen: set[str] = set()
    workspace = place.workspace
    with swapping(one, other):
        # Without the guard the race is won.
        assert any(SECRET in careful_open(place.root, path) for _ in range(MOST_TRIES))
        lost = 0
        for _ in range(RACES):
            with contextlib.suppress(WorkspaceError):
                file = workspace.read_text(path)
                seen.add(file.text.content)
                workspace.write_text(path, "public\n", before=file)
            with contextlib.suppress(WorkspaceError):
                workspace.write_text(path, "public\n", before=None)
            lost += not any(SECRET in text for text in seen) and place.untouchable() == before
    assert lost == RACES
    assert seen <= {"public\n"}


@pytest.mark.parametrize("walked", [False, True])
async def test_a_search_loses_every_race(
    place: Place, walked: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The process that searches opens each of the files while the folder is being swapped."""
    if walked:
        child = tmp_path / "child.py"
        child.write_text(
            "import importlib.util, sys\n"
            f"spec = importlib.util.spec_from_file_location('child', {str(grep._CHILD)!r})\n"
            "child = importlib.util.module_from_spec(spec)\n"
            "spec.loader.exec_module(child)\n"
            "load = child._load\n"
            "def slow(*names):\n"
            "    modules = load(*names)\n"
            "    sys.modules['workspace.kernel'].has_openat2 = lambda: False\n"
            "    return modules\n"
            "child._load = slow\n"
            "child.main()\n"
        )
        monkeypatch.setattr(grep, "_CHILD", child)
    (place.root / "a").mkdir()
    for number in range(RACES):
        (place.root / "a" / f"{number}.txt").write_text("public\n")
        (place.outside / f"{number}.txt").write_text(f"{SECRET}\n")
    place.link("b", place.outside)
    search = ToolCall(name="grep", arguments={"pattern": "public|secret"})
    with swapping(place.root / "a", place.root / "b"):
        assert any(SECRET in careful_open(place.root, "a/1.txt") for _ in range(MOST_TRIES))
        found = ""
        while ": public" not in found:  # the listing may have met the link
            found = (await registry.run(search, place.workspace, lambda _: None)).output
            assert SECRET not in found
    assert ".txt:1: public" in found


def test_a_snapshot_loses_every_race(place: Place, way: str, tmp_path: Path) -> None:
    """git opens the files by their paths: what it took from elsewhere is not kept."""
    one, other, path = a_hard_link(place)
    checkpoints = Checkpoints(place.root, tmp_path / "store", git=True)
    checkpoints.take()
    name = hashlib.sha1(b"blob %d\0%s\n" % (len(SECRET) + 1, SECRET.encode())).hexdigest()
    secret = name.encode()
    hashing = ["git", "hash-object", "a.txt"]
    with swapping(one, other):
        assert any(
            secret
            in subprocess.run(hashing, cwd=place.root, capture_output=True, check=True).stdout
            for _ in range(200)
        )
        for _ in range(15):
            with contextlib.suppress(CheckpointError):
                kept = checkpoints.files(checkpoints.take([path], only=True))
                assert name not in {entry.blob for entry in kept.values()}


def test_going_back_loses_every_race(place: Place, way: str, tmp_path: Path) -> None:
    one, other, path = a_folder(place)
    (place.root / "a" / "made.txt").write_text("made\n")
    checkpoints = Checkpoints(place.root, tmp_path / "store", git=True)
    (place.root / path).write_text("then\n")
    (place.root / "a" / "made.txt").unlink()
    then = checkpoints.files(checkpoints.take())
    for name in ("secret.txt", "made.txt"):
        (place.root / "a" / name).write_text("now\n")
        (place.outside / name).write_text("now\n")  # as the plan expects it
    now = checkpoints.files(checkpoints.take())
    plan = make_plan(then, now, now)
    assert (plan.write, plan.remove) == (("a/secret.txt",), ("a/made.txt",))
    before = place.untouchable()
    with swapping(one, other):
        for _ in range(20):
            checkpoints.restore(plan)
            assert place.untouchable() == before
