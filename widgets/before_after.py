"""A denied answer before and after its lesson: the same tokens, coloured by how likely they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.content import Content
from textual.widgets import Static

from .heatmap import Heatmap
from .heatmap_scale import Mode, TokenCell, likelihood_legend

BESIDE = 90
"""From this width on, which a terminal of 100 columns leaves, the two lie beside each other."""


class BeforeAfter(Vertical):
    """Two heatmaps that share a cursor, and one readout below them."""

    SIDES: ClassVar[dict[Mode, str]] = {"before": "before the lesson", "after": "after the lesson"}

    DEFAULT_CSS = """
    BeforeAfter {
        height: auto;
        & > Static { height: auto; }
        & > .readout { min-height: 2; }
        & > .pair { height: auto; layout: vertical; }
        & .side { width: 1fr; height: auto; }
        & .side > .name { color: $quiet; text-style: italic; }
        & Heatmap { max-height: 12; }
        &.-beside > .pair { layout: horizontal; }
        &.-beside .side.-before { padding-right: 1; border-right: solid $panel; }
        &.-beside .side.-after { padding-left: 1; }
    }
    """

    def __init__(
        self,
        cells: Sequence[TokenCell] = (),
        *,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._first_cells = tuple(cells)

    def compose(self) -> ComposeResult:
        """Lay out the legend, the two sides and the readout."""
        yield Static(likelihood_legend(), classes="legend")
        with Container(classes="pair"):
            for mode, words in self.SIDES.items():
                with Vertical(classes=f"side -{mode}"):
                    yield Static(Content(words), classes="name")
                    yield Heatmap(self._first_cells, modes=[mode], classes=mode)
        yield Static(classes="readout")

    def on_mount(self) -> None:
        """Read out the token that the lesson was about."""
        self._read_out()

    def on_resize(self, event: events.Resize) -> None:
        """Lay the sides beside each other where there is room."""
        self.set_class(event.size.width >= BESIDE, "-beside")

    def show(self, cells: Sequence[TokenCell]) -> None:
        """Show another answer."""
        for heatmap in self.query(Heatmap):
            heatmap.show(cells)
        self._read_out()

    def on_heatmap_cursor_moved(self, event: Heatmap.CursorMoved) -> None:
        """Let the other side follow."""
        event.stop()
        for heatmap in self.query(Heatmap):
            heatmap.cursor = event.index
        self._read_out()

    def _read_out(self) -> None:
        self.query_one(".readout", Static).update(self.query(Heatmap).first().read_out())
