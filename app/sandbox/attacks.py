"""What a boundary must stop, tried from inside; run by its file name, without site-packages.

Nothing here can harm more than the scratch folders and the listeners that were made for it. What
came of an attack is looked at from outside; only what it could read it has to tell.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any


def main() -> None:
    """Try everything, then leave an answer that shows that it was tried."""
    target = json.loads(sys.argv[1])
    root = Path(target["root"])
    found: dict[str, str] = {}
    _write(target, found)
    _guarded(root, target["nonce"])
    _network(target)
    _processes(target["victim"], found)
    with suppress(OSError):
        (root / ".git").rename(root / "moved.git")
    answer = json.dumps({"nonce": target["nonce"], **found})
    (root / "answer.json").write_text(answer)


def _write(target: dict[str, Any], found: dict[str, str]) -> None:
    with suppress(OSError):
        (Path(target["outside"]) / "written").write_text("x")
    with suppress(OSError):
        found["secret"] = Path(target["secret"]).read_text()


def _guarded(root: Path, nonce: str) -> None:
    for name in (".git/hooks/post-checkout", ".git/config", ".vscode/tasks.json"):
        with suppress(OSError):
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_text(nonce)


def _network(target: dict[str, Any]) -> None:
    here = "127.0.0.1"
    datagram = socket.SOCK_DGRAM
    sends: list[Callable[[], object]] = [
        lambda: socket.create_connection((here, target["tcp"]), timeout=1),
        lambda: socket.socket(socket.AF_INET, datagram).sendto(b"x", (here, target["udp"])),
        lambda: _connect_unix(target["unix"]),
        lambda: _connect_unix("\0" + target["abstract"]),
    ]
    for send in sends:
        with suppress(OSError):
            send()


def _connect_unix(name: str) -> None:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(1)
    client.connect(name)


def _processes(victim: int, found: dict[str, str]) -> None:
    with suppress(OSError):
        found["environment"] = Path(f"/proc/{victim}/environ").read_text()
    with suppress(OSError):
        os.kill(victim, signal.SIGKILL)


if __name__ == "__main__":
    main()
