"""The plots of the charts. Importing this imports numpy: do it when a chart is first shown."""

from __future__ import annotations

from collections.abc import Sequence

from textual import on
from textual_plot import HiResMode, NumericAxisFormatter, PlotWidget

from .chart_data import Point, decimated, runs


class WholeNumbers(NumericAxisFormatter):
    """Ticks for steps, which are whole."""

    def get_ticks(self, min_: float, max_: float, max_ticks: int = 8) -> list[float]:
        """Give the ticks that are whole numbers."""
        ticks = super().get_ticks(min_, max_, max_ticks)
        return [tick for tick in ticks if tick == int(tick)]


class SeriesPlot(PlotWidget):
    """A plot that follows its data until the user zooms or pans; ``r`` follows again."""

    DEFAULT_CSS = """
    SeriesPlot {
        height: 1fr;
        & > .plot--axis { color: $chart-mark; }
        &:focus > .plot--axis { color: $primary; }
        & > .plot--tick { color: $quiet; text-style: none; }
        & > .plot--label { color: $quiet; text-style: none; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._moved = False
        self._resetting = False
        self.set_reactive(PlotWidget.margin_top, 0)
        self.set_reactive(PlotWidget.margin_bottom, 1)
        self.set_reactive(PlotWidget.margin_left, 8)
        self.set_x_formatter(WholeNumbers())

    @on(PlotWidget.ScaleChanged)
    def user_moved(self, event: PlotWidget.ScaleChanged) -> None:
        """Stop following the data."""
        event.stop()
        self._moved = not self._resetting
        self._resetting = False

    def action_reset_scales(self) -> None:
        """Follow the data again."""
        self._resetting = True
        super().action_reset_scales()

    def draw(
        self,
        lines: Sequence[tuple[Sequence[Point], str]],
        level: tuple[float, str] | None,
        marks: Sequence[float],
        mark_style: str,
    ) -> None:
        """Draw lines, a level across them, and event marks."""
        self.clear()
        points = [point for line, _ in lines for run in runs(line) for point in run]
        if not points:
            return
        left, right = min(x for x, _ in points), max(x for x, _ in points)
        left, right = min(left, 1.0) - 0.5, max(right, left + 1) + 0.5
        low, high = min(0.0, *(y for _, y in points)), max(y for _, y in points)
        if level is not None:
            high = max(high, level[0])
            self.plot([left, right], [level[0], level[0]], level[1], HiResMode.BRAILLE)
        if not self._moved:
            self.set_xlimits(left, right)
            self.set_ylimits(low, high * 1.1 if high > 0 else 1.0)
        columns = max(1, self.size.width - self.margin_left)
        for line, style in lines:
            for run in runs(line):
                xs, ys = zip(*decimated(run, columns), strict=True)
                if len(run) == 1:
                    self.scatter(xs, ys, "•", style)
                else:
                    self.plot(xs, ys, style, HiResMode.BRAILLE)
        for x in marks:
            if left < x < right:
                self.add_v_line(x, mark_style)
