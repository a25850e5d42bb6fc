"""The theme before the settings are read, and the terminal's answer among the keys."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from continualcode_tui.app.early import peek_theme
from continualcode_tui.app.settings import SettingsError, load_settings
from continualcode_tui.app.terminal import Background, hinted_dark, is_dark
from hypothesis import given
from hypothesis import strategies as st

ANSWERS = [b"\x1b]11;rgb:ffff/ffff/ffff\x1b\\", b"\x1b]11;rgba:00/00/00/ff\x07"]
KEYS = st.sampled_from(
    [b"a", b"1", b";", b"]", b"\\", b"\r", b"\x1b[A", b"\x1b[?2026;2$y", "é".encode()]
)


@given(st.lists(KEYS | st.sampled_from(ANSWERS), max_size=12), st.lists(st.integers(0, 99)))
def test_no_key_is_lost_and_no_answer_becomes_one(pieces: list[bytes], cuts: list[int]) -> None:
    whole = b"".join(pieces)
    places = sorted({0, *(cut for cut in cuts if cut < len(whole)), len(whole)})
    background = Background()
    background.expected = True
    reads = (whole[start:end] for start, end in pairwise(places))
    keys = b"".join(map(background.feed, reads)) + background.release()
    assert keys == b"".join(piece for piece in pieces if piece not in ANSWERS)
    answers = [piece for piece in pieces if piece in ANSWERS]
    assert background.dark == (None if not answers else answers[-1] == ANSWERS[1])


def test_what_only_looks_like_an_answer_is_given_back() -> None:
    background = Background()
    background.expected = True
    assert background.feed(b"y\x1b") == b"y"
    assert background.release() == b"\x1b"
    assert background.feed(b"x\x1b]11;rgb:ff") == b"x"
    assert background.release() == b"\x1b]11;rgb:ff"
    assert background.feed(b"\x1b") == b"\x1b"
    assert background.dark is None


@pytest.mark.parametrize(
    ("colour", "dark"),
    [
        ("0000/0000/0000", True), ("fdfd/f6f6/e3e3", False), ("1e/1e/2e", True), ("f/f/f", False),
        ("0000/0000", None), ("//", None),
    ],
)  # fmt: skip
def test_a_colour_is_dark_or_light(colour: str, dark: bool | None) -> None:
    assert is_dark(colour) is dark


@pytest.mark.parametrize(
    ("hint", "dark"), [("15;0", True), ("0;15", False), ("0;default;15", False), ("", True)]
)
def test_the_hint_counts_where_nothing_answers(hint: str, dark: bool) -> None:
    assert hinted_dark({"COLORFGBG": hint}) is dark


@pytest.mark.parametrize("argument", ["", "theme=light", "--theme=continual-light", "theme=neon"])
@pytest.mark.parametrize("variable", ["", "high-contrast"])
@pytest.mark.parametrize("file", ["", 'theme = "ansi-dark"', "seed = 1", "theme = 3", "not toml"])
def test_the_first_paint_has_the_theme_of_the_settings(
    argument: str, variable: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(file)
    arguments = [f"config_file={path}", *filter(None, [argument])]
    environment = {"CONTINUALCODE_THEME": variable} if variable else {}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    peeked = peek_theme(arguments, environment)
    try:
        assert peeked == load_settings(arguments, environment).theme
    except SettingsError:
        assert isinstance(peeked, str)
