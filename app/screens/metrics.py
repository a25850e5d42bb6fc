"""`/metrics`: charts of every step and lesson, and all figures on a page beside them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static
from typing_extensions import override

from ...widgets.chart_panel import ChartPanel
from ...widgets.key_footer import KeyFooter
from ...widgets.sanitise import content, one_line, visible
from ..metrics_export import export_in_words
from ..metrics_series import SERIES, Source, make_page
from .figures import FiguresPage, sections

if TYPE_CHECKING:
    from ..controllers.session import SessionController

REFRESH_SECONDS = 0.5
EMPTY = (
    "No lesson yet.\n\nDeny a call with n and say what to do instead, or change it with e. "
    "What the model learns from that is drawn here."
)


class MetricsScreen(Screen[None]):
    """Charts, or figures; it follows the session while it is open."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "back", "close", id="metrics.back"),
        Binding("tab,f", "switch(True)", "figures", key_display="f", id="metrics.figures"),
        Binding("tab,f", "switch(False)", "charts", key_display="f", id="metrics.charts"),
        Binding("e", "export", "export", id="metrics.export"),
    ]
    DEFAULT_CSS = """
    MetricsScreen {
        #head { height: 1; background: $panel; padding: 0 1; }
        #tabs { width: auto; }
        #view { width: 1fr; text-align: right; color: $quiet; text-wrap: nowrap;
                text-overflow: ellipsis; }
        #figures { height: 1fr; padding: 0 1; display: none; scrollbar-gutter: stable; }
        #news { height: auto; max-height: 3; padding: 0 1; color: $quiet; display: none; }
        #news.-said { display: block; }
        #news.-warning { color: $text-warning; }
        &.-figures #figures { display: block; }
        &.-figures ChartPanel { display: none; }
    }
    """

    def __init__(self, session: SessionController) -> None:
        super().__init__()
        self._session = session
        self._source: Source | None = None
        self._drawn: object = None

    def compose(self) -> ComposeResult:
        """A line that says what is seen, then charts or figures."""
        with Horizontal(id="head"):
            yield Static(id="tabs")
            yield Static(id="view")
        yield ChartPanel(len(SERIES), id="charts")
        with VerticalScroll(id="figures"):
            yield FiguresPage()
        yield Static(id="news")
        yield KeyFooter()

    @property
    def _charts(self) -> ChartPanel:
        return self.query_one(ChartPanel)

    def on_mount(self) -> None:
        """Draw, and look for news twice a second."""
        self._charts.focus()
        self._show_head()
        self._refresh()
        self.set_interval(REFRESH_SECONDS, self._refresh)

    # --- drawing ------------------------------------------------------------------------

    def _refresh(self) -> None:
        """Draw what is new; a look that finds nothing costs next to nothing."""
        session = self._session
        metrics = session.metrics
        now = (metrics.changes, metrics.tokens_sampled, session.loaded, session.failure)
        if now != self._drawn:
            self._drawn = now
            self._source = None
            self._show_charts()
            self._show_figures()
        elif metrics.running is not None:
            self._show_state()

    def _show_charts(self) -> None:
        metrics = self._session.metrics
        if not (metrics.steps or metrics.earlier_steps or metrics.lessons):
            self._show_state()
            return
        if self._source is None or self._source.axis != self._charts.axis:
            self._source = Source(metrics, self._charts.axis)
        numbers = self._charts.visible_series
        self._charts.show_page(make_page(self._source, numbers, self._session.kl_budget))
        self._show_head()
        self._show_state()

    def _show_state(self) -> None:
        """Say what goes on: over the whole page while there is nothing to draw, else below it."""
        running, failure = self._session.metrics.running, self._session.failure
        goes_on = ""
        if running is not None:
            stage = f"{running.stage} {running.detail}".strip() if running.stage else "begins"
            goes_on = f"learning, {time.time() - running.since:.0f} s · {one_line(stage, 60)}"
        if self._source is None:
            if failure is not None and running is None:
                self._charts.show_state(failure, kind="failed")
            elif running is not None:
                words = f"A lesson runs; its first step is drawn here.\n\n{goes_on}"
                self._charts.show_state(words)
            else:
                self._charts.show_state(EMPTY)
            return
        if self._charts.crosshair is not None:
            self._charts.say(one_line(self._source.words_at(self._charts.crosshair)))
        else:
            self._charts.say(goes_on or self._charts.legend())

    def _show_figures(self) -> None:
        if not self.has_class("-figures"):
            return
        found = sections(self._session.metrics, self._session.loaded, self._session.settings)
        self.query_one(FiguresPage).found = tuple(found)

    def _show_head(self) -> None:
        figures = self.has_class("-figures")
        tabs = [
            (" Charts ", "$quiet" if figures else "reverse bold"),
            (" Figures ", "reverse bold" if figures else "$quiet"),
        ]
        self.query_one("#tabs", Static).update(Content.assemble(*tabs))
        view = "" if figures else self._charts.words
        self.query_one("#view", Static).update(content(view), layout=False)

    # --- keys ---------------------------------------------------------------------------

    @on(ChartPanel.Wanted)
    def _series_wanted(self) -> None:
        self._show_head()
        self._show_charts()

    @on(ChartPanel.Moved)
    def _window_moved(self) -> None:
        self._show_head()
        self._show_state()

    @on(ChartPanel.Pointed)
    def _pointed(self) -> None:
        self._show_state()

    @override
    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the page that is not shown."""
        return action != "switch" or parameters != (self.has_class("-figures"),)

    def action_switch(self, figures: bool) -> None:
        """Go from the charts to the figures, or back."""
        self.set_class(figures, "-figures")
        self.refresh_bindings()
        if figures:
            self.query_one("#figures").focus()
            self._show_figures()
        else:
            self._charts.focus()
        self._show_head()

    async def action_export(self) -> None:
        """Write everything to a new folder and say where."""
        words, severity = await export_in_words(self._session)
        news = self.query_one("#news", Static)
        news.update(Content(visible(words)))
        news.set_class(True, "-said")
        news.set_class(severity == "warning", "-warning")

    def action_back(self) -> None:
        """Return to the conversation."""
        self.dismiss()
