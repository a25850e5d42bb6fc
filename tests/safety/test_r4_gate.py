"""R4: what the program says of its boundary is true, whatever is installed and whatever it does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from continualcode_tui.app.sandbox import kept, sandbox
from continualcode_tui.app.sandbox.gate import Gate, Kind
from continualcode_tui.app.sandbox.prove import prove
from continualcode_tui.app.sandbox.sandbox import Sandbox
from continualcode_tui.app.screens.desk import DecisionDesk
from continualcode_tui.app.tools import registry
from continualcode_tui.app.workspace.workspace import Workspace
from continualcode_tui.training.protocol import ToolCall
from continualcode_tui.widgets.arguments_editor import ArgumentsEditor
from continualcode_tui.widgets.command_view import CommandView
from continualcode_tui.widgets.status_bar import StatusBar

from ..app.test_deciding import panel_of
from ..app.test_screen import Driver, running
from ..controllers.support import Stage, call
from .scene import Scene, need, need_bwrap

FAKE = '#!/bin/sh\nwhile [ "$1" != "--" ]; do shift; done\nshift\nexec "$@"\n'
DEAD = "#!/bin/sh\nexit 0\n"
BROKEN = "#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n"
# With a real one, but an option that matters taken away.
LEAKY = """#!{python}
import os, sys
arguments = [word for word in sys.argv[1:] if word != "--unshare-net"]
os.execv("{bwrap}", ["bwrap", *arguments])
"""
RUN = call("bash", command="echo one")


@pytest.fixture(autouse=True)
def unproved(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another test proved is forgotten."""
    monkeypatch.setattr(sandbox, "_proved", {})


