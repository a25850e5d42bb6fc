"""One lesson at length: its facts, the denied call against the proof, and what tokens became."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from ...widgets.before_after import BeforeAfter
from ...widgets.diff import DiffView
from ...widgets.fact_list import FactList
from ...widgets.heatmap import Heatmap, HeatmapView
from ..lesson_words import call_text, facts, figures, short
from .learning import token_cells
from .transcript import cost_of

if TYPE_CHECKING:
    from ...widgets.heatmap_scale import TokenCell
    from ..store.journal import LessonRecord


class LessonDetail(VerticalScroll):
    """A lesson; before and after, and the figures, come when it is opened."""

    DEFAULT_CSS = """
    LessonDetail {
        height: 1fr; padding: 0 1;
        scrollbar-size-vertical: 1;
        & Static { height: auto; }
        & .part { height: auto; margin-top: 1; display: none; }
        & .part.-there { display: block; }
        & .title { color: $primary; text-style: bold; }
        HeatmapView { max-height: 18; }
        #sides, #figures { display: none; }
        &.-opened #sides.-there, &.-opened #figures.-there { display: block; }
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._cells: list[TokenCell] = []
        self._sides_due = False

    def compose(self) -> ComposeResult:
        """From what was said to what it did."""
        yield FactList(id="facts")
        with Vertical(id="calls", classes="part"):
            yield Static(id="calls-title", classes="title")
            yield DiffView(None, None, show_summary=False)
        with Vertical(id="tokens", classes="part"):
            yield Static(id="tokens-title", classes="title")
            yield HeatmapView()
        with Vertical(id="sides", classes="part"):
            yield Static(Content("before and after"), classes="title")
            yield BeforeAfter()
        with Vertical(id="figures", classes="part"):
            yield Static(Content("figures"), classes="title")
            yield FactList(id="figure-rows")

    @property
    def heatmap(self) -> Heatmap:
        """The heatmap of advantages."""
        return self.query_one(HeatmapView).heatmap

    def show(self, record: LessonRecord, records: Sequence[LessonRecord]) -> None:
        """Show a lesson; ``records`` are those that it may name."""
        result = record.result
        rows = [
            (name, short(text) if name == "id" else text) for name, text in facts(record, records)
        ]
        if result is not None:
            rows.append(("cost", cost_of(result)))
        self.query_one("#facts", FactList).show(rows)
        self._show_calls(record)
        self._cells = token_cells(result.tokens) if result else []
        which = "denied" if record.lesson.kind == "deny" else "edited"
        title = Content(f"the {which} answer, token by token")
        self.query_one("#tokens-title", Static).update(title)
        for part in ("#tokens", "#sides"):
            self.query_one(part).set_class(bool(self._cells), "-there")
        self.query_one(HeatmapView).show(self._cells)
        self._sides_due = True
        self.query_one("#figures").set_class(result is not None, "-there")
        if result is not None:
            self.query_one("#figure-rows", FactList).show(figures(result))
        self.open(opened=self.has_class("-opened"))

    def open(self, *, opened: bool) -> None:
        """Show the whole of it, or what fits beside the list."""
        self.set_class(opened, "-opened")
        self.scroll_home(animate=False)
        if opened and self._sides_due:
            self._sides_due = False
            self.query_one(BeforeAfter).show(self._cells)

    def next_view(self) -> None:
        """Let the heatmap's colours say the next thing, and bring it into view."""
        self.heatmap.action_next_mode()
        self._reveal()

    def jump(self, by: int) -> None:
        """Go to another decision in the heatmap, and bring it into view."""
        self.heatmap.action_jump(by)
        self._reveal()

    def _reveal(self) -> None:
        self.scroll_to_widget(self.query_one("#tokens"), animate=False)

    def _show_calls(self, record: LessonRecord) -> None:
        """Show the denied call against the retry that did not see the correction."""
        retry = record.result.retry if record.result else None
        self.query_one("#calls").set_class(retry is not None, "-there")
        if retry is None or record.result is None:
            return
        denied, proof = call_text(record.lesson.completion.text), call_text(retry.text)
        said = "denied call" if record.lesson.kind == "deny" else "call that you edited"
        words = f"from the {said} to the {'proof' if record.result.proved else 'retry'}"
        if denied == proof:
            words = f"the retry made the {said} again"
        self.query_one("#calls-title", Static).update(Content(words))
        diff = self.query_one(DiffView)
        diff.display = denied != proof
        diff.show(denied, proof)
