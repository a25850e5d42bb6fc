"""R3: the kernel confines bash. Each attack fires without the sandbox, and fails behind it."""

from __future__ import annotations

import shlex
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from continualcode_tui.app.sandbox.environment import allowed_environment

from .scene import KEY, Scene, new_scene, survivors, victim

pytestmark = pytest.mark.slow

PYTHON = shlex.quote(sys.executable)
EVIL = "git config -f evil/config core.fsmonitor 'touch {outside}/ran; false'"


@dataclass(frozen=True)
class Attack:
    """A command, and how its success is seen."""

    command: str
    worked: Callable[[Scene, str, Any], bool]


def wrote(name: str) -> Callable[[Scene, str, Any], bool]:
    return lambda scene, _, __: (scene.repo / name).exists()


def printed(scene: Scene, output: str, _: object) -> bool:
    return KEY in output


def git_runs_it(scene: Scene, _: str, __: object) -> bool:
    """Whether the user's next git command runs what the attack left."""
    scene.run_unguarded("git status; git commit -q --allow-empty -m x")
    return (scene.outside / "ran").exists()


HOOK = "printf '#!/bin/sh\\ntouch {outside}/ran\\n' > {hook} && chmod +x {hook}"
ATTACKS = {
    "write a hook": Attack(HOOK.replace("{hook}", ".git/hooks/pre-commit"), git_runs_it),
    "change the configuration": Attack(
        "git config core.fsmonitor 'touch {outside}/ran; false'", git_runs_it
    ),
    "move .git away": Attack(
        "mv .git old && cp -r old .git && " + HOOK.replace("{hook}", ".git/hooks/pre-commit"),
        git_runs_it,
    ),
    "move the hooks away": Attack(
        "mv .git/hooks .git/h; mkdir .git/hooks; "
        + HOOK.replace("{hook}", ".git/hooks/pre-commit"),
        git_runs_it,
    ),
    "lead git elsewhere": Attack(
        f"cp -r .git evil; {EVIL}; echo ../evil > .git/commondir", git_runs_it
    ),
    "take .git's place by a file": Attack(
        f"cp -r .git evil; {EVIL}; rm -rf .git; echo gitdir: evil > .git", git_runs_it
    ),
    "write outside": Attack(
        "echo x > {outside}/new", lambda scene, *_: (scene.outside / "new").exists()
    ),
    "read a secret": Attack("cat ~/.ssh/id", printed),
    "follow a link out": Attack(
        "ln -s {outside}/kept link && echo changed > link",
        lambda scene, *_: "changed" in (scene.outside / "kept").read_text(),
    ),
    "link a file in": Attack(
        "ln {outside}/kept hard && echo changed > hard",
        lambda scene, *_: "changed" in (scene.outside / "kept").read_text(),
    ),
    "plant a task for the editor": Attack(
        "mkdir -p .vscode && echo x > .vscode/tasks.json", wrote(".vscode/tasks.json")
    ),
    "plant .envrc": Attack("rm -rf .envrc; echo x > .envrc", wrote(".envrc")),
    "kill a process outside": Attack(
        "kill -9 {victim}", lambda _, __, process: _ended(process)
    ),
    "read another process": Attack("tr '\\0' '\\n' < /proc/{victim}/environ", printed),
    "go through another process": Attack(
        "echo x > /proc/{victim}/root{outside}/new",
        lambda scene, *_: (scene.outside / "new").exists(),
    ),
    "read a key from the environment": Attack("printenv", printed),
    "leave an orphan": Attack(
        "setsid sleep {mark} > /dev/null 2>&1 & sleep 0.2",
        lambda scene, *_: bool(survivors(scene.mark)),
    ),
    "make a user namespace": Attack(
        "unshare --user true && echo x > made", wrote("made")
    ),
}  # fmt: skip


def _ended(process: Any) -> bool:
    try:
        process.wait(0.2)
    except Exception:
        return False
    return True


