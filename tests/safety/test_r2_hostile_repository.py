"""R2: opening a hostile repository executes nothing.

0 marks of 26 traps, each of which is first seen to leave its mark on a careless program, and is
still armed afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from continualcode_tui.app.agent.system_prompt import read_prompt
from continualcode_tui.app.external_editor import EditorFailed, command_for
from continualcode_tui.app.settings import SettingsError, load_settings
from continualcode_tui.app.tools import registry
from continualcode_tui.app.workspace.checkpoints import Checkpoints, make_plan
from continualcode_tui.app.workspace.programs import find_shell
from continualcode_tui.app.workspace.repository import find_root, inspect, list_files, sweep
from continualcode_tui.app.workspace.safe_git import find_git
from continualcode_tui.app.workspace.workspace import Workspace
from continualcode_tui.training.client import default_worker_command
from continualcode_tui.training.protocol import ToolCall
from continualcode_tui.training.surroundings import worker_environment

from .traps import TRAPS, Hostile, Trap

pytestmark = pytest.mark.slow


@pytest.fixture
def hostile(tmp_path: Path) -> Hostile:
    return Hostile(tmp_path)


def set_up(hostile: Hostile, trap: Trap, patch: pytest.MonkeyPatch) -> None:
    """Arm a trap, and give the environment what it needs of a careless user."""
    trap.arm(hostile)
    patch.chdir(hostile.root)
    patch.setenv("HOME", str(hostile.marks.parent))
    known = {"root": hostile.root, "PATH": os.environ["PATH"]}
    known["PYTHONPATH"] = os.environ.get("PYTHONPATH", "")
    for name, value in trap.environment.items():
        patch.setenv(name, value.format(**known))
    hostile.wipe()


def open_everything(hostile: Hostile, data: Path, start: str = ".") -> None:
    """All that the program does with a repository before and after the user agrees to a call."""
    repository = inspect(hostile.root / start)
    root = repository.root
    assert "calc.py" in list_files(hostile.root).paths
    sweep(root)
    read_prompt(repository, 8_000)
    workspace = Workspace(hostile.root)
    checkpoints = Checkpoints(hostile.root, data / "store", git=(hostile.root / ".git").exists())
    then = checkpoints.files(checkpoints.take())
    calls = {
        "read": {"path": "calc.py"},
        "glob": {"pattern": "**/*"},
        "grep": {"pattern": "x"},
        "write": {"path": "calc.py", "content": "x = 4\n"},
        "edit_lines": {"path": "calc.py", "start_line": 1, "end_line": 1, "content": "x = 5"},
    }
    for name, arguments in calls.items():
        call = ToolCall(name=name, arguments=arguments)
        shown = registry.preview(call, workspace)
        assert shown.problem is None
        assert asyncio.run(registry.run(call, workspace, lambda _: None, shown)).ok
    now = checkpoints.files(checkpoints.take())
    assert checkpoints.restore(make_plan(then, now, now)) == []
    for name in ("bash", "git"):
        found = find_shell(root) if name == "bash" else find_git(root)
        assert found is not None
        subprocess.run([found, "--version"], check=True, stdout=subprocess.DEVNULL)
    with contextlib.suppress(EditorFailed):
        subprocess.run([*command_for({}), "--version"], check=False, stdout=subprocess.DEVNULL)
    start_the_worker()


def start_the_worker() -> None:
    """The interpreter of the worker that the settings name, in its environment."""
    command = load_settings([]).worker_argv() or default_worker_command()
    worker = [*command[:2], "-c", "import pydantic, git, jsonschema"]
    subprocess.run(worker, env=worker_environment(), check=True, cwd="/")


def test_there_are_at_least_fifteen() -> None:
    assert len(TRAPS) == 26


@pytest.mark.parametrize("name", TRAPS)
def test_a_trap_is_not_stepped_into(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = TRAPS[name]
    with pytest.MonkeyPatch.context() as patch:
        twin = Hostile(tmp_path / "twin")
        set_up(twin, trap, patch)
        trap.step(twin)
        assert twin.marked()  # a careless program steps into it
    hostile = Hostile(tmp_path / "real")
    set_up(hostile, trap, monkeypatch)
    open_everything(hostile, tmp_path / "data", trap.start)
    assert hostile.marked() == []
    trap.step(hostile)
    assert hostile.marked()  # it was armed all the time


def test_the_program_imports_nothing_of_the_repository(
    hostile: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(hostile, TRAPS["Python modules"], monkeypatch)
    app = [sys.executable, "-m", "continualcode_tui.app"]
    for arguments in (["--version"], ["exec", "go", "engine=nonsense"], ["lessons"]):
        done = subprocess.run([*app, *arguments], capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr
    worker = subprocess.run(
        [*app, "worker"], input="", capture_output=True, text=True, check=False, timeout=60
    )
    assert '"ready"' in worker.stdout
    assert hostile.marked() == []
    TRAPS["Python modules"].step(hostile)
    assert hostile.marked() == ["git"]


# --- whose repository it is ---------------------------------------------------------------


def test_a_repository_of_somebody_else_is_none_unless_it_is_declared_safe(
    hostile: Hostile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder to somebody else")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SUDO_UID", raising=False)
    for folder in (hostile.root, hostile.root / ".git"):
        os.chown(folder, 12345, 12345)
    assert not inspect(hostile.root).git
    (tmp_path / ".gitconfig").write_text(f"[safe]\n\tdirectory = {hostile.root}\n")
    assert inspect(hostile.root).git


def test_the_folder_of_a_bare_repository_is_no_repository(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", "--bare", "."], cwd=tmp_path, check=True)
    assert find_root(tmp_path) == tmp_path
    assert not inspect(tmp_path).git


def test_another_worktree_is_not_listed(hostile: Hostile, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "private.txt").write_text("x\n")
    hostile.config("core.worktree", str(other))
    said = subprocess.check_output(["git", "ls-files", "-o"], cwd=other, env={
        **os.environ, "GIT_DIR": str(hostile.root / ".git")})  # fmt: skip
    assert b"private.txt" in said
    assert "private.txt" not in list_files(hostile.root).paths
    assert "calc.py" in list_files(hostile.root).paths


# --- settings -----------------------------------------------------------------------------


def test_no_setting_comes_from_the_repository(
    hostile: Hostile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(hostile, TRAPS["settings files"], monkeypatch)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, ".config")  # relative, so no place at all
    settings = load_settings([])
    assert settings.worker_command is None
    assert settings.engine == "practice"
    assert settings.base_url is None
    assert not settings.data_dir.is_relative_to(hostile.root)


@pytest.mark.parametrize("variable", ["CONFIG_FILE", "DATA_DIR"])
def test_no_standing_path_leads_into_whatever_is_worked_in(
    hostile: Hostile, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(hostile, TRAPS["settings files"], monkeypatch)
    with pytest.raises(SettingsError, match="is relative; write the whole path"):
        load_settings([], {f"CONTINUALCODE_{variable}": "config.toml"})
    file = hostile.root.parent / "mine.toml"
    file.write_text('data_dir = "data"\n')
    with pytest.raises(SettingsError, match="is relative; write the whole path"):
        load_settings([f"config_file={file}"], {})


async def test_agents_md_is_text_with_its_invisible_characters_shown(hostile: Hostile) -> None:
    text = "be kind\u202e\u200b\U000e0041\x1b[2J\n@../../etc/passwd\n!touch mark\n"
    (hostile.root / "AGENTS.md").write_text(text)
    prompt = read_prompt(inspect(hostile.root), 8_000)
    assert "be kind<U+202E><U+200B><U+E0041><U+001B>[2J" in prompt
    assert "@../../etc/passwd\n!touch mark" in prompt  # said, not done
    assert "root:" not in prompt
    assert hostile.marked() == []


# --- the whole program --------------------------------------------------------------------

ALONE = (
    # What takes the place of the repository or of an object in it, or another trap's setting,
    # and a module that the user's own PYTHONPATH starts before any program can object.
    "core.sshCommand", "an ext:: remote", "remote.uploadpack", "a .git file", "a bare repository",
    "core.hooksPath", "GIT_CONFIG_COUNT", "sitecustomize",
)  # fmt: skip


def environment_of(hostile: Hostile, home: Path) -> dict[str, str]:
    ours = [path for path in (os.environ.get("PYTHONPATH"),) if path]
    return {
        **os.environ,
        "PATH": f"bin:.:{hostile.root}/bin:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([*ours, ".", str(hostile.root / "lib")]),
        "HOME": str(home),
        "XDG_DATA_HOME": str(home / "share"),
        "HF_HUB_OFFLINE": "1",
    }


@pytest.mark.slow
def test_the_whole_program_steps_into_none(hostile: Hostile, tmp_path: Path) -> None:
    """`exec` with the traps all together: a proposal, a denial, a lesson, an approval."""
    together = [trap for name, trap in TRAPS.items() if name not in ALONE]
    for trap in together:
        trap.arm(hostile)
    (hostile.root / "calc.py").write_text("def add(a, b):\n    return a + b\n")
    test = "from calc import add\n\n\ndef test_add():\n    assert add(2, 2) == 5\n"
    (hostile.root / "test_calc.py").write_text(test)
    hostile.wipe()
    feedback = [
        {"decision": "deny", "correction": "use edit_lines; don't overwrite"},
        {"decision": "approve"},
    ]
    command = [sys.executable, "-P", "-m", "continualcode_tui.app", "exec", "fix the test"]
    done = subprocess.run(
        [*command, "--feedback", "-", "engine=practice"], cwd=hostile.root,
        env=environment_of(hostile, tmp_path), capture_output=True, text=True, check=False,
        input="".join(json.dumps(line) + "\n" for line in feedback), timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"outcome": "learned"' in done.stdout, done.stdout
    assert "== 4" in (hostile.root / "test_calc.py").read_text()
    assert hostile.marked() == []
    for trap in together:
        trap.step(hostile)
    assert len(hostile.marked()) >= 8  # some of them take each other's place


@pytest.mark.slow
@pytest.mark.parametrize("path", ["adapter", "adapter/adapter_model.bin",
                                  "adapter/renamed.safetensors"])  # fmt: skip
def test_no_pickle_is_taken_for_an_adapter(hostile: Hostile, tmp_path: Path, path: str) -> None:
    TRAPS["pickled adapters"].arm(hostile)
    command = [sys.executable, "-P", "-m", "continualcode_tui.app", "adapters", "import", path]
    done = subprocess.run(
        [*command, "engine=practice"], cwd=hostile.root, env=environment_of(hostile, tmp_path),
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode != 0
    assert "pickle" in done.stderr or "damaged" in done.stderr
    assert hostile.marked() == []


@pytest.mark.slow
@pytest.mark.parametrize("model", ["model", "./model", "{root}/model"])
def test_no_model_of_the_repository_runs(hostile: Hostile, tmp_path: Path, model: str) -> None:
    """Not by a name that is also a folder here; nor its code or pickles where it is named whole."""
    TRAPS["pickled adapters"].arm(hostile)
    command = [sys.executable, "-P", "-m", "continualcode_tui.app", "exec", "go"]
    done = subprocess.run(
        [*command, "engine=local", f"model_name={model.format(root=hostile.root)}"],
        cwd=hostile.root, env=environment_of(hostile, tmp_path),
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode != 0
    assert hostile.marked() == []
