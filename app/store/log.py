"""The program's log, so that nothing is ever written over the screen."""

from __future__ import annotations

import logging
import os
from io import TextIOWrapper
from pathlib import Path

from typing_extensions import override

from ...training.redaction import known_secrets, redact
from ..workspace.visible import visible
from .paths import open_private_append

PROGRAM = "continualcode_tui"


class PrivateFileHandler(logging.FileHandler):
    """Makes the file when the first line comes, for the user alone."""

    def _open(self) -> TextIOWrapper:
        return open_private_append(Path(self.baseFilename))


class SafeFormatter(logging.Formatter):
    """Leaves secrets, and what a terminal would act on, out of a line and its traceback."""

    def __init__(self, form: str) -> None:
        super().__init__(form)
        self._known = known_secrets(os.environ)

    @override
    def format(self, record: logging.LogRecord) -> str:
        """One entry of the log."""
        return visible(redact(super().format(record), self._known))


def log_to(path: Path) -> None:
    """Send what the program logs to this file only."""
    logger = logging.getLogger(PROGRAM)
    for handler in [found for found in logger.handlers if isinstance(found, PrivateFileHandler)]:
        logger.removeHandler(handler)
        handler.close()
    handler = PrivateFileHandler(path, delay=True, encoding="utf-8")
    handler.setFormatter(SafeFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
