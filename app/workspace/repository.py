"""What the repository is called, where it stands and which files it has.

Everything here may take a while and runs no code of the repository: use it from a thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .beneath import WorkspaceError, place_of, regular_files
from .names import is_git_name
from .replace import is_left_over, is_temporary
from .safe_git import import_gitpython, run_git

MAX_WALKED = 20_000
SKIPPED_FOLDERS = frozenset(
    {
        ".git", ".hg", ".svn", ".tox", ".nox", ".venv", "venv", "__pycache__", "node_modules",
        ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", ".eggs", ".gradle", ".idea",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Repository:
    """Facts about the place where the program works; ``key`` names its adapters and lessons."""

    root: Path
    name: str
    key: str
    git: bool
    branch: str | None = None
    dirty: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """The files below a root, sorted; ``note`` says in words what is special about it."""

    paths: tuple[str, ...]
    git: bool
    note: str = ""


def find_root(start: str | Path) -> Path:
    """Return the repository's root at or above ``start``, or ``start`` itself outside git."""
    folder = Path(start).resolve()
    for candidate in (folder, *folder.parents):
        marker = candidate / ".git"
        if marker.is_file() or (marker / "HEAD").is_file():
            return candidate
    return folder


def inspect(start: str | Path) -> Repository:
    """Find the repository at or above ``start`` and say what it is.

    What git refuses, because it is broken or because somebody else owns it, is none: then the
    place is ``start`` itself.
    """
    root = find_root(start)
    if not (root / ".git").exists() or not _works(root):
        root = Path(start).resolve()
        return Repository(root, root.name or str(root), _path_key(root), git=False)
    return Repository(
        root=root,
        name=root.name or str(root),
        key=_first_commit(root) or _path_key(root),
        git=True,
        branch=_branch(root),
        dirty=bool(run_git(root, "status", "--porcelain", "-z", "-uno", "--ignore-submodules=all")),
    )


def list_files(root: str | Path) -> Listing:
    """List the regular files that git tracks or would track; outside git, walk the folders."""
    folder = Path(root)
    if (folder / ".git").exists():
        output = run_git(folder, "ls-files", "-z", "-co", "--exclude-standard")
        if output is not None:
            names = {os.fsdecode(name) for name in output.split(b"\0") if name}
            wanted = (name for name in names if not is_temporary(name.rpartition("/")[2]))
            return Listing(tuple(regular_files(str(folder.resolve()), wanted)), git=True)
    return walk_files(folder)


def sweep(root: str | Path) -> int:
    """Remove what writes left behind that were killed; return how many files that were."""
    folder = Path(root).resolve()
    output = run_git(folder, "ls-files", "-z", "-o") if (folder / ".git").exists() else None
    names = _walk(folder) if output is None else map(os.fsdecode, output.split(b"\0"))
    left = [name for name in names if is_temporary(name.rpartition("/")[2])]
    return sum(_remove_leftover(folder, name) for name in left)


def _remove_leftover(root: Path, name: str) -> bool:
    try:
        with place_of(str(root), name, follow=False) as place:
            status = os.stat(place.name, dir_fd=place.folder, follow_symlinks=False)
            if not is_left_over(place.name, status):
                return False
            os.unlink(place.name, dir_fd=place.folder)
    except (OSError, WorkspaceError):
        return False
    return True


def walk_files(root: str | Path, below: str = ".") -> Listing:
    """List the regular files below a folder without asking git."""
    found: list[str] = []
    note = "not a git repository: every file counts, except in folders of tools and caches"
    for name in _walk(Path(root).resolve(), below):
        if len(found) == MAX_WALKED:
            note += f"; only the first {MAX_WALKED:,} files are listed"
            break
        if not is_temporary(name.rpartition("/")[2]):
            found.append(name)
    return Listing(tuple(sorted(found)), git=False, note=note)


def _walk(root: Path, below: str = ".") -> Iterator[str]:
    """Give the regular files below a folder, but for those of git, tools and caches."""
    with place_of(str(root), below) as place, contextlib.suppress(OSError, RecursionError):
        for folder, folders, names, descriptor in os.fwalk(place.name, dir_fd=place.folder):
            folders[:] = sorted(
                name for name in folders if name not in SKIPPED_FOLDERS and not is_git_name(name)
            )
            inner = folder.removeprefix(place.name).strip("/")
            prefix = "".join(f"{part}/" for part in (*place.names, inner) if part)
            for name in names:
                if not is_git_name(name) and _is_regular(name, descriptor):
                    yield prefix + name


def _is_regular(name: str, folder: int) -> bool:
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except (OSError, ValueError):
        return False


def _path_key(root: Path) -> str:
    return hashlib.sha256(os.fsencode(root)).hexdigest()[:40]


def _works(root: Path) -> bool:
    answer = run_git(root, "rev-parse", "--is-inside-work-tree")
    return answer is not None and answer.strip() == b"true"


def _first_commit(root: Path) -> str | None:
    """Return the first commit's hash; a shallow clone's would change with the next fetch."""
    shallow = run_git(root, "rev-parse", "--is-shallow-repository")
    if shallow is None or shallow.strip() != b"false":
        return None
    answer = run_git(root, "rev-list", "--first-parent", "--max-parents=0", "HEAD")
    commits = (answer or b"").split()
    return commits[-1].decode("ascii") if commits else None


def _branch(root: Path) -> str | None:
    """Return the branch, or the commit's first seven digits where the head is detached."""
    try:
        with import_gitpython(root).Repo(root) as repository:
            if not repository.head.is_detached:
                return repository.active_branch.name
    except Exception:  # whatever a broken .git makes of the library
        return None
    return (run_git(root, "rev-parse", "--short=7", "HEAD") or b"").decode("ascii").strip() or None
