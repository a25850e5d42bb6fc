"""Cells in aligned columns."""

from __future__ import annotations

from collections.abc import Sequence


def columns(cells: Sequence[Sequence[str]], width: int | None = None) -> list[str]:
    """One line a row, each column as wide as its widest cell; lines are cut to the width."""
    widths = [max(map(len, column)) for column in list(zip(*cells, strict=True))[:-1]]
    lines: list[str] = []
    for row in cells:
        padded = [text.ljust(size) for text, size in zip(row, widths, strict=False)]
        whole = "  ".join([*padded, row[-1]])
        lines.append(whole if width is None or len(whole) <= width else f"{whole[: width - 1]}…")
    return lines
