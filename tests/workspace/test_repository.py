"""Facts about repositories, and that a hostile one executes nothing."""

import os
import subprocess
from pathlib import Path

import pytest
from continualcode_tui.app.workspace.repository import (
    find_root,
    inspect,
    list_files,
    sweep,
    walk_files,
)
from continualcode_tui.app.workspace.visible import visible, visible_path


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments]
    return subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "src").mkdir(parents=True)
    (root / "src" / "calc.py").write_text("x = 1\n")
    (root / ".gitignore").write_text("ignored/\n*.log\n")
    git(root, "init", "-q", "-b", "trunk")
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    return root


def test_facts(repository: Path) -> None:
    first = git(repository, "rev-parse", "HEAD")
    facts = inspect(repository / "src")
    assert (facts.root, facts.name, facts.git) == (repository, "project", True)
    assert (facts.key, facts.branch, facts.dirty) == (first, "trunk", False)
    (repository / "src" / "calc.py").write_text("x = 2\n")
    git(repository, "commit", "-qam", "second")
    git(repository, "checkout", "-q", "--detach")
    (repository / "src" / "calc.py").write_text("x = 3\n")
    facts = inspect(repository)
    assert (facts.key, facts.dirty) == (first, True)
    assert facts.branch == git(repository, "rev-parse", "HEAD")[:7]


def test_a_repository_without_commits_has_a_key(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "trunk")
    facts = inspect(tmp_path)
    assert facts.git
    assert facts.branch == "trunk"
    assert len(facts.key) == 40
    assert facts.key == inspect(tmp_path).key


def test_a_shallow_clone_keeps_its_key(repository: Path, tmp_path: Path) -> None:
    (repository / "src" / "calc.py").write_text("x = 2\n")
    git(repository, "commit", "-qam", "second")
    git(tmp_path, "clone", "-q", "--depth=1", repository.as_uri(), "shallow")
    key = inspect(tmp_path / "shallow").key
    assert key != git(tmp_path / "shallow", "rev-parse", "HEAD")


def test_a_linked_worktree_is_a_root(repository: Path, tmp_path: Path) -> None:
    git(repository, "worktree", "add", "-q", str(tmp_path / "tree"), "-b", "other")
    facts = inspect(tmp_path / "tree" / "src")
    assert (facts.root, facts.branch) == (tmp_path / "tree", "other")
    assert facts.key == inspect(repository).key


def test_listing_follows_git(repository: Path) -> None:
    (repository / "ignored").mkdir()
    (repository / "ignored" / "a.py").write_text("")
    (repository / "new.py").write_text("")
    (repository / "x.log").write_text("")
    (repository / "link.py").symlink_to("new.py")
    (repository / ".continualcode-0123.tmp").write_text("")
    (repository / "ünï cödé.py").write_text("")
    assert list_files(repository).paths == (".gitignore", "new.py", "src/calc.py", "ünï cödé.py")
    (repository / "src" / "calc.py").unlink()
    assert "src/calc.py" not in list_files(repository).paths


def test_leftovers_of_killed_writes_are_swept(repository: Path) -> None:
    old = repository / "src" / ".continualcode-0123456789abcdef.tmp"
    young = repository / ".continualcode-fedcba9876543210.tmp"
    for file in (old, young):
        file.write_text("half")
    os.utime(old, (1, 1))
    assert sweep(repository) == 1
    assert not old.exists()
    assert young.exists()


def test_outside_git_folders_are_walked(tmp_path: Path) -> None:
    for name in ("a.py", "src/b.py", "node_modules/c.js", "src/__pycache__/d.pyc"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "src" / "out").symlink_to("/etc")
    listing = list_files(tmp_path)
    assert listing.paths == ("a.py", "src/b.py")
    assert not listing.git
    assert "not a git repository" in listing.note
    assert walk_files(tmp_path, "src").paths == ("src/b.py",)
    facts = inspect(tmp_path / "src")
    assert (facts.git, facts.root, facts.branch) == (False, tmp_path / "src", None)


def test_a_walk_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("continualcode_tui.app.workspace.repository.MAX_WALKED", 3)
    for number in range(5):
        (tmp_path / f"f{number}").write_text("")
    listing = list_files(tmp_path)
    assert len(listing.paths) == 3
    assert "only the first 3 files" in listing.note


def test_a_broken_git_folder_is_no_repository(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text("nonsense")
    (tmp_path / "a.py").write_text("")
    assert not inspect(tmp_path).git
    assert list_files(tmp_path).paths == ("a.py",)
    assert find_root(tmp_path) == tmp_path


def test_without_git_everything_still_works(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere:.")
    assert not inspect(repository).git
    assert ".gitignore" in list_files(repository).paths


def test_a_hostile_repository_executes_nothing(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every hook, filter and helper of this repository would leave a mark."""
    marks = tmp_path / "marks"
    marks.mkdir()

    def trap(name: str) -> str:
        script = tmp_path / f"trap-{name}"
        script.write_text(f"#!/bin/sh\ntouch '{marks}/{name}'\ncat\n")
        script.chmod(0o755)
        return str(script)

    for hook in ("post-index-change", "pre-commit", "post-checkout", "reference-transaction"):
        (repository / ".git" / "hooks").mkdir(exist_ok=True)
        (repository / ".git" / "hooks" / hook).symlink_to(trap(hook))
    (repository / ".gitattributes").write_text("* filter=evil.one diff=evil\n")
    settings = {
        "core.fsmonitor": trap("fsmonitor"),
        "core.pager": trap("pager"),
        "core.sshCommand": trap("ssh"),
        "core.editor": trap("editor"),
        "diff.external": trap("external"),
        "diff.evil.textconv": trap("textconv"),
        "filter.evil.one.clean": trap("clean"),
        "filter.evil.one.smudge": trap("smudge"),
        "filter.evil.one.process": trap("process"),
        "filter.evil.one.required": "true",
        "remote.origin.url": f"ext::{trap('ext')}",
        "remote.origin.promisor": "true",
        "protocol.ext.allow": "always",
    }
    (repository / "src" / "calc.py").write_text("x = 4\n")
    for key, value in settings.items():
        git(repository, "config", key, value)
    for mark in marks.iterdir():
        mark.unlink()
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert inspect(repository).dirty
    assert "src/calc.py" in list_files(repository).paths
    monkeypatch.delenv("GIT_DIR")
    assert list(marks.iterdir()) == []
    # The traps do work: a git that is not hardened walks into them.
    subprocess.run(["git", "status"], cwd=repository, capture_output=True, check=False)
    assert list(marks.iterdir())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\ufeffa\r\nb", "a\nb"),
        ("a\u202eb", "a<U+202E>b"),
        ("a\u200bb\U000e0041", "a<U+200B>b<U+E0041>"),
        ("\x1b[2J", "<U+001B>[2J"),
        ("ünïcödé 文字 ⚠️", "ünïcödé 文字 ⚠️"),
        ("a\u3164b\u2028", "a<U+3164>b<U+2028>"),
    ],
)
def test_hidden_characters_are_shown(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_hidden_characters_of_paths_are_shown() -> None:
    assert visible_path("a\nb\t.py") == "a<U+000A>b<U+0009>.py"
    assert visible_path(os.fsdecode(b"caf\xe9")) == "caf<0xE9>"
