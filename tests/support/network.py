"""A Python that writes down every connection that it or a child of it opens."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

HOOK = r"""import os, sys

NAMES = {"socket.connect": 1, "socket.getaddrinfo": 0, "socket.gethostbyname": 0,
         "socket.sendto": 1, "socket.sendmsg": 1}

def note(event, arguments):
    to_a_file = event == "socket.connect" and isinstance(arguments[1], (str, bytes))
    if event in NAMES and not to_a_file:
        with open(os.environ["CONNECTIONS"], "a") as file:
            file.write(f"{event} {arguments[NAMES[event]]!r}\n")

sys.addaudithook(note)
with open(os.environ["CONNECTIONS"] + ".programs", "a") as file:
    file.write(" ".join(sys.orig_argv) + "\n")
"""


class Watched:
    """A folder for PYTHONPATH whose sitecustomize notes what is connected to."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "connections"
        self._hook = folder / "hook"
        self._hook.mkdir(parents=True)
        (self._hook / "sitecustomize.py").write_text(HOOK)

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """These variables, and what makes a Python note its connections."""
        path = os.pathsep.join(filter(None, [str(self._hook), environ.get("PYTHONPATH", "")]))
        return dict(environ) | {"PYTHONPATH": path, "CONNECTIONS": str(self._log)}

    @property
    def programs(self) -> list[str]:
        """The command lines of the Pythons that were watched."""
        return self._log.with_suffix(".programs").read_text().splitlines()

    @property
    def connections(self) -> list[str]:
        """What was connected to or looked up, sockets in the file system left out."""
        return self._log.read_text().splitlines() if self._log.exists() else []


def namespace_without_routes() -> list[str] | None:
    """The beginning of a command that runs where there is no network; None where none can be."""
    command = ["unshare", "--user", "--map-root-user", "--net"]
    try:
        tried = subprocess.run([*command, "true"], capture_output=True, check=False)
    except OSError:
        return None
    return command if tried.returncode == 0 else None