@contextmanager
def attacked(scene: Scene, name: str) -> Iterator[tuple[str, Any]]:
    (scene.outside / "kept").write_text("mine\n")
    with victim({"SERVICE_API_KEY": KEY}) as process:
        command = ATTACKS[name].command.replace("{outside}", str(scene.outside))
        command = command.replace("{victim}", str(process.pid)).replace("{mark}", scene.mark)
        try:
            yield command, process
        finally:
            for left in survivors(scene.mark):
                left.kill()


@pytest.mark.parametrize("name", ATTACKS)
async def test_an_attack(name: str, tmp_path: Path) -> None:
    """18 of 18 attacks fire without the sandbox and fail behind it."""
    for guarded in (False, True):
        with new_scene(tmp_path / str(guarded)) as scene, attacked(scene, name) as (command, aim):
            ran = scene.run_unguarded(command) if not guarded else await scene.run(command)
            output = ran if isinstance(ran, str) else ran.output
            end = time.monotonic() + (0 if guarded else 5)
            while not (worked := ATTACKS[name].worked(scene, output, aim)):
                if time.monotonic() > end:
                    break
            assert worked is not guarded, (guarded, output)


# --- the network ------------------------------------------------------------------------------

PROBE = """
import socket, struct, sys
kind, where, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
socket.setdefaulttimeout(1)
def udp(family, data):
    client = socket.socket(family, socket.SOCK_DGRAM)
    client.sendto(data, (where, port))
    return client
match kind:
    case "tcp" | "loopback" | "ipv6": socket.create_connection((where, port))
    case "udp": udp(socket.AF_INET, b"x")
    case "dns":
        name = b"\\7example\\3com\\0"
        query = struct.pack(">6H", 7, 256, 1, 0, 0, 0) + name + struct.pack(">2H", 1, 1)
        udp(socket.AF_INET, query).recv(64)
    case "unix" | "abstract":
        client = socket.socket(socket.AF_UNIX)
        client.connect(where if kind == "unix" else "\\0" + where)
    case "raw": socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
print("it worked")
"""
PROBES = ("tcp", "udp", "unix", "abstract", "dns", "ipv6", "loopback", "raw")


