"""The rows of a diff, without any painting: what changed, on which lines, in which characters."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Sequence
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
# Beyond this much work, in pairs of characters, changed characters are not marked any more.
MOST_COMPARED = 20_000_000


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

    ``rows`` has the unchanged lines far from a change folded. ``mixed_endings`` says that the
    lines of the new text do not all end alike; ``last_number`` is the highest line number.
    """

    rows: tuple[Row, ...]
    added: int
    removed: int
    facts: tuple[str, ...]
    mixed_endings: bool = False
    last_number: int = 1
    before: str = ""

    @property
    def summary(self) -> str:
        """Say in one line how much changes."""
        counts = f"+{self.added} −{self.removed}" if self.added or self.removed else ""
        return " · ".join(part for part in (counts, *self.facts) if part)

    @property
    def whole(self) -> tuple[Row, ...]:
        """The rows with every fold open."""
        return tuple(unfolded(self, {row.old for row in self.rows if row.kind == "fold"}))


def split_lines(text: str) -> list[Line]:
    """Split a text at its line endings only: LF, CRLF and CR."""
    lines = [Line(*match.groups()) for match in LINE.finditer(text)]
    while lines and lines[-1] == Line("", ""):
        lines.pop()
    return lines


def make_diff(before: str | None, after: str | None, context: int = 3) -> Diff:
    """Compare two texts; None stands for a file that is not there.

    What both begin and end with is split into lines only near a change, so that a small change
    of a large file takes little.
    """
    old_text, new_text = before or "", after or ""
    head, tail = common_ends(old_text, new_text)
    old = split_lines(old_text[head : len(old_text) - tail])
    new = split_lines(new_text[head : len(new_text) - tail])
    blocks: list[_Block | _Change] = [_Block(count_lines(old_text[:head]), _last(old_text, head))]
    for tag, old_from, old_to, new_from, new_to in opcodes(old, new):
        if tag == "equal":
            blocks.append(_Block(old_to - old_from, old[old_from:old_to].__getitem__))
        else:
            blocks.append(_Change(old[old_from:old_to], new[new_from:new_to]))
    start = len(old_text) - tail
    blocks.append(_Block(count_lines(old_text[start:]), _first(old_text, start, context + 1)))
    rows = tuple(_rows(_merged(blocks), context))
    return Diff(
        rows,
        sum(row.kind == "added" for row in rows),
        sum(row.kind == "removed" for row in rows),
        tuple(facts(before, after)),
        mixed_endings=len(endings(new_text)) > 1,
        last_number=max((_last_number(row) for row in rows), default=1),
        before=old_text,
    )


def _last_number(row: Row) -> int:
    return max(row.old or 1, row.new or 1) + max(row.hidden - 1, 0)


class _Block(NamedTuple):
    """Unchanged lines; ``line`` gives one of them by its place, as far as it may be shown."""

    size: int
    line: Callable[[int], Line]


class _Change(NamedTuple):
    """Lines and what takes their place."""

    old: list[Line]
    new: list[Line]


def _merged(blocks: Sequence[_Block | _Change]) -> list[_Block | _Change]:
    """Leave out empty blocks and join those that follow each other."""
    merged: list[_Block | _Change] = []
    for block in blocks:
        before = merged[-1] if merged else None
        if isinstance(block, _Change):
            merged.append(block)
        elif isinstance(before, _Block) and block.size:
            merged[-1] = _joined(before, block)
        elif block.size:
            merged.append(block)
    return merged


def _joined(one: _Block, other: _Block) -> _Block:
    def line(at: int) -> Line:
        return one.line(at) if at < one.size else other.line(at - one.size)

    return _Block(one.size + other.size, line)


def _rows(blocks: Sequence[_Block | _Change], context: int) -> Iterator[Row]:
    """Give the rows of all blocks in their order, numbered."""
    old_at = new_at = 0
    marks = _Marks()
    for place, block in enumerate(blocks):
        if isinstance(block, _Change):
            yield from _replacement(block.old, block.new, old_at, new_at, marks)
            old_at, new_at = old_at + len(block.old), new_at + len(block.new)
            continue
        # An unchanged block lies between changes, or at an end.
        near_start = context if place else 0
        near_end = context if place < len(blocks) - 1 else 0
        hidden = block.size - near_start - near_end
        at = 0
        while at < block.size:
            if at == near_start and hidden > 1:
                yield Row("fold", old_at + at + 1, new_at + at + 1, hidden=hidden)
                at += hidden
            else:
                yield Row("context", old_at + at + 1, new_at + at + 1, *block.line(at))
                at += 1
        old_at, new_at = old_at + block.size, new_at + block.size


