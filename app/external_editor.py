"""The user's own editor, which gets the terminal until it ends."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from textual.app import App, SuspendNotSupported

from .workspace.programs import find_program
from .workspace.repository import find_root

FALLBACKS = ("vi", "nano")


class EditorFailed(Exception):
    """The text stays as it is; the sentence says why and what to do."""


def command_for(environ: Mapping[str, str]) -> list[str]:
    """Give the words of the user's editor; raises EditorFailed where there is none.

    A name alone is never looked for in the repository.
    """
    root = find_root(Path.cwd())
    for name in ("VISUAL", "EDITOR"):
        chosen = environ.get(name, "").strip()
        if not chosen:
            continue
        try:
            words = shlex.split(chosen)
        except ValueError:
            raise EditorFailed(f"${name} cannot be read: its quotes do not match.") from None
        found = _find(words[0], root) if words else None
        if found is None:
            raise EditorFailed(f"The editor {chosen} of ${name} was not found; set another.")
        return [found, *words[1:]]
    for fallback in FALLBACKS:
        found = find_program(fallback, root)
        if found is not None:
            return [found]
    raise EditorFailed("No editor was found; set $VISUAL or $EDITOR to one.")


def _find(program: str, root: Path) -> str | None:
    """Find a program by its name or its whole path; from here it would be the repository's."""
    if "/" not in program:
        return find_program(program, root)
    return shutil.which(program) if program.startswith("/") else None


async def edit(app: App[object], text: str, suffix: str, environ: Mapping[str, str]) -> str:
    """Let the user write a text in their editor and give it back; raises EditorFailed.

    The app goes on behind the editor, so that a model that works is not held up, but draws
    nothing.
    """
    words = command_for(environ)
    try:
        with tempfile.TemporaryDirectory(prefix="continualcode-") as folder:  # for the user alone
            path = Path(folder) / f"text{suffix}"
            path.touch(0o600)
            path.write_bytes(text.encode("utf-8", "surrogateescape"))
            status = await _run(app, [*words, str(path)])
            if status:
                raise EditorFailed(
                    f"The editor {words[0]} ended with status {status}; the text is as it was."
                )
            written = path.read_bytes().decode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise EditorFailed(
            "The text holds characters that no file can hold; write it in its box."
        ) from None
    except OSError as error:
        why = (error.strerror or "unknown error").lower()
        raise EditorFailed(f"The editor {words[0]} could not be used: {why}.") from error
    # Most editors end the last line although the text did not.
    return written if text.endswith("\n") else written.removesuffix("\n")


async def _run(app: App[object], words: list[str]) -> int:
    try:
        with app.batch_update(), app.suspend(), _deaf_to_interrupts():
            return await asyncio.to_thread(subprocess.call, words)
    except SuspendNotSupported:
        raise EditorFailed(
            "There is no terminal here that an editor could have; write the text in its box."
        ) from None


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Leave ctrl+c to the editor; a handler, unlike SIG_IGN, is not passed on to it."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
