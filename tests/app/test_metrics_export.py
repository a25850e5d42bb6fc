"""`/metrics export` and the key `e`: what is written, where, and for whom."""

from __future__ import annotations

import csv
import json
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from continualcode_tui.app.controllers.metrics import Metrics
from continualcode_tui.app.metrics_export import export, export_in_words

from ..controllers.test_metrics import two_sessions


def session(metrics: Metrics, data: Path) -> Any:
    return cast(Any, SimpleNamespace(metrics=metrics, settings=SimpleNamespace(data_dir=data)))


def test_steps_and_lessons_are_written_as_json_lines_and_csv(tmp_path: Path) -> None:
    where = export(two_sessions(), tmp_path / "new" / "folder")
    steps = [json.loads(line) for line in (where / "steps.jsonl").read_text().splitlines()]
    lessons = [json.loads(line) for line in (where / "lessons.jsonl").read_text().splitlines()]
    assert [row["earlier"] for row in steps] == [True, True, False, False, False]
    assert [row["lesson_number"] for row in steps] == [1, 1, 2, 2, 3]
    assert steps[2]["grad_norm"] is None
    assert [row["outcome"] for row in lessons] == ["learned", "learned", "rolled_back"]
    assert lessons[1]["seconds_gate"] == 2.0
    for name, rows in (("steps", steps), ("lessons", lessons)):
        with (where / f"{name}.csv").open(newline="") as file:
            table = list(csv.DictReader(file))
        assert len(table) == len(rows)
        assert set(table[0]) == set(rows[0])
    assert table[0]["correction"] == "do old"


def test_what_is_written_is_private_and_replaces_nothing(tmp_path: Path) -> None:
    first, second = export(two_sessions(), tmp_path), export(two_sessions(), tmp_path)
    assert first != second
    assert stat.S_IMODE(first.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in first.iterdir()} == {0o600}


async def test_a_folder_that_cannot_be_written_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    words, severity = await export_in_words(session(two_sessions(), tmp_path), f"{tmp_path}/file/x")
    assert severity == "warning"
    assert words.endswith("give another folder with /metrics export FOLDER.")
    words, _ = await export_in_words(session(two_sessions(), tmp_path))
    assert f"written to {tmp_path / 'exports'}" in words
    words, _ = await export_in_words(session(Metrics(), tmp_path))
    assert words.startswith("There is no lesson yet")


def test_a_text_cannot_become_a_formula_of_a_spreadsheet(tmp_path: Path) -> None:
    metrics = two_sessions()
    (earlier,) = metrics.earlier_lessons
    evil = type(earlier)(earlier.lesson, "=1+1", earlier.at, 0, earlier.result)
    metrics.earlier_lessons[:] = [evil]
    where = export(metrics, tmp_path)
    assert ",=1+1," not in (where / "lessons.csv").read_text()
    assert '"=1+1"' in (where / "lessons.jsonl").read_text()
