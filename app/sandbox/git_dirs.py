"""What of a repository's git directories a command may write, and what decides what git executes.

A command may commit, so it writes objects, references and the index. It must not write what the
user's next git command would execute or follow: the configuration, the hooks, and the files that
say where these lie. A read-only file in a writable folder is no protection while a folder above it
can be renamed, so each of those is *pinned*: a mount point of its own, which cannot be.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ..workspace.safe_git import run_git
from .reach import is_file, is_folder, is_link, is_there, read_start, real_path

NO_COMMON_FOLDER = b".\n"
"""As `commondir` it means the git directory itself, to every git; it only keeps the name taken."""
SUBMODULES_DEEP = 4


class CannotConfine(Exception):
    """One sentence on why no boundary can be drawn around a repository."""


@dataclass(frozen=True, slots=True)
class Placeholder:
    """Takes the name of something that is not there, while a command runs; None is a folder."""

    path: Path
    content: bytes | None = None


@dataclass(slots=True)
class GitPlan:
    """How the git directories are mounted; ``shown`` and ``writable`` may lie elsewhere."""

    shown: list[Path] = field(default_factory=list)
    writable: list[Path] = field(default_factory=list)
    protected: list[Path] = field(default_factory=list)
    placeholders: list[Placeholder] = field(default_factory=list)
    checkouts: set[Path] = field(default_factory=set)
    """Those that were looked at, as a list of submodules may name one again and again."""


def git_plan(root: Path) -> GitPlan:
    """Look at the git directories of a repository; raises CannotConfine."""
    plan = GitPlan()
    _add_checkout(root, plan, SUBMODULES_DEEP)
    return plan


def _add_checkout(root: Path, plan: GitPlan, depth: int) -> None:
    top = real_path(root)
    if top in plan.checkouts:
        return
    plan.checkouts.add(top)
    entry = root / ".git"
    if is_link(entry):
        raise CannotConfine(f"{entry} is a symbolic link, which can be replaced")
    if is_folder(entry):
        _add_git_dir(entry, plan)
    elif is_there(entry):
        plan.protected.append(entry)
        _add_elsewhere(root, entry, plan)
    else:
        plan.placeholders.append(Placeholder(entry))
        return
    _add_configured(root, plan)
    if depth:
        for path in _submodules(root):
            if is_there(path / ".git") and real_path(path).is_relative_to(top):
                _add_checkout(path, plan, depth - 1)


def _add_git_dir(folder: Path, plan: GitPlan) -> None:
    """Protect a git directory of its own; it is left writable but for what decides."""
    plan.writable.append(folder)
    for name in ("config", "config.worktree", "hooks", "commondir", "modules", "worktrees"):
        path = folder / name
        if is_link(path):
            raise CannotConfine(f"{path} is a symbolic link, which can be replaced")
        if is_there(path):
            plan.protected.append(path)
    taken = (
        ("config", b""), ("config.worktree", b""), ("hooks", None), ("commondir", NO_COMMON_FOLDER),
    )  # fmt: skip
    plan.placeholders += [
        Placeholder(folder / name, content)
        for name, content in taken
        if not is_there(folder / name)
    ]


def _add_elsewhere(root: Path, entry: Path, plan: GitPlan) -> None:
    """Follow a `.git` file, but only to a git directory that names this checkout in turn.

    Else a file that came with somebody's archive, or that a command wrote, could open any folder.
    """
    told = _first_line(entry)
    if not told.startswith("gitdir: "):
        return
    top, folder = real_path(root), _absolute(root, told.removeprefix("gitdir: "))
    if folder.is_relative_to(top):
        _add_inside(folder, plan)
        return
    folder = real_path(folder)
    back = _first_line(folder / "gitdir")
    if back and real_path(folder / back) == real_path(entry):
        common = real_path(folder / _first_line(folder / "commondir"))
        if folder.parent == common / "worktrees" and all(
            is_there(common / name) for name in ("HEAD", "config", "objects", "refs")
        ):
            _add_linked(folder, common, plan)
        return
    worktree = _setting(folder, "core.worktree")
    if worktree and real_path(folder / worktree) == top:
        _add_git_dir(folder, plan)


def _add_inside(folder: Path, plan: GitPlan) -> None:
    """A git directory in the checkout but under another name; it may not be there yet."""
    if real_path(folder) != folder:
        raise CannotConfine(f"{folder}, the git directory, is reached through a symbolic link")
    if is_folder(folder):
        _add_git_dir(folder, plan)
    else:
        _protect(folder, plan)


def _add_linked(folder: Path, common: Path, plan: GitPlan) -> None:
    """A linked worktree writes its own part and the common objects and references."""
    plan.shown.append(common)
    plan.writable += [
        path for name in ("objects", "refs", "logs") if is_folder(path := common / name)
    ]
    plan.writable.append(folder)
    plan.protected += [
        path
        for name in ("commondir", "gitdir", "config.worktree")
        if is_there(path := folder / name)
    ]


def _add_configured(root: Path, plan: GitPlan) -> None:
    """Protect what the configuration names inside the checkout: included files, a hooks folder.

    Whether these are there and say anything does not count: a command could make them do so.
    """
    top = real_path(root)
    settings = list(_configuration(root))
    for origin, key, value in settings:
        file = _absolute(root, origin)
        _add_file(file, top, plan)
        if key == "include.path" or (key.startswith("includeif.") and key.endswith(".path")):
            included = _absolute(file.parent, value)
            _add_file(included, top, plan)
            if key.startswith("includeif.onbranch:") and is_file(included):
                settings += _settings_of(root, included)  # a command can change the branch
        elif key == "core.hookspath" and value:
            _add_hooks(_absolute(root, value), top, plan)


def _add_file(file: Path, top: Path, plan: GitPlan) -> None:
    """Protect a file of the configuration if it lies in the checkout, or a link leads there."""
    real = real_path(file)
    if not file.is_relative_to(top):
        if real.is_relative_to(top):
            _protect(real, plan, b"")
        return
    if real != file and not _covered(file, plan.protected):
        raise CannotConfine(f"{file}, git's configuration, is a symbolic link")
    _protect(file, plan, b"")


def _add_hooks(folder: Path, top: Path, plan: GitPlan) -> None:
    if not folder.is_relative_to(top) or _covered(folder, plan.protected):
        return
    if folder == top:
        raise CannotConfine(f"{folder} as a whole is its own folder of hooks")
    if real_path(folder) != folder:
        raise CannotConfine(f"{folder}, the folder of hooks, is reached through a symbolic link")
    _protect(folder, plan)


def _protect(path: Path, plan: GitPlan, content: bytes | None = None) -> None:
    """Make a place read-only; where there is none, take its name or that of a folder above it."""
    if _covered(path, plan.protected):
        return
    if is_there(path):
        plan.protected.append(path)
        return
    while not is_there(path.parent):
        path, content = path.parent, None
    if is_link(path):
        raise CannotConfine(f"{path}, on which git relies, is a symbolic link")
    plan.placeholders.append(Placeholder(path, content))


def _absolute(folder: Path, path: str) -> Path:
    """A path as git reads it, with its links as they are."""
    with suppress(RuntimeError):  # the home of a user that there is not
        path = str(Path(path).expanduser())
    # pathlib takes ``..`` away only together with links.
    return Path(os.path.abspath(folder / path))  # noqa: PTH100


def _covered(path: Path, by: list[Path]) -> bool:
    return any(path.is_relative_to(each) for each in by)


def _configuration(root: Path) -> Iterator[tuple[str, str, str]]:
    """Give each setting with the file that it stands in, in the order in which git reads them."""
    listed = run_git(root, "config", "--list", "--show-origin", "-z") or b""
    parts = [os.fsdecode(part) for part in listed.split(b"\0")]
    for origin, setting in zip(parts[::2], parts[1::2], strict=False):
        if origin.startswith("file:"):
            key, _, value = setting.partition("\n")
            yield origin.removeprefix("file:"), key, value


def _settings_of(root: Path, file: Path) -> Iterator[tuple[str, str, str]]:
    """Give each setting of one file."""
    listed = run_git(root, "config", "-f", str(file), "--list", "-z") or b""
    for setting in os.fsdecode(listed).split("\0"):
        key, _, value = setting.partition("\n")
        yield str(file), key, value


def _setting(folder: Path, name: str) -> str:
    """Read one setting of a git directory's own file."""
    found = run_git(folder, "config", "-f", str(folder / "config"), "-z", "--get", name)
    return os.fsdecode((found or b"").rstrip(b"\0"))


def _submodules(root: Path) -> list[Path]:
    if not is_file(root / ".gitmodules"):
        return []
    command = ("config", "-f", str(root / ".gitmodules"), "-z", "--get-regexp")
    found = run_git(root, *command, r"^submodule\..*\.path$") or b""
    values = [os.fsdecode(entry).partition("\n")[2] for entry in found.split(b"\0") if entry]
    return [root / value for value in values if value]


def _first_line(file: Path) -> str:
    lines = read_start(file).splitlines()
    return os.fsdecode(lines[0].strip()) if lines else ""
