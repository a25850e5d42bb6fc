"""`lessons` without a screen, on the fake worker."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from continualcode_tui.app.headless import main as run_exec
from continualcode_tui.app.lessons_cli import GRAMMAR, main, table
from continualcode_tui.app.store.journal import Journal
from continualcode_tui.app.verbs import parse

from ..controllers.support import Stage, call

SCRIPT = Path(sys.executable).parent / "continualcode-tui"
WRITE = call("write", path="new.py", content="pass\n")
NAMES = ("use alpha", "use bravo", "use charlie")
LEARNED = [{"outcome": "learned"}] * len(NAMES)


class Lessons:
    """Runs `lessons` in the stage's folder and keeps what it said."""

    def __init__(self, stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        self.stage = stage
        self.capsys = capsys
        self.out = self.err = ""
        monkeypatch.chdir(stage.folder)

    def teach(self, **script: Any) -> list[str]:
        """Learn three lessons; their ids."""
        self.stage.write_script(completions=[*[WRITE] * len(NAMES), "Done."], **script)
        feedback = self.stage.folder.parent / "feedback.jsonl"
        for name in NAMES:
            feedback.write_text(json.dumps({"decision": "deny", "correction": name}) + "\n")
            arguments = ["go", "--feedback", str(feedback), *self.stage.arguments()]
            assert run_exec(arguments) == 0
        self.capsys.readouterr()
        assert self("--json") == 0
        return [line["id"] for line in self.lines]

    def __call__(self, *arguments: str) -> int:
        status = main([*arguments, *self.stage.arguments()])
        told = self.capsys.readouterr()
        self.out, self.err = told.out, told.err
        return status

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def lessons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Lessons:
    return Lessons(Stage(tmp_path), monkeypatch, capsys)


def test_the_list_is_aligned_and_needs_no_worker(lessons: Lessons) -> None:
    assert lessons("list") == 0
    assert lessons.out == "No lessons yet in this repository with this model.\n"
    assert not lessons.stage.script.exists()
    names = lessons.teach()
    requests = lessons.stage.script.with_suffix(".state").read_text()
    assert lessons() == 0
    head, *rows = lessons.out.splitlines()
    assert head.split() == ["ID", "WHEN", "STANDING", "STEPS", "KL", "CORRECTION"]
    at = head.index("CORRECTION")
    assert [row[at:] for row in rows] == list(NAMES)
    assert [row[:8] for row in rows] == [name[:8] for name in names]
    assert all("learned" in row and "0.010" in row for row in rows)
    assert lessons("list", "--json") == 0
    assert lessons.lines[0] | {"time": 0} == {
        "id": names[0], "time": 0, "standing": "learned", "kind": "deny",
        "correction": "use alpha", "steps": 1, "kl": 0.01, "check": None,
    }  # fmt: skip
    assert lessons.stage.script.with_suffix(".state").read_text() == requests


def test_a_long_correction_is_cut_to_the_terminal_and_marks_are_seen(lessons: Lessons) -> None:
    lessons.teach()
    (path,) = lessons.stage.data.glob("lessons/*/*/journal.jsonl")
    journal = Journal(path, look=True)
    records = journal.lessons()
    journal.close()
    assert all(len(line) <= 40 for line in table(records, 40))
    bad = records[0].lesson.model_copy(update={"correction": "red \x1b[31m\nline " + "x" * 100})
    cut = table([replace(records[0], lesson=bad)], 90)[1]
    assert cut.endswith("…")
    assert "<U+001B>" in cut
    assert "\x1b" not in cut


def test_show_says_all_there_is(lessons: Lessons) -> None:
    names = lessons.teach()
    assert lessons("show", names[1][:6]) == 0
    for words in (names[1], "use bravo", "write ", "proof", "loss", "advantage", "'<tool_call>'"):
        assert words in lessons.out
    assert lessons("show", names[1], "--json") == 0
    (line,) = lessons.lines
    assert line["denied"]["tool"] == "write"
    assert line["retry"]["text"] == "All done."
    assert line["result"]["tokens"][0]["advantage"] == -2.0
    assert line["request"] == "go"


def test_a_check_that_finds_a_loss_is_status_one(lessons: Lessons) -> None:
    names = lessons.teach(checks=[{}, {"lost": {"use alpha": ["use charlie"]}}])
    assert lessons("check") == 0
    assert "All 3 lessons hold." in lessons.out
    assert lessons("check") == 1
    assert "it was lost to “use charlie”" in lessons.err
    assert f"lost to {names[2][:8]}" in lessons.out
    assert "Checking lesson 1" in lessons.err
    assert lessons("check", "--json") == 1
    assert [line["event"] for line in lessons.lines] == ["check"] * 3 + ["done"]
    assert lessons.lines[0]["suspects"] == [names[2]]
    assert lessons.lines[-1] == {"event": "done", "lessons": 3, "held": 2, "lost": 1}
    assert lessons() == 0
    assert "NOW" in lessons.out
    assert lessons.out.count("holds") == 2
    assert lessons("show", names[0]) == 0
    assert "lost to " in lessons.out
    assert "use charlie" in lessons.out
    assert lessons("replay", names[0], "--json") == 0
    assert lessons.lines[0]["outcome"] == "learned"


def test_undo_forget_replay_and_export(lessons: Lessons) -> None:
    again = [{"outcome": "learned"}, {"outcome": "rolled_back", "reason": "It would harm."}]
    names = lessons.teach(lessons=[*LEARNED, *again])
    assert lessons("forget", names[0][:10], "--json") == 0
    assert [line["event"] for line in lessons.lines] == ["lesson", "lesson", "forgotten"]
    assert [line.get("id") for line in lessons.lines[:2]] == names[1:]
    assert lessons.lines[2] == {
        "event": "forgotten", "lesson": names[0],
        "proved_again": [names[1]], "not_proved_again": [names[2]],
    }  # fmt: skip
    assert lessons("undo", "--json") == 0
    assert lessons.lines == [{"event": "undone", "lesson": names[1], "snapshot": None}]
    assert lessons("replay", names[0]) == 0
    assert "learned" in lessons.out
    assert lessons("undo") == 0
    assert "was taken back" in lessons.out
    folder = lessons.stage.data / "adapter"
    assert lessons("export", str(folder)) == 0
    assert str(folder) in lessons.out
    assert lessons("export", str(folder), "--json") == 0
    assert lessons.lines == [{"event": "exported", "path": str(folder)}]
    assert lessons("list", "--json") == 0
    standings = [line["standing"] for line in lessons.lines]
    assert standings == ["undone", "undone", "rolled_back"]


def test_what_the_engine_refuses_is_status_three(lessons: Lessons) -> None:
    trouble = {"failure": "out_of_memory", "message": "There is not enough memory for this."}
    names = lessons.teach(lessons=[*LEARNED, trouble], checks=[trouble])
    assert lessons("check") == 3
    assert "not enough memory" in lessons.err
    assert lessons("forget", names[1]) == 3
    assert "was not forgotten" in lessons.err
    assert lessons("list", "--json") == 0
    assert {line["standing"] for line in lessons.lines} == {"learned"}


def test_an_engine_that_cannot_load_is_status_three(lessons: Lessons) -> None:
    sentence = "There is no model folder at nowhere."
    lessons.stage.write_script(load=[{"failure": "bad_model", "message": sentence}])
    assert lessons("undo", "--json") == 3
    assert {"event": "error", "message": sentence} in lessons.lines


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["chek"], "did you mean check?"),
        (["xyzzy"], "there are list, check"),
        (["show"], "needs the id"),
        (["forget"], "needs the id"),
        (["list", "more"], "does not belong there"),
        (["--strange"], "unknown option"),
        (["list", "engin=local"], "did you mean engine?"),
        (["show", "zz"], "the nearest is"),
        (["show", ""], "is ambiguous"),
    ],
)
def test_wrong_usage_is_one_sentence_and_status_two(
    lessons: Lessons, arguments: list[str], words: str
) -> None:
    lessons.teach()
    assert lessons(*arguments) == 2
    assert words in lessons.err
    assert len(lessons.err.splitlines()) == 1
    assert lessons.out == ""


