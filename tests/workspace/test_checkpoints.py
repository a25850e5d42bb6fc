"""Snapshots leave the user's repository as it is, and bring back what they hold."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from continualcode_tui.app.workspace.checkpoints import (
    Checkpoints,
    Entry,
    make_plan,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from .test_repository import git


def make(root: Path) -> None:
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    (root / "a.txt").write_text("one\n")
    (root / "b.txt").write_bytes(b"two\r\nlines\r\n")
    (root / "src").mkdir()
    (root / "src" / "c.sh").write_text("#!/bin/sh\n")
    (root / "src" / "c.sh").chmod(0o755)
    (root / ".gitignore").write_text("*.log\n")
    (root / "x.log").write_text("ignored")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "start")


def unstaged(root: Path) -> None:
    (root / "a.txt").write_text("changed\n")


def staged(root: Path) -> None:
    unstaged(root)
    git(root, "add", "a.txt")
    (root / "a.txt").write_text("changed again\n")


def untracked(root: Path) -> None:
    (root / "ünï cödé\n.txt").write_text("new")
    (root / "link").symlink_to("a.txt")


def deleted(root: Path) -> None:
    (root / "a.txt").unlink()
    git(root, "rm", "-q", "b.txt")


def renamed(root: Path) -> None:
    git(root, "mv", "a.txt", "d.txt")


def stashed(root: Path) -> None:
    unstaged(root)
    git(root, "stash")


def detached(root: Path) -> None:
    git(root, "checkout", "-q", "--detach")
    unstaged(root)


def submodule(root: Path) -> None:
    git(root, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(root), "sub")
    (root / "sub" / "a.txt").write_text("changed inside")


def with_attributes(root: Path) -> None:
    (root / ".gitattributes").write_text("*.txt text eol=crlf filter=evil ident\n")
    git(root, "config", "filter.evil.clean", "touch evil; cat")
    git(root, "config", "filter.evil.required", "true")
    (root / "a.txt").write_bytes(b"$Id$ mixed\r\nends\n")


STATES = [
    unstaged, staged, untracked, deleted, renamed, stashed, detached, submodule, with_attributes,
]  # fmt: skip


def fingerprint(folder: Path) -> dict[str, str]:
    """Every file below a folder, .git included, by content, mode and time of change.

    Git renews the time of an object that it finds, so that it is not pruned.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            facts = path.stat()
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            changed = 0 if "objects" in path.parts else facts.st_mtime_ns
            found[str(path)] = f"{digest} {facts.st_mode:o} {changed}"
    return found


def tree(root: Path) -> dict[str, tuple[bytes, int]]:
    """The files that a snapshot may hold, submodules and .git left out."""
    return {
        str(path.relative_to(root)): (path.read_bytes(), path.stat().st_mode)
        for path in root.rglob("*")
        if path.is_file() and not path.is_symlink()
        and not {".git", "sub"} & set(path.relative_to(root).parts)
    }  # fmt: skip


@pytest.mark.parametrize("state", STATES)
def test_a_snapshot_leaves_everything_as_it_is_and_brings_it_back(
    state: Callable[[Path], None], tmp_path: Path
) -> None:
    root = tmp_path / "project"
    make(root)
    state(root)
    status = git(root, "status", "--porcelain=v2", "--branch", "-uall")
    (root / "evil").unlink(missing_ok=True)
    before = fingerprint(root)
    checkpoints = Checkpoints(root, tmp_path / "data" / "store", git=True)
    then = checkpoints.take()
    assert fingerprint(root) == before
    assert not (root / "evil").exists()

    files = tree(root)
    agent: dict[str, Entry | None] = {}
    for path in files:
        if path.endswith((".log", ".gitignore")):
            continue
        if path.endswith(".txt"):
            (root / path).write_text("the agent was here\n")
        else:
            (root / path).unlink()
    (root / "made" / "deep").mkdir(parents=True)
    (root / "made" / "deep" / "new.py").write_text("new")
    now = checkpoints.files(checkpoints.take())
    was = checkpoints.files(then)
    agent = {path: now.get(path) for path in {*was, *now}}
    plan = make_plan(was, now, agent)
    assert plan.yours == plan.stay == ()
    assert plan.remove == ("made/deep/new.py",)
    assert checkpoints.restore(plan) == []
    assert tree(root) == files
    assert not (root / "made").exists()
    (root / "evil").unlink(missing_ok=True)
    assert git(root, "status", "--porcelain=v2", "--branch", "-uall") == status
    assert git(root, "fsck", "--no-dangling") == ""