def common_ends(old: str, new: str) -> tuple[int, int]:
    """Give how many characters two texts begin and end with in common, in whole lines."""
    shortest = min(len(old), len(new))
    head = _largest(shortest, lambda size: old[:size] == new[:size])
    head = old.rfind("\n", 0, head) + 1
    most = shortest - head
    tail = _largest(most, lambda size: old[len(old) - size :] == new[len(new) - size :])
    while tail and not (_begins_line(old, len(old) - tail) and _begins_line(new, len(new) - tail)):
        line_end = old.find("\n", len(old) - tail)
        tail = 0 if line_end < 0 else len(old) - line_end - 1
    return head, tail


def _largest(most: int, fits: Callable[[int], bool]) -> int:
    """Give the largest number that fits, where every smaller one does."""
    least = 0
    while least < most:
        middle = (least + most + 1) // 2
        least, most = (middle, most) if fits(middle) else (least, middle - 1)
    return least


def _begins_line(text: str, at: int) -> bool:
    return at == 0 or text[at - 1] == "\n"


def count_lines(text: str) -> int:
    """Say how many lines ``split_lines`` would give."""
    if "\r" in text:
        return len(split_lines(text))
    return text.count("\n") + (bool(text) and not text.endswith("\n"))


def _last(text: str, end: int) -> Callable[[int], Line]:
    """Give the lines before an offset at which one begins, by their place from the start."""
    count = count_lines(text[:end])
    known: list[Line] = []

    def line(at: int) -> Line:
        while len(known) < count - at:
            back = 2 * len(known) + 8
            start = end - 1
            while back and start >= 0:
                start = text.rfind("\n", 0, start)
                back -= 1
            known[:] = split_lines(text[start + 1 : end])
        return known[at - count]

    return line


def _first(text: str, start: int, count: int) -> Callable[[int], Line]:
    """Give the first lines after an offset at which one begins, by their place."""
    end = start
    for _ in range(count):
        end = text.find("\n", end) + 1
        if not end:
            end = len(text)
            break
    return split_lines(text[start:end]).__getitem__


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
    both = text.count("\r\n")
    counts = {"CRLF": both, "LF": text.count("\n") - both, "CR": text.count("\r") - both}
    return tuple(name for name, count in counts.items() if count)


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


class _Marks:
    """Marks what differs between two lines, as long as that does not take too much in all."""

    def __init__(self) -> None:
        self._left = MOST_COMPARED

    def spans(self, old: str, new: str) -> tuple[Spans, Spans]:
        """Give the spans of either line that are not in the other."""
        self._left -= len(old) * len(new)
        return changed_spans(old, new) if self._left > 0 else ((), ())


def _replacement(
    old: list[Line], new: list[Line], old_from: int, new_from: int, marks: _Marks
) -> list[Row]:
    """Give removed rows and then added rows, line by line compared with their counterpart."""
    old_spans: list[Spans] = [()] * len(old)
    new_spans: list[Spans] = [()] * len(new)
    ending_changed: set[int] = set()
    for i, (was, becomes) in enumerate(zip(old, new, strict=False)):
        old_spans[i], new_spans[i] = marks.spans(was.text, becomes.text)
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


def unfolded(diff: Diff, opened: Container[int | None]) -> Iterator[Row]:
    """Give the rows of a diff with some folds open, named by their old line numbers."""
    lines: list[Line] | None = None
    for row in diff.rows:
        if row.kind != "fold" or row.old is None or row.new is None or row.old not in opened:
            yield row
            continue
        lines = split_lines(diff.before) if lines is None else lines
        for at, line in enumerate(lines[row.old - 1 : row.old - 1 + row.hidden]):
            yield Row("context", row.old + at, row.new + at, *line)
