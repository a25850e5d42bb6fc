"""The program's log, so that nothing is ever written over the screen."""

from __future__ import annotations

import logging
from io import TextIOWrapper
from pathlib import Path

from typing_extensions import override

from ..workspace.visible import visible
from .paths import open_private_append

PROGRAM = "continualcode_tui"


class VisibleFormatter(logging.Formatter):
    """Writes nothing that a terminal would act on where the log is read."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


class PrivateFileHandler(logging.FileHandler):
    """Makes the file when the first line comes, for the user alone."""

    def _open(self) -> TextIOWrapper:
        return open_private_append(Path(self.baseFilename))


def log_to(path: Path) -> None:
    """Send what the program logs to this file only."""
    logger = logging.getLogger(PROGRAM)
    for handler in [found for found in logger.handlers if isinstance(found, PrivateFileHandler)]:
        logger.removeHandler(handler)
        handler.close()
    handler = PrivateFileHandler(path, delay=True, encoding="utf-8")
    handler.setFormatter(VisibleFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
