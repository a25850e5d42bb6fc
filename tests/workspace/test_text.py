"""Bytes in, bytes out: an edit changes the addressed lines and nothing else."""

import os
import resource
import stat
from pathlib import Path

import pytest
from continualcode_tui.app.workspace.text import (
    decode,
    end_of,
    replace_lines,
    split_lines,
    with_line_ends,
)
from continualcode_tui.app.workspace.workspace import Workspace, WorkspaceError
from hypothesis import example, given
from hypothesis import strategies as st

TEXT = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=6)
ENDS = st.sampled_from(["\n", "\r\n"])


@st.composite
def files(draw: st.DrawFn) -> str:
    lines = draw(st.lists(st.tuples(TEXT, ENDS), max_size=6))
    last = draw(TEXT)
    return "".join(text + end for text, end in lines) + last


@st.composite
def edits(draw: st.DrawFn) -> tuple[str, int, int, str]:
    content = draw(files())
    count = len(split_lines(content))
    start = draw(st.integers(1, count + 1))
    end = draw(st.integers(start - 1, count))
    return content, start, end, draw(files())


@given(files())
def test_lines_are_a_partition(content: str) -> None:
    lines = split_lines(content)
    assert "".join(lines) == content
    assert all(line.count("\n") == 1 for line in lines[:-1])
    assert all(lines)


@given(edits())
@example(("a\nb", 3, 2, "c"))
@example(("a\nb", 2, 2, ""))
@example(("", 1, 0, "x"))
@example(("a\u2028b\x0cc\n", 1, 1, "d"))
def test_an_edit_is_a_list_operation(edit: tuple[str, int, int, str]) -> None:
    content, start, end, new = edit
    after, added = replace_lines(content, start, end, new)
    old = [line.removesuffix("\n").removesuffix("\r") for line in split_lines(content)]
    fresh = [line.removesuffix("\n").removesuffix("\r") for line in split_lines(new)]
    now = [line.removesuffix("\n").removesuffix("\r") for line in split_lines(after)]
    assert added == len(fresh)
    expected = old[: start - 1] + fresh + old[end:]
    while now != expected and expected and expected[-1] == "":
        expected.pop()  # an empty last line without an end is no line at all
    assert now == expected


@given(edits())
def test_the_other_lines_keep_every_byte(edit: tuple[str, int, int, str]) -> None:
    content, start, end, new = edit
    after, added = replace_lines(content, start, end, new)
    old, now = split_lines(content), split_lines(after)
    kept_before = old[: start - 1]
    if kept_before and not end_of(kept_before[-1]):
        kept_before = kept_before[:-1]  # appending must end the line before
    assert now[: len(kept_before)] == kept_before
    kept_after = old[end:]
    if kept_after:
        assert now[-len(kept_after) :] == kept_after
        assert len(now) == start - 1 + added + len(kept_after)


@given(edits())
def test_new_lines_have_the_line_ends_of_their_place(edit: tuple[str, int, int, str]) -> None:
    content, start, end, new = edit
    content = with_line_ends(content, "\r\n")
    after, _ = replace_lines(content, start, end, new)
    if content.count("\n"):
        assert after.count("\n") == after.count("\r\n")


@pytest.mark.parametrize(
    ("content", "start", "end", "new", "after"),
    [
        ("a\nb\nc\n", 2, 2, "B", "a\nB\nc\n"),
        ("a\nb\nc\n", 2, 2, "B\n", "a\nB\nc\n"),
        ("a\nb\nc\n", 2, 2, "", "a\nc\n"),
        ("a\nb\nc\n", 2, 2, "\n", "a\n\nc\n"),
        ("a\nb\nc\n", 2, 3, "B\n\nC\n\n", "a\nB\n\nC\n\n"),
        ("a\nb\nc\n", 4, 3, "d", "a\nb\nc\nd\n"),
        ("a\nb\nc\n", 1, 0, "z", "z\na\nb\nc\n"),
        ("a\r\nb\r\n", 1, 1, "A\nA2", "A\r\nA2\r\nb\r\n"),
        ("a\r\nb\n", 2, 2, "B", "a\r\nB\n"),
        ("a\nb", 2, 2, "B", "a\nB"),
        ("a\nb", 2, 2, "B\n", "a\nB"),
        ("a\nb", 3, 2, "c", "a\nb\nc"),
        ("a\nb", 2, 2, "", "a\n"),
        ("", 1, 0, "x", "x\n"),
        ("a\n", 1, 1, "", ""),
    ],
)
def test_edits_by_example(content: str, start: int, end: int, new: str, after: str) -> None:
    assert replace_lines(content, start, end, new)[0] == after


