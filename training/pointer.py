"""A file that names a snapshot, with a checksum: ``current``, ``good`` and ``pinned``."""

from __future__ import annotations

from pathlib import Path

from .adapter_messages import BASE
from .durable import DAMAGE, read_beneath, replace_durably
from .manifest import SNAPSHOT_NAME, digest


class DamagedPointer(Exception):
    """A file that does not say which snapshot it names, or is not there."""


def line_for(snapshot: str | None) -> bytes:
    """What such a file holds."""
    name = snapshot or BASE
    return f"{name} {digest(name.encode())[:16]}\n".encode()


def write_pointer(path: Path, snapshot: str | None) -> None:
    """Name a snapshot; None is the model as it came."""
    replace_durably(path, line_for(snapshot))


def read_pointer(path: Path) -> str | None:
    """The snapshot that is named; raises ``DamagedPointer``, or OSError where it cannot be read."""
    try:
        data = read_beneath(path.parent, path.name)
        name = data.decode("ascii").partition(" ")[0]
    except UnicodeDecodeError as error:
        raise DamagedPointer(path.name) from error
    except OSError as error:
        if error.errno not in DAMAGE:
            raise
        raise DamagedPointer(path.name) from error
    snapshot = None if name == BASE else name
    if data != line_for(snapshot) or not (snapshot is None or SNAPSHOT_NAME.fullmatch(name)):
        raise DamagedPointer(path.name)
    return snapshot
