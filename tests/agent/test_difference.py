"""An edit in words."""

from typing import Any

import pytest
from continualcode_tui.app.agent.difference import describe_edit, show_edit
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ({"path": "a"}, {"path": "a"}, ""),
        ({"path": "t/a.py"}, {"path": "t/b.py"}, "path: 't/a.py' should be 't/b.py'"),
        ({"a": "x", "b": 3}, {"a": "y", "b": 4}, "a: 'x' should be 'y'\nb: 3 should be 4"),
        ({"path": "a", "limit": 3}, {"path": "a"}, "limit: should be left out"),
        ({"path": "a"}, {"path": "a", "offset": 5}, "offset: should be 5"),
        ({"limit": 1}, {"limit": True}, "limit: 1 should be True"),
        (
            {"content": "a\nb\nc\nd\n-- e\n"},
            {"content": "a\nB\nc\nd\n"},
            "content: should be changed like this\n@@ -1,6 +1,5 @@\n a\n-b\n+B\n c\n d\n--- e\n ",
        ),
    ],
)  # fmt: skip
def test_edits_in_words(before: dict[str, Any], after: dict[str, Any], words: str) -> None:
    assert describe_edit(before, after) == words


def test_long_edits_are_cut() -> None:
    old = {"content": "".join(f"{n}\n" for n in range(500)), "command": "x" * 2_000}
    new = {"content": "".join(f"{n + 1000}\n" for n in range(500)), "command": "y" * 2_000}
    words = describe_edit(old, new)
    assert len(words) < 2_000
    assert "... and " in words


@given(
    st.dictionaries(st.sampled_from("abcd"), st.text() | st.integers()),
    st.dictionaries(st.sampled_from("abcd"), st.text() | st.integers()),
)
def test_only_equal_arguments_have_no_description(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    assert (describe_edit(before, after) == "") == (before == after)


def test_an_edit_is_shown_as_was_and_is() -> None:
    before = {"path": "a", "limit": 3, "gone": 1, "content": "a\nb\nc\n"}
    after = {"path": "a", "limit": 4, "content": "a\nB\nc\n", "more": True}
    assert show_edit(before, after).split("\n") == [
        "limit 3 → 4",
        "gone left out",
        "content",
        " a",
        "-b",
        "+B",
        " c",
        "more True",
    ]
    long = show_edit({"content": ""}, {"content": "x\n" * 99})
    assert long.split("\n")[-1] == "... and 89 more lines"
    assert show_edit(before, before) == ""