class Listener:
    """Something on this machine that a command must not reach."""

    def __init__(self, kind: str, scene: Scene) -> None:
        self._stack = ExitStack()
        stream = socket.SOCK_STREAM
        family, sort, address = {
            "tcp": (socket.AF_INET, stream, (own_address(), 0)),
            "loopback": (socket.AF_INET, stream, ("127.0.0.1", 0)),
            "ipv6": (socket.AF_INET6, stream, ("::1", 0)),
            "udp": (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            "dns": (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            "unix": (socket.AF_UNIX, stream, str(scene.repo / "s")),
            "abstract": (socket.AF_UNIX, stream, "\0" + scene.outside.name),
            "raw": (socket.AF_INET, stream, ("127.0.0.1", 0)),
        }[kind]
        listener = self._stack.enter_context(socket.socket(family, sort))
        listener.bind(address)
        self.heard = threading.Event()
        if sort == stream:
            listener.listen(4)
        threading.Thread(target=self._hear, args=(listener,), daemon=True).start()
        named = isinstance(address, str)
        self._kind = kind
        self.where = address.removeprefix("\0") if named else address[0]
        self.port = 0 if named else listener.getsockname()[1]

    def _hear(self, listener: socket.socket) -> None:
        with suppress(OSError):
            if listener.type == socket.SOCK_STREAM:
                listener.accept()
            else:
                data, sender = listener.recvfrom(512)
                listener.sendto(data, sender)
            self.heard.set()

    def reached(self, output: str) -> bool:
        """Whether a probe came through; a raw socket that is open needs nobody to hear it."""
        if self._kind == "raw":
            return "it worked" in output
        heard = self.heard.wait(1 if "it worked" in output else 0.1)
        self.heard.clear()
        return heard

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def own_address() -> str:
    """An address of this machine that is not the loopback one, as far as it has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return probe.getsockname()[0]
        except OSError:
            return "127.0.0.1"


@pytest.mark.parametrize("kind", PROBES)
async def test_the_network(kind: str, scene: Scene) -> None:
    """8 of 8 ways into the network work without the sandbox and not behind it."""
    try:
        listener = Listener(kind, scene)
    except OSError as error:
        pytest.skip(f"this machine has no {kind}: {error}")
    with listener:
        arguments = shlex.join([kind, listener.where, str(listener.port)])
        command = f"{PYTHON} -c {shlex.quote(PROBE)} {arguments}"
        for gate in ("bwrap", "partial"):
            output = (await scene.run(command, gate)).output
            assert not listener.reached(output), gate
            assert "Traceback" in output or kind == "udp", output
        unguarded = scene.run_unguarded(command)
        if kind == "raw" and "Operation not permitted" in unguarded:
            pytest.skip("only root may open raw sockets here")
        assert listener.reached(unguarded)


async def test_the_network_opens_for_one_command_and_nothing_else_does(scene: Scene) -> None:
    with Listener("tcp", scene) as listener:
        probe = shlex.join([PYTHON, "-c", PROBE, "tcp", listener.where, str(listener.port)])
        command = f"{probe}; cat ~/.ssh/id; echo x > {scene.outside}/new; echo x > .git/hooks/y"
        output = (await scene.run(command, network=True)).output
        assert "it worked" in output
        assert KEY not in output
        assert not (scene.outside / "new").exists()
        assert not (scene.repo / ".git" / "hooks" / "y").exists()
        assert "it worked" not in (await scene.run(command)).output


@contextmanager
def serving(name: str, folder: Path) -> Iterator[None]:
    """A program that listens at a socket file which it names from its own folder."""
    program = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen();"
        "print('ready', flush=True); s.accept()"
    )
    server = subprocess.Popen(
        [sys.executable, "-c", program, name], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        yield
    finally:
        server.kill()
        server.communicate()


async def test_a_socket_with_a_relative_name(scene: Scene) -> None:
    """The kernel lists it without its folder, so every program's folder is looked into."""
    (scene.repo / "deep").mkdir()
    command = f"{PYTHON} -c {shlex.quote(PROBE)} unix deep/s 0"
    with serving("deep/s", scene.repo):
        assert "it worked" not in (await scene.run(command)).output
        assert "it worked" in scene.run_unguarded(command)


async def test_the_runtime_folder_is_empty(scene: Scene) -> None:
    (scene.outside / "bus").write_text(KEY)
    command = f"cat {scene.outside}/bus"
    assert KEY in scene.run_unguarded(command)
    if not scene.outside.is_relative_to("/tmp"):  # where a checkout may be, and all is hidden
        assert KEY in (await scene.run(command)).output
    sandbox = scene.sandbox(environ={**scene.environment, "XDG_RUNTIME_DIR": str(scene.outside)})
    assert KEY not in (await scene.run(command, sandbox=sandbox)).output


async def test_a_machine_socket_is_refused_even_with_the_network(scene: Scene) -> None:
    """No namespace holds these; the filter does."""
    command = f"{PYTHON} -c 'import socket; socket.socket(40, socket.SOCK_STREAM); print(1)'"
    if not scene.run_unguarded(command).startswith("1"):
        pytest.skip("this kernel has no virtual-machine sockets")
    for network in (False, True):
        output = (await scene.run(command, network=network)).output
        assert "Address family not supported" in output


# --- what must go on working ------------------------------------------------------------------


async def test_git_works_behind_it(scene: Scene) -> None:
    scene.git("config", "--unset", "user.name")
    scene.git("config", "--unset", "user.email")
    (scene.home / ".gitconfig").write_text(
        '[user]\n\tname = Me "X" \\\\ y\n\temail = me@localhost\n'
        '[url "https://token@host/"]\n\tinsteadOf = x:\n[http]\n\textraHeader = A: canary-5f2d\n'
    )
    result = await scene.run(
        "echo b > b; git add b; git commit -qm second; git branch side; git stash list; git gc -q;"
        "git checkout -q side; git status --short; git log --format='%s by %an'; cat ~/.gitconfig"
    )
    assert result.ok, result.output
    assert "second by Me X \\ y" in result.output.replace('"', "")
    assert "token" not in result.output
    assert KEY not in result.output
    assert scene.git("branch", "--show-current") == "side\n"
    assert scene.git("fsck", "--strict") == ""
    assert scene.git("status", "--short") == ""


async def test_a_toolchain_in_the_home_can_be_read_and_its_secrets_cannot(scene: Scene) -> None:
    cargo = scene.home / ".cargo"
    (cargo / "bin").mkdir(parents=True)
    (cargo / "bin" / "cargo").write_text("#!/bin/sh\necho cargo runs\n")
    (cargo / "bin" / "cargo").chmod(0o755)
    (cargo / "credentials.toml").write_text(KEY)
    environments = scene.home / "envs" / "one"
    (environments / "bin").mkdir(parents=True)
    (environments / "lib").mkdir()
    (environments / "lib" / "module.py").write_text("")
    own = scene.home / "notes"
    own.mkdir()
    (own / "n.txt").write_text("a note")
    command = (
        "~/.cargo/bin/cargo; cat ~/.cargo/credentials.toml; ls ~/envs/one/lib; cat ~/notes/n.txt;"
        "touch ~/.cargo/x; touch ~/scratch && echo home is writable; ls ~"
    )
    sandbox = scene.sandbox()
    sandbox._around.environ["PATH"] += f":{environments}/bin"  # pyright: ignore
    output = (await scene.run(command, sandbox=sandbox)).output
    assert "cargo runs" in output
    assert "module.py" in output
    assert "home is writable" in output
    assert KEY not in output
    assert "a note" not in output
    assert not (cargo / "x").exists()
    assert not (scene.home / "scratch").exists()
    shown = (await scene.run(command, sandbox=scene.sandbox(readable=[own]))).output
    assert "a note" in shown


async def test_python_runs_tests_behind_it(scene: Scene) -> None:
    (scene.repo / "test_a.py").write_text(
        "import multiprocessing, socket, tempfile\n"
        "def test_a():\n"
        "    with multiprocessing.Pool(2) as pool:\n"
        "        assert pool.map(abs, [-1, 2]) == [1, 2]\n"
        "    with socket.create_server(('127.0.0.1', 0)) as server:\n"
        "        socket.create_connection(server.getsockname())\n"
        "    tempfile.TemporaryFile()\n"
    )
    result = await scene.run(f"{PYTHON} -m pytest -q -p no:cacheprovider test_a.py")
    assert result.ok, result.output
    assert "1 passed" in result.output


def test_the_environment_is_a_list_of_what_is_allowed() -> None:
    environ = {
        "PATH": "/bin", "HOME": "/h", "LC_ALL": "C", "VIRTUAL_ENV": "/v", "PYTHONPATH": "src",
        "CARGO_HOME": "/c", "SERVICE_API_KEY": "1", "DATABASE_URL": "1", "SSH_AUTH_SOCK": "1",
        "CARGO_REGISTRY_TOKEN": "1", "UV_INDEX": "https://me:pw@host/simple", "LD_PRELOAD": "1",
        "HTTPS_PROXY": "http://proxy:1", "http_proxy": "http://u:p@proxy:1", "BASH_ENV": "1",
        "GIT_DIR": "1", "XDG_RUNTIME_DIR": "/run/user/1", "DBUS_SESSION_BUS_ADDRESS": "1",
        "BASH_FUNC_git%%": "() { evil; }",
    }  # fmt: skip
    always = {"PATH", "HOME", "LC_ALL", "VIRTUAL_ENV", "PYTHONPATH", "CARGO_HOME"}
    told = {"TERM", "PAGER", "GIT_PAGER", "GIT_TERMINAL_PROMPT"}
    assert set(allowed_environment(environ)) == always | told
    assert set(allowed_environment(environ, network=True)) == always | told | {"HTTPS_PROXY"}
    asked = allowed_environment(environ, more=["DATABASE_URL", "SERVICE_API_KEY"])
    assert set(asked) == always | told | {"DATABASE_URL", "SERVICE_API_KEY"}
