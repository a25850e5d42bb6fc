"""The status bar: where we are, which model, what it does, and how learning goes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Sparkline, Static

from .sanitise import one_line

STATE_STYLES: dict[str, str] = {
    "loading": "$text-warning",
    "ready": "$text-success",
    "thinking": "$primary",
    "waiting": "$text-warning",
    "running": "$primary",
    "learning": "$text-accent",
    "leaving": "$text-warning",
    "failed": "$text-error",
}
SHORT_GATES = {"none": "no sandbox", "partial": "partial sandbox"}
NARROW, SPARK, WIDE = 80, 100, 120
SPARK_WIDTH = 16


class StatusBar(Horizontal):
    """One line that says less where there is less room.

    Under 80 columns: state, lessons, repository and, in a word, the boundary that commands run
    behind. From 80: branch and model. From 100: a sparkline of the loss. From 120: context used.
    Set the attributes, or ``set_reactive`` / ``data_bind`` them.
    """

    DEFAULT_CSS = """
    StatusBar {
        height: 1;
        width: 100%;
        background: $panel;
        color: $foreground;
        padding: 0 1;
        & > .left { width: 1fr; padding: 0 1 0 0; text-wrap: nowrap; text-overflow: ellipsis; }
        & > .right { width: auto; text-wrap: nowrap; }
        & > Sparkline { margin: 0 0 0 1; display: none; }
        & > Sparkline > .sparkline--max-color { color: $chart-loss; }
        & > Sparkline > .sparkline--min-color { color: $chart-loss-raw; }
    }
    """

    repository: reactive[str] = reactive("")
    branch: reactive[str] = reactive("")
    dirty: reactive[bool] = reactive(False)
    engine: reactive[str] = reactive("")
    model: reactive[str] = reactive("")
    state: reactive[str] = reactive("loading")
    detail: reactive[str] = reactive("")
    lessons: reactive[int] = reactive(0)
    context_used: reactive[float | None] = reactive(None)
    losses: reactive[tuple[float, ...]] = reactive(())
    gate: reactive[str] = reactive("")
    _finite: Sequence[float] = ()

    def compose(self) -> ComposeResult:
        """Lay out the left part, the right part and the sparkline."""
        yield Static(classes="left")
        yield Static(classes="right")
        yield Sparkline([])

    def on_mount(self) -> None:
        """Fill the bar whenever anything changes."""
        for name in ("repository", "branch", "dirty", "engine", "model", "state", "detail"):
            self.watch(self, name, self._show, init=False)
        for name in ("lessons", "context_used", "gate"):
            self.watch(self, name, self._show, init=False)
        self.watch(self, "losses", self._show_losses)
        self._show()

    def on_resize(self) -> None:
        """Say more or less."""
        self._show()

    def _show(self) -> None:
        width = self.outer_size.width
        left, right = self.query_one(".left", Static), self.query_one(".right", Static)
        left.update(left_part(self, width))
        right.update(right_part(self, width))
        self.query_one(Sparkline).display = width >= SPARK and len(self._finite) > 1

    def _show_losses(self, losses: Sequence[float]) -> None:
        self._finite = [loss for loss in losses[-32:] if math.isfinite(loss)]
        spark = self.query_one(Sparkline)
        spark.data = self._finite
        # Two losses drawn over sixteen columns would look like a bar of progress.
        spark.styles.width = min(SPARK_WIDTH, len(self._finite))
        self._show()


def left_part(bar: StatusBar, width: int) -> Content:
    """Say where we are and what happens."""
    parts: list[tuple[str, str] | str] = []
    state = one_line(bar.state, 20)
    parts.append((f"● {state}", STATE_STYLES.get(bar.state, "$foreground")))
    if bar.detail:
        parts.append((f" {one_line(bar.detail, 60)}", "$quiet"))
    if bar.repository:
        parts += [("  ", ""), (one_line(bar.repository, 40), "bold")]
    if bar.branch and width >= NARROW:
        parts.append((f" on {one_line(bar.branch, 30)}", "$quiet"))
    if bar.dirty:
        parts.append((" *", "$text-warning"))
    return Content.assemble(*parts)


def right_part(bar: StatusBar, width: int) -> Content:
    """Say behind which boundary commands run, which model, how many lessons, how much context."""
    parts: list[str] = []
    if width >= NARROW and (bar.model or bar.engine):
        names = [bar.engine, bar.model] if width >= WIDE else [bar.model or bar.engine]
        parts.append(" ".join(one_line(name, 40) for name in names if name))
    parts.append(f"{bar.lessons:,} lesson{'' if bar.lessons == 1 else 's'}")
    if width >= WIDE and bar.context_used is not None:
        parts.append(f"context {bar.context_used:.0%}")
    rest = Content.styled(" · ".join(parts), "$quiet")
    if not bar.gate:
        return rest
    words = f"sandbox: {bar.gate}" if width >= NARROW else SHORT_GATES.get(bar.gate, bar.gate)
    style = "$quiet" if bar.gate == "bwrap" else "$text-warning"
    return Content.assemble((one_line(words, 40), style), (" · ", "$quiet"), rest)
