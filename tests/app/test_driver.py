"""What the screen paints comes to the terminal whole, whatever signals come between."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import tty

import pytest

PAINTS = 60
PAINT = "".join(f"[{number}]" for number in range(4000))
WRITES = f"""
import signal, sys
from continualcode_tui.app.driver import LastingFile

signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
file = LastingFile(sys.__stderr__) if sys.argv[1] == "ours" else sys.__stderr__
for _ in range({PAINTS}):
    file.write("".join(f"[{{number}}]" for number in range(4000)))
    file.flush()
signal.setitimer(signal.ITIMER_REAL, 0)
"""


def painted(name: str) -> str:
    """Let a process without buffers, and with many signals, paint on a terminal of its own."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-c", WRITES, name]
    with subprocess.Popen(command, stderr=theirs, stdin=theirs, env=environment) as process:
        os.close(theirs)
        data = bytearray()
        try:
            while part := os.read(ours, 65536):
                data += part
        except OSError:
            pass  # the terminal's other end is closed
        finally:
            os.close(ours)
        assert process.wait(30) == 0
    return data.decode()


@pytest.mark.skipif(sys.platform != "linux", reason="writes are cut short by signals as on Linux")
def test_a_paint_is_not_cut_short_by_a_signal() -> None:
    whole = PAINT * PAINTS
    assert len(painted("theirs")) < len(whole), "nothing was cut short, so this shows nothing"
    assert painted("ours") == whole
