"""Cutting text to a width in terminal cells."""

from __future__ import annotations

from rich.cells import cell_len, get_character_cell_size


def cut_points(text: str, width: int) -> list[int]:
    """Give the offsets at which each piece starts when a text is cut to ``width`` cells."""
    width = max(1, width)
    if len(text) <= width // 2:
        return [0]
    if text.isascii():
        return list(range(0, len(text), width)) or [0]
    if cell_len(text) <= width:
        return [0]
    starts, used = [0], 0
    for offset, character in enumerate(text):
        size = get_character_cell_size(character)
        if used + size > width and offset > starts[-1]:
            starts.append(offset)
            used = 0
        used += size
    return starts
