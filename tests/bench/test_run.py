"""The command: wrong usage in one sentence, and a real run that is gone on with."""

from __future__ import annotations

from pathlib import Path

import pytest
from continualcode_tui.training.bench.__main__ import main
from continualcode_tui.training.bench.records import RECORDS, read_records


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["corrections", "--arms", "our"], "did you mean ours?"),
        (["corrections", "--seeds", "0"], "no number of one or more"),
        (["corrections", "--model", "/no/such/model"], "/no/such/model"),
        (["corrections", "--out", "/dev/null"], "cannot be used"),
        (["report", "/no/such/folder"], "cannot be used"),
        (["reprot"], "invalid choice"),
        ([], "command"),
    ],
)
def test_wrong_usage_is_one_sentence_and_status_two(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert words in told.err
    assert len(told.err.splitlines()) == 1
    assert told.out == ""


def test_a_folder_that_is_no_model_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--quick", "--model", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main(["corrections", *arguments]) == 2
    assert "is not a model" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.slow
def test_arms_are_run_and_a_rerun_adds_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "corrections",
        "--quick",
        "--cases",
        "1",
        "--arms",
        "none,ours,ours/together",
        "--out",
        str(tmp_path),
    ]
    assert main(arguments) == 0
    records = list(read_records(tmp_path))
    assert len(records) == 2 * (1 + 1) + 1
    (together,) = [r for r in records if r.arm == "ours/together"]
    assert together.part == "sequence"
    assert len(together.outcome.split()) == len(together.held) == 2
    irrelevant = {r.irrelevant for r in records if r.arm == "ours" and r.part == "lesson"}
    assert irrelevant <= {"gated", "in_context_only", "rolled_back", "learned"}
    untouched = [r for r in records if r.arm == "none"]
    assert all(r.drift == 0 and r.agreement == 1 and all(r.near) for r in untouched)
    assert not any(r.greedy for r in untouched if r.part == "lesson")
    kept = (tmp_path / RECORDS).read_bytes()
    assert main(arguments) == 0
    assert (tmp_path / RECORDS).read_bytes() == kept
    assert "| ours |" in (tmp_path / "report.md").read_text()
    capsys.readouterr()
