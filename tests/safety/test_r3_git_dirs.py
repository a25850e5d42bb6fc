"""R3: the kernel confines bash in repositories of every kind, and leaves nothing behind in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from continualcode_tui.app.sandbox.git_dirs import CannotConfine
from continualcode_tui.app.sandbox.placeholders import Placeholders
from continualcode_tui.app.sandbox.policy import Surroundings, make_policy

from .scene import KEY, Scene

pytestmark = pytest.mark.slow


# --- git directories of every kind ------------------------------------------------------------


async def test_a_linked_worktree(scene: Scene) -> None:
    linked = scene.home / "linked"
    scene.git("worktree", "add", "-q", str(linked))
    main = scene.repo / ".git"
    result = await scene.run("echo b > b; git add b; git commit -qm second", root=linked)
    assert result.ok, result.output
    assert "second" in scene.git("log", "--format=%s", cwd=linked)
    attacks = (
        f"echo x > {main}/hooks/pre-commit", "git config core.fsmonitor x", "rm .git",
        f"echo x > {main}/worktrees/linked/commondir", f"echo x > {main}/commondir",
        f"mv {main} {main}2", "echo gitdir: x > .git",
    )  # fmt: skip
    before = {path: path.read_bytes() for path in main.rglob("*") if path.is_file()}
    for attack in attacks:
        assert not (await scene.run(attack, root=linked)).ok, attack
    await scene.run(f"echo x > {scene.repo}/a.txt", root=linked)
    assert (scene.repo / "a.txt").read_text() == "a\n"
    after = {path: path.read_bytes() for path in main.rglob("*") if path.is_file()}
    assert after == before
    assert (linked / ".git").read_text().startswith("gitdir: ")


async def test_a_submodule(scene: Scene, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    scene.git("init", "-q", cwd=other)
    empty = ("commit", "-q", "--allow-empty", "-m", "o")
    scene.git("-c", "user.name=t", "-c", "user.email=t@t", *empty, cwd=other)
    scene.git("submodule", "add", "-q", str(other), "deep/sub")
    scene.git("commit", "-qm", "with a submodule")
    inside = scene.repo / "deep" / "sub"
    folder = scene.repo / ".git" / "modules" / "deep" / "sub"
    identity = "git -c user.name=t -c user.email=t@t"
    committing = (
        f"cd deep/sub && {identity} commit -q --allow-empty -m inner && git log --format=%s"
    )
    result = await scene.run(committing)
    assert result.ok, result.output
    assert "inner" in result.output
    attacks = (
        "echo x > .git/modules/deep/sub/hooks/y", "mv deep/sub x", "mv deep x", "rm deep/sub/.git",
        "git -C deep/sub config core.fsmonitor x", "echo x > .git/modules/deep/sub/commondir",
        "mkdir -p .git/modules/other", "echo x > .gitmodules",
    )  # fmt: skip
    for attack in attacks:
        assert not (await scene.run(attack)).ok, attack
    assert not (folder / "commondir").exists()
    # A session in the submodule itself.
    result = await scene.run(f"{identity} commit -q --allow-empty -m own", root=inside)
    assert result.ok, result.output
    for attack in (f"echo x > {folder}/hooks/y", "rm .git", "git config core.fsmonitor x"):
        assert not (await scene.run(attack, root=inside)).ok, attack


async def test_hooks_and_settings_that_lie_in_the_checkout(scene: Scene) -> None:
    (scene.repo / "tools" / "git").mkdir(parents=True)
    (scene.repo / "tools" / "git" / "pre-commit").write_text("#!/bin/sh\n")
    (scene.repo / "shared.config").write_text("[core]\n\tpager = cat\n")
    scene.git("config", "core.hooksPath", "tools/git")
    scene.git("config", "include.path", "../shared.config")
    attacks = (
        "echo x > tools/git/pre-commit", "mv tools/git x", "mv tools x", "rm -rf tools",
        "echo x > shared.config", "rm shared.config",
    )  # fmt: skip
    for attack in attacks:
        assert not (await scene.run(attack)).ok, attack
    assert (await scene.run("mkdir tools/other && touch tools/other/x")).ok
    scene.git("config", "core.hooksPath", "later/hooks")
    assert not (await scene.run("mkdir -p later/hooks && echo x > later/hooks/pre-commit")).ok
    assert not (scene.repo / "later").exists()


@pytest.mark.parametrize("kind", ["worktree", "submodule", "alternates", "environment"])
async def test_a_forged_reference_opens_nothing(kind: str, scene: Scene) -> None:
    """What a command wrote into the repository has no say in what the next one may see."""
    private = scene.home / "private"
    private.mkdir()
    scene.git("init", "-q", cwd=private)
    (private / "secret").write_text(KEY)
    module = "mkdir -p x fake && printf '[submodule \"x\"]\\n\\tpath = x\\n' > .gitmodules"
    forged = {
        "worktree": f"{module} && echo gitdir: ../fake > x/.git && echo ../x/.git > fake/gitdir "
        f"&& echo {private}/.git > fake/commondir",
        "submodule": f"{module} && echo gitdir: {private}/.git > x/.git",
        "alternates": f"echo {private}/.git/objects > .git/objects/info/alternates",
        "environment": f"mkdir -p .venv/bin && echo home = {private}/.git > .venv/pyvenv.cfg "
        f"&& ln -s {private} .venv/lib",
    }  # fmt: skip
    assert (await scene.run(forged[kind])).ok
    looked = await scene.run(f"cat {private}/secret {private}/.git/config; ls {private}/.git")
    assert KEY not in looked.output
    assert "repositoryformatversion" not in looked.output
    assert "objects" not in looked.output.replace(f"{private}/.git/objects", "")


def test_where_no_boundary_can_be_drawn_it_says_so(scene: Scene) -> None:
    around = Surroundings(home=scene.home)
    (scene.repo / ".git").rename(scene.outside / "moved")
    (scene.repo / ".git").symlink_to(scene.outside / "moved")
    with pytest.raises(CannotConfine, match="symbolic link"):
        make_policy(scene.repo, around)
    for root in (scene.home.parent, Path("/")):
        with pytest.raises(CannotConfine, match="holds your home"):
            make_policy(root, around)


async def test_a_call_that_cannot_be_confined_is_not_run(scene: Scene) -> None:
    (scene.repo / ".git").rename(scene.outside / "moved")
    (scene.repo / ".git").symlink_to(scene.outside / "moved")
    result = await scene.run("touch ran")
    assert "no boundary holds it" in result.output
    assert not (scene.repo / "ran").exists()


async def test_a_home_that_is_the_repository(scene: Scene) -> None:
    scene.git("init", "-q", cwd=scene.home)
    (scene.home / "file").write_text("mine")
    command = "cat .ssh/id; echo x >> .bashrc; echo x > .zshrc; ls -A .ssh; echo new > file"
    output = (await scene.run(command, root=scene.home)).output
    assert KEY not in output
    assert (scene.home / ".bashrc").read_text() == "# mine\n"
    assert not (scene.home / ".zshrc").exists()
    assert (scene.home / "file").read_text() == "new\n"


async def test_a_folder_without_git_does_not_become_a_repository(scene: Scene) -> None:
    folder = scene.home / "plain"
    folder.mkdir()
    result = await scene.run("git init -q . && git config core.fsmonitor x", root=folder)
    assert not result.ok
    assert list(folder.iterdir()) == []


async def test_our_own_data_is_out_of_sight(scene: Scene) -> None:
    sandbox = scene.sandbox()
    (scene.data / "lessons").mkdir(parents=True)
    (scene.data / "lessons" / "x").write_text(KEY)
    output = (await scene.run(f"cat {scene.data}/lessons/x", sandbox=sandbox)).output
    assert KEY not in output


# --- placeholders -------------------------------------------------------------------------------


async def test_nothing_is_left_of_what_keeps_names_taken(scene: Scene) -> None:
    before = sorted(scene.repo.rglob("*"))
    assert (await scene.run("ls -A; git status --short; git add -A; git status --short")).ok
    assert sorted(scene.repo.rglob("*")) == before
    (scene.repo / ".envrc").write_text("")
    assert (await scene.run("cat .envrc")).ok
    assert (scene.repo / ".envrc").exists()


async def test_what_the_user_makes_meanwhile_stays(scene: Scene) -> None:
    register = Placeholders(scene.data / "sandbox" / "r")
    policy = make_policy(scene.repo, Surroundings(home=scene.home))
    with register.standing(policy.placeholders):
        (scene.repo / ".vscode" / "settings.json").write_text("{}")
        assert (scene.repo / ".idea").is_dir()
    assert (scene.repo / ".vscode" / "settings.json").exists()
    assert not (scene.repo / ".idea").exists()


def test_of_two_programs_the_last_one_clears_up_and_a_killed_one_is_cleared_up_after(
    scene: Scene,
) -> None:
    wanted = make_policy(scene.repo, Surroundings(home=scene.home)).placeholders
    one, other = (Placeholders(scene.data / "sandbox" / "r") for _ in range(2))
    with one.standing(wanted):
        with other.standing(wanted):
            pass
        assert (scene.repo / ".idea").is_dir()
        assert (scene.repo / ".git" / "commondir").read_text() == ".\n"
        assert scene.git("status", "--short") == ""
        kept = (scene.data / "sandbox" / "r").read_bytes()
    assert not (scene.repo / ".idea").exists()
    for placeholder in wanted:
        if placeholder.content is None:
            placeholder.path.mkdir()
        else:
            placeholder.path.write_bytes(placeholder.content)
    (scene.data / "sandbox" / "r").write_bytes(kept)
    one.sweep()
    assert not any(placeholder.path.exists() for placeholder in wanted)
    assert not (scene.data / "sandbox" / "r").exists()
