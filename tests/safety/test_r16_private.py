"""R16: private by default. First half: who may read what the program writes."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from continualcode_tui.app.agent.proposal import Approve, Deny
from continualcode_tui.app.events import Notice
from continualcode_tui.app.metrics_export import export
from continualcode_tui.app.store import paths
from continualcode_tui.app.store.history import PromptHistory
from continualcode_tui.app.store.log import log_to
from continualcode_tui.app.store.privacy import OURS, tighten
from continualcode_tui.app.store.rules import RuleFile
from continualcode_tui.training.protocol import ToolCall

from tests.controllers.support import Stage, call

from .test_r16_network import CALC, DENY, PROGRAM, TEST, learn_once, lessons_in
from .test_r17_training_data import git

UMASKS = (0o000, 0o022, 0o077)


@pytest.fixture(params=UMASKS, ids=lambda umask: f"umask-{umask:03o}")
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return Stage(tmp_path)


def open_to_others(root: Path) -> list[str]:
    """Every file and folder at or below a root that others have a right to."""
    found = [root, *root.rglob("*")]
    return [
        f"{path.relative_to(root.parent)} {stat.S_IMODE(path.lstat().st_mode):o}"
        for path in found
        if not path.is_symlink() and path.lstat().st_mode & 0o077
    ]


def everything(root: Path) -> set[str]:
    """The names of the folders that the program made below the data directory."""
    return {path.name for path in root.iterdir()}


def test_a_naive_writer_is_seen(tmp_path: Path, umask: int):
    """The check's own check: what open() and mkdir() make is found, unless the umask helps."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "file").write_text("x")
    assert len(open_to_others(tmp_path / "state")) == (0 if umask == 0o077 else 2)


async def use_everything(stage: Stage) -> None:
    """A request, a lesson, an approved write with its snapshots, a rule, a history, an export."""
    git(stage.folder, "init", "-q")
    git(stage.folder, "add", ".")
    git(stage.folder, "commit", "-q", "-m", "begin")
    write = call("write", path="a.txt", content="a")
    bash = call("bash", command="echo b > b.txt")
    stage.write_script(completions=[write, "Done."], lessons=[{"retry": bash}])
    await stage.run(Deny("use bash"), Approve(always=True, for_good=True))
    assert (stage.folder / "b.txt").read_text() == "b\n"
    session = stage.session()
    data = paths.DataPaths(stage.data)
    PromptHistory(data.history("key")).add("hello")
    RuleFile(data.rules("key", stage.folder)).add(ToolCall(name="bash", arguments={}))
    export(session.metrics, stage.data / "exports")
    log_to(data.app_log)


async def test_all_that_a_session_writes_is_the_users_alone(stage: Stage, umask: int):
    await use_everything(stage)
    assert everything(stage.data) >= {"checkpoints", "history", "lessons", "logs", "rules"}
    assert everything(stage.data) <= OURS
    assert open_to_others(stage.data) == []


@pytest.mark.slow
def test_all_that_the_real_worker_writes_is_the_users_alone(tmp_path: Path):
    mask = 0o000
    folder = tmp_path / "scratch"
    folder.mkdir()
    for name, text in (
        ("calc.py", CALC),
        ("test_calc.py", TEST),
        ("../feedback", json.dumps(DENY)),
    ):
        (folder / name).write_text(text)
    assert lessons_in(learn_once(folder, dict(os.environ), umask=mask)) == ["learned"]
    export = [*PROGRAM, "adapters", "export", f"data_dir={tmp_path / 'data'}"]
    subprocess.run([*export], cwd=folder, check=True, capture_output=True, umask=mask)
    data = tmp_path / "data"
    assert len(list(data.rglob("*.safetensors"))) == 2
    assert open_to_others(data) == []


async def test_wider_rights_of_an_older_version_are_taken_back_and_told(stage: Stage):
    await use_everything(stage)
    for path in [stage.data, *stage.data.rglob("*")]:
        path.chmod(0o777 if path.is_dir() else 0o666)
    assert len(open_to_others(stage.data)) > 10
    stage.events.clear()
    await stage.run(request="again")
    assert open_to_others(stage.data) == []
    (told,) = [event.text for event in stage.seen(Notice) if "data folder" in event.text]
    assert told.endswith("entries of the data folder could be used by others; now only you can.")


def test_a_data_folder_with_other_things_in_it_keeps_its_own_mode(tmp_path: Path):
    home = tmp_path / "home"
    for path in (home / "logs", home / "photos"):
        path.mkdir(parents=True)
        (path / "one").write_text("x")
        (path / "one").chmod(0o644)
        path.chmod(0o755)
    home.chmod(0o755)
    assert tighten(home).words.startswith("2 entries")
    assert open_to_others(home / "logs") == []
    assert stat.S_IMODE(home.stat().st_mode) == 0o755
    assert stat.S_IMODE((home / "photos" / "one").stat().st_mode) == 0o644
    home.chmod(0o777)
    assert "chmod go=" in tighten(home).words


def test_links_lead_no_chmod_out_of_the_data_folder(tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("x")
    (elsewhere / "file").chmod(0o644)
    data = tmp_path / "data"
    (data / "logs").mkdir(parents=True)
    (data / "sessions").symlink_to(elsewhere)
    (data / "logs" / "link").symlink_to(elsewhere / "file")
    tighten(data)
    assert stat.S_IMODE((elsewhere / "file").stat().st_mode) == 0o644


def test_a_folder_of_somebody_elses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "logs").mkdir(mode=0o755)
    monkeypatch.setattr(
        Path, "chmod", lambda *_: (_ for _ in ()).throw(PermissionError(1, "not yours"))
    )
    assert "this could not be changed" in tighten(tmp_path).words
