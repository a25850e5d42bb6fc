"""A process that lets two names change places as fast as the kernel can."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

SWAP = """
import ctypes, os, sys
renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
one, other = (ctypes.c_char_p(os.fsencode(name)) for name in sys.argv[1:3])
print("ready", flush=True)
while True:
    renameat2(-100, one, -100, other, 2)
"""


@contextlib.contextmanager
def swapping(one: Path, other: Path) -> Iterator[None]:
    """Swap two names in the background; afterwards they may stand either way."""
    command = [sys.executable, "-I", "-S", "-c", SWAP, str(one), str(other)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield
        finally:
            process.kill()
