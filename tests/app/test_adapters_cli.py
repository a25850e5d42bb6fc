"""`adapters` without a screen, on the fake worker and on the real one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from continualcode_tui.app import adapters_cli
from continualcode_tui.app.cli import main as run_program

from ..controllers.support import Stage
from ..training.make_model import FOLDER as TINY
from .test_lessons_cli import NAMES, Lessons


class Adapters(Lessons):
    """Runs `adapters` in the stage's folder; `lessons` runs the other command."""

    lessons = Lessons.__call__

    def teach(self, **script: Any) -> list[str]:
        self.stage.write_script(**script)
        names = Lessons(self.stage, self.monkeypatch, self.capsys).teach(**script)
        self.capsys.readouterr()
        return names

    def __init__(self, stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        super().__init__(stage, monkeypatch, capsys)
        self.monkeypatch = monkeypatch

    def __call__(self, *arguments: str) -> int:
        status = adapters_cli.main([*arguments, *self.stage.arguments()])
        told = self.capsys.readouterr()
        self.out, self.err = told.out, told.err
        return status

    def standings(self) -> list[str]:
        assert self.lessons("list", "--json") == 0
        return [line["standing"] for line in self.lines]


@pytest.fixture
def adapters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Adapters:
    return Adapters(Stage(tmp_path), monkeypatch, capsys)


def test_the_list_is_aligned_and_begins_with_the_base(adapters: Adapters) -> None:
    names = adapters.teach()
    assert adapters("use", names[1]) == 0
    assert adapters() == 0
    head, base, *rows = adapters.out.splitlines()
    assert head.split() == ["SNAPSHOT", "WHEN", "PLACE", "AFTER"]
    assert base.split()[:3] == ["base", "-", "below"]
    assert [row[head.index("AFTER") :] for row in rows] == list(NAMES)
    places = [row[head.index("PLACE") : head.index("AFTER")].strip() for row in rows]
    assert places == ["below it", "current", "aside"]
    assert adapters("list", "--json") == 0
    assert adapters.lines[1] == {
        "id": names[1], "parent": names[0], "time": 0.0, "imported": False, "lesson": names[1],
        "correction": "use bravo", "current": True, "in_use": True, "pruned": False,
        "rank": 16, "targets": "all", "scope": "answer",
    }  # fmt: skip


def test_use_goes_back_and_forwards_and_the_lessons_with_it(adapters: Adapters) -> None:
    names = adapters.teach()
    assert adapters("use", names[0][:10], "--json") == 0
    assert adapters.lines == [
        {"event": "used", "snapshot": names[0], "taken_back": names[1:], "learned_again": []}
    ]
    assert adapters.standings() == ["learned", "undone", "undone"]
    assert adapters("use", names[2]) == 0
    assert "2 lessons are learned again." in adapters.out
    assert adapters.standings() == ["learned"] * 3
    assert adapters("use", "base", "--json") == 0
    assert adapters.lines[0]["snapshot"] is None
    assert adapters.standings() == ["undone"] * 3


def test_import_and_undo_and_export(adapters: Adapters) -> None:
    adapters.teach(imports=[{}, {"notice": "Its scale could not be checked."}])
    assert adapters("import", "adapter", "--json") == 0
    (line,) = adapters.lines
    assert line["event"] == "imported"
    assert adapters.stage.requests("import")[0]["path"] == str(adapters.stage.folder / "adapter")
    assert adapters("list") == 0
    assert "an imported adapter" in adapters.out.splitlines()[-1]
    assert adapters.standings() == ["learned"] * 3
    assert adapters.lessons("undo") == 0
    assert "The imported adapter was taken back." in adapters.out
    assert adapters.standings() == ["learned"] * 3
    assert adapters("import", "adapter") == 0
    assert "was imported as snapshot" in adapters.out
    assert "Its scale could not be checked." in adapters.err
    folder = adapters.stage.data / "adapter"
    assert adapters("export", str(folder), "--json") == 0
    assert adapters.lines == [{"event": "exported", "path": str(folder)}]


def test_what_the_engine_refuses_is_status_three(adapters: Adapters) -> None:
    trouble = {"failure": "bad_adapter", "message": "There is no file or folder x: check it."}
    adapters.teach(imports=[trouble], adapters=[trouble])
    assert adapters("import", "x") == 3
    assert "There is no file or folder x" in adapters.err
    assert adapters("list") == 3
    assert adapters.out == ""
    assert adapters("use", "zz") == 3
    assert "There is no snapshot zz" in adapters.err
    assert adapters.standings() == ["learned"] * 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["lits"], "did you mean list?"),
        (["use"], "use needs the name of a snapshot; `adapters list` shows them."),
        (["import"], "import needs the path"),
        (["list", "more"], "does not belong there"),
        (["import", "a", "b"], "does not belong there"),
        (["--strange"], "unknown option"),
        (["list", "engin=local"], "did you mean engine?"),
    ],
)
def test_wrong_usage_is_one_sentence_and_status_two(
    adapters: Adapters, arguments: list[str], words: str
) -> None:
    assert adapters(*arguments) == 2
    assert adapters.err.startswith("continualcode-tui adapters: ")
    assert words in adapters.err
    assert len(adapters.err.splitlines()) == 1
    assert adapters.out == ""


def test_the_program_knows_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_program(["adapters", "--help"]) == 0
    assert "continualcode-tui adapters [VERB]" in capsys.readouterr().out
    assert run_program(["adapters", "xyzzy"]) == 2
    assert "there are list, use, import, export." in capsys.readouterr().err


def test_no_screen_and_no_learning_is_imported() -> None:
    code = "import sys, continualcode_tui.app.adapters_cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"textual", "rich", "torch", "transformers", "peft", "tinker", "numpy", "git"}
    assert not heavy & set(done.stdout.split())


@pytest.mark.slow
def test_with_a_real_model_what_was_exported_comes_back(adapters: Adapters, tmp_path: Path) -> None:
    settings = ["engine=local", f"model_name={TINY}", f"data_dir={tmp_path / 'data'}"]

    def run(*arguments: str) -> list[dict[str, Any]]:
        assert adapters_cli.main([*arguments, "--json", *settings]) == 0
        return [json.loads(line) for line in adapters.capsys.readouterr().out.splitlines()]

    out = tmp_path / "out"
    assert run("export", str(out)) == [{"event": "exported", "path": str(out)}]
    (imported,) = run("import", str(out))
    assert imported["notice"] == ""
    (listed,) = run("list")
    assert (listed["id"], listed["current"], listed["lesson"]) == (imported["snapshot"], True, None)
