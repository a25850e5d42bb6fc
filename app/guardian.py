"""Gives the terminal back when the program no longer can: killed outright, or crashed below Python.

A small process, split off before anything heavy is imported, waits at a pipe. If the pipe ends
without a word, it puts the terminal's mode back and switches off what the screen had switched on.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, NoReturn

DONE = b"."
# Leave the second screen, end mouse, focus and paste reports and the keyboard protocol, show the
# cursor, put the title back, and draw plainly.
RESTORE = (
    b"\x1b[?1049l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?1016l\x1b[?1004l"
    b"\x1b[?2004l\x1b[?2048l\x1b[<u\x1b[?25h\x1b[23;0t\x1b[0m\r\n"
)


@contextmanager
def guarded_terminal() -> Iterator[None]:
    """Watch over the terminal while the program has it; without a terminal there is no need."""
    if not sys.stdin.isatty():
        yield
        return
    import termios

    terminal = sys.stdin.fileno()
    try:
        mode = termios.tcgetattr(terminal)
        reading, writing = os.pipe()
    except (OSError, termios.error):
        yield
        return
    guardian = os.fork()
    if not guardian:
        os.close(writing)
        _watch(reading, terminal, mode)
    os.close(reading)
    try:
        yield
    finally:
        with suppress(OSError):
            os.write(writing, DONE)
        os.close(writing)
        with suppress(ChildProcessError):
            os.waitpid(guardian, 0)


def _watch(reading: int, terminal: int, mode: list[Any]) -> NoReturn:
    """Wait for the program's end, in a session of its own, where no key reaches."""
    import signal
    import termios

    with suppress(BaseException):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        os.setsid()
        if os.read(reading, 1) != DONE:
            with suppress(termios.error):
                termios.tcsetattr(terminal, termios.TCSANOW, mode)
            os.write(terminal, RESTORE)
    os._exit(0)
