"""Traps that a hostile repository sets: whatever steps into one leaves a mark."""

from __future__ import annotations

import os
import pickle
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


class Hostile:
    """A repository whose scripts and modules leave a mark when they run."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "project"
        self.marks = folder / "marks"
        self.root.mkdir(parents=True)
        self.marks.mkdir()
        (self.root / "calc.py").write_text("x = 1\n")
        (self.root / "big.txt").write_text("line\n" * 500)
        self.git("init", "-q", "-b", "main")
        self.commit("first")
        (self.root / "calc.py").write_text("x = 2\n")
        self.commit("second")

    def script(self, name: str, place: str = "tools", then: str = "exec /bin/cat") -> str:
        """An executable in the repository that leaves a mark before it goes on."""
        path = self.root / place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n/bin/touch '{self.marks}/{name}'\n{then}\n")
        path.chmod(0o755)
        return str(path)

    def module(self, name: str, folder: str = "") -> None:
        """A Python module in the repository."""
        path = self.root / folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"open({str(self.marks / name)!r}, 'w')\n")

    def git(self, *arguments: str, folder: Path | None = None) -> bytes:
        """Run git as its owner did, with none of the traps in use."""
        safe = ["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"]
        me = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        command = ["git", *safe, *me, *arguments]
        done = subprocess.run(command, cwd=folder or self.root, check=True, capture_output=True)
        return done.stdout

    def config(self, *pairs: str, folder: Path | None = None) -> None:
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            self.git("config", key, value, folder=folder)

    def commit(self, message: str) -> None:
        self.git("add", "-A")
        self.git("commit", "-qm", message)

    def naive(
        self, *command: str, folder: Path | None = None, extra: Mapping[str, str] | None = None
    ) -> None:
        """Run something as a careless program would; it may fail."""
        subprocess.run(
            command, cwd=folder or self.root, env={**os.environ, **(extra or {})},
            stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=30,
        )  # fmt: skip

    def on_terminal(self, *command: str) -> None:
        """Run something on a terminal, for which a pager would be started."""
        ours, theirs = pty.openpty()
        with subprocess.Popen(command, cwd=self.root, stdin=theirs, stdout=theirs, stderr=theirs):
            os.close(theirs)
            try:
                while os.read(ours, 4096):
                    pass
            except OSError:
                pass
        os.close(ours)

    def marked(self) -> list[str]:
        return sorted(path.name for path in self.marks.iterdir())

    def wipe(self) -> None:
        for mark in self.marks.iterdir():
            mark.unlink()


@dataclass(frozen=True)
class Trap:
    """What the repository does, and what a careless program does then.

    ``environment`` is the user's, where the trap needs a careless user too; {root} stands for
    the repository.
    """

    arm: Callable[[Hostile], None]
    step: Callable[[Hostile], None]
    environment: Mapping[str, str] = field(default_factory=dict)
    start: str = "."


def change(hostile: Hostile) -> None:
    """A changed file of the same size, so that git has to read it."""
    (hostile.root / "calc.py").write_text("x = 3\n")


def plain_status(hostile: Hostile) -> None:
    hostile.naive("git", "status")


def monitor(hostile: Hostile) -> None:
    hostile.config("core.fsmonitor", hostile.script("monitor"))


def hook(hostile: Hostile) -> None:
    for name in ("post-index-change", "reference-transaction", "post-checkout", "pre-commit"):
        hooks = hostile.root / ".git" / "hooks"
        hooks.mkdir(exist_ok=True)
        (hooks / name).symlink_to(hostile.script("hook"))
    change(hostile)


def refresh(hostile: Hostile) -> None:
    os.utime(hostile.root / "big.txt", (1, 1))
    hostile.naive("git", "status")


def hooks_path(hostile: Hostile) -> None:
    hostile.script("post-index-change", "hooks")
    hostile.config("core.hooksPath", "hooks")
    change(hostile)


def attributes(hostile: Hostile, line: str) -> None:
    (hostile.root / ".gitattributes").write_text(line)
    change(hostile)


def clean(hostile: Hostile) -> None:
    hostile.config("filter.a.b=c.clean", hostile.script("clean"), "filter.a.b=c.required", "true")
    attributes(hostile, "* filter=a.b=c\n")


def process(hostile: Hostile) -> None:
    hostile.config("filter.Evil.process", hostile.script("process"))
    attributes(hostile, "* filter=Evil\n")


def smudge(hostile: Hostile) -> None:
    hostile.config("filter.evil.smudge", hostile.script("smudge"))
    attributes(hostile, "* filter=evil\n")


def included(hostile: Hostile) -> None:
    script = hostile.script("included")
    (hostile.root / "extra.ini").write_text(
        f'[core]\n\tfsmonitor = {script}\n[filter "evil"]\n\tclean = {script}\n'
    )
    hostile.config("include.path", "../extra.ini")
    attributes(hostile, "* filter=evil\n")


def of_the_worktree(hostile: Hostile) -> None:
    script = hostile.script("worktree")
    hostile.config("extensions.worktreeConfig", "true")
    hostile.git("config", "--worktree", "core.fsmonitor", script)
    hostile.git("config", "--worktree", "filter.evil.clean", script)
    attributes(hostile, "* filter=evil\n")


def external_diff(hostile: Hostile) -> None:
    hostile.config("diff.external", hostile.script("external"))
    change(hostile)


def textconv(hostile: Hostile) -> None:
    hostile.config("diff.evil.textconv", hostile.script("textconv"))
    attributes(hostile, "* diff=evil\n")


def pager(hostile: Hostile) -> None:
    hostile.config("core.pager", hostile.script("pager"), "pager.status", "true")


def promise(hostile: Hostile, *pairs: str) -> None:
    """A partial clone whose first commit is missing: whoever looks for it asks the remote."""
    first = hostile.git("rev-list", "--max-parents=0", "HEAD").decode().strip()
    (hostile.root / ".git" / "objects" / first[:2] / first[2:]).unlink()
    hostile.config(
        "remote.origin.promisor", "true", "remote.origin.fetch", "+refs/heads/*:refs/r/*",
        "extensions.partialClone", "origin", *pairs,
    )  # fmt: skip


def ssh(hostile: Hostile) -> None:
    script = hostile.script("ssh", then="exit 1")
    promise(hostile, "remote.origin.url", "ssh://localhost/x", "core.sshCommand", script)


def extension(hostile: Hostile) -> None:
    url = f"ext::{hostile.script('ext', then='exit 1')}"
    promise(hostile, "remote.origin.url", url, "protocol.ext.allow", "always")


def upload_pack(hostile: Hostile) -> None:
    script = hostile.script("upload", then="exit 1")
    promise(hostile, "remote.origin.url", str(hostile.root), "remote.origin.uploadpack", script)


def history(hostile: Hostile) -> None:
    hostile.naive("git", "rev-list", "HEAD")


def git_file(hostile: Hostile) -> None:
    monitor(hostile)
    (hostile.root / ".git").rename(hostile.root / "store")
    (hostile.root / ".git").write_text("gitdir: store\n")


def bare(hostile: Hostile) -> None:
    inner = hostile.root / "docs"
    hostile.git("init", "-q", "--bare", "docs")
    script = hostile.script("bare")
    hostile.config(
        "core.bare", "false", "core.worktree", "..", "core.fsmonitor", script, folder=inner
    )
    shutil.copy(hostile.root / ".git" / "index", inner)


def status_in_docs(hostile: Hostile) -> None:
    hostile.naive("git", "status", folder=hostile.root / "docs")


def nested(hostile: Hostile) -> None:
    inner = hostile.root / "vendor"
    inner.mkdir()
    hostile.git("init", "-q", folder=inner)
    (inner / "f.txt").write_text("x\n")
    hostile.git("add", "-A", folder=inner)
    hostile.git("commit", "-qm", "inner", folder=inner)
    hostile.git("add", "vendor")
    hostile.git("commit", "-qm", "with a submodule")
    hostile.config("core.fsmonitor", hostile.script("nested"), folder=inner)


def program(name: str) -> Callable[[Hostile], None]:
    def arm(hostile: Hostile) -> None:
        hostile.script(name, "bin")

    return arm


def by_name(name: str) -> Callable[[Hostile], None]:
    def step(hostile: Hostile) -> None:
        hostile.naive("/bin/sh", "-c", f"{name} --version")

    return step


def settings_of_git(hostile: Hostile) -> None:
    hostile.script("variable")


def modules(hostile: Hostile) -> None:
    for name in ("git", "jsonschema", "pydantic", "textual", "tomlkit", "platformdirs", "torch"):
        hostile.module(name)
        hostile.module(name, "lib")


def import_as_module(hostile: Hostile) -> None:
    hostile.naive(sys.executable, "-c", "import git", extra={"PYTHONPATH": "."})


def site(hostile: Hostile) -> None:
    for name in ("sitecustomize", "usercustomize"):
        hostile.module(name, "lib")


def start_python(hostile: Hostile) -> None:
    lib = str(hostile.root / "lib")
    hostile.naive(sys.executable, "-c", "pass", extra={"PYTHONPATH": lib})


def settings_files(hostile: Hostile) -> None:
    command = hostile.script("settings")
    values = f'engine = "local"\nworker_command = "{command}"\nmodel_name = "evil"\n'
    (hostile.root / ".env").write_text(
        f"CONTINUALCODE_WORKER_COMMAND={command}\nCONTINUALCODE_ENGINE=local\n"
        "TINKER_BASE_URL=http://127.0.0.1:9\n"
    )
    (hostile.root / "pyproject.toml").write_text(f"[tool.continualcode-tui]\n{values}")
    for name in ("config.toml", "continualcode-tui.toml", ".continualcode-tui/config.toml",
                 ".config/continualcode-tui/config.toml"):  # fmt: skip
        (hostile.root / name).parent.mkdir(parents=True, exist_ok=True)
        (hostile.root / name).write_text(values)


def take_settings(hostile: Hostile) -> None:
    from pydantic_settings import BaseSettings, SettingsConfigDict

    class Careless(BaseSettings):
        model_config = SettingsConfigDict(
            env_file=hostile.root / ".env", env_prefix="CONTINUALCODE_", extra="ignore"
        )
        worker_command: str = ""

    hostile.naive(Careless().worker_command)


class _Marking:
    """What leaves a mark when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (str(self.path), "w")


