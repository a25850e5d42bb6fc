"""R11: no damage to the journal crashes it, and none is passed over in silence."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from continualcode_tui.app.store.entries import Entry, LessonEntry, Lines, line_of, to_json
from continualcode_tui.app.store.journal import Journal, JournalError
from continualcode_tui.training.protocol import LessonResult
from hypothesis import given, settings
from hypothesis import strategies as st

from .program import lesson, lessons_in


def journal_of(count: int) -> tuple[list[bytes], list[Entry]]:
    """Lines of a journal, and what they hold."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        journal = Journal(path)
        for number in range(count):
            journal.add_lesson(lesson(number))
            journal.add_attempt(f"l{number}")
        journal.close()
        lines = path.read_bytes().splitlines(keepends=True)
    read = Lines()
    read.take(line.removesuffix(b"\n") for line in lines)
    return lines, read.entries


LINES, ENTRIES = journal_of(4)
WHOLE = b"".join(LINES)
places = st.integers(0, len(WHOLE))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A journal in which bytes were changed, lost, added, doubled or put elsewhere."""
    content = WHOLE
    for _ in range(draw(st.integers(1, 3))):
        start, end = sorted((draw(places), draw(places)))
        piece = content[start:end]
        match draw(st.sampled_from(["change", "lose", "add", "double", "zero", "lines", "crlf"])):
            case "change":
                at = min(start, len(content) - 1)
                if at >= 0:
                    flipped = bytes([content[at] ^ (1 << draw(st.integers(0, 7)))])
                    content = content[:at] + flipped + content[at + 1 :]
            case "lose":
                content = content[:start] + content[end:]
            case "add":
                content = content[:start] + draw(st.binary(max_size=40)) + content[start:]
            case "double":
                content = content[:end] + piece + content[end:]
            case "zero":
                content = content[:start] + bytes(len(piece)) + content[end:]
            case "lines":
                content = b"".join(draw(st.permutations(content.splitlines(keepends=True))))
            case _:
                content = content[:start] + piece.replace(b"\n", b"\r\n") + content[end:]
    return content


def read_all(path: Path) -> list[Entry]:
    read = Lines()
    read.take(path.read_bytes().split(b"\n")[:-1])
    return read.entries


@settings(max_examples=80, deadline=None)
@given(content=damaged())
def test_no_damage_crashes_the_reading_or_is_passed_over_in_silence(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        path.write_bytes(content)
        looking = Journal(path, look=True)
        looking.close()
        assert path.read_bytes() == content
        journal = Journal(path)
        found = read_all(path)
        # Nothing is made up, doubled or put in another order.
        at = iter(ENTRIES)
        assert all(any(entry == each for each in at) for entry in found)
        # What is missing before something that is there was told.
        if found != ENTRIES[: len(found)]:
            assert journal.notices
        assert len(journal.notices) <= 8
        # And the next lesson is safe.
        journal.add_lesson(lesson(99))
        journal.close()
        again = Journal(path, look=True)
        assert again.lesson("l99") is not None
        again.close()
        assert lessons_in(path).count("l99") == 1
        assert read_all(path) == [*found, read_all(path)[-1]]


@settings(max_examples=50, deadline=None)
@given(content=st.binary(max_size=400) | st.text('{}[]",:\n0123456789seqcrentry').map(str.encode))
def test_nothing_that_may_stand_in_the_file_crashes_the_reading(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        path.write_bytes(content)
        journal = Journal(path)
        assert not journal.lessons()
        if content.strip(b"\n"):
            assert journal.notices
        journal.add_lesson(lesson(1))
        journal.close()
        assert lessons_in(path) == ["l1"]


def test_an_entry_of_another_version_keeps_its_number(tmp_path: Path) -> None:
    """Else the next entry would get the same one, and be taken for a repetition."""
    path = tmp_path / "journal.jsonl"
    strange = to_json(ENTRIES[1]).replace(b'"attempt"', b'"another"')
    before = LINES[0] + line_of(2, strange)
    path.write_bytes(before)
    journal = Journal(path)
    assert journal.notices == [
        f"Line 2 of {path} was written by another version of the program and was left out."
    ]
    journal.add_lesson(lesson(5))
    journal.close()
    assert path.read_bytes().startswith(before + b'{"seq":3,')
    again = Journal(path)
    assert [record.lesson.id for record in again.lessons()] == ["l0", "l5"]
    assert len(again.notices) == 1
    again.close()


@pytest.mark.parametrize("number", [10**18 - 1, 10**17, 2 * 10**9])
def test_a_number_after_which_there_is_none_takes_no_later_entry_along(
    number: int, tmp_path: Path
) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(LINES[0] + line_of(number, to_json(ENTRIES[2])))
    journal = Journal(path)
    assert journal.notices == [
        f"Line 2 of {path} has a number that it cannot have and was left out."
    ]
    journal.add_lesson(lesson(5))
    journal.close()
    again = Journal(path)
    again.close()
    assert [record.lesson.id for record in again.lessons()] == ["l0", "l5"]


def test_a_lesson_that_stands_twice_is_not_learned_twice(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    learned = LessonResult(lesson="l0", outcome="learned", reason="It follows.")
    journal = Journal(path)
    for number in (0, 1):
        journal.add_lesson(lesson(number))
    journal.add_result(learned)
    journal.close()
    again = to_json(LessonEntry(time=1.0, lesson=lesson(0)))
    other = to_json(LessonEntry(time=1.0, lesson=lesson(1, "another correction")))
    with path.open("ab") as file:
        file.write(line_of(4, again) + line_of(5, other))
    journal = Journal(path)
    journal.close()
    assert [(record.lesson.id, record.standing) for record in journal.lessons()] == [
        ("l0", "learned"),
        ("l1", "pending"),
    ]
    assert journal.notices == [
        f"Line 5 of {path} has another lesson under a name that is taken and was left out."
    ]


def test_much_damage_is_told_in_few_words(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"nothing\n" * 5_000 + LINES[0] + b"".join(b"x\n\n" for _ in range(50)))
    journal = Journal(path)
    journal.close()
    assert len(journal.notices) <= 6
    assert "Lines 1 to 5000" in journal.notices[0]


def test_what_cannot_be_written_stops_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    half = lesson(1).model_copy(update={"correction": "\ud800"})
    with pytest.raises(JournalError, match="half a character"):
        journal.add_lesson(half)
    assert not journal.lesson("l1").saved
    journal.add_lesson(lesson(2))
    journal.close()
    assert lessons_in(path) == ["l2"]
