"""Records outlive a run that is stopped, and the plan leaves out what is there."""

from __future__ import annotations

from pathlib import Path

import pytest
from continualcode_tui.training.bench.arms import DEFAULT_ARMS, UnknownArm, arm
from continualcode_tui.training.bench.plan import (
    Size,
    best_rate,
    main_work,
    sweep_work,
    work_key,
)
from continualcode_tui.training.bench.records import RECORDS, RecordFile, read_records

from tests.bench.conftest import record


def test_a_torn_last_line_costs_one_record(tmp_path: Path) -> None:
    file = RecordFile(tmp_path)
    file.add(record(case=1))
    file.add(record(case=2))
    path = tmp_path / RECORDS
    path.write_text(path.read_text()[:-20])
    again = RecordFile(tmp_path)
    assert [r.case for r in again.records.values()] == [1]
    again.add(record(case=3))
    assert [r.case for r in read_records(tmp_path)] == [1, 3]


def test_work_that_left_a_record_is_known_by_its_key(tmp_path: Path) -> None:
    arms = [arm("sft"), arm("ours")]
    size = Size(seeds=1, cases=2, sequences=1)
    work = list(main_work(arms, {"sft": 0.003, "ours": 0.0}, size))
    assert len(work) == 2 * 2 + 2
    numbers = {1: [4, 7]}
    file = RecordFile(tmp_path)
    file.add(record(arm="sft", rate=0.003, case=7))
    file.add(record(part="sequence", arm="ours", case=1000))
    left = [one for one in work if work_key(one, numbers, 10) not in RecordFile(tmp_path).records]
    assert {(w.part, w.arm.name, w.place) for w in left} == {
        ("lesson", "sft", 0),
        ("lesson", "ours", 0),
        ("lesson", "ours", 1),
        ("sequence", "sft", 0),
    }


def test_the_sweep_chooses_the_rate_with_the_best_score() -> None:
    good = {"greedy": True, "others": ("wanted", "wanted"), "near": (True,), "agreement": 0.9}
    bad = {"greedy": False, "others": ("denied", "denied"), "near": (True,), "agreement": 1.0}
    records = [
        record(part="sweep", arm="sft", rate=0.001, **bad),
        record(part="sweep", arm="sft", rate=0.01, **good),
        record(part="lesson", arm="sft", rate=0.001, **good),
    ]
    assert best_rate(arm("sft"), records) == 0.01
    assert best_rate(arm("sft"), []) == arm("sft").rates[1]


def test_nothing_is_swept_where_there_is_no_rate() -> None:
    size = Size(sweep_cases=2)
    names = {work.arm.name for work in sweep_work([arm("none"), arm("ours"), arm("dpo")], size)}
    assert names == {"dpo"}


def test_every_default_arm_exists_and_a_wrong_name_gets_the_nearest() -> None:
    assert {arm(name).name for name in DEFAULT_ARMS} == set(DEFAULT_ARMS)
    assert arm("ours/rank64").variant.rank == 64
    assert arm("ours").rehearse
    assert not arm("ours/alone").rehearse
    assert arm("ours/edit").shown
    assert not arm("ours").shown
    assert arm("sdpo-sampled/answer").variant.scope == "answer"
    for wrong, nearest in (("sdpo-forwards", "sdpo-forward"), ("ours/rank16", "ours/rank64")):
        with pytest.raises(UnknownArm, match=f"did you mean {nearest}"):
            arm(wrong)
    with pytest.raises(UnknownArm):
        arm("rules/rank4")
    with pytest.raises(UnknownArm):
        arm("sft/alone")