class Machine:
    """What is installed, as far as PATH and the kernel tell."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.programs = place / "programs"
        self.programs.mkdir()
        self._monkeypatch = monkeypatch

    def has(self, script: str | None, *, landlock: bool = True) -> None:
        """Put this in place of bubblewrap; None leaves it out."""
        folders = []
        if script is not None:
            (self.programs / "bwrap").write_text(script)
            (self.programs / "bwrap").chmod(0o755)
            folders = [str(self.programs), "/usr/bin", "/bin"]
        else:
            for name in ("bash", "git", "sh"):
                (self.programs / name).symlink_to(f"/bin/{name}")
            folders = [str(self.programs)]
        self._monkeypatch.setenv("PATH", ":".join(folders))
        if not landlock:
            self._monkeypatch.setattr(kept, "landlock_version", lambda: 0)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


ENVIRONMENTS: dict[str, tuple[str | None, bool, Kind]] = {
    "bwrap": ("", True, "bwrap"),
    "landlock only": (None, True, "partial"),
    "a fake bwrap": (FAKE, False, "none"),
    "nothing": (None, False, "none"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ENVIRONMENTS)
async def test_the_label(name: str, machine: Machine, tmp_path: Path) -> None:
    """The label on the screen is right in 4 of 4 environments, at 60 columns and at 120."""
    script, landlock, kind = ENVIRONMENTS[name]
    if kind != "none":
        need(kind)
    if script != "":
        machine.has(script, landlock=landlock)
    for width, words in ((120, f"sandbox: {kind}"), (60, SHORT[kind])):
        (tmp_path / str(width)).mkdir()
        stage = Stage(tmp_path / str(width))
        stage.write_script(completions=[RUN, "Done."])
        async with running(stage, "sandbox=auto", size=(width, 30)) as at:
            await at.until(lambda at=at: at.chat.gate, "the gate")
            assert at.chat.gate == kind
            (bar,) = [line for line in at.text().splitlines() if " ready" in line]
            assert words in bar
            await at.ask("/sandbox")
            await at.until(lambda at=at: f"sandbox: {kind}{END[kind]}" in at.text(), "the words")
            await at.ask("run it")
            await at.proposal()
            panel = at.chat.query_one(DecisionDesk).panel
            assert panel is not None
            assert panel.query_one(CommandView)
            assert f"sandbox: {kind}" in at.text()


END = {"bwrap": ". Each", "partial": ", because", "none": ", because"}
SHORT = {"bwrap": "bwrap ·", "partial": "partial sandbox ·", "none": "no sandbox ·"}


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (FAKE, "does not hold: behind it one could write outside"),
        (DEAD, "nothing runs behind it (without a word)"),
        (BROKEN, "No permissions to create new namespace"),
        (LEAKY, "does not hold: behind it one could connect over TCP"),
    ],
    ids=["fake", "dead", "broken", "leaky"],
)
def test_a_gate_that_does_not_hold_is_none(
    script: str, why: str, machine: Machine, tmp_path: Path
) -> None:
    if script == LEAKY:
        need_bwrap()
        script = LEAKY.format(python=sys.executable, bwrap="/usr/bin/bwrap")
    machine.has(script, landlock=False)
    (tmp_path / "repo").mkdir()
    gate = Sandbox(data_dir=tmp_path / "data").prove(tmp_path / "repo")
    assert gate.kind == "none"
    assert why in gate.words
    assert str(machine.programs / "bwrap") in gate.words


def test_behind_a_fake_one_landlock_still_counts(machine: Machine, tmp_path: Path) -> None:
    need("partial")
    machine.has(FAKE)
    (tmp_path / "repo").mkdir()
    gate = Sandbox(data_dir=tmp_path / "data").prove(tmp_path / "repo")
    assert gate.kind == "partial"
    assert "bwrap does not hold" in gate.words


def test_a_bwrap_in_the_repository_is_not_used(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.has(None, landlock=False)
    (tmp_path / "repo" / "bin").mkdir(parents=True)
    trap = tmp_path / "repo" / "bin" / "bwrap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    trap.chmod(0o755)
    monkeypatch.setenv("PATH", f"{trap.parent}:bin:{machine.programs}")
    monkeypatch.chdir(tmp_path / "repo")
    gate = Sandbox(data_dir=tmp_path / "data").prove(tmp_path / "repo")
    assert (gate.kind, gate.binary) == ("none", None)
    assert not (tmp_path / "ran").exists()


def test_every_probe_can_succeed(scene: Scene, tmp_path: Path) -> None:
    """12 of 12 probes reach their aim where nothing holds them; else the proof proves nothing."""
    boundary = scene.sandbox("none")
    place = tmp_path / "place"
    place.mkdir()
    proof = prove(lambda command, root: boundary.prepare(command, root, network=False), place)
    assert (len(proof.open), proof.stopped, proof.problem) == (12, (), "")
    assert list(place.iterdir()) == []


def test_the_full_gate_stops_every_probe(tmp_path: Path) -> None:
    need_bwrap()
    gate = Sandbox(data_dir=tmp_path / "data").prove(tmp_path)
    assert (gate.kind, len(gate.stopped), gate.open) == ("bwrap", 12, ())
    assert list((tmp_path / "data" / "sandbox").iterdir()) == []


def test_the_partial_gate_says_what_is_still_open(machine: Machine, tmp_path: Path) -> None:
    need("partial")
    machine.has(None)
    gate = Sandbox(data_dir=tmp_path / "data").prove(tmp_path)
    assert gate.kind == "partial"
    assert {"write outside", "read a secret", "connect over TCP", "send over UDP"} <= {
        *gate.stopped
    }
    inside = {"write .git/hooks", "write .git/config", "move .git away", "write .vscode"}
    assert inside <= {*gate.open}
    assert all(name in gate.words for name in gate.open)


@pytest.mark.parametrize("landlock", [True, False])
async def test_require_refuses_in_one_sentence(
    landlock: bool, machine: Machine, tmp_path: Path
) -> None:
    machine.has(None, landlock=landlock)
    boundary = Sandbox("require", data_dir=tmp_path / "data")
    boundary.prove(tmp_path)
    tools = registry.make_tools(10, boundary)
    proposed = ToolCall(name="bash", arguments={"command": "touch ran"})
    shown = registry.preview(proposed, Workspace(tmp_path), tools)
    assert shown.problem is not None
    assert "bubblewrap is not installed" in shown.problem
    assert shown.problem.endswith(
        "install bubblewrap, or set sandbox=auto to run commands without it"
    )
    result = await registry.run(proposed, Workspace(tmp_path), lambda _: None, tools=tools)
    assert result.output == f"error: {shown.problem}"
    assert not (tmp_path / "ran").exists()


async def test_require_runs_behind_the_full_gate(scene: Scene) -> None:
    need_bwrap()
    boundary = Sandbox("require", data_dir=scene.data)
    boundary.prove(scene.repo)
    assert (await scene.run("echo ran", sandbox=boundary)).output == "ran\n[exit 0]"


async def test_nothing_runs_before_a_gate_is_known(scene: Scene) -> None:
    boundary = Sandbox(data_dir=scene.data)
    result = await scene.run("touch ran", sandbox=boundary)
    assert "still being tried" in result.output
    assert not (scene.repo / "ran").exists()


async def test_a_gate_that_goes_away_is_no_silent_fallback(scene: Scene, tmp_path: Path) -> None:
    boundary = scene.sandbox("bwrap")
    boundary.gate = Gate("bwrap", binary=str(tmp_path / "gone"))
    result = await scene.run("touch ran", sandbox=boundary)
    assert result.output == "error: the command could not be started: No such file or directory"
    (tmp_path / "gone").write_text(BROKEN)
    (tmp_path / "gone").chmod(0o755)
    result = await scene.run("touch ran", sandbox=boundary)
    assert not result.ok
    assert not (scene.repo / "ran").exists()


def test_off_says_that_it_is_off(tmp_path: Path) -> None:
    gate = Sandbox("off", data_dir=tmp_path / "data").prove(tmp_path)
    assert gate.kind == "none"
    assert "sandbox=off" in gate.words


def test_a_data_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    gate = Sandbox(data_dir=tmp_path / "data").prove(tmp_path)
    assert gate.kind == "none"
    assert "cannot be had" in gate.words


# --- the network, asked for and shown --------------------------------------------------------


@pytest.mark.slow
async def test_a_command_asks_for_the_network_and_it_is_shown_and_remembered_exactly(
    tmp_path: Path,
) -> None:
    stage = Stage(tmp_path)
    asks = call("bash", command="echo one", network=True)
    stage.write_script(completions=[RUN, asks, asks, "Done."])
    async with running(stage, "sandbox=auto") as at:
        await at.until(lambda: at.chat.gate, "the gate")
        full = at.chat.gate == "bwrap"
        await at.ask("run it")
        await at.proposal()
        assert "no network" in at.text() or not full
        await allow(at, 'command = "echo one"')
        await at.until(lambda: "network allowed" in at.text() or not full, "the second call")
        await at.proposal()
        assert at.chat.session.approval is not None
        assert at.chat.session.approval.describe().endswith(
            'this session: bash(command="echo one")'
        )
        await allow(at, "network = true")
        await at.until(lambda: at.chat.phase == "ready", "the rule approves the third")


@pytest.mark.slow
async def test_the_user_may_give_the_network_and_sees_it(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.write_script(completions=[RUN, "Done."], lessons=[{"outcome": "gated"}])
    async with running(stage, "sandbox=auto") as at:
        await at.until(lambda: at.chat.gate, "the gate")
        await at.ask("run it")
        await at.proposal()
        await at.pilot.press("e")
        await at.box(ArgumentsEditor)
        await at.pilot.press("tab", "space")
        words = {"bwrap": "network allowed", "partial": "network allowed", "none": "with network"}
        await at.until(lambda: words[at.chat.gate] in at.text(), "what it would do now")
        await at.pilot.press("ctrl+s")
        await at.until(lambda: at.chat.phase == "ready", "the end")
    (lesson,) = stage.requests("learn")
    assert lesson["lesson"]["solution"]["arguments"] == {"command": "echo one", "network": True}


async def allow(at: Driver, words: str) -> None:
    """Allow exactly the call that waits for this session."""
    await at.pilot.press("a")
    await at.until(lambda: panel_of(at).stage == "always" and words in at.text(), "the rule")
    await at.proposal()
    await at.pilot.pause(0.1)
    await at.pilot.press("y")


def test_a_switch_that_is_off_is_no_argument() -> None:
    plain = ToolCall(name="bash", arguments={"command": "ls"})
    for off in (False, None, "false", " False "):
        given = ToolCall(name="bash", arguments={"command": "ls", "network": off})
        assert registry.coerce(given) == plain
    given = ToolCall(name="bash", arguments={"command": "ls", "network": "true"})
    assert registry.coerce(given).arguments["network"] is True
    wrong = ToolCall(name="bash", arguments={"command": "ls", "network": "perhaps"})
    assert '"network" must be true or false' in (registry.validate(wrong) or "")


def test_the_practice_model_reads_what_it_was_trained_on() -> None:
    (told,) = [schema for schema in registry.schemas() if schema.name == "bash"]
    (whole,) = [schema for schema in registry.schemas(whole=True) if schema.name == "bash"]
    assert list(told.parameters["properties"]) == ["command"]
    assert list(whole.parameters["properties"]) == ["command", "network"]
    assert told.parameters["required"] == whole.parameters["required"] == ["command"]


@pytest.mark.parametrize(
    ("engine", "told"), [("practice", ["command"]), ("local", ["command", "network"])]
)
async def test_what_each_engine_is_told(engine: str, told: list[str], tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.write_script(completions=["Done."], loaded={"engine": engine})
    await stage.run()
    (sample,) = stage.requests("sample")
    (bash,) = [tool for tool in sample["tools"] if tool["name"] == "bash"]
    assert list(bash["parameters"]["properties"]) == told


def test_the_bar_says_nothing_before_it_knows() -> None:
    assert StatusBar().gate == ""


def test_the_start_imports_no_sandbox() -> None:
    script = (
        "import sys; import continualcode_tui.app.tui; "
        "print([m for m in sys.modules if 'sandbox' in m])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
