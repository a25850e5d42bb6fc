"""What the screen showed comes back as it was, whatever was in it and however it ended."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from continualcode_tui.app.store.display import (
    MOST_OUTPUT,
    CallShown,
    DisplayFile,
    LessonShown,
    NoticeShown,
    Output,
    ResultShown,
    SessionBusy,
    Shown,
    UserShown,
    WordsShown,
    starts_of,
)
from continualcode_tui.app.store.sessions import (
    SessionFile,
    delete_session,
    list_sessions,
    read_session,
    rename_session,
)
from hypothesis import given, settings
from hypothesis import strategies as st

TEXT = st.text(alphabet=st.characters(codec="utf-8"), max_size=20)
RECORDS = st.lists(
    st.one_of(
        st.builds(UserShown, text=TEXT),
        st.builds(WordsShown, text=TEXT),
        st.builds(
            CallShown,
            tool=TEXT,
            title=TEXT,
            outcome=st.sampled_from(["approved", "denied", "edited", "rule"]),
            detail=TEXT,
        ),
        st.builds(ResultShown, output=TEXT, ok=st.booleans(), seconds=st.floats(0, 9)),
        st.builds(LessonShown, lesson=TEXT, outcome=TEXT, reason=TEXT),
        st.builds(NoticeShown, text=TEXT),
    ),
    max_size=6,
)


@given(records=RECORDS, torn=st.integers(0, 40))
@settings(max_examples=60)
def test_records_come_back_and_a_torn_end_costs_one(
    tmp_path_factory: pytest.TempPathFactory, records: list[Shown], torn: int
) -> None:
    path = tmp_path_factory.mktemp("display") / "a.jsonl"
    file = DisplayFile(path)
    for record in records:
        file.append(record)
    file.close()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - torn])
    file = DisplayFile(path)
    assert file.records == records[: path.read_bytes().count(b"\n")]
    assert len(file.records) >= len(records) - torn
    if torn == 0:
        assert file.records == records
    file.append(UserShown(text="next"))
    file.close()
    assert DisplayFile(path).records[-1] == UserShown(text="next")


@given(pieces=st.lists(st.text("ab\n", max_size=5_000), max_size=6))
@settings(max_examples=30)
def test_long_output_keeps_its_beginning_and_its_end(pieces: list[str]) -> None:
    output, whole = Output(), "".join(pieces)
    for piece in pieces:
        output.add(piece)
    if len(whole) <= MOST_OUTPUT:
        assert str(output) == whole
    else:
        assert len(str(output)) < MOST_OUTPUT + 60
        assert str(output).startswith(whole[:1_000])
        assert str(output).endswith(whole[-1_000:])
        assert f"{len(whole) - MOST_OUTPUT} characters were not kept" in str(output)


def test_text_that_no_file_can_carry_is_kept_without_it(tmp_path: Path) -> None:
    file = DisplayFile(tmp_path / "a.jsonl")
    file.append(UserShown(text="caf\udce9"))
    file.close()
    assert DisplayFile(tmp_path / "a.jsonl").records == [UserShown(text="caf?")]


def test_what_the_disk_did_not_take_is_written_once_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = DisplayFile(tmp_path / "a.jsonl")
    said = [UserShown(text=str(number)) for number in range(4)]
    file.append(said[0])
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda _descriptor, data: len(data) - 1)
        for record in said[1:3]:
            with pytest.raises(OSError, match="space"):
                file.append(record)
    assert file.records == said[:3]
    file.append(said[3])
    file.close()
    assert DisplayFile(tmp_path / "a.jsonl").records == said


def test_requests_are_found_from_the_end() -> None:
    records = [
        UserShown(text="a"), WordsShown(text="x"), UserShown(text="b"), UserShown(text="a"),
    ]  # fmt: skip
    assert starts_of(["a"], records) == [3]
    assert starts_of(["a", "b", "a"], records) == [0, 2, 3]
    assert starts_of(["c", "a"], records) == [None, 3]


def test_one_program_at_a_time_has_a_session(tmp_path: Path) -> None:
    file = SessionFile(tmp_path, about=tmp_path)
    file.show(NoticeShown(text="before the first request nothing is kept"))
    assert list(tmp_path.iterdir()) == []
    file.show(UserShown(text="  fix\nthe test  "))
    file.show(WordsShown(text="Done."))
    file.save({"system": ""}, model="practice")
    (facts,) = list_sessions(tmp_path)
    assert (facts.title, facts.messages, facts.model) == ("fix the test", 2, "practice")
    saved = read_session(file.path)
    assert saved is not None
    for work in (
        lambda: SessionFile.resume(tmp_path, saved),
        lambda: rename_session(tmp_path, file.id, "other"),
        lambda: delete_session(tmp_path, file.id),
    ):
        with pytest.raises(SessionBusy):
            work()
    file.close()
    rename_session(tmp_path, file.id, "other")
    assert list_sessions(tmp_path)[0].title == "other"
    again = SessionFile.resume(tmp_path, saved)
    assert [record.kind for record in again.records] == ["user", "words"]
    again.cut(1)
    again.save({"system": ""})
    again.close()
    assert list_sessions(tmp_path)[0].messages == 1
    assert [path for path in tmp_path.iterdir() if path.stat().st_mode & 0o077] == []
    delete_session(tmp_path, file.id)
    assert list(tmp_path.iterdir()) == []