@given(st.binary(max_size=40))
@example(b"\xff\xfe\xef\xbb\xbf")
@example(b"\xed\xa0\x80")
@example(b"caf\xe9\r\n")
def test_decoding_loses_nothing(data: bytes) -> None:
    try:
        text = decode(data, "f")
    except WorkspaceError:
        return
    assert text.encode(text.content) == data


@pytest.mark.parametrize(
    ("codec", "mark"),
    [
        ("utf-8", b""), ("utf-8", b"\xef\xbb\xbf"), ("latin-1", b""),
        ("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff"),
        ("utf-32-le", b"\xff\xfe\0\0"), ("utf-32-be", b"\0\0\xfe\xff"),
    ],
)  # fmt: skip
def test_text_is_read_in_its_own_encoding(codec: str, mark: bytes) -> None:
    data = mark + "café ÿ\r\n".encode(codec)
    text = decode(data, "f")
    assert text.content == "café ÿ\r\n"
    assert text.encode("ü") == mark + "ü".encode(codec)


def test_what_an_encoding_cannot_hold_is_refused_in_words() -> None:
    text = decode(b"caf\xe9", "f")
    with pytest.raises(WorkspaceError, match=r"'→' \(U\+2192\) cannot be written so; convert"):
        text.encode("a→b")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x89PNG\0\1", "binary file"),
        (b"caf\xe9\0", "binary file"),
        (b"caf\xe9\x03", "binary file"),
        (b"\xff\xfea\0\0\0", "binary file"),
        (b"\xef\xbb\xbfab\xff", "begins like UTF-8 text but is none .byte 0xff at offset 5"),
        (b"\xff\xfea", "begins like UTF-16 text"),
        (b"\xfe\xff\xd8\0\0a", "begins like UTF-16 text"),
        (b"\0\0\xfe\xffabcd", "begins like UTF-32 text"),
    ],
)
def test_what_is_no_text_is_refused_in_words(data: bytes, words: str) -> None:
    with pytest.raises(WorkspaceError, match=words):
        decode(data, "f")


def test_mode_mark_and_parents(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    script = tmp_path / "run.sh"
    script.write_bytes(b"\xef\xbb\xbfa\r\n")
    script.chmod(0o751)
    before = workspace.check_writable("run.sh")
    workspace.write_text("run.sh", "b\r\n", before=before)
    assert script.read_bytes() == b"\xef\xbb\xbfb\r\n"
    assert stat.S_IMODE(script.stat().st_mode) == 0o751
    old = os.umask(0o027)
    try:
        workspace.write_text("new/deep/file.txt", "x", before=None)
    finally:
        os.umask(old)
    assert (tmp_path / "new/deep/file.txt").read_text() == "x"
    assert stat.S_IMODE((tmp_path / "new/deep/file.txt").stat().st_mode) == 0o640


def test_writing_makes_no_folder_on_a_detour(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.write_text("nowhere/../a.txt", "x", before=None)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]
    assert workspace.check_writable("nowhere/../a.txt") is not None


def test_a_write_that_fails_leaves_no_folder_that_it_made(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    (tmp_path / "there").mkdir()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.raises(WorkspaceError, match="the disk is full"):
            workspace.write_text("there/new/deep/file.txt", "x" * 100, before=None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.rglob("*")) == [tmp_path / "there"]


def test_a_changed_file_is_not_replaced(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    (tmp_path / "a").write_text("1")
    before = workspace.check_writable("a")
    (tmp_path / "a").write_text("2")
    with pytest.raises(WorkspaceError, match="changed meanwhile; read it again"):
        workspace.write_text("a", "3", before=before)
    with pytest.raises(WorkspaceError, match="changed meanwhile"):
        workspace.write_text("a", "3", before=None)
    assert (tmp_path / "a").read_text() == "2"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_half_characters_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match=r"half a character \(U\+D800 at position 1\)"):
        Workspace(tmp_path).write_text("a", "x\ud800", before=None)
