"""The rows of a diff, without any painting: what changed, on which lines, in which characters."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

Kind = Literal["context", "added", "removed", "fold"]
Spans = tuple[tuple[int, int], ...]

LINE = re.compile(r"([^\r\n]*)(\r\n|\n|\r|\Z)")
WORD = re.compile(r"\w+|\s+|.", re.DOTALL)

# Lines less alike than this are unrelated; marking their common characters would mislead.
ALIKE = 0.4
# Beyond this many line pairs the changed region is shown as one replacement.
MOST_PAIRS = 25_000_000
LONGEST_LINE = 2_000


class Line(NamedTuple):
    """A line of a text and how it ends; the last line of a text may end with nothing."""

    text: str
    ending: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a diff.

    ``old`` and ``new`` are 1-based line numbers on either side, None where the line is not
    there. ``changed`` holds the spans of ``text`` that differ from the line it replaces. A fold
    stands for ``hidden`` unchanged lines, of which ``old`` and ``new`` number the first.
    """

    kind: Kind
    old: int | None
    new: int | None
    text: str = ""
    ending: str = "\n"
    changed: Spans = ()
    ending_changed: bool = False
    hidden: int = 0


@dataclass(frozen=True, slots=True)
class Diff:
    """The rows of a diff and what can be said about it in a few words.

    ``rows`` has the unchanged lines far from a change folded, ``whole`` has every line.
    """

    rows: tuple[Row, ...]
    added: int
    removed: int
    facts: tuple[str, ...]
    whole: tuple[Row, ...] = ()

    @property
    def summary(self) -> str:
        """Say in one line how much changes."""
        counts = f"+{self.added} −{self.removed}" if self.added or self.removed else ""
        return " · ".join(part for part in (counts, *self.facts) if part)


def split_lines(text: str) -> list[Line]:
    """Split a text at its line endings only: LF, CRLF and CR."""
    lines = [Line(*match.groups()) for match in LINE.finditer(text)]
    while lines and lines[-1] == Line("", ""):
        lines.pop()
    return lines


def make_diff(before: str | None, after: str | None, context: int = 3) -> Diff:
    """Compare two texts; None stands for a file that is not there."""
    old, new = split_lines(before or ""), split_lines(after or "")
    rows: list[Row] = []
    for tag, old_from, old_to, new_from, new_to in opcodes(old, new):
        if tag == "equal":
            rows += [
                Row("context", old_from + i + 1, new_from + i + 1, *old[old_from + i])
                for i in range(old_to - old_from)
            ]
        else:
            rows += _replacement(old[old_from:old_to], new[new_from:new_to], old_from, new_from)
    return Diff(
        tuple(folded(rows, context)),
        sum(row.kind == "added" for row in rows),
        sum(row.kind == "removed" for row in rows),
        tuple(facts(before, after)),
        tuple(rows),
    )


def opcodes(old: list[Line], new: list[Line]) -> Iterator[tuple[str, int, int, int, int]]:
    """Give difflib's opcodes, with the common head and tail taken off first."""
    head = 0
    shortest = min(len(old), len(new))
    while head < shortest and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < shortest - head and old[-tail - 1] == new[-tail - 1]:
        tail += 1
    old_end, new_end = len(old) - tail, len(new) - tail
    if head:
        yield "equal", 0, head, 0, head
    if (old_end - head) * (new_end - head) > MOST_PAIRS:
        yield "replace", head, old_end, head, new_end
    else:
        matcher = SequenceMatcher(None, old[head:old_end], new[head:new_end])
        for tag, i1, i2, j1, j2 in matcher.get_opcodes():
            yield tag, i1 + head, i2 + head, j1 + head, j2 + head
    if tail:
        yield "equal", old_end, len(old), new_end, len(new)


