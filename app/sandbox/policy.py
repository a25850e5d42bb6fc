"""What one command may see and change: the paths, without the means that enforce it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from .git_dirs import CannotConfine, Placeholder, git_plan
from .places import (
    GUARDED,
    GUARDED_AT_HOME,
    GUARDED_IF_THERE,
    HIDDEN,
    SECRETS,
    SECRETS_IN_TOOLCHAINS,
    SYSTEM_SECRETS,
    TOOLCHAIN_VARIABLES,
    TOOLCHAINS,
)
from .reach import (
    can_be_made,
    is_file,
    is_folder,
    is_link,
    is_socket,
    is_there,
    read_start,
    real_path,
)

Mode = Literal["read", "write"]
_OWN_FILE_SYSTEMS = (Path("/dev"), Path("/proc"), Path("/sys"))
_PROGRAM_FOLDERS = frozenset({"bin", "sbin", "shims"})


@dataclass(frozen=True, slots=True)
class Policy:
    """The places of one command.

    Everything is read-only but ``modes`` with ``write``. ``hidden`` folders are empty, ``readable``
    ones below them are there again; ``masked`` files and folders are empty. Of two places that lie
    in each other the deeper one counts.
    """

    root: Path
    home: Path
    hidden: tuple[Path, ...]
    readable: tuple[Path, ...]
    masked: tuple[Path, ...]
    modes: Mapping[Path, Mode]
    placeholders: tuple[Placeholder, ...]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the policy depends on besides the repository."""

    home: Path
    private: tuple[Path, ...] = ()
    """Folders that nobody's command may see: our own data."""
    readable: tuple[Path, ...] = ()
    """Folders that the user lets commands read although they are hidden."""
    environ: Mapping[str, str] = field(default_factory=dict)


def make_policy(root: Path, around: Surroundings) -> Policy:
    """Draw the boundary around a repository; raises CannotConfine."""
    root, home = root.resolve(), around.home.resolve()
    _check(root, home)
    git = git_plan(root)
    placeholders = [*git.placeholders]
    protected = [*git.protected]
    at_home = GUARDED_AT_HOME if root == home else ()
    for name in (*GUARDED, *GUARDED_IF_THERE, *at_home):
        path = root / name
        if is_link(path):
            continue
        if is_there(path):
            protected.append(path)
        elif name in GUARDED or name in at_home:
            placeholders.append(Placeholder(path))
    placeholders = [each for each in placeholders if can_be_made(each.path)]
    modes: dict[Path, Mode] = {root: "write"}
    modes |= dict.fromkeys(git.shown, "read")
    modes |= dict.fromkeys(git.writable, "write")
    modes |= dict.fromkeys(protected, "read")
    modes |= dict.fromkeys((each.path for each in placeholders), "read")
    hidden = _hidden(root, home, around)
    readable = _readable(root, home, hidden, around)
    secrets = [home / name for name in SECRETS] if root == home else []
    masked = [*secrets, *around.private, *map(Path, SYSTEM_SECRETS)]
    visible = [path for path in masked if _shows(path, hidden, [*readable, *modes])]
    _pin(modes, visible)
    return Policy(
        root=root,
        home=home,
        hidden=tuple(hidden),
        readable=tuple(readable),
        masked=(*visible, *_secrets_in(readable)),
        modes=modes,
        placeholders=tuple(placeholders),
    )


def _check(root: Path, home: Path) -> None:
    if root == Path("/") or (home != root and home.is_relative_to(root)):
        raise CannotConfine(f"{root} holds your home folder; start the program inside a project")
    entry = root / ".git"
    if is_there(entry) and is_there(root / ".GIT"):
        raise CannotConfine(f"the file system of {root} does not tell .git from .GIT")


def _pin(modes: dict[Path, Mode], masked: Sequence[Path]) -> None:
    """Make every folder above a place that cannot be moved one that cannot be moved either."""
    for path in (*list(modes), *masked):
        for folder in path.parents:
            above = _mode_of(folder, modes)
            if above is None:
                break
            if above == "write":
                modes.setdefault(folder, "write")


def _mode_of(path: Path, modes: Mapping[Path, Mode]) -> Mode | None:
    """The mode that holds at a path: its own or the nearest one above."""
    return next((modes[each] for each in (path, *path.parents) if each in modes), None)


