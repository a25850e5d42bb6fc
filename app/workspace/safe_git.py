"""Running git so that nothing of the repository's is executed.

The program is an absolute path outside the repository, the environment is made anew, hooks and
the file system monitor are off, content filters are switched off one by one, and no protocol is
allowed. Everything here may take a while: use it from a thread.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

from .programs import find_program, lies_below, search_path

TIMEOUT = 60.0
SAFE = (
    "--no-pager", "--no-optional-locks", "--no-replace-objects", "--literal-pathspecs",
    "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.sshCommand=false",
    "-c", "core.askPass=", "-c", "credential.helper=", "-c", "core.quotePath=false",
    "-c", "safe.bareRepository=explicit",
)  # fmt: skip
NO_NETWORK = {"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0"}
# Where the user's own settings of git lie, safe.directory among them, and whose files are theirs.
_KEPT = ("HOME", "USER", "LOGNAME", "SUDO_UID", "TMPDIR", "TZ", "GIT_CONFIG_NOSYSTEM")
_FILES = ("XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM")


def find_git(root: str | Path) -> str | None:
    """Find git on PATH, never below ``root``."""
    return find_program("git", root)


def clean_environment(root: str | Path) -> dict[str, str]:
    """What git needs of the environment; all that could lead it elsewhere is left out."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    for name in _FILES:
        path = os.environ.get(name, "")
        if path.startswith("/") and not lies_below(path, root):
            kept[name] = path
    return kept | NO_NETWORK | {"PATH": os.pathsep.join(search_path(root)), "LC_ALL": "C"}


def in_environment(command: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """A command that runs with these variables and no others, whatever starts it."""
    return ["/usr/bin/env", "-i", *(f"{k}={v}" for k, v in environment.items()), *command]


def run_git(root: Path, *arguments: str) -> bytes | None:
    """Run git in a repository; None on failure, and where the user's git refuses it."""
    program = find_git(root)
    if program is None:
        return None
    top = os.path.realpath(root)
    environment = clean_environment(root) | {
        "GIT_CEILING_DIRECTORIES": str(Path(top).parent),
        "GIT_WORK_TREE": top,
    }
    if arguments[0] == "status":
        environment |= _without_filters(root, program, environment)
    return _run(root, [program, *SAFE, *arguments], environment)


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


def _without_filters(root: Path, program: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Switch every configured content filter off: git status would run it on changed files."""
    command = [program, *SAFE, "config", "-z", "--name-only", "--get-regexp", r"^filter\."]
    names = (_run(root, command, environment) or b"").split(b"\0")
    drivers = sorted({os.fsdecode(name).rpartition(".")[0] for name in names if name})
    off = (("clean", ""), ("process", ""), ("required", "false"))
    settings = [(f"{driver}.{key}", value) for driver in drivers for key, value in off]
    switches = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings):
        switches |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return switches


def import_gitpython(root: str | Path) -> ModuleType:
    """Import GitPython with the git that was found; it takes 90 ms and asks git's version."""
    program = find_git(root)
    if program is None:
        raise OSError("git is not installed")
    os.environ["GIT_PYTHON_GIT_EXECUTABLE"] = program
    import git

    return git
