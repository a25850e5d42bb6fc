"""The full boundary: namespaces of a command's own, made by bubblewrap."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

from typing_extensions import override

from .git_settings import global_settings
from .launch import TERMINATE_SECONDS, Launch, read_all, signal_group
from .policy import Policy, open_sockets
from .reach import is_folder
from .seccomp import LOCAL, program

NAME = "bwrap"
GONE_SECONDS = 5.0
PROCESSES = 4096
FILE_BLOCKS = 32 * 2**20  # of 1,024 bytes: 32 GiB

# Runs the command as its child, so that what it leaves behind can be counted; the polite signal
# passes by this shell and reaches the command. Bash's own remarks on signals go nowhere.
_OVERSEER = f"""\
exec 2>/dev/null
ulimit -c 0; ulimit -f {FILE_BLOCKS}; ulimit -u {PROCESSES}
echo 500 > /proc/self/oom_score_adj
trap : TERM
"$0" -c "$1" 2>&1 {{left}}>&-
status=$?
set -- /proc/[0-9]*
[ $# -gt 2 ] && echo left >&{{left}}
exit $status
"""


class Behind(Launch):
    """Ends with its process namespace, from which nothing can escape."""

    def __init__(
        self,
        command: list[str],
        environment: Mapping[str, str],
        *,
        fds: list[int],
        status: int,
        left: int,
        held: ExitStack,
    ) -> None:
        super().__init__(command, environment, fds=fds, held=held)
        self._status, self._left = status, left
        for fd in (status, left):
            held.callback(os.close, fd)

    @override
    async def end(self, process: asyncio.subprocess.Process) -> bool:
        self.close_fds()
        first = self._first_process()
        try:
            if process.returncode is None and first:
                signal_group(first, signal.SIGTERM)
                with suppress(TimeoutError):
                    async with asyncio.timeout(TERMINATE_SECONDS):
                        await process.wait()
        finally:
            signal_group(process.pid, signal.SIGKILL)
        await process.wait()
        end = time.monotonic() + GONE_SECONDS
        while first and _lives(first) and time.monotonic() < end:  # noqa: ASYNC110 - not our child
            await asyncio.sleep(0.005)
        return bool(read_all(self._left))

    def _first_process(self) -> int | None:
        """The namespace's first process as this side numbers it; the others end with it."""
        for line in read_all(self._status).splitlines():
            with suppress(ValueError, KeyError):
                return int(json.loads(line)["child-pid"])
        return None


def confine(
    binary: str,
    shell: str,
    command: str,
    policy: Policy,
    environment: Mapping[str, str],
    *,
    network: bool,
    held: ExitStack,
) -> Behind:
    """Make a command ready to run behind the boundary; ``held`` is let go after it."""
    fds: list[int] = []
    try:
        status, status_in = os.pipe()
        left, left_in = os.pipe()
        fds += [status_in, left_in]
        arguments = [binary, *mounts(policy), *_namespaces(network)]
        arguments += ["--chdir", str(policy.root), "--json-status-fd", str(status_in)]
        filtered = program(LOCAL)
        if filtered is not None:
            fds.append(_memory(filtered))
            arguments += ["--seccomp", str(fds[-1])]
        if policy.root != policy.home and any(each == policy.home for each in policy.hidden):
            fds.append(_memory(global_settings(policy.home)))
            arguments += ["--ro-bind-data", str(fds[-1]), str(policy.home / ".gitconfig")]
        arguments += ["--", shell, "-c"]
        if Path(shell).name == "bash":
            arguments += [_OVERSEER.replace("{left}", str(left_in)), shell]
        arguments.append(command)
    except BaseException:
        for fd in fds:
            os.close(fd)
        raise
    return Behind(arguments, environment, fds=fds, status=status, left=left, held=held)


def mounts(policy: Policy) -> list[str]:
    """The file system as the command sees it: of two places in each other the deeper one last."""
    steps: list[tuple[Path, list[str]]] = []
    steps += [(path, ["--tmpfs", str(path)]) for path in policy.hidden]
    steps += [(path, ["--ro-bind", str(path), str(path)]) for path in policy.readable]
    folders = [path for path in policy.masked if is_folder(path)]
    files = {*policy.masked, *open_sockets(policy)} - {*folders}
    steps += [(path, ["--tmpfs", str(path)]) for path in folders]
    for path, mode in policy.modes.items():
        bind = "--bind" if mode == "write" else "--ro-bind"
        steps.append((path, [bind, str(path), str(path)]))
    steps += [(path, ["--ro-bind", os.devnull, str(path)]) for path in sorted(files)]
    steps.sort(key=lambda step: len(step[0].parts))
    arguments = ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    arguments += [word for _, words in steps for word in words]
    return arguments + [word for path in folders for word in ("--remount-ro", str(path))]


def _namespaces(network: bool) -> list[str]:
    return [
        *([] if network else ["--unshare-net"]),
        "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
        "--die-with-parent", "--new-session", "--cap-drop", "ALL",
    ]  # fmt: skip


def _memory(content: bytes) -> int:
    """A file that has no name, to be read from its beginning."""
    fd = os.memfd_create("sandbox")
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _lives(process: int) -> bool:
    """Whether a process is there; one of which nobody has taken note yet is not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state not in ("Z", "X")
