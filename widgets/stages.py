"""The stages of a lesson while it runs, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Literal

from textual.content import Content
from textual.reactive import reactive
from textual.timer import Timer
from textual.widget import Widget

from .sanitise import one_line

STAGES: tuple[str, ...] = ("prepare", "gate", "snapshot", "step", "guard", "retry", "commit")
Tone = Literal["success", "warning", "error", "plain"]
TICK = 0.2
WAITING, CURRENT, PASSED = "○", "●", "✓"
STYLES: dict[Tone, str] = {
    "success": "$text-success",
    "warning": "$text-warning",
    "error": "$text-error",
    "plain": "$foreground",
}


class LessonStages(Widget):
    """One line of stages with the current one marked, and one line of detail.

    ``start()`` begins a lesson, ``enter()`` moves to a stage, ``finish()`` says what came of it.
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

    def __init__(
        self,
        stages: Sequence[str] = STAGES,
        *,
        hint: str = "Esc cancels the lesson",
        clock: Callable[[], float] = monotonic,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._stages = tuple(stages)
        self._hint = hint
        self._clock = clock
        self._began = 0.0
        self._title = ""
        self._outcome: tuple[str, Tone] | None = None
        self._ticker: Timer | None = None

    @property
    def running(self) -> bool:
        """Whether a lesson runs."""
        return self._ticker is not None

    def start(self, title: str = "Learning") -> None:
        """Begin a lesson."""
        self._title = title
        self._outcome = None
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
        clock = (f" {self.elapsed:.1f} s", "$quiet")
        head = Content.assemble((one_line(self._title), "bold"), clock)
        stages = self._line(self.size.width)
        detail = Content.assemble(
            (one_line(self.detail), "$foreground"),
            (" · " if self.detail else "", "$quiet"),
            (self._hint, "$quiet"),
        )
        return Content("\n").join([head, stages, detail])

    def on_unmount(self) -> None:
        """Stop the clock."""
        self._stop()

    def _line(self, width: int) -> Content:
        """Give the stages; where they do not fit, only the current one is named."""
        at = self._stages.index(self.stage) if self.stage in self._stages else -1
        full = sum(len(stage) + 4 for stage in self._stages)
        parts: list[tuple[str, str]] = []
        for index, stage in enumerate(self._stages):
            if index < at:
                sign, style = PASSED, "$text-success"
            elif index == at:
                sign, style = CURRENT, "bold $primary"
            else:
                sign, style = WAITING, "$quiet"
            named = full <= width or index == at
            parts.append((f"{sign} {stage}  " if named else f"{sign} ", style))
        return Content.assemble(*parts)

    def _tick(self) -> None:
        self.elapsed = self._clock() - self._began

    def _stop(self) -> None:
        if self._ticker is not None:
            self._ticker.stop()
            self._ticker = None
