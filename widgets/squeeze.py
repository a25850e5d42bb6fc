"""A column in which some children give way when there is too little height for all."""

from __future__ import annotations

from textual.containers import Vertical
from textual.geometry import Size
from textual.layout import Layout, WidgetPlacement
from textual.layouts.vertical import VerticalLayout
from textual.widget import Widget
from typing_extensions import override

GIVES_WAY = "gives-way"
"""The class of a child that becomes lower; it should scroll or squeeze what it holds."""


class SqueezeLayout(VerticalLayout):
    """Lays children out as high as they want to be, except for those that give way.

    The first of them gives all that it can, down to its ``min-height``, before the next does.
    """

    @override
    def arrange(
        self, parent: Widget, children: list[Widget], size: Size, greedy: bool = True
    ) -> list[WidgetPlacement]:
        placements = super().arrange(parent, children, size, greedy)
        if not size.height:  # no height: how much is wanted?
            return placements
        excess = max((placement.region.bottom for placement in placements), default=0) - size.height
        squeezed: list[WidgetPlacement] = []
        taken = 0
        for placement in placements:
            region = placement.region.translate((0, -taken))
            if placement.widget.has_class(GIVES_WAY):
                given = min(excess - taken, region.height - _least(placement.widget))
                region = region.shrink((0, 0, max(0, given), 0))
                taken += max(0, given)
            squeezed.append(placement._replace(region=region))
        return squeezed


def _least(widget: Widget) -> int:
    least = widget.styles.min_height
    return int(least.value) if least is not None and least.is_cells else 1


class SqueezeVertical(Vertical):
    """A column that squeezes what gives way."""

    def __init__(
        self, *children: Widget, id: str | None = None, classes: str | None = None
    ) -> None:
        super().__init__(*children, id=id, classes=classes)
        self._squeeze = SqueezeLayout()

    @property
    @override
    def layout(self) -> Layout:
        """Where children lie."""
        return self._squeeze
