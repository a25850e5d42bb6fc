"""The lessons asked again while nobody wants anything else of the worker."""

from __future__ import annotations

import asyncio
import logging

from ...training.client import WorkerDied
from .engine import EngineError
from .suite import SuiteController

_log = logging.getLogger(__name__)

IDLE_SECONDS = 1.0


class IdleCheck:
    """At most one check at a time; it gives the worker up at once, and ends for good when told."""

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self._ended = False

    def begin(self, suite: SuiteController | None, every: int) -> None:
        """Check after a moment, if so many lessons were learned since the last time."""
        if suite is not None and suite.due(every) and not self._ended:
            self.task = asyncio.ensure_future(self._check(suite))

    def leave(self) -> None:
        """Give the worker up to whoever wants something."""
        if self.task is not None:
            self.task.cancel()
            self.task = None

    def end(self) -> None:
        """Check never again."""
        self._ended = True
        self.leave()

    async def _check(self, suite: SuiteController) -> None:
        await asyncio.sleep(IDLE_SECONDS)
        try:
            await suite.check(quiet=True)
        except (EngineError, WorkerDied) as error:
            # Nobody asked for it: what goes wrong is for the log, and it is not tried again.
            _log.warning("the lessons could not be checked: %s", error)
            self._ended = True