def test_an_empty_repository_and_a_plain_folder(tmp_path: Path) -> None:
    for name, is_git in (("empty", True), ("plain", False)):
        root = tmp_path / name
        root.mkdir()
        if is_git:
            git(root, "init", "-q")
        (root / "a.py").write_text("one")
        (root / "other.py").write_text("not named")
        checkpoints = Checkpoints(root, tmp_path / f"store-{name}", git=is_git)
        then = checkpoints.files(checkpoints.take(["a.py"]))
        assert set(then) == ({"a.py", "other.py"} if is_git else {"a.py"})
        (root / "a.py").unlink()
        now = checkpoints.files(checkpoints.take())
        plan = make_plan(then, now, {"a.py": None})
        assert checkpoints.restore(plan) == []
        assert (root / "a.py").read_text() == "one"


def test_what_the_user_changed_since_is_kept_without_a_yes(tmp_path: Path) -> None:
    root = tmp_path / "project"
    make(root)
    checkpoints = Checkpoints(root, tmp_path / "store", git=True)
    then = checkpoints.files(checkpoints.take())
    (root / "a.txt").write_text("by the agent\n")
    (root / "made.py").write_text("by the agent\n")
    (root / "touched.py").write_text("by the agent\n")
    agent = checkpoints.files(checkpoints.take())
    (root / "a.txt").write_text("by the user\n")
    (root / "touched.py").write_text("by both\n")
    (root / "mine.py").write_text("by the user\n")
    (root / "x.log").write_text("still ignored")
    plan = make_plan(then, checkpoints.files(checkpoints.take()), agent)
    assert plan.yours == ("a.txt",)
    assert plan.remove == ("made.py",)
    assert plan.stay == ("mine.py", "touched.py")
    assert checkpoints.restore(plan) == []
    assert (root / "a.txt").read_text() == "by the user\n"
    assert not (root / "made.py").exists()
    assert (root / "mine.py").exists()
    assert checkpoints.restore(plan, yours=True) == []
    assert (root / "a.txt").read_text() == "one\n"
    assert (root / "x.log").read_text() == "still ignored"


def test_only_the_named_file_is_looked_at(tmp_path: Path) -> None:
    root = tmp_path / "project"
    make(root)
    checkpoints = Checkpoints(root, tmp_path / "store", git=True)
    before = checkpoints.files(checkpoints.take())
    for name in ("a.txt", "b.txt", "new.py", "x.log"):
        (root / name).write_text("changed\n")
    after = checkpoints.files(checkpoints.take(["a.txt", "new.py", "x.log"], only=True))
    assert {path for path in {*before, *after} if before.get(path) != after.get(path)} == {
        "a.txt",
        "new.py",
    }
    (root / "new.py").unlink()
    assert "new.py" not in checkpoints.files(checkpoints.take(["new.py"], only=True))
    assert checkpoints.files(checkpoints.take())["b.txt"] != before["b.txt"]


def test_what_gitignore_will_ignore_again_stays(tmp_path: Path) -> None:
    root = tmp_path / "project"
    make(root)
    checkpoints = Checkpoints(root, tmp_path / "store", git=True)
    then = checkpoints.files(checkpoints.take())
    (root / ".gitignore").unlink()
    now = checkpoints.files(checkpoints.take())
    plan = make_plan(then, now, {**now, ".gitignore": None})
    assert checkpoints.restore(plan) == []
    assert (root / ".gitignore").exists()
    assert (root / "x.log").read_text() == "ignored"


def test_a_file_that_changes_after_the_plan_stays(tmp_path: Path) -> None:
    root = tmp_path / "project"
    make(root)
    checkpoints = Checkpoints(root, tmp_path / "store", git=True)
    then = checkpoints.files(checkpoints.take())
    (root / "a.txt").write_text("by the agent\n")
    (root / "made.py").write_text("by the agent\n")
    now = checkpoints.files(checkpoints.take())
    plan = make_plan(then, now, now)
    for name in ("a.txt", "made.py"):
        (root / name).write_text("in the last moment\n")
    problems = checkpoints.restore(plan)
    assert len(problems) == 2
    assert all("changed meanwhile" in problem for problem in problems)
    assert (root / "a.txt").read_text() == (root / "made.py").read_text() == "in the last moment\n"


