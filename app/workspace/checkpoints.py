"""What the files were before the agent changed them, kept where the user's git never looks.

Snapshots are trees in a bare repository below the data directory, with an index of its own. It
reads the user's objects as alternates, so that what is committed is not stored twice, and writes
nothing there: no ref, no index, no stash, no configuration; git only renews the time of an object
that it finds, which keeps it from being pruned. Attributes are switched off, so every
file is kept byte for byte and no filter of the repository runs. What .gitignore ignores is in
no snapshot. Outside git a snapshot holds the files that the tools named. Snapshots that nobody can
go back to are pruned.

Everything here may take a while: use it from a thread.
"""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..store.paths import make_private_folder, write_private
from .beneath import MissingError, WorkspaceError, regular_files
from .repository import list_files
from .safe_git import (
    SAFE,
    TIMEOUT,
    clean_environment,
    find_git,
    import_gitpython,
    in_environment,
    run_git,
)
from .workspace import Workspace

BIGGEST_FILE = 10_000_000
"""Bytes above which a file is in no snapshot."""
ATTEMPTS = 5
"""How often a file that changes is taken anew before there is no snapshot."""
MOST_ASKED = 100
"""How many paths are asked for by name; with more of them all are listed."""
PRUNE_EVERY = 24 * 3600
"""Seconds between two prunings; what is younger stays, as a call may be about to need it."""
PRUNED = "pruned"
"""The empty file whose age says when that was."""
MOST_SNAPSHOTS = 20_000
"""Snapshots above which nothing is pruned: their names would be too long for a command."""
EXECUTABLE = "100755"
RAW = b"* -text -filter -ident -eol -working-tree-encoding\n"


class CheckpointError(Exception):
    """Why there is no snapshot, in a few words."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file's content and whether it can be executed, as git names them."""

    mode: str
    blob: str


Files = Mapping[str, Entry]


@dataclass(frozen=True, slots=True)
class Plan:
    """What going back does to the files; each path stands in one part only.

    ``write`` and ``remove`` are as the agent left them. ``yours`` the user changed since, so
    they are written only when the user says so; ``stay`` are files that came since and are kept.
    """

    then: Files
    now: Files
    write: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    yours: tuple[str, ...] = ()
    stay: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.write or self.remove or self.yours)


def make_plan(then: Files, now: Files, agent: Mapping[str, Entry | None]) -> Plan:
    """Say what leads from ``now`` to ``then``; ``agent`` is how its calls left their files."""
    parts: dict[str, list[str]] = {"write": [], "remove": [], "yours": [], "stay": []}
    for path in sorted(then.keys() | now.keys()):
        was, is_now = then.get(path), now.get(path)
        if was == is_now:
            continue
        agents = path in agent and agent[path] == is_now
        if was is not None:
            parts["write" if agents else "yours"].append(path)
        else:
            parts["remove" if agents else "stay"].append(path)
    return Plan(then, now, **{name: tuple(paths) for name, paths in parts.items()})


