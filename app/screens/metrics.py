"""`/metrics`: the charts, and every figure of the last step and the session."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, Static

from ...widgets.charts import LearningCharts
from ...widgets.sanitise import visible
from .figures import sections, width_of
from .learning import show_session

if TYPE_CHECKING:
    from ..controllers.session import SessionController


class MetricsScreen(Screen[None]):
    """Charts above, figures below; it follows the session while it is open."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "back", "back", id="metrics.back"),
    ]
    DEFAULT_CSS = """
    MetricsScreen {
        #charts { height: 45%; min-height: 10; }
        #figures { height: 1fr; padding: 0 2; border-top: solid $panel; }
    }
    """

    def __init__(self, session: SessionController) -> None:
        super().__init__()
        self._session = session
        self._shown = ""

    def compose(self) -> ComposeResult:
        """Charts above, figures below."""
        yield LearningCharts(id="charts")
        with VerticalScroll(id="figures"):
            yield Static(id="rows")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Draw, and look for news twice a second."""
        self._draw()
        self.set_interval(0.5, self._draw)

    def _draw(self) -> None:
        metrics = self._session.metrics
        found = sections(metrics, self._session.loaded)
        if str(found) == self._shown:
            return
        self._shown = str(found)
        show_session(self.query_one(LearningCharts), metrics, self._session.kl_budget)
        width = width_of(found)
        lines: list[Content] = []
        for title, rows in found:
            lines.append(Content.styled(f"\n{title}\n", "bold $primary"))
            lines += [
                Content.assemble((f"{name:<{width}}  ", "$quiet"), visible(value), "\n")
                for name, value in rows
            ]
        self.query_one("#rows", Static).update(Content("").join(lines))

    def action_back(self) -> None:
        """Return to the conversation."""
        self.dismiss()
