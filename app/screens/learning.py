"""The learning panel: the stages of a lesson, then what it did to every token, and the curves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal

from ...training.protocol import LessonResult, TokenReport
from ...widgets.charts import LearningCharts, StepPoint
from ...widgets.heatmap import HeatmapView, TokenCell
from ...widgets.marking import mark
from ...widgets.squeeze import GIVES_WAY, SqueezeVertical
from ...widgets.stages import LessonStages

if TYPE_CHECKING:
    from ..controllers.metrics import Metrics


LISTED_FROM = 20


def token_cells(tokens: Iterable[TokenReport]) -> list[TokenCell]:
    """The tokens of a lesson as the heatmap takes them."""
    return [
        TokenCell(
            text=token.text,
            advantage=token.advantage,
            before=token.before,
            after=token.after,
            teacher_token=token.teacher_token,
            teacher=token.teacher,
        )
        for token in tokens
    ]


class LearningPanel(SqueezeVertical):
    """Hidden until the first lesson; the screen says where it lies and how much it shows."""

    DEFAULT_CSS = """
    LearningPanel {
        display: none; height: auto; max-height: 45%;
        background: $surface; border-top: solid $panel; padding: 0 1;
        &.-shown { display: block; }
        &.-finished #evidence { display: block; }
        &.-without-curves LearningCharts { visibility: hidden; }
        #evidence { height: auto; max-height: 12; display: none; }
        LessonStages { padding: 0; }
        HeatmapView { width: 1fr; max-height: 100%; }
        LearningCharts { width: 36%; height: 12; max-height: 100%; }
    }
    """

    def __init__(self, *, classes: str | None = None) -> None:
        super().__init__(classes=classes)
        self._finished: LessonResult | None = None

    def compose(self) -> ComposeResult:
        """Stages above; heatmap and curves side by side, or one below the other."""
        yield LessonStages()
        with Horizontal(id="evidence", classes=GIVES_WAY):
            yield HeatmapView()
            yield LearningCharts()

    def on_resize(self) -> None:
        """Let each stage have a line where there is height enough."""
        self.query_one(LessonStages).listed = self.size.height >= LISTED_FROM

    def prepare(self) -> None:
        """Import what draws the curves, before there are some."""
        if self._whole:
            self.query_one(LearningCharts).prepare()

    @property
    def _whole(self) -> bool:
        """Whether all parts are there: on the way out of the program they go one by one."""
        return len(self.query("LessonStages, #evidence, HeatmapView, LearningCharts")) == 4

    @property
    def shown(self) -> bool:
        """Whether the panel can be seen."""
        return self.has_class("-shown")

    def begin(self) -> None:
        """A lesson runs: show its stages, and not what the last one did."""
        self._finished = None
        self._mark_finished(on=False)
        self._mark_curves(shown=False)
        mark(self, "-shown", on=True)
        self.query_one(LearningCharts).wait()

    def finish(self, result: LessonResult) -> None:
        """A lesson ended; ``show_evidence`` and ``show_curves`` show what it did."""
        self._finished = result
        if not result.tokens:
            # The conversation says what came of it, and there is nothing else to see.
            self.hide()
        if result.outcome == "failed":
            self.query_one(LearningCharts).fail(result.reason)

    def show_evidence(self) -> None:
        """Show what the lesson that ended did to its tokens, unless another runs by now."""
        if self._whole and self._finished is not None and self._finished.tokens:
            self.query_one(HeatmapView).show(token_cells(self._finished.tokens))
            self._mark_finished(on=True)

    def show_curves(self) -> None:
        """Show the curves beside it."""
        if self._whole and self._finished is not None:
            self._mark_curves(shown=True)
            self.query_one(LearningCharts).catch_up()

    def hide(self) -> None:
        """Hide the panel."""
        mark(self, "-shown", on=False)

    def toggle(self) -> None:
        """Show the panel, or hide it."""
        mark(self, "-shown", on=not self.shown)

    def _mark_curves(self, *, shown: bool) -> None:
        mark(self, "-without-curves", on=not shown, decides=[self.query_one(LearningCharts)])

    def _mark_finished(self, *, on: bool) -> None:
        parts = self.query_one("#evidence"), self.query_one(LessonStages)
        mark(self, "-finished", on=on, decides=parts)

    def draw_curves(self, metrics: Metrics, kl_budget: float | None) -> None:
        """Draw loss and KL so far."""
        show_session(self.query_one(LearningCharts), metrics, kl_budget)


def show_session(charts: LearningCharts, metrics: Metrics, kl_budget: float | None) -> None:
    """Give the charts every step of the session, with a mark where each lesson begins."""
    points = [StepPoint(step.metrics.loss, step.metrics.kl) for step in metrics.steps]
    marks = [mark.steps_before + 0.5 for mark in metrics.lessons if mark.result.steps]
    charts.show_session(points, marks, kl_budget)