def test_the_environment_leads_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, other = tmp_path / "project", tmp_path / "other"
    make(root)
    make(other)
    before = fingerprint(other)
    for name in ("DIR", "COMMON_DIR"):
        monkeypatch.setenv(f"GIT_{name}", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(other / ".git" / "objects"))
    (root / "new.txt").write_text("new")
    checkpoints = Checkpoints(root, tmp_path / "store", git=True)
    assert "new.txt" in checkpoints.files(checkpoints.take())
    assert fingerprint(other) == before
    assert list((tmp_path / "store" / "refs" / "heads").iterdir()) == []


NAMES = st.sampled_from(["a", "b", "c", "d/e"])
STATE = st.dictionaries(NAMES, st.sampled_from(["1", "2", "3"]))


@given(then=STATE, agents=STATE, now=STATE)
@settings(max_examples=200)
def test_a_plan_touches_what_the_agent_left_and_nothing_else(
    then: dict[str, str], agents: dict[str, str], now: dict[str, str]
) -> None:
    def entries(state: dict[str, str]) -> dict[str, Entry]:
        return {path: Entry("100644", blob) for path, blob in state.items()}

    left: dict[str, Entry | None] = {
        path: entries(agents).get(path)
        for path in {*then, *agents}
        if then.get(path) != agents.get(path)
    }
    plan = make_plan(entries(then), entries(now), left)
    parts = [*plan.write, *plan.remove, *plan.yours, *plan.stay]
    assert len(parts) == len(set(parts))
    after = dict(now)
    for path in plan.remove:
        assert path not in then
        del after[path]
    for path in plan.write:
        after[path] = then[path]
    for path in (*plan.write, *plan.remove):
        assert now.get(path) == agents.get(path)
    for path in (*plan.yours, *plan.stay):
        assert path not in left or now.get(path) != agents.get(path)
    if now == agents:
        assert after == then
    for path in plan.yours:
        after[path] = then[path]
    assert set(after) - set(then) == set(plan.stay)
    assert all(after[path] == blob for path, blob in then.items())


def test_a_snapshot_is_private(tmp_path: Path) -> None:
    root, data = tmp_path / "project", tmp_path / "data"
    make(root)
    (root / "secret.txt").write_text("secret")
    Checkpoints(root, data / "a" / "store", git=True).take()
    assert [path for path in data.rglob("*") if path.stat().st_mode & 0o077] == []


def age(store: Path, hours: float) -> None:
    """Let everything in the store be older."""
    for path in store.rglob("*"):
        if path.is_file():
            then = path.stat().st_mtime - hours * 3600
            os.utime(path, (then, then))


def objects(store: Path) -> set[str]:
    return {path.parent.name + path.name for path in (store / "objects").glob("??/*")}


def test_pruning_keeps_what_can_be_gone_back_to_and_what_is_new(tmp_path: Path) -> None:
    root, store = tmp_path / "project", tmp_path / "store"
    make(root)
    checkpoints = Checkpoints(root, store, git=True)
    made: dict[str, str] = {}
    for words in ("kept", "dropped", "newest"):
        (root / "a.txt").write_text(f"{words}\n")
        made[words] = checkpoints.take()
    checkpoints.prune([made["kept"]])
    assert {*made.values()} <= objects(store)  # they are too young
    age(store, 30)
    before = objects(store)
    (root / "a.txt").write_text("fresh\n")
    made["fresh"] = Checkpoints(root, store, git=True).take()
    foreign = "0123456789" * 4
    Checkpoints(root, store, git=True).prune([made["kept"], foreign])
    assert made["dropped"] not in objects(store)
    assert len(objects(store)) < len(before)
    for words in ("kept", "fresh"):
        then = checkpoints.files(made[words])
        plan = make_plan(then, checkpoints.files(checkpoints.take()), {})
        checkpoints.restore(plan, yours=True)
        assert (root / "a.txt").read_text() == f"{words}\n"


@pytest.mark.parametrize("stamp", [0, 2**32], ids=["long ago", "by a clock that was wrong"])
def test_pruning_is_done_once_a_day_and_needs_a_store(tmp_path: Path, stamp: int) -> None:
    root, store = tmp_path / "project", tmp_path / "store"
    make(root)
    checkpoints = Checkpoints(root, store, git=True)
    checkpoints.prune([])
    assert not store.exists()
    checkpoints.take()
    checkpoints.prune([])
    (root / "a.txt").write_text("dropped\n")
    dropped = checkpoints.take()
    (root / "a.txt").write_text("other\n")
    checkpoints.take()
    for path in (store / "objects").glob("??/*"):
        os.utime(path, (0, 0))
    checkpoints.prune([])
    assert dropped in objects(store)
    os.utime(store / "pruned", (stamp, stamp))
    checkpoints.prune([])
    assert dropped not in objects(store)
