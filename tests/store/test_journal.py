from __future__ import annotations

import errno
import os
import resource
import signal
import tempfile
from pathlib import Path

import pytest
from continualcode_tui.app.store.journal import Journal, JournalError
from continualcode_tui.training.protocol import (
    ChatMessage,
    Checked,
    Completion,
    Lesson,
    LessonCheck,
    LessonResult,
)
from hypothesis import given, settings
from hypothesis import strategies as st


def lesson(identifier: str, correction: str = "use edit_lines") -> Lesson:
    completion = Completion(
        tokens=(1, 2),
        logprobs=(-0.1, float("-inf")),
        text="\u2028\n\x00é",
        stop_reason="stop",
        prompt_tokens=3,
        seconds=0.1,
    )
    return Lesson(
        id=identifier,
        kind="deny",
        messages=(ChatMessage(role="user", content="fix\r\n the test"),),
        tools=(),
        completion=completion,
        correction=correction,
    )


def result(identifier: str, outcome: str = "learned") -> LessonResult:
    return LessonResult.model_validate(
        {"lesson": identifier, "outcome": outcome, "reason": "It follows.", "kl": float("nan")}
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lessons" / "repository" / "model" / "journal.jsonl"


def reopened(path: Path) -> Journal:
    journal = Journal(path)
    journal.close()
    return journal


def fill(path: Path, count: int) -> bytes:
    journal = Journal(path)
    for number in range(count):
        journal.add_lesson(lesson(f"l{number}"))
        journal.add_attempt(f"l{number}")
        journal.add_result(result(f"l{number}"))
    journal.close()
    return path.read_bytes()


def test_everything_comes_back_as_it_went_in(path: Path) -> None:
    journal = Journal(path)
    journal.add_lesson(lesson("a"))
    assert journal.lessons()[0].standing == "pending"
    assert journal.add_attempt("a") == 1
    assert journal.add_attempt("a") == 2
    journal.add_result(result("a"))
    journal.add_lesson(lesson("b", "the same twice"))
    journal.add_lesson(lesson("c", "the same twice"))
    journal.add_result(result("b", "gated"))
    journal.add_undone("a")
    journal.close()

    again = reopened(path)
    assert again.lessons()[0].lesson == lesson("a")
    assert [record.standing for record in again.lessons()] == ["undone", "gated", "pending"]
    assert again.lessons()[0].attempts == 2
    assert again.notices == []
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


@settings(max_examples=60, deadline=None)
@given(
    part=st.floats(0, 1),
    garbage=st.binary(max_size=20).filter(lambda tail: b"\n" not in tail),
)
def test_any_torn_tail_is_mended_and_kept(part: float, garbage: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        whole = fill(path, 2)
        cut = round(part * len(whole))
        written = whole[:cut] + garbage
        path.write_bytes(written)
        end = written.rfind(b"\n") + 1

        journal = Journal(path)
        torn = list(path.parent.glob("journal.jsonl.torn-*"))
        if end == len(written):
            assert path.read_bytes() == written
            assert not torn
        elif whole.startswith(written + b"\n"):
            assert path.read_bytes() == written + b"\n"
            assert not torn
        else:
            assert path.read_bytes() == written[:end]
            assert [file.read_bytes() for file in torn] == [written[end:]]
        assert len(journal.notices) == len(torn)
        journal.add_lesson(lesson("after"))
        journal.close()
        again = reopened(path)
        assert again.notices == []
        assert again.lessons()[-1].lesson.id == "after"


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 10_000), value=st.integers(0, 255))
def test_damage_in_the_middle_is_told(place: int, value: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        whole = bytearray(fill(path, 2))
        place %= len(whole) - 1
        before = whole[place]
        whole[place] = value
        path.write_bytes(whole)
        journal = reopened(path)
        if value != before:
            assert journal.notices
            assert path.read_bytes() == bytes(whole)


def test_a_missing_line_is_told(path: Path) -> None:
    lines = fill(path, 2).splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:1] + lines[2:]))
    assert "missing before line 2" in reopened(path).notices[0]


def test_one_writes_and_the_other_reads(path: Path) -> None:
    first = Journal(path)
    first.add_lesson(lesson("a"))
    second = Journal(path)
    assert second.read_only
    assert [record.lesson.id for record in second.lessons()] == ["a"]
    with pytest.raises(JournalError, match="Another continualcode-tui"):
        second.add_lesson(lesson("b"))
    first.add_lesson(lesson("c"))
    second.close()
    first.close()
    assert [record.lesson.id for record in reopened(path).lessons()] == ["a", "c"]


def test_a_reader_leaves_an_unfinished_line_alone(path: Path) -> None:
    fill(path, 1)
    writer = Journal(path)
    with path.open("ab") as file:
        file.write(b'{"seq":4,"cr')
    before = path.read_bytes()
    reader = Journal(path)
    assert reader.notices == []
    assert path.read_bytes() == before
    reader.close()
    writer.close()


