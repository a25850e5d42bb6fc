"""A diff in two columns: what was on the left, what becomes of it on the right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.segment import Segment
from textual.strip import Strip

from .diff_painting import SIGN_WIDTH, RowPainter
from .diff_rows import Row

SEPARATOR = "│"


class Pair(NamedTuple):
    """The rows that stand beside each other; a fold stands alone, on the left."""

    left: Row | None
    right: Row | None


def paired(rows: Sequence[Row]) -> Iterator[Pair]:
    """Put each removed row beside the added row that takes its place."""
    removed: list[Row] = []
    added: list[Row] = []
    for row in rows:
        if row.kind == "removed":
            if added:
                yield from _side_by_side(removed, added)
            removed.append(row)
        elif row.kind == "added":
            added.append(row)
        else:
            yield from _side_by_side(removed, added)
            yield Pair(row, None if row.kind == "fold" else row)
    yield from _side_by_side(removed, added)


def _side_by_side(removed: list[Row], added: list[Row]) -> Iterator[Pair]:
    """Empty both lists, pair by pair."""
    for i in range(max(len(removed), len(added))):
        yield Pair(removed[i] if i < len(removed) else None, added[i] if i < len(added) else None)
    removed.clear()
    added.clear()


def split_height(painter: RowPainter, pair: Pair, digits: int, width: int) -> int:
    """How many lines a pair takes."""
    halves = zip(pair, _halves(width), strict=True)
    return max(
        painter.height(row, half - digits - 1 - SIGN_WIDTH) if row is not None else 1
        for row, half in halves
    )


def paint_split(painter: RowPainter, pair: Pair, digits: int, width: int) -> list[Strip]:
    """Paint a pair: both sides wrapped to their half, the shorter one filled up."""
    left_width, right_width = _halves(width)
    left = _side(painter, pair.left, pair.left.old if pair.left else None, digits, left_width)
    right = _side(painter, pair.right, pair.right.new if pair.right else None, digits, right_width)
    height = max(len(left), len(right))
    left += _filling(painter, pair.left, left_width, height - len(left))
    right += _filling(painter, pair.right, right_width, height - len(right))
    line = Strip([Segment(SEPARATOR, painter.style("number").rich_style)])
    return [Strip.join([one, line, other]) for one, other in zip(left, right, strict=True)]


def _filling(painter: RowPainter, row: Row | None, width: int, lines: int) -> list[Strip]:
    style = painter.style("absent" if row is None else row.kind)
    return [Strip.blank(width, style.rich_style)] * lines


def _side(
    painter: RowPainter, row: Row | None, number: int | None, digits: int, width: int
) -> list[Strip]:
    return [] if row is None else painter.paint(row, (number,), digits, width)


def _halves(width: int) -> tuple[int, int]:
    left = max(1, (width - len(SEPARATOR)) // 2)
    return left, max(1, width - len(SEPARATOR) - left)
