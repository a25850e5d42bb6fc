"""The system message, byte by byte, and that it fits."""

from pathlib import Path

import pytest
from continualcode_tui.app.agent.system_prompt import read_agents_md, system_prompt
from continualcode_tui.app.workspace.repository import Repository
from continualcode_tui.app.workspace.workspace import Workspace
from hypothesis import given
from hypothesis import strategies as st

CALC = Repository(root=Path("/x/calc"), name="calc", key="k", git=True)
FOLDER = Repository(root=Path("/x/calc"), name="calc", key="k", git=False)
FIRST = (
    "You are a coding agent in the git repository calc. Propose one tool call at a time; "
    "answer in words when the work is done."
)


def test_the_whole_message() -> None:
    assert system_prompt(CALC, ["tests/test_calc.py", "calc.py"], "Use pytest.\n\nBe brief.\n") == (
        f"{FIRST}\n\nFiles:\ncalc.py\ntests/test_calc.py\n\nAGENTS.md:\nUse pytest.\n\nBe brief."
    )


def test_empty_parts_are_left_out() -> None:
    assert system_prompt(CALC, []) == FIRST
    assert system_prompt(CALC, ["calc.py"], " \n") == f"{FIRST}\n\nFiles:\ncalc.py"
    assert system_prompt(CALC, [], "x") == f"{FIRST}\n\nAGENTS.md:\nx"


def test_outside_git() -> None:
    assert system_prompt(FOLDER, []).startswith("You are a coding agent in the folder calc. ")


def test_a_long_listing_is_cut() -> None:
    paths = [f"file{number:03}.py" for number in range(100)]
    message = system_prompt(CALC, paths, limit_characters=len(FIRST) + 60)
    assert message == f"{FIRST}\n\nFiles:\nfile000.py\nfile001.py\nfile002.py\n... and 97 more"


def test_long_rules_are_cut() -> None:
    rules = "".join(f"rule {number}\n" for number in range(100))
    message = system_prompt(CALC, ["calc.py"], rules, limit_characters=len(FIRST) + 120)
    assert len(message) <= len(FIRST) + 120
    assert "\n\nFiles:\ncalc.py\n\nAGENTS.md:\nrule 0\nrule 1\n" in message
    assert message.endswith(" characters left out ...]")
    both = system_prompt(CALC, [f"f{n}" for n in range(500)], rules, limit_characters=1_000)
    assert " more\n\nAGENTS.md:\nrule 0" in both
    assert 800 < len(both) <= 1_000


@given(
    st.lists(st.text(min_size=1, max_size=12), max_size=30),
    st.text(max_size=300),
    st.integers(len(FIRST), len(FIRST) + 300),
)
def test_it_always_fits_and_hides_nothing(paths: list[str], rules: str, limit: int) -> None:
    message = system_prompt(CALC, paths, rules, limit)
    assert message.startswith(FIRST)
    assert len(message) <= limit
    message.encode("utf-8")
    assert all(c.isprintable() or c in "\n\t\u00a0\u3000" or c.isspace() for c in message)


def test_hidden_text_is_shown() -> None:
    message = system_prompt(CALC, ["a\u202e.py"], "do\u200b this\U000e0041")
    assert "a<U+202E>.py" in message
    assert "do<U+200B> this<U+E0041>" in message


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xef\xbb\xbfUse tabs.\r\n", "Use tabs.\r\n"),
        (b"\xff\0", ""),
        (b"x" * 3_000_000, ""),
        (None, ""),
    ],
)
def test_reading_the_rules(tmp_path: Path, data: bytes | None, text: str) -> None:
    if data is not None:
        (tmp_path / "AGENTS.md").write_bytes(data)
    assert read_agents_md(Workspace(tmp_path)) == text
