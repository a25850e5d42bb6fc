"""What the user wrote, kept from one time to the next."""

from __future__ import annotations

import stat
import tempfile
from itertools import pairwise
from pathlib import Path

from continualcode_tui.app.store.history import PromptHistory
from continualcode_tui.app.store.paths import DataPaths
from hypothesis import given, settings
from hypothesis import strategies as st


def test_it_comes_back_and_is_for_nobody_else(tmp_path: Path) -> None:
    path = DataPaths(tmp_path / "data").history("a/b key")
    history = PromptHistory(path)
    assert history.load() == []
    for text in ("one", "two\nlines", "two\nlines", "  ", "\udcff half a character"):
        history.add(text)
    assert PromptHistory(path).load() == ["one", "two\nlines", "\udcff half a character"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    history = PromptHistory(path, most=10)
    for number in range(25):
        history.add(str(number))
    newest = [str(number) for number in range(15, 25)]
    assert PromptHistory(path, most=10).load() == newest
    assert len(path.read_text().splitlines()) == 10
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    # The program that wrote before does not write into the file that was replaced.
    history.add("more")
    assert PromptHistory(path, most=10).load()[-1] == "more"


def test_half_a_line_and_foreign_lines_cost_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_bytes(b'"one"\n{"no": 1}\n\xff\xfe\n7\n' + b"[" * 99_999 + b'\n"tor')
    history = PromptHistory(path)
    assert history.load() == ["one"]
    history.add("two")
    assert PromptHistory(path).load() == ["one", "two"]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=20), max_size=15))
def test_two_programs_lose_nothing_of_each_other(texts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.jsonl"
        programs = [PromptHistory(path), PromptHistory(path)]
        for number, text in enumerate(texts):
            programs[number % 2].add(text)
        kept = PromptHistory(path).load()
    wanted = [text for text in texts if text.strip()]
    assert set(kept) == set(wanted)
    assert all(first != second for first, second in pairwise(kept))
