"""R3 where a repository is odd: what git's configuration names, pipes, devices, circles."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from .scene import Scene, need_bwrap

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _with_bwrap() -> None:
    need_bwrap()


def test_commands_run_where_nothing_can_be_written(scene: Scene) -> None:
    """What nobody can create needs no protection, so that a folder of somebody else can be used."""
    setpriv = shutil.which("setpriv")
    if os.geteuid() != 0 or setpriv is None:
        pytest.skip("only root with setpriv can make a folder of somebody else's")
    theirs = scene.home / "theirs"
    theirs.mkdir()
    os.chown(theirs, 1234, 1234)
    code = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from continualcode_tui.app.sandbox.sandbox import Sandbox\n"
        "from continualcode_tui.app.tools import registry\n"
        "from continualcode_tui.app.workspace.workspace import Workspace\n"
        "from continualcode_tui.training.protocol import ToolCall\n"
        "sandbox = Sandbox(data_dir=Path(sys.argv[2]))\n"
        "print(sandbox.prove(Path(sys.argv[1])).kind)\n"
        "call = ToolCall(name='bash', arguments={'command': 'ls -A; mkdir .vscode'})\n"
        "tools = registry.make_tools(5, sandbox)\n"
        "run = registry.run(call, Workspace(sys.argv[1]), lambda _: None, tools=tools)\n"
        "print(asyncio.run(run).output)\n"
    )
    done = subprocess.run(
        [
            setpriv, "--bounding-set=-dac_override,-dac_read_search,-chown,-fowner",
            "--inh-caps=-all", sys.executable, "-c", code, str(theirs), str(scene.home / "data"),
        ],
        env=scene.environment, capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    assert done.stdout.startswith("bwrap\nmkdir: cannot create directory"), done.stdout
    assert not any(theirs.iterdir())


SHOUT = "printf '[alias]\\n\\tst = !echo got in\\n' > "


@pytest.mark.parametrize(
    ("key", "there", "attack"),
    [
        ("include.path", False, "SHOUT own.config"),
        ("include.path", True, "SHOUT own.config"),
        ("include.path", True, "rm own.config; SHOUT own.config"),
        ("includeIf.onbranch:evil.path", False, "git checkout -q -b evil; SHOUT own.config"),
    ],
)
async def test_an_included_file_that_says_nothing_yet(
    key: str, there: bool, attack: str, scene: Scene
) -> None:
    scene.git("config", key, "../own.config")
    if there:
        (scene.repo / "own.config").write_text("# nothing\n")
    await scene.run(attack.replace("SHOUT ", SHOUT))
    assert "got in" not in scene.git("config", "--list")
    assert (scene.repo / "own.config").exists() == there


async def test_what_an_included_file_names_for_another_branch(scene: Scene) -> None:
    (scene.repo / "own.config").write_text("[core]\n\thooksPath = later\n")
    scene.git("config", "includeIf.onbranch:evil.path", "../own.config")
    assert not (await scene.run("mkdir later && echo x > later/post-checkout")).ok


async def test_the_users_settings_that_a_link_takes_from_the_checkout(scene: Scene) -> None:
    (scene.repo / "gitconfig").write_text("[user]\n\tname = me\n")
    (scene.home / ".gitconfig").unlink(missing_ok=True)
    (scene.home / ".gitconfig").symlink_to(scene.repo / "gitconfig")
    assert not (await scene.run("echo x >> gitconfig")).ok
    assert not (await scene.run("rm gitconfig")).ok


@pytest.mark.parametrize("there", [True, False])
async def test_a_git_directory_in_the_checkout_by_another_name(there: bool, scene: Scene) -> None:
    (scene.repo / ".git").rename(scene.repo / "store")
    (scene.repo / ".git").write_text("gitdir: store\n")
    if not there:
        (scene.repo / "store").rename(scene.home / "store")
    for attack in (
        "mkdir -p store/hooks && echo x > store/hooks/post-checkout",
        "mkdir -p store && echo x > store/config",
        "mv store moved && mkdir store",
    ):
        assert not (await scene.run(attack)).ok, attack
    assert (scene.repo / "store").exists() == there


@pytest.mark.parametrize(
    "odd",
    [
        "mkfifo .venv/pyvenv.cfg",
        "ln -s /dev/zero .venv/pyvenv.cfg",
        "printf 'home = /a\\0b' > .venv/pyvenv.cfg",
        "mkfifo sub/.git",
        "ln -s loop loop; git config core.hooksPath loop/hooks",
        "git config core.hooksPath '~nobody-has-this-name/hooks'",
        "git config core.hooksPath .",
        "ln -s x y; ln -s y x; rm -rf .git; echo gitdir: x/y > .git",
        "rm -rf .git; mkfifo .git",
        "for i in $(seq 40); do echo '[submodule \"'$i'\"]'; echo ' path = .'; done > .gitmodules",
    ],
)
def test_odd_things_in_a_repository_neither_stop_nor_break_the_boundary(
    odd: str, scene: Scene
) -> None:
    """It is drawn, or refused in words, and soon, without filling memory."""
    (scene.repo / ".venv").mkdir()
    (scene.repo / "sub").mkdir()
    (scene.repo / ".gitmodules").write_text('[submodule "sub"]\n\tpath = sub\n')
    subprocess.run(["bash", "-c", odd], cwd=scene.repo, env=scene.environment, check=True)
    draw = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
        "from pathlib import Path\n"
        "from continualcode_tui.app.sandbox import policy\n"
        "try:\n"
        "    around = policy.Surroundings(home=Path(sys.argv[2]))\n"
        "    policy.make_policy(Path(sys.argv[1]), around)\n"
        "except policy.CannotConfine as error:\n"
        "    assert len(str(error)) > 20\n"
    )
    command = [sys.executable, "-c", draw, str(scene.repo), str(scene.home)]
    subprocess.run(command, check=True, timeout=20)
