"""What a heatmap shows of a token: its figures, their levels of colour, and the words for them.

Blue and bold: more; orange and underlined: less. Bold and underline say it without colour.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from textual.content import Content

from .sanitise import visible

Mode = Literal["advantage", "change", "teacher", "before", "after"]
MODES: tuple[Mode, ...] = ("advantage", "change", "teacher")
"""What the key `m` goes through."""

# Where each of the four levels begins: in nats, in probability, and by how likely a token is.
LEVELS = (0.1, 0.5, 1.5, 4.0)
CHANGES = (0.01, 0.1, 0.3, 0.6)
LIKELY = (0.01, 0.1, 0.5, 0.9)
REPLACED, WANTED = -3, 3
"""The levels of a token that the teacher would replace, and of the teacher's own beside it."""

NEWLINE = "↵"
INSTEAD = "▸"
LONGEST_QUOTE = 24

Parts = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class TokenCell:
    """One token: its advantage, the student's probability before and after the lesson."""

    text: str
    advantage: float
    before: float
    after: float
    teacher_token: str
    teacher: float | None = None

    @property
    def decides(self) -> bool:
        """Whether the teacher prefers another token here: that is where a lesson decides."""
        return self.teacher_token != self.text


def level_of(value: float, levels: Sequence[float] = LEVELS) -> int:
    """Give a level from -4 to 4; what is not a number has none."""
    if not math.isfinite(value):
        return 0 if math.isnan(value) else int(math.copysign(4, value))
    level = bisect_right(levels, abs(value))
    return level if value > 0 else -level


def likelihood_level(probability: float) -> int:
    """Give 0 for a likely token, down to -4 for one that is next to impossible."""
    return 0 if math.isnan(probability) else bisect_right(LIKELY, probability) - 4


def level_in(mode: Mode, cell: TokenCell) -> int:
    """Give the level of a token in a mode."""
    match mode:
        case "advantage":
            return level_of(cell.advantage)
        case "change":
            return level_of(cell.after - cell.before, CHANGES)
        case "teacher":
            return REPLACED if cell.decides else 0
        case "before":
            return likelihood_level(cell.before)
        case "after":
            return likelihood_level(cell.after)


# --- words ----------------------------------------------------------------------------------


def swatch(text: str, level: int) -> tuple[str, str]:
    """Give a text in the colours and with the sign of a level."""
    side, sign = ("positive", "bold") if level > 0 else ("negative", "underline")
    ink = "$heat-text" if abs(level) > 2 else "$foreground"
    return text, f"{ink} on $heat-{side}-{abs(level)} {sign}"


SCALES: dict[Mode, tuple[str, tuple[str, ...], str]] = {
    "advantage": ("advantage", ("much less", "less", "more", "much more"), "wanted"),
    "change": ("change in probability", ("fell far", "fell", "rose", "rose far"), ""),
}
"""The name of a mode, its words from far less to far more, and what they are said of."""
SIGNS = ("−−", "−", "+", "++")
STEPS = (-4, -2, 2, 4)


def legend(mode: Mode, width: int = 56, key: str = "m") -> Content:
    """Name a mode and say what its colours and signs mean, shortly where it is narrow."""
    if mode == "teacher":
        said = [swatch("said", REPLACED), swatch(f"{INSTEAD}wanted", WANTED)]
        name, parts, short = "teacher's token", [*said, (" where they differ", "$quiet")], said
    else:
        name, words, of = SCALES[mode]
        parts = [swatch(f" {word} ", at) for word, at in zip(words, STEPS, strict=True)]
        parts.append((f" {of}", "$quiet"))
        short = [swatch(f" {sign} ", at) for sign, at in zip(SIGNS, STEPS, strict=True)]
    head: Parts = [(f"{key} ", "bold $primary"), (name, "bold $foreground"), (" ", "")]
    full = Content.assemble(*head, *parts).rstrip()
    return full if full.cell_length <= width else Content.assemble(*head, *short)


def likelihood_legend() -> Content:
    """Say what the colours of probabilities mean, within 56 columns."""
    likely = [f" < {at:.0%} " for at in LIKELY]
    parts = [swatch(text, level) for text, level in zip(likely, range(-4, 0), strict=True)]
    return Content.assemble(
        ("probability", "bold $foreground"), " ", *parts, (" likely ", "$quiet")
    )


def readout(index: int, total: int, cell: TokenCell) -> Content:
    """Say all that is known of one token, in two lines."""
    student = f"student {percent(cell.before)} → {percent(cell.after)}"
    parts: Parts = [
        (f"{index + 1}/{total} ", "$quiet"),
        (quoted(cell.text), "bold"),
        (f"  {student}", ""),
    ]
    if cell.teacher is not None:
        parts.append((f" · teacher {percent(cell.teacher)}", ""))
    parts.append((f"\nadvantage {signed(cell.advantage)} nats", ""))
    if cell.decides:
        parts += [(" · the teacher prefers ", ""), (quoted(cell.teacher_token), "bold")]
    else:
        parts.append((" · the teacher prefers it too", "$quiet"))
    return Content.assemble(*parts)


def quoted(text: str) -> str:
    """Give a token in quotes, with its control characters visible."""
    shown = visible(text.replace("\n", NEWLINE), keep="")
    if len(shown) > LONGEST_QUOTE:
        shown = shown[: LONGEST_QUOTE - 1] + "…"
    return f"“{shown}”"


def signed(value: float) -> str:
    """Give a figure with its sign."""
    return "unknown" if math.isnan(value) else f"{value:+.2f}".replace("-", "−")


def percent(value: float) -> str:
    """Give a probability."""
    if math.isnan(value):
        return "unknown"
    if 0 < value < 0.0005:
        return "< 0.1%"
    return f"{value:.1%}"