def pickles(hostile: Hostile) -> None:
    """An adapter and a model whose weights run when they are loaded carelessly."""
    data = pickle.dumps(_Marking(hostile.marks / "pickle"))
    for folder in ("adapter", "model"):
        (hostile.root / folder).mkdir()
        for name in (
            "adapter_model.bin",
            "pytorch_model.bin",
            "renamed.safetensors",
            "optimizer.pt",
        ):
            (hostile.root / folder / name).write_bytes(data)
    (hostile.root / "adapter" / "adapter_config.json").write_text('{"r": 1}')
    (hostile.root / "model" / "config.json").write_text(
        '{"model_type": "evil", "auto_map": {"AutoConfig": "evil.Evil"}}'
    )
    hostile.module("evil", "model")


def unpickle(hostile: Hostile) -> None:
    with (hostile.root / "adapter" / "adapter_model.bin").open("rb") as file:
        pickle.load(file)


TRAPS: dict[str, Trap] = {
    "core.fsmonitor": Trap(monitor, plain_status),
    "a hook": Trap(hook, refresh),
    "core.hooksPath": Trap(hooks_path, refresh),
    "filter.clean": Trap(clean, lambda hostile: hostile.naive("git", "diff")),
    "filter.process": Trap(process, lambda hostile: hostile.naive("git", "diff")),
    "filter.smudge": Trap(smudge, lambda hostile: hostile.naive("git", "checkout", "--", ".")),
    "include.path": Trap(included, plain_status),
    "config.worktree": Trap(of_the_worktree, plain_status),
    "diff.external": Trap(external_diff, lambda hostile: hostile.naive("git", "diff")),
    "diff.textconv": Trap(textconv, lambda hostile: hostile.naive("git", "diff")),
    "core.pager": Trap(pager, lambda hostile: hostile.on_terminal("git", "log")),
    "core.sshCommand": Trap(ssh, history),
    "an ext:: remote": Trap(extension, history),
    "remote.uploadpack": Trap(upload_pack, history),
    "a .git file": Trap(git_file, plain_status),
    "a bare repository": Trap(bare, status_in_docs, start="docs"),
    "a nested repository": Trap(nested, plain_status),
    "git on PATH": Trap(program("git"), by_name("git"), {"PATH": "{root}/bin:{PATH}"}),
    "git on a relative PATH": Trap(program("git"), by_name("git"), {"PATH": "bin:.:{PATH}"}),
    "bash on PATH": Trap(program("bash"), by_name("bash"), {"PATH": "{root}/bin:{PATH}"}),
    "an editor on PATH": Trap(program("vi"), by_name("vi"), {"PATH": "bin:{root}/bin:{PATH}"}),
    "GIT_CONFIG_COUNT": Trap(
        settings_of_git,
        plain_status,
        {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "core.fsmonitor",
            "GIT_CONFIG_VALUE_0": "{root}/tools/variable",
        },
    ),
    "Python modules": Trap(modules, import_as_module, {"PYTHONPATH": ".:{root}/lib:{PYTHONPATH}"}),
    "sitecustomize": Trap(site, start_python, {"PYTHONPATH": "{root}/lib:{PYTHONPATH}"}),
    "settings files": Trap(settings_files, take_settings),
    "pickled adapters": Trap(pickles, unpickle),
}
