"""The calls that are allowed for good, as they lie on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from continualcode_tui.app.store.paths import DataPaths
from continualcode_tui.app.store.rules import RuleFile, RulesUnreadable, identity
from continualcode_tui.training.protocol import ToolCall
from hypothesis import given
from hypothesis import strategies as st


def run(command: Any) -> ToolCall:
    return ToolCall(name="bash", arguments={"command": command})


def test_rules_are_kept_once_and_privately(tmp_path: Path) -> None:
    file = RuleFile(tmp_path / "deep" / "rules.json")
    assert file.read() == []
    assert not file.remove(run("ls"))
    assert not file.path.parent.exists()
    for command in ("ls", "a\nb\udcff", "ls"):
        file.add(run(command))
    assert [rule.call for rule in RuleFile(file.path).read()] == [run("ls"), run("a\nb\udcff")]
    assert [path for path in tmp_path.rglob("*") if path.stat().st_mode & 0o077] == []
    assert file.remove(run("ls"))
    assert not file.remove(run("ls"))
    assert [rule.call for rule in file.read()] == [run("a\nb\udcff")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"rules": [1]}',
        '{"rules": [{"tool": 1}]}',
        "\xff",
        '{"rules": [{"tool": "bash", "arguments": {}, "since": 1' + "0" * 400 + "}]}",
    ],
)
def test_a_file_that_is_not_ours_is_neither_used_nor_overwritten(tmp_path: Path, text: str) -> None:
    file = RuleFile(tmp_path / "rules.json")
    file.path.write_text(text, encoding="latin-1")
    for use in (file.read, lambda: file.add(run("ls")), lambda: file.remove(run("ls"))):
        with pytest.raises(RulesUnreadable, match="repair or remove"):
            use()
    assert file.path.read_text(encoding="latin-1") == text


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=3,
)
CALLS = st.builds(
    ToolCall,
    name=st.sampled_from(["bash", "write"]),
    arguments=st.dictionaries(st.sampled_from(["a", "b"]), VALUES, max_size=2),
)


@given(CALLS, CALLS)
def test_only_the_same_call_has_the_same_identity(one: ToolCall, other: ToolCall) -> None:
    same = json.dumps(one.model_dump(), sort_keys=True) == json.dumps(
        other.model_dump(), sort_keys=True
    )
    assert (identity(one) == identity(other)) is same


def test_clones_do_not_share_rules() -> None:
    paths = DataPaths(Path("data"))
    assert paths.rules("key", Path("/a")) != paths.rules("key", Path("/b"))
    assert paths.rules("key", Path("/a")) == paths.rules("key", Path("/a"))
    assert paths.rules("key", Path("/\udcff")).suffix == ".json"