def facts(before: str | None, after: str | None) -> Iterator[str]:
    """Say what the rows alone do not show."""
    if before is None and after is None:
        yield "no file"
    elif before is None:
        yield "new file" if after else "new empty file"
    elif after is None:
        yield "file deleted"
    elif not after and before:
        yield "file becomes empty"
    elif before == after:
        yield "nothing changes"
    bom = (bool(before and before[0] == "\ufeff"), bool(after and after[0] == "\ufeff"))
    if before is not None and after and bom[0] != bom[1]:
        yield "byte order mark added" if bom[1] else "byte order mark removed"
    yield from _ending_facts(before, after)


def _ending_facts(before: str | None, after: str | None) -> Iterator[str]:
    old, new = endings(before or ""), endings(after or "")
    if before and after and old and new and old != new:
        yield f"line endings {'+'.join(old)} → {'+'.join(new)}"
    elif "CRLF" in (new or old) or "CR" in (new or old):
        yield f"line endings {'+'.join(new or old)}"


def endings(text: str) -> tuple[str, ...]:
    """Name the kinds of line ending in a text."""
    names = {"\r\n": "CRLF", "\n": "LF", "\r": "CR"}
    found = {line.ending for line in split_lines(text)}
    return tuple(name for ending, name in names.items() if ending in found)


def _replacement(old: list[Line], new: list[Line], old_from: int, new_from: int) -> list[Row]:
    """Give removed rows and then added rows, line by line compared with their counterpart."""
    old_spans: list[Spans] = [()] * len(old)
    new_spans: list[Spans] = [()] * len(new)
    ending_changed: set[int] = set()
    for i, (was, becomes) in enumerate(zip(old, new, strict=False)):
        old_spans[i], new_spans[i] = changed_spans(was.text, becomes.text)
        if was.ending != becomes.ending:
            ending_changed.add(i)
    removed = [
        Row("removed", old_from + i + 1, None, *line, old_spans[i], i in ending_changed)
        for i, line in enumerate(old)
    ]
    added = [
        Row("added", None, new_from + i + 1, *line, new_spans[i], i in ending_changed)
        for i, line in enumerate(new)
    ]
    return removed + added


def changed_spans(old: str, new: str) -> tuple[Spans, Spans]:
    """Give the spans of either line that are not in the other; none for unrelated lines."""
    if old == new or max(len(old), len(new)) > LONGEST_LINE:
        return (), ()
    old_words, new_words = WORD.findall(old), WORD.findall(new)
    matcher = SequenceMatcher(None, old_words, new_words, autojunk=False)
    common = sum(
        len("".join(old_words[block.a : block.a + block.size]).strip())
        for block in matcher.get_matching_blocks()
    )
    if common < ALIKE * max(len(old.strip()), len(new.strip())):
        return (), ()
    old_at, new_at = _offsets(old_words), _offsets(new_words)
    changes = [code for code in matcher.get_opcodes() if code[0] != "equal"]
    return (
        tuple((old_at[i1], old_at[i2]) for _, i1, i2, _, _ in changes if i1 < i2),
        tuple((new_at[j1], new_at[j2]) for _, _, _, j1, j2 in changes if j1 < j2),
    )


def _offsets(words: list[str]) -> list[int]:
    offsets = [0]
    for word in words:
        offsets.append(offsets[-1] + len(word))
    return offsets


def folded(rows: Sequence[Row], context: int, opened: Container[int | None] = ()) -> Iterator[Row]:
    """Replace unchanged lines far from a change by one row that counts them.

    ``opened`` holds the old line numbers of folds that stay open.
    """
    near = bytearray(len(rows))
    for i, row in enumerate(rows):
        if row.kind != "context":
            start, end = max(0, i - context), min(len(rows), i + context + 1)
            near[start:end] = b"\1" * (end - start)
    i = 0
    while i < len(rows):
        if near[i]:
            yield rows[i]
            i += 1
            continue
        start = i
        while i < len(rows) and not near[i]:
            i += 1
        first = rows[start]
        if i - start == 1 or first.old in opened:
            yield from rows[start:i]
        else:
            yield Row("fold", first.old, first.new, hidden=i - start)
