"""The stages of a lesson while it runs, and what came of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Literal

from textual.content import Content
from textual.reactive import reactive
from textual.timer import Timer
from textual.widget import Widget

from .sanitise import one_line, visible

STAGES: tuple[str, ...] = ("prepare", "gate", "snapshot", "step", "guard", "retry", "commit")
Tone = Literal["success", "warning", "error", "plain"]
TICK = 0.2
WAITING, CURRENT, PASSED = "○", "●", "✓"
DONE, LEFT = "━", "─"
WIDEST_BAR, NARROWEST_BAR = 30, 6
ROOM, LISTED_ROOM = 46, 24
"""The columns that are kept for what stands beside the title and the bar."""
STAGES_FROM = 70
"""From this width on the stages have a line of their own; below it one line says it all."""

COUNTED = re.compile(r"\b(\d{1,6}) of (?:at most )?(\d{1,6})\b")
STYLES: dict[Tone, str] = {
    "success": "$text-success",
    "warning": "$text-warning",
    "error": "$text-error",
    "plain": "$foreground",
}


class LessonStages(Widget):
    """A line with a bar of progress and, where there is room, one of stages.

    ``start()`` begins a lesson, ``enter()`` moves to a stage, ``finish()`` says what came of it.
    A lesson goes back from a retry to another step; the bar does not.
    The clock ticks five times a second, and only while a lesson runs.
    """

    DEFAULT_CSS = """
    LessonStages {
        height: auto;
        width: 1fr;
        padding: 0 1;
        display: none;
        &.-shown { display: block; }
    }
    """

    stage: reactive[str] = reactive("", layout=True)
    detail: reactive[str] = reactive("", layout=True)
    elapsed: reactive[float] = reactive(0.0)
    listed: reactive[bool] = reactive(False, layout=True)
    """Whether each stage has a line of its own, where there is height rather than width."""

    def __init__(
        self,
        stages: Sequence[str] = STAGES,
        *,
        hint: str = "Esc cancels",
        clock: Callable[[], float] = monotonic,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._stages = tuple(stages)
        self._hint = visible(hint, keep="")
        self._clock = clock
        self._began = 0.0
        self._title = ""
        self._progress = 0.0
        self._outcome: tuple[str, Tone] | None = None
        self._ticker: Timer | None = None

    @property
    def running(self) -> bool:
        """Whether a lesson runs."""
        return self._ticker is not None

    @property
    def progress(self) -> float:
        """How far the lesson has come, from 0 to 1."""
        return self._progress

    def start(self, title: str = "Learning") -> None:
        """Begin a lesson."""
        self._title = title
        self._outcome = None
        self._progress = 0.0
        self._began = self._clock()
        self.stage, self.detail, self.elapsed = "", "", 0.0
        self.add_class("-shown")
        self._stop()
        self._ticker = self.set_interval(TICK, self._tick)
        self.refresh(layout=True)

    def enter(self, stage: str, detail: str = "", elapsed: float | None = None) -> None:
        """Enter a stage; ``elapsed`` sets the clock by the worker's."""
        if not self.running:
            self.start()
        if elapsed is not None:
            self._began = self._clock() - elapsed
            self.elapsed = elapsed
        self.stage = stage
        self.detail = detail
        self._progress = max(self._progress, progress_of(self._stages, stage, detail))

    def finish(self, outcome: str, tone: Tone = "plain", seconds: float | None = None) -> None:
        """End the lesson with one sentence that says what came of it."""
        self._stop()
        if seconds is not None:
            self.elapsed = seconds
        self._outcome = (outcome, tone)
        self.add_class("-shown")
        self.refresh(layout=True)

    def clear(self) -> None:
        """Show nothing until the next lesson."""
        self._stop()
        self._outcome = None
        self.remove_class("-shown")

    def render(self) -> Content:
        """Show the stages and the detail, or the outcome."""
        if self._outcome is not None:
            text, tone = self._outcome
            seconds = f"  {self.elapsed:.1f} s" if self.elapsed else ""
            return Content.assemble((one_line(text, 400), STYLES[tone]), (seconds, "$quiet"))
        width = self.size.width
        if self.listed:
            head = self._head(width, self._title, "", room=LISTED_ROOM)
            return Content("\n").join([head, *(line.truncate(width) for line in self._list())])
        if width < STAGES_FROM:
            named = f"{self.stage or self._title} {self.detail}".rstrip()
            return self._head(width, "", named)
        return Content("\n").join([self._head(width, self._title, self.detail), self._line()])

    def on_unmount(self) -> None:
        """Stop the clock."""
        self._stop()

    def _head(self, width: int, title: str, words: str, room: int = ROOM) -> Content:
        """Give title, bar, words, time and key on one line; long words are cut."""
        named, clock = one_line(title, 40), f"{self.elapsed:.1f} s"
        fixed = sum(len(part) + 2 for part in (named, clock, self._hint) if part)
        # The words come and go; the bar keeps its size, so that it only grows.
        size = max(NARROWEST_BAR, min(WIDEST_BAR, width - len(named) - room))
        said = one_line(words, max(1, width - fixed - size - 2)) if words else ""
        done = round(self._progress * size)
        return Content.assemble(
            (f"{named}  " if named else "", "bold"),
            (DONE * done, "$primary"),
            (LEFT * (size - done), "$quiet"),
            f"  {said}" if said else "",
            (f"  {clock}  {self._hint}", "$quiet"),
        ).truncate(width, ellipsis=True)

    def _line(self) -> Content:
        """Give the stages on one line."""
        return Content("  ").join(self._marked())

    def _list(self) -> list[Content]:
        """Give the stages one below the other, with what is said of the current one."""
        lines = self._marked()
        if self.stage in self._stages and self.detail:
            lines[self._stages.index(self.stage)] += Content(f"  {one_line(self.detail, 60)}")
        return lines

    def _marked(self) -> list[Content]:
        """Give each stage with a sign: passed, current or to come."""
        at = self._stages.index(self.stage) if self.stage in self._stages else -1
        found: list[Content] = []
        for index, stage in enumerate(self._stages):
            if index < at:
                sign, style = PASSED, "$text-success"
            elif index == at:
                sign, style = CURRENT, "bold $primary"
            else:
                sign, style = WAITING, "$quiet"
            found.append(Content.styled(f"{sign} {visible(stage, keep='')}", style))
        return found

    def _tick(self) -> None:
        self.elapsed = self._clock() - self._began

    def _stop(self) -> None:
        if self._ticker is not None:
            self._ticker.stop()
            self._ticker = None


def progress_of(stages: Sequence[str], stage: str, detail: str = "") -> float:
    """Give how far a lesson has come on entering a stage; "2 of at most 6" counts within it."""
    if stage not in stages:
        return 0.0
    counted = COUNTED.search(detail)
    number, most = (int(each) for each in counted.groups()) if counted else (1, 1)
    within = (min(number, most) - 1) / most if number and most else 0.0
    return (stages.index(stage) + within) / len(stages)
