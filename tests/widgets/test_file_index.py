"""Finding files by a few letters."""

from __future__ import annotations

from continualcode_tui.widgets.file_index import FileIndex
from continualcode_tui.widgets.fuzzy import Fuzzy
from hypothesis import given
from hypothesis import strategies as st

PATHS = ["src/session.py", "tests/test_session.py", "README.md", "src/sessions/list.py", "a b.txt"]


def test_the_nearest_come_first() -> None:
    files = FileIndex(PATHS)
    assert files.best("", 2) == ["a b.txt", "README.md"]
    assert files.best("session", 9) == [
        "src/session.py", "tests/test_session.py", "src/sessions/list.py",
    ]  # fmt: skip
    assert files.best("RDM", 9) == ["README.md"]
    assert files.best("src/li", 9) == ["src/sessions/list.py"]
    assert files.best("zzz", 9) == []


paths = st.lists(st.text("ab./-]^\\ é", min_size=1, max_size=8), max_size=12, unique=True)


@given(paths, st.text("ab./-]^\\ é", max_size=4), st.integers(1, 12))
def test_what_is_found_has_the_letters_and_nothing_that_has_them_is_missed(
    paths: list[str], query: str, most: int
) -> None:
    def fits(path: str) -> bool:
        letters = iter(path)
        return all(letter in letters for letter in query)

    files = FileIndex(paths)
    for end in range(len(query)):
        files.best(query[:end], most)
    found = files.best(query, most)
    fitting = {path for path in paths if fits(path)}
    assert len(found) == len(set(found)) == min(most, len(fitting))
    assert set(found) <= fitting
    assert found == FileIndex(paths).best(query, most)


def test_a_long_text_with_many_ways_is_scored_at_once() -> None:
    assert Fuzzy("abababab").score("xa xb " * 60) > 0
    assert Fuzzy("ab").best(["b a", "AxB", "cab"], 9) == ["cab", "AxB"]
