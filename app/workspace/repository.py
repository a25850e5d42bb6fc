"""What the repository is called, where it stands and which files it has.

Everything here may take a while and runs no code of the repository: use it from a thread.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .beneath import WorkspaceError, place_of
from .replace import is_temporary

TIMEOUT = 60.0
LEFTOVER_SECONDS = 60.0
MAX_WALKED = 20_000
SKIPPED_FOLDERS = frozenset(
    {
        ".git", ".hg", ".svn", ".tox", ".nox", ".venv", "venv", "__pycache__", "node_modules",
        ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", ".eggs", ".gradle", ".idea",
    }
)  # fmt: skip
SAFE = (
    "--no-pager", "--no-optional-locks", "--no-replace-objects", "--literal-pathspecs",
    "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.sshCommand=false",
    "-c", "core.quotePath=false",
)  # fmt: skip
_KEPT = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_EXEC_PATH")


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
    """Find the repository at or above ``start`` and say what it is."""
    root = find_root(start)
    name = root.name or str(root)
    if not (root / ".git").exists() or not _works(root):
        return Repository(root, name, _path_key(root), git=False)
    return Repository(
        root=root,
        name=name,
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
            return Listing(_regular(folder, names), git=True)
    return walk_files(folder)


def sweep(root: str | Path) -> int:
    """Remove what writes left behind that were killed; return how many files that were."""
    folder = Path(root).resolve()
    output = run_git(folder, "ls-files", "-z", "-o") if (folder / ".git").exists() else None
    names = (output or b"").split(b"\0")
    leftovers = [os.fsdecode(n) for n in names if is_temporary(os.fsdecode(n).rpartition("/")[2])]
    return sum(_remove_leftover(folder, name) for name in leftovers)


def _remove_leftover(root: Path, name: str) -> bool:
    """Remove one temporary file, unless it is so young that it may be in use."""
    try:
        with place_of(str(root), name, follow=False) as place:
            status = os.stat(place.name, dir_fd=place.folder, follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode) or time.time() - status.st_mtime < LEFTOVER_SECONDS:
                return False
            os.unlink(place.name, dir_fd=place.folder)
    except (OSError, WorkspaceError):
        return False
    return True


def walk_files(root: str | Path, below: str = ".") -> Listing:
    """List the regular files below a folder without asking git."""
    found: list[str] = []
    note = "not a git repository: every file counts, except in folders of tools and caches"
    with place_of(str(Path(root).resolve()), below) as place, contextlib.suppress(OSError):
        walk = os.fwalk(place.name, dir_fd=place.folder)
        for folder, folders, names, descriptor in walk:
            folders[:] = sorted(name for name in folders if name not in SKIPPED_FOLDERS)
            inner = folder.removeprefix(place.name).strip("/")
            prefix = "".join(f"{part}/" for part in (*place.names, inner) if part)
            found += [
                prefix + name
                for name in names
                if not is_temporary(name) and _is_regular(name, descriptor)
            ]
            if len(found) >= MAX_WALKED:
                note += f"; only the first {MAX_WALKED:,} files are listed"
                break
    return Listing(tuple(sorted(found[:MAX_WALKED])), git=False, note=note)


def _regular(root: Path, names: set[str]) -> tuple[str, ...]:
    return tuple(
        sorted(
            name
            for name in names
            if not is_temporary(name.rpartition("/")[2]) and _is_regular(f"{root}/{name}")
        )
    )


def _is_regular(path: str, folder: int | None = None) -> bool:
    try:
        return stat.S_ISREG(os.stat(path, dir_fd=folder, follow_symlinks=False).st_mode)
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
    git_path = find_git()
    if git_path is None:
        return None
    os.environ.setdefault("GIT_PYTHON_GIT_EXECUTABLE", git_path)
    try:
        import git  # 90 ms, so not before it is needed

        with git.Repo(root) as repository:
            if not repository.head.is_detached:
                return repository.active_branch.name
    except Exception:  # whatever a broken .git makes of the library
        return None
    return (run_git(root, "rev-parse", "--short=7", "HEAD") or b"").decode("ascii").strip() or None


def run_git(root: Path, *arguments: str) -> bytes | None:
    """Run git so that nothing in the repository's configuration is executed; None on failure."""
    git_path = find_git()
    if git_path is None:
        return None
    environment = _environment()
    if arguments[0] == "status":
        environment |= _without_filters(root, git_path, environment)
    return _run(root, [git_path, *SAFE, *arguments], environment)


def _run(root: Path, command: Sequence[str], environment: Mapping[str, str]) -> bytes | None:
    try:
        done = subprocess.run(
            command,
            cwd=root,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            check=False,
            timeout=TIMEOUT,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def find_git() -> str | None:
    """Find git on the absolute entries of PATH, never in the repository itself."""
    entries = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return shutil.which("git", path=os.pathsep.join(e for e in entries if e.startswith("/")))


def _environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("GIT_") or k in _KEPT}
    return kept | {
        "GIT_ALLOW_PROTOCOL": "none",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }


def _without_filters(root: Path, git_path: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Switch every configured content filter off: git status would run it on changed files."""
    command = [git_path, *SAFE, "config", "-z", "--name-only", "--get-regexp", r"^filter\."]
    names = (_run(root, command, environment) or b"").split(b"\0")
    drivers = sorted({os.fsdecode(name).rpartition(".")[0] for name in names if name})
    off = (("clean", ""), ("process", ""), ("required", "false"))
    settings = [(f"{driver}.{key}", value) for driver in drivers for key, value in off]
    switches = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings):
        switches |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return switches
