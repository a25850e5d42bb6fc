"""The numbers of the report, from records whose figures are known."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from continualcode_tui.training.bench import stats
from continualcode_tui.training.bench.records import RecordFile
from continualcode_tui.training.bench.report import NothingRecorded, write_report

from tests.bench.conftest import record


def test_the_error_is_over_seeds_and_not_over_cases() -> None:
    records = [
        record(seed=1, case=0, sampled=0.0),
        record(seed=1, case=1, sampled=1.0),
        record(seed=2, case=0, sampled=1.0),
    ]
    found = stats.over_seeds(records, lambda r: r.sampled)
    assert found.mean == 0.75
    assert found.error == pytest.approx(0.25)
    assert found.shown() == "0.75 ± 0.25"
    alone = stats.over_seeds(records[:2], lambda r: r.sampled)
    assert alone.shown() == "0.50"


def test_r_squared_is_one_on_the_curve_and_known_off_it() -> None:
    x = [0.0, 1.0, 2.0, 3.0]
    assert stats.r_squared(x, [3 + 2 * v for v in x], 1) == pytest.approx(1)
    assert stats.r_squared(x, [v * v for v in x], 2) == pytest.approx(1)
    # A line through 0, 1, 4, 9 leaves 4 of a total of 49.
    assert stats.r_squared(x, [v * v for v in x], 1) == pytest.approx(1 - 4 / 49)
    assert math.isnan(stats.r_squared(x[:2], [1.0, 2.0], 1))
    assert math.isnan(stats.r_squared([1.0] * 4, x, 1))


def test_retention_counts_only_what_was_right_at_once() -> None:
    held = ((True,), (True, False), (False, True, True))
    one = record(part="sequence", held=held)
    assert stats.retained(one, 0) == 1.0
    assert stats.retained(one, 1) == 1.0
    assert stats.retained(one, 2) == 0.0
    assert stats.lost(one) == 1
    assert stats.lost(record()) == 0


def test_a_course_that_ended_stays_where_it_was() -> None:
    one = record(course=(0.0, 1.0))
    assert [stats.after(one, n) for n in (1, 2, 3)] == [0.0, 1.0, 1.0]


def test_the_report_says_the_rate_and_its_plots_are_xml(tmp_path: Path) -> None:
    file = RecordFile(tmp_path)
    figures = {"others": ("wanted", "denied"), "near": (True, False), "agreement": 0.5}
    for seed in (1, 2):
        file.add(record(arm="none", seed=seed, course=(0.5,), **figures))
        file.add(record(arm="sft", rate=0.01, seed=seed, greedy=True, course=(0.5, 1.0), **figures))
        held = ((True,), (True, True))
        file.add(record(part="sequence", arm="sft", rate=0.01, seed=seed, held=held, **figures))
        file.add(record(part="sequence", arm="ours/together", seed=seed, held=held, **figures))
    for seed, outcome in ((1, "gated"), (2, "learned")):
        file.add(record(seed=seed, irrelevant=outcome, **figures))
    file.add(record(part="sweep", arm="sft", rate=0.001, seed=0, **figures))
    file.add(record(part="sweep", arm="sft", rate=0.01, seed=0, greedy=True, **figures))
    text = write_report(tmp_path).read_text()
    assert "| sft | cross-entropy on the corrected call | 0.01 |" in text
    assert "| sft | 1.00 ± 0.00 | 0.00 ± 0.00 | 0.50 ± 0.00 | 0.50 ± 0.00 |" in text
    assert "2 of 2" in text
    assert "| ours/together | – |" in text
    assert "1 gated, 1 learned |" in text
    assert "| sft | 0.50 ± 0.00 | 1.00 ± 0.00 | 1.00 ± 0.00 | 1.00 ± 0.00 | 2 | > 4 |" in text
    for plot in tmp_path.glob("*.svg"):
        ET.fromstring(plot.read_text())
    assert len(list(tmp_path.glob("*.svg"))) == 4


def test_a_folder_without_records_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(NothingRecorded, match="holds no results"):
        write_report(tmp_path)
