"""Untrusted text on its way to the screen."""

from __future__ import annotations

import unicodedata

import pytest
from continualcode_tui.widgets.sanitise import content, one_line, original, prose, visible
from hypothesis import given
from hypothesis import strategies as st

# All code points, lone surrogates included, and a good many texts that look like marks.
TEXTS = st.text(
    st.one_of(
        st.characters(exclude_categories=()),
        st.sampled_from("\x00\t\n\r\x1b\x7f\x80\x9b\u00ad\u200b\u200d\u202e\u2066\ufe0f\ufeff"),
        st.sampled_from("⟨⟩U+0xESC[]"),
    )
)
SHOWN_ELSEWHERE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


@given(TEXTS)
def test_marks_are_reversible(text: str):
    assert original(visible(text)) == text
    assert original(visible(text, keep="")) == text


@given(TEXTS)
def test_nothing_invisible_comes_out(text: str):
    shown = visible(text, keep="")
    assert not {unicodedata.category(character) for character in shown} & SHOWN_ELSEWHERE
    assert all(character == " " or not character.isspace() for character in shown)


@given(TEXTS, TEXTS)
def test_two_texts_never_look_the_same(one: str, other: str):
    assert (visible(one) == visible(other)) == (one == other)


@given(TEXTS)
def test_content_is_not_parsed_as_markup(text: str):
    assert content(text).plain == visible(text)
    assert not content(text).spans


@given(TEXTS)
def test_prose_keeps_no_control_character(text: str):
    shown = prose(text)
    kept = {"\n", "\t", "\ufe0e", "\ufe0f", "\u200d"}
    assert not any(
        unicodedata.category(character) in SHOWN_ELSEWHERE and character not in kept
        for character in shown
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain [b]text[/b]", "plain [b]text[/b]"),
        ("\x1b[2J", "⟨ESC⟩[2J"),
        ("a\r\nb", "a⟨CR⟩\nb"),
        ("caf\udce9", "caf⟨0xE9⟩"),
        ("user\u202etxt.exe", "user⟨U+202E⟩txt.exe"),
        ("a\u00a0b", "a⟨U+00A0⟩b"),
        ("⟨ESC⟩", "⟨U+27E8⟩ESC⟩"),
        ("⟨x|y⟩", "⟨x|y⟩"),
        ("grün 日本 🎉", "grün 日本 🎉"),
        ("\U000e0041", "⟨U+E0041⟩"),
    ],
)
def test_examples(text: str, shown: str):
    assert visible(text) == shown


def test_emoji_stay_whole_in_prose_only():
    heart = "\u2764\ufe0f"
    assert prose(heart) == heart
    assert prose("\ufe0f", previous="\u2764") == "\ufe0f"
    assert prose("a\ufe0f") == "a⟨U+FE0F⟩"
    assert visible(heart) == "\u2764⟨U+FE0F⟩"


def test_one_line_is_one_line_and_short():
    assert one_line("a\n  b\x1b\n" * 100, 20) == "a b⟨ESC⟩ a b⟨ESC⟩ a b⟨ESC⟩ a b⟨ESC⟩…"