class Checkpoints:
    """Takes snapshots of the files below one root, and puts files back."""

    def __init__(self, root: Path, store: Path, *, git: bool) -> None:
        self.root = root
        self.git = git
        self._store = store
        self._workspace = Workspace(root, BIGGEST_FILE)
        self._known: set[str] | None = None
        self._right: dict[str, str] = {}
        self._alternates = ""

    # --- taking -------------------------------------------------------------------------

    def take(self, named: Iterable[str] = (), *, only: bool = False) -> str:
        """Keep every file as it is now and return the name of the snapshot.

        With ``only`` the named files are kept as they are now, and all others as they were in
        the snapshot before, which saves looking at each of them.
        """
        if self._known is None:
            self._prepare()
        known = self._known or set()
        if only and self.git:
            paths = {path for path in named if path in known or self._listed(path)}
            looked_at = known & paths
        else:
            paths = set(list_files(self.root).paths) if self.git else {*known, *named}
            looked_at = known
        found = regular_files(str(self.root), paths, readable=True)
        small = {path for path, status in found.items() if status.st_size <= BIGGEST_FILE}
        self._drop(looked_at - small)
        kept = small - self._add(small)
        self._known = (known - (looked_at - kept) if self.git else known) | kept
        return self._run("write-tree").decode("ascii").strip()

    def _drop(self, paths: Iterable[str]) -> None:
        zero = "0" * 40
        self._feed(("update-index", "-z", "--index-info"), (f"0 {zero}\t{path}" for path in paths))

    def _add(self, paths: set[str]) -> set[str]:
        """Take the files into the index; return those that the confined way refuses.

        git opens them by their paths, so a folder that is swapped for a link meanwhile leads it
        out: what it took is therefore compared with what lies below the root.
        """
        refused: set[str] = set()
        for _ in range(ATTEMPTS):
            wanted = paths - refused
            self._feed(("update-index", "-z", "--add", "--remove", "--replace", "--stdin"), wanted)
            others = self._others(wanted, refused)
            self._drop(others | refused)
            if not others:
                return refused
        raise CheckpointError("files change while they are being kept")

    def _others(self, paths: set[str], refused: set[str]) -> set[str]:
        """The paths whose content in the index is another than below the root.

        What lies in the user's own objects is no stranger's, and what was right once stays so.
        """
        others: set[str] = set()
        own = self._own_objects() if paths else set[str]()
        if not own:
            return others
        asked = sorted(paths) if len(paths) <= MOST_ASKED else []
        for path, entry in _entries(self._run("ls-files", "-s", "-z", "--", *asked), own):
            if path not in paths or self._right.get(path) == entry.blob:
                continue
            try:
                data = self._workspace.read_bytes(path)
            except MissingError:
                others.add(path)
            except WorkspaceError:
                refused.add(path)
            else:
                if _blob_name(data, entry.blob) == entry.blob:
                    self._right[path] = entry.blob
                else:
                    others.add(path)
        return others

    def _own_objects(self) -> set[str]:
        """The names of what lies in the private repository itself, which is never packed."""
        found = (self._store / "objects").glob("[0-9a-f][0-9a-f]/*")
        return {path.parent.name + path.name for path in found}

    def _listed(self, path: str) -> bool:
        return bool(run_git(self.root, "ls-files", "-z", "-co", "--exclude-standard", "--", path))

    def files(self, snapshot: str) -> dict[str, Entry]:
        """The files of a snapshot."""
        return dict(_entries(self._run("ls-tree", "-r", "-z", "--full-tree", snapshot)))

    # --- putting back -------------------------------------------------------------------

    def restore(self, plan: Plan, *, yours: bool = False) -> list[str]:
        """Put the files back; return a sentence for each that could not be.

        A file that .gitignore ignores again by then is not removed.
        """
        problems: list[str] = []
        for path in (*plan.write, *(plan.yours if yours else ())):
            self._try(
                problems, lambda path=path: self._write(path, plan.then[path], plan.now.get(path))
            )
        listed = set(list_files(self.root).paths if self.git else plan.remove)
        for path in plan.remove:
            if path in listed:
                self._try(problems, lambda path=path: self._remove(path, plan.now[path]))
        return problems

    @staticmethod
    def _try(problems: list[str], work: Callable[[], None]) -> None:
        try:
            work()
        except (WorkspaceError, CheckpointError) as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(f"{error.filename or 'a file'}: {error.strerror}")

    def _write(self, path: str, entry: Entry, before: Entry | None) -> None:
        then = self._content(entry)
        now = None if before is None else self._content(before)
        changes_mode = entry.mode != (before.mode if before else "100644")
        executable = entry.mode == EXECUTABLE if changes_mode else None
        self._workspace.write_bytes(path, then, before=now, executable=executable)

    def _remove(self, path: str, entry: Entry) -> None:
        with suppress(MissingError):
            self._workspace.remove(path, before=self._content(entry))

    def _content(self, entry: Entry) -> bytes:
        return self._run("cat-file", "blob", entry.blob)

    # --- pruning ------------------------------------------------------------------------

    @property
    def prune_due(self) -> bool:
        """Whether there is a store, and a day since it was pruned."""
        # A stamp from the future was made by a clock that was wrong.
        pruned_today = 0 <= _age(self._store / PRUNED) < PRUNE_EVERY
        return (self._store / "HEAD").exists() and not pruned_today

    def prune(self, kept: Iterable[str]) -> None:
        """Delete what none of these snapshots needs and nobody used for a day; once a day."""
        if not self.prune_due:
            return
        if self._known is None:
            self._prepare()
        names = sorted(set(kept))
        if len(names) <= MOST_SNAPSHOTS:
            self._run("prune", f"--expire={PRUNE_EVERY}.seconds.ago", "--", *self._found(names))
        write_private(self._store / PRUNED, b"")

    def _found(self, names: Sequence[str]) -> list[str]:
        """Those of the snapshots that lie here; a clone of the repository has its own."""
        with tempfile.TemporaryFile() as file:
            file.write("".join(f"{name}\n" for name in names).encode())
            file.seek(0)
            answers = self._run("cat-file", "--batch-check=%(objecttype)", source=file)
        kinds = answers.decode().splitlines()
        return [name for name, kind in zip(names, kinds, strict=True) if kind == "tree"]

    # --- git ----------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Make the private repository, or find it, and read what its index holds."""
        objects = format_ = None
        if self.git:
            objects = run_git(self.root, "rev-parse", "--git-path", "objects")
            format_ = run_git(self.root, "rev-parse", "--show-object-format")
        if objects is not None:
            path = str(self.root / os.fsdecode(objects).rstrip("\n"))
            escaped = path.replace("\\", "\\\\").replace('"', '\\"')
            self._alternates = f'"{escaped}"'
        if not (self._store / "HEAD").exists():
            make_private_folder(self._store)
            name = (format_ or b"sha1").decode("ascii").strip()
            self._run(
                "init", "-q", "--bare", "--template=", "--shared=0600", f"--object-format={name}"
            )
            self._run("config", "gc.auto", "0")
        make_private_folder(self._store / "info")
        write_private(self._store / "info" / "attributes", RAW)
        listed = self._run("ls-files", "-z").split(b"\0")
        self._known = {os.fsdecode(path) for path in listed if path}

    def _feed(self, command: tuple[str, ...], lines: Iterable[str]) -> None:
        data = b"".join(os.fsencode(line) + b"\0" for line in lines)
        if data:
            with tempfile.TemporaryFile() as file:
                file.write(data)
                file.seek(0)
                self._run(*command, source=file)

    def _run(self, *arguments: str, source: Any = None) -> bytes:
        """Run git on the private repository only, whatever the environment says."""
        program = find_git(self.root)
        if program is None:
            raise CheckpointError("git is not installed")
        git = import_gitpython(self.root)
        store = str(self._store)
        place = [] if arguments[0] == "init" else [f"--work-tree={self.root}"]
        environment = clean_environment(self.root) | {
            "GIT_DIR": store,
            "GIT_COMMON_DIR": store,
            "GIT_INDEX_FILE": f"{store}/index",
            "GIT_OBJECT_DIRECTORY": f"{store}/objects",
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": self._alternates,
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_ATTR_NOSYSTEM": "1",
        }
        command = [program, *SAFE, f"--git-dir={store}", *place, *arguments]
        try:
            done = git.Git(self.root).execute(
                in_environment(command, environment),
                istream=source,
                stdout_as_string=False,
                strip_newline_in_stdout=False,
                kill_after_timeout=TIMEOUT,
                umask=0o077,
            )
        except (git.GitCommandError, OSError) as error:
            words = str(getattr(error, "stderr", "") or error).strip().splitlines()
            raise CheckpointError(words[0] if words else "git failed") from None
        return done if isinstance(done, bytes) else b""


def _entries(listing: bytes, wanted: Container[str] | None = None) -> Iterator[tuple[str, Entry]]:
    """Read what `ls-tree` and `ls-files -s` print, of the ``wanted`` blobs if any are given."""
    for line in listing.split(b"\0"):
        facts, _, path = line.partition(b"\t")
        if path:
            words = facts.decode("ascii").split(" ")
            mode, blob = words[0], words[2] if words[1] == "blob" else words[1]
            if wanted is None or blob in wanted:
                yield os.fsdecode(path), Entry(mode, blob)


def _age(path: Path) -> float:
    """Seconds since a file was written; without end where there is none."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return math.inf


def _blob_name(data: bytes, like: str) -> str:
    """The name that git gives to a content, by SHA-1 or SHA-256 as another name."""
    algorithm = "sha1" if len(like) == 40 else "sha256"
    return hashlib.new(algorithm, b"blob %d\0" % len(data) + data).hexdigest()