def test_a_short_write_is_cut_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system really writes a part of the line and refuses the rest."""
    before = fill(path, 1)
    journal = Journal(path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, limits[1]))
        with pytest.raises(JournalError, match="allowed size"):
            journal.add_lesson(lesson("kept"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before
    record = journal.lesson("kept")
    assert record is not None
    assert not record.saved
    journal.add_lesson(lesson("next"))
    record = journal.lesson("kept")
    assert record is not None
    assert record.saved
    journal.close()
    again = reopened(path)
    assert [record.lesson.id for record in again.lessons()] == ["l0", "kept", "next"]
    assert again.notices == []


@pytest.mark.parametrize("call", ["write", "fsync"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_disk_that_refuses(
    path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    before = fill(path, 1)
    journal = Journal(path)
    real = getattr(os, call)
    failures = [OSError(number, os.strerror(number))]

    def refuse(*arguments: object) -> object:
        if failures:
            raise failures.pop()
        return real(*arguments)

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(JournalError, match="could not be written"):
        journal.add_lesson(lesson("a"))
    assert path.read_bytes() == before
    journal.add_result(result("a"))
    journal.close()
    assert reopened(path).lessons()[-1].standing == "learned"


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    journal = Journal(tmp_path / "file" / "journal.jsonl")
    assert journal.read_only
    with pytest.raises(JournalError, match="cannot be opened"):
        journal.add_lesson(lesson("a"))
    assert journal.lessons()[0].lesson.id == "a"


def check(identifier: str, holds: str = "lost", suspects: tuple[str, ...] = ()) -> Checked:
    found = LessonCheck.model_validate(
        {"lesson": identifier, "holds": holds, "probability": 0.1, "suspects": suspects}
    )
    return Checked(checks=(found,))


def test_a_link_to_a_disk_that_is_not_there_is_told(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.symlink_to(tmp_path / "not mounted")
    journal = reopened(data / "lessons" / "journal.jsonl")
    assert f"{data} is a file or a link that leads nowhere" in str(journal.read_only)
    assert "set data_dir" in str(journal.read_only)


def test_a_check_is_kept_until_the_adapter_changes_under_it(path: Path) -> None:
    fill(path, 3)
    journal = Journal(path)
    assert journal.unchecked == 3
    journal.add_check(check("l0", suspects=("l2",)))
    assert journal.unchecked == 0
    journal.close()
    again = Journal(path)
    record = again.lesson("l0")
    assert record is not None
    assert record.lost
    assert record.check is not None
    assert record.check.suspects == ("l2",)
    assert again.unchecked == 0
    again.add_undone("l2")
    assert again.lesson("l0").check is None
    again.close()


def test_forgetting_that_was_restored_leaves_everything_as_it_was(path: Path) -> None:
    fill(path, 3)
    journal = Journal(path)
    before, learned = repr(journal.lessons()), journal.learned
    journal.add_forgetting("l0", "000003-abc")
    journal.add_attempt("l1")
    journal.add_result(result("l1", "rolled_back"))
    journal.close()
    again = Journal(path)
    assert again.forgetting is not None
    assert again.forgetting.snapshot == "000003-abc"
    again.add_restored("l0")
    assert again.forgetting is None
    assert (repr(again.lessons()), again.learned) == (before, learned)
    again.close()
    assert (repr(reopened(path).lessons()), reopened(path).learned) == (before, learned)


def test_a_lesson_that_came_while_forgetting_was_open_is_kept(path: Path) -> None:
    """The adapter goes back to before it; what the user said stays, and can be learned again."""
    fill(path, 2)
    journal = Journal(path)
    journal.add_forgetting("l0", "000002-abc")
    journal.add_lesson(lesson("new"))
    journal.add_result(result("new"))
    journal.add_lesson(lesson("newer"))
    journal.add_restored("l0")
    journal.close()
    again = reopened(path)
    standings = {record.lesson.id: record.standing for record in again.lessons()}
    assert standings == {"l0": "learned", "l1": "learned", "new": "undone", "newer": "pending"}
    assert again.learned == ("l0", "l1")


def test_a_forgotten_lesson_stays_in_the_journal(path: Path) -> None:
    fill(path, 2)
    journal = Journal(path)
    journal.add_forgetting("l0", "000002-abc")
    journal.add_attempt("l1")
    journal.add_result(result("l1"))
    journal.add_forgotten("l0")
    journal.close()
    again = reopened(path)
    assert [record.standing for record in again.lessons()] == ["forgotten", "learned"]
    assert again.learned == ("l1",)
    assert again.forgetting is None


def test_looking_at_a_journal_neither_locks_nor_changes_nor_creates_it(path: Path) -> None:
    assert Journal(path, look=True).lessons() == []
    assert not path.parent.exists()
    content = fill(path, 2)[:-5]
    path.write_bytes(content)
    looking = Journal(path, look=True)
    assert len(looking.lessons()) == 2
    assert path.read_bytes() == content
    writing = Journal(path)
    assert writing.read_only is None
    with pytest.raises(JournalError):
        looking.add_undone("l0")
    looking.close()
    writing.close()
