from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from continualcode_tui.app.store.paths import make_private_folder, safe_name, write_private
from continualcode_tui.app.store.sessions import SessionFile, list_sessions
from hypothesis import given
from hypothesis import strategies as st


@given(st.text())
def test_a_safe_name_is_one_component(name: str) -> None:
    safe = safe_name(name)
    assert safe not in ("", ".", "..")
    assert len(safe.encode()) < 200
    assert not set(safe) & set("/\\\0 ")


@given(st.lists(st.text(max_size=20), unique=True, max_size=30))
def test_different_names_stay_different(names: list[str]) -> None:
    assert len({safe_name(name) for name in names}) == len(names)


def test_a_usual_name_stays_as_it_is() -> None:
    assert safe_name("practice") == "practice"
    assert safe_name("Qwen/Qwen3-0.6B").startswith("Qwen_Qwen3-0.6B-")


def test_folders_and_files_are_private(tmp_path: Path) -> None:
    folder = make_private_folder(tmp_path / "a" / "b")
    write_private(folder / "file", b"one")
    write_private(folder / "file", b"two")
    assert (folder / "file").read_bytes() == b"two"
    assert (folder / "file").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in folder.iterdir()] == ["file"]


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_private(tmp_path / "file", b"old")

    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space"):
        write_private(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_writers_with_one_process_number_do_not_disturb_each_other(tmp_path: Path) -> None:
    """As threads have it, and programs in containers that share a home."""
    path = tmp_path / "file"
    contents = [bytes([65 + number]) * 200_000 for number in range(8)]
    with ThreadPoolExecutor(len(contents)) as threads:
        for _ in range(3):
            list(threads.map(lambda content: write_private(path, content), contents))
            assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]


def test_conversations_are_listed_newest_first(tmp_path: Path) -> None:
    folder = tmp_path / "sessions"
    first, second = (SessionFile(folder, about=tmp_path) for _ in range(2))
    first.save({"system": "one"})
    second.save({"system": "two"}, model="practice")
    first.save({"system": "one, again"})
    (folder / "broken.json").write_text("{")
    found = list_sessions(folder)
    assert [saved.id for saved in found] == [first.id, second.id]
    assert found[1].model == "practice"