def _hidden(root: Path, home: Path, around: Surroundings) -> list[Path]:
    """The folders to be hidden, but for those that the repository itself holds."""
    runtime = around.environ.get("XDG_RUNTIME_DIR", "")
    wanted = [home, *map(Path, HIDDEN), *([Path(runtime)] if runtime.startswith("/") else [])]
    found: list[Path] = []
    for path in wanted:
        folder = path.resolve()
        usable = is_folder(folder) and len(folder.parts) > 1 and not folder.is_relative_to(root)
        if usable and folder not in found:
            found.append(folder)
    return found


def _readable(root: Path, home: Path, hidden: Sequence[Path], around: Surroundings) -> list[Path]:
    """The hidden folders that come back, of which none is a hidden one itself.

    Nothing in the repository has a say in this, as a command may have written it.
    """
    environ = around.environ
    wanted = [home / name for name in TOOLCHAINS]
    wanted += [Path(value) for name in TOOLCHAIN_VARIABLES if (value := environ.get(name))]
    wanted += _of_search_path(environ.get("PATH", ""), home)
    wanted += [Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parent]
    wanted += around.readable
    too_wide = {home, home / ".local", home / ".local/share", home / ".config", home / ".cache"}
    found: list[Path] = []
    environments = [*wanted, root / ".venv", root / "venv"]
    for path in (*wanted, *_base_interpreters(environments), Path("/etc/resolv.conf").resolve()):
        if path in found or not is_there(path):
            continue
        ours = path.is_relative_to(root) or real_path(path).is_relative_to(root)
        below = any(path != each and path.is_relative_to(each) for each in hidden)
        narrow = path not in too_wide and not any(each.is_relative_to(path) for each in hidden)
        if below and narrow and not ours:
            found.append(path)
    return found


def _of_search_path(search_path: str, home: Path) -> Iterator[Path]:
    """The folders of programs, and what they belong to where that looks like an installation."""
    for entry in search_path.split(os.pathsep):
        if not entry.startswith("/"):
            continue
        folder = Path(entry)
        yield folder
        above = folder.parent
        installed = any(is_there(above / name) for name in ("lib", "libexec", "pyvenv.cfg"))
        if folder.name in _PROGRAM_FOLDERS and above != home and installed:
            yield above


def _base_interpreters(environments: Iterable[Path]) -> Iterator[Path]:
    """The installation that a virtual environment of Python leans on."""
    for folder in environments:
        for line in os.fsdecode(read_start(folder / "pyvenv.cfg")).splitlines():
            name, _, value = line.partition("=")
            if name.strip() == "home" and value.strip().startswith("/"):
                programs = real_path(Path(value.strip()))
                if is_there(programs / "python3") and _has_python(programs.parent / "lib"):
                    yield programs.parent


def _has_python(library: Path) -> bool:
    return any(each.name.startswith("python3") for each in _folders_in(library))


def _shows(path: Path, hidden: Sequence[Path], opened: Iterable[Path]) -> bool:
    """Whether a path that is there would be seen, so that it needs a mask."""
    if not is_there(path) or is_link(path):
        return False
    if any(path.is_relative_to(each) for each in opened):
        return True
    return not any(path.is_relative_to(each) for each in hidden)


def _secrets_in(toolchains: Iterable[Path]) -> Iterator[Path]:
    for folder in toolchains:
        for inner in (folder, *_folders_in(folder)):
            for name in sorted(SECRETS_IN_TOOLCHAINS):
                path = inner / name
                if is_file(path):
                    yield path


def _folders_in(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(each.path) for each in entries if each.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def open_sockets(policy: Policy) -> list[Path]:
    """The sockets of other programs that the policy would leave in sight."""
    try:
        lines = Path("/proc/net/unix").read_text(errors="surrogateescape").splitlines()[1:]
    except OSError:
        return []
    names = {parts[7] for line in lines if len(parts := line.split(maxsplit=7)) == 8}
    paths = {Path(name) for name in names if name.startswith("/")}
    relative = [name for name in names if not name.startswith(("/", "@"))]
    if relative:
        paths |= {folder / name for folder in _working_folders(policy.root) for name in relative}
    opened = [*policy.readable, *policy.modes]
    real = {real_path(path) for path in paths}
    elsewhere = (*_OWN_FILE_SYSTEMS, *policy.masked)
    return sorted(
        path
        for path in real
        if is_socket(path)
        and _shows(path, policy.hidden, opened)
        and not any(path.is_relative_to(each) for each in elsewhere)
    )


def _working_folders(root: Path) -> set[Path]:
    """Where a socket with a relative name may have been bound."""
    found = {root}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            found.add((process / "cwd").readlink())
        except OSError:
            continue
    return found