def test_the_nearest_id_begins_alike(lessons: Lessons) -> None:
    names = lessons.teach()
    assert lessons("show", names[1][:7] + "x") == 2
    assert f"the nearest is {names[1][:8]}." in lessons.err


def test_no_screen_and_no_learning_is_imported() -> None:
    code = "import sys, continualcode_tui.app.lessons_cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"textual", "rich", "torch", "transformers", "peft", "tinker", "numpy", "git"}
    assert not heavy & set(done.stdout.split())


def test_what_cannot_be_done_is_said_before_the_model_is_loaded(lessons: Lessons) -> None:
    names = lessons.teach(lessons=[{"outcome": "gated"}, *LEARNED])
    loads = len(lessons.stage.requests("load"))
    assert lessons("forget", names[0]) == 2
    assert "nothing to learn: the adapter does not hold it" in lessons.err
    assert lessons("replay", names[1]) == 2
    assert "nothing to replay" in lessons.err
    assert len(lessons.stage.requests("load")) == loads


def test_the_order_of_arguments() -> None:
    order = parse(["show", "seed=1", "ab", "--json"], GRAMMAR)
    assert (order.verb, order.what, order.as_json, order.settings) == (
        "show", "ab", True, ("seed=1",),
    )  # fmt: skip
    assert parse([], GRAMMAR).verb == "list"
    assert parse(["export", "/tmp/a=b"], GRAMMAR).what == "/tmp/a=b"


def test_a_reader_that_goes_away_stops_nothing(lessons: Lessons) -> None:
    names = lessons.teach()
    process = subprocess.Popen(
        [str(SCRIPT), "lessons", "forget", names[0], "--json", *lessons.stage.arguments()],
        cwd=lessons.stage.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    told = process.stderr.read()
    assert process.wait(20) == 0
    assert "Traceback" not in told
    assert "Broken" not in told
    assert lessons("list", "--json") == 0
    assert [line["standing"] for line in lessons.lines] == ["forgotten", "learned", "learned"]


def test_a_signal_while_forgetting_brings_the_adapter_back(lessons: Lessons) -> None:
    names = lessons.teach(lessons=[*LEARNED, {"outcome": "learned"}, {"hang": "step"}])
    state = lessons.stage.script.with_suffix(".state")
    process = subprocess.Popen(
        [str(SCRIPT), "lessons", "forget", names[0], *lessons.stage.arguments()],
        cwd=lessons.stage.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    while len(lessons.stage.requests("learn")) < 5 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM
    assert "Traceback" not in told
    assert json.loads(state.read_text())["committed"] == names
    assert lessons("list", "--json") == 0
    assert {line["standing"] for line in lessons.lines} == {"learned"}
