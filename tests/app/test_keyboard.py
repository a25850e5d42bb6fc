"""What the terminal sends, as messages: pasted text is one of them, and no key comes out of it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from continualcode_tui.app.keyboard import PASTE_BEGINS, PASTE_ENDS, Keyboard
from hypothesis import given
from hypothesis import strategies as st
from textual.events import Key, Paste

KEYS = {"y": "y", "\r": "enter", "\x1b[A": "up", "\x1b[1;5C": "ctrl+right", "\x03": "ctrl+c"}
AWKWARD = [
    "y", "\r", "\n", "\t", "\x1b", "\x1b[A", "\x1b[?1049l", "\x1b]52;c;eQ==\x07", "\x1b[200~",
    "\x1b[201", "\x1b[<0;3;3M", "\x9b31m", "\x03", "\x7f", "é", "漢", "🎉", "\u202e", "q" * 40,
]  # fmt: skip
PASTED = st.lists(st.sampled_from(AWKWARD), min_size=1).map("".join)


def heard(reads: list[str]) -> list[str]:
    """Each key by its name, and each pasted text in quotes."""
    keyboard = Keyboard()
    found: list[str] = []
    for read in reads:
        for message in keyboard.feed(read):
            assert isinstance(message, Key | Paste)
            found.append(message.key if isinstance(message, Key) else repr(message.text))
    return found


@given(
    st.lists(st.sampled_from(sorted(KEYS)) | PASTED.map(lambda text: (text,)), max_size=8),
    st.lists(st.integers(0, 400)),
)
def test_pasted_text_is_one_message_and_never_a_key(
    sent: list[str | tuple[str]], cuts: list[int]
) -> None:
    parts = [
        each if isinstance(each, str) else PASTE_BEGINS + each[0] + PASTE_ENDS for each in sent
    ]
    whole = "".join(parts)
    places = sorted({0, *(cut for cut in cuts if cut < len(whole)), len(whole)})
    reads = [whole[start:end] for start, end in pairwise(places)]
    assert heard(reads) == [
        KEYS[each] if isinstance(each, str) else repr(each[0].removesuffix(PASTE_ENDS))
        for each in sent
    ]


@pytest.mark.parametrize("pasted", ["", "\0"])
def test_nothing_pasted_is_no_message(pasted: str) -> None:
    assert heard([f"a{PASTE_BEGINS}{pasted}{PASTE_ENDS}b"]) == ["a", "b"]


def test_a_big_paste_arrives_whole() -> None:
    text = "\x1b[31mword\r\n" * 100_000
    sent = f"{PASTE_BEGINS}{text}{PASTE_ENDS}y"
    reads = [sent[at : at + 4096] for at in range(0, len(sent), 4096)]
    assert heard(reads) == [repr(text), "y"]
