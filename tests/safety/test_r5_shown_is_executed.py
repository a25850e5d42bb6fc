"""R5: what is shown is what is run, to the byte."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from continualcode_tui.app.agent.proposal import Approve, Decision, Edit, Proposal, fingerprint
from continualcode_tui.app.controllers.approval import pattern, spelled_out
from continualcode_tui.app.controllers.turn import NOT_SHOWN
from continualcode_tui.app.events import Notice, ToolFinished
from continualcode_tui.app.screens.desk import DecisionDesk, call_preview
from continualcode_tui.app.tools import registry
from continualcode_tui.app.tools.base import OutputSink, Preview, ToolResult, quoted
from continualcode_tui.app.workspace.visible import visible as visible_to_model
from continualcode_tui.app.workspace.workspace import Workspace
from continualcode_tui.training.protocol import Completion, ToolCall
from continualcode_tui.widgets.arguments_editor import ArgumentsEditor
from continualcode_tui.widgets.call_preview import CallPreview
from continualcode_tui.widgets.command_view import CommandView
from continualcode_tui.widgets.composer import CodeArea, Composer
from continualcode_tui.widgets.diff import DiffView
from continualcode_tui.widgets.proposal_panel import ProposalPanel
from continualcode_tui.widgets.sanitise import original, prose, shown_exactly, visible
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from textual.containers import VerticalScroll
from textual.widget import Widget
from textual.widgets import Input

from ..controllers.support import Stage as Session
from ..controllers.support import call
from ..widgets.support import Stage, screen_text, settled, until
from .reading_back import WIDE, added_back, command_back, hidden_characters

pytestmark = pytest.mark.slow

CASES = 300
COMPLETION = Completion(
    tokens=(), logprobs=(), text="", stop_reason="stop", prompt_tokens=1, seconds=0.0
)
QUARTERS = 4


def every_hidden_character() -> list[str]:
    return [character for kind in hidden_characters().values() for character in kind]


# --- every character that cannot be seen ----------------------------------------------------


def test_every_hidden_character_is_shown_and_comes_back() -> None:
    """N of N: whatever a text holds that draws nothing is a mark, and the mark says what."""
    counts = {kind: len(characters) for kind, characters in hidden_characters().items()}
    assert counts["Cc"] == 64  # all but the line feed
    assert counts["Cs"] == 2048
    assert counts["Cf"] >= 163
    assert counts["Zs"] == 16  # all but the space
    assert counts["selectors"] >= 259
    assert counts["tags"] >= 3600
    shown = 0
    for character in every_hidden_character():
        text = f"rm {character}x"
        mark = visible(text)
        assert character not in mark
        assert mark.isascii() or set(mark) - {"⟨", "⟩"} <= set(map(chr, range(127)))
        assert original(mark) == text
        assert original(shown_exactly(text)) == text
        shown += 1
    assert shown == sum(counts.values())


def test_the_model_is_shown_them_too() -> None:
    """What a file of rules hides from its reader does not reach the model unseen."""
    spaces = {*hidden_characters()["Zs"], "\t"}
    left = [each for each in every_hidden_character() if each in visible_to_model(f"a{each}b")]
    assert set(left) <= spaces
    assert visible_to_model("⚠\ufe0f careful") == "⚠\ufe0f careful"
    assert visible_to_model("⚠\ufe0f\ufe0f") == "⚠\ufe0f<U+FE0F>"


def test_a_run_of_invisible_parts_is_no_emoji() -> None:
    """A text can be hidden in variation selectors behind one harmless sign."""
    assert prose("❤\ufe0f" + "\ufe0e\ufe0f" * 40).count("⟨U+FE0") == 80
    assert prose("👩\u200d💻 ❤\ufe0f\u200d🔥") == "👩\u200d💻 ❤\ufe0f\u200d🔥"
    assert prose("\u200d" * 3).count("⟨U+200D⟩") == 3


@pytest.mark.parametrize("quarter", range(QUARTERS))
async def test_no_place_of_a_proposal_shows_one_as_it_is(quarter: int) -> None:
    """Title, path, command, folder, diff, text, pattern of ``a``, editor: all of them."""
    every = every_hidden_character()[quarter::QUARTERS]
    for at in range(0, len(every), 400):
        characters = every[at : at + 400]
        text = "".join(f"{character}," for character in characters)
        line = text.replace("\r", "")
        previews = [
            CallPreview(text, "command", text, command=text, folder=text, problem=text),
            CallPreview("write", "diff", text, path=text, before="old", after=line + "\n"),
            CallPreview("grep", "text", text, path=text, text=text),
        ]
        schema = {"properties": {text: {"type": "string"}, "content": {"type": "string"}}}
        arguments = {text: text, "content": text}
        app = Stage(
            *(ProposalPanel(preview, always=text) for preview in previews),
            ArgumentsEditor(schema, arguments, "python"),
            Composer(text),
        )
        async with app.run_test(size=(300, 400)) as pilot:
            for panel in app.query(ProposalPanel):
                panel.stage = "always" if panel is app.query(ProposalPanel).first() else "call"
            await settled(pilot)
            screen = screen_text(app)
            allowed = {"\u00a0"}  # Textual pads some titles with it
            assert not (set(characters) - allowed) & set(screen)
            assert screen.count("⟨") >= len(characters)
            assert app.query_one(CodeArea).value == text
            assert [box.value for box in app.query(Input)] == [visible(text, keep="")]


# --- 300 of 300 -----------------------------------------------------------------------------

NASTY = st.sampled_from(
    "\x00\t\r\x1b\x7f\x9b\u00a0\u00ad\u034f\u200b\u200d\u202e\u2066\u2028\u3000\ufe0f\ufeff"
    "\U000e0041·→⟵⟨⟩↵é日🎉 \udcff"
)
WORDS = st.sampled_from(
    ["a", "rm -rf /", "  ", "⟨ESC⟩", "⟨U+202E⟩", "→ ", "·", "x" * 90, " ⟵ no newline at the end"]
)
LINE = st.lists(
    st.one_of(NASTY, WORDS, st.characters(exclude_categories=["Cs"], exclude_characters="\r\n")),
    max_size=12,
).map("".join)
TEXT = st.lists(st.tuples(LINE, st.sampled_from(["\n", "\n", "\n", ""])).map("".join), max_size=6)
MIXED = st.lists(
    st.tuples(LINE.map(lambda line: line.replace("\r", "")), st.sampled_from(["\n", "\r\n", "\r"])),
    max_size=6,
).map(lambda lines: "".join(map("".join, lines)))


class Recorder:
    """A tool in place of bash that keeps the bytes which it was told to run."""

    name = "bash"
    description = ""
    read_only = False
    parameters: Mapping[str, Any] = registry.TOOLS["bash"].parameters

    def __init__(self) -> None:
        self.ran: list[bytes] = []

    def preview(self, arguments: Mapping[str, Any], workspace: Workspace) -> Preview:
        return registry.TOOLS["bash"].preview(arguments, workspace)

    async def run(
        self,
        arguments: Mapping[str, Any],
        workspace: Workspace,
        on_output: OutputSink,
        expected: Preview | None = None,
    ) -> ToolResult:
        command = arguments["command"].encode("utf-8", "surrogatepass")
        self.ran.append(command)
        return ToolResult(ok=True, output="")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def whole(view: Widget) -> bool:
    """Whether a command has the height that it asks for."""
    size = view.size
    wanted = view.get_content_height(size, size, size.width)
    return not isinstance(view, CommandView) or size.height >= wanted


class Reader:
    """Shows one preview after another in a real panel and reads back what it says."""

    def __init__(self, root: Path) -> None:
        self.workspace = Workspace(root)
        self.equal = 0

    async def run(self, cases: Iterator[tuple[str, str, str]]) -> None:
        first = CallPreview("bash", "command", "bash", command="true")
        panel = ProposalPanel(first, mode="unified", arm_delay=0, settle=0.01)
        app = Stage(VerticalScroll(panel), focus=ProposalPanel)
        async with app.run_test(size=(WIDE, 60)) as pilot:
            for kind, before, text in cases:
                await self.check(kind, before, text, panel, pilot)

    async def check(self, kind: str, before: str, text: str, panel: ProposalPanel, pilot) -> None:
        file = self.workspace.root / "f.txt"
        file.unlink(missing_ok=True)
        if kind == "edit":
            file.write_bytes(before.encode("utf-8", "replace"))
        proposed = {
            "bash": ToolCall(name="bash", arguments={"command": text}),
            "write": ToolCall(name="write", arguments={"path": "f.txt", "content": text}),
            "edit": ToolCall(
                name="edit_lines",
                arguments={"path": "f.txt", "start_line": 1, "end_line": 0, "content": text},
            ),
        }[kind]
        preview = registry.preview(proposed, self.workspace)
        given_to_panel = fingerprint(proposed, preview)
        await panel.show_preview(call_preview(proposed, preview))
        await until(lambda: panel.query_one(".preview").size.width > WIDE / 2, pilot)
        view = panel.query_one(".preview")
        await until(lambda: whole(view), pilot)
        recorder = Recorder()
        for diff in panel.query(DiffView):
            diff.open_or_fold()
            await until(lambda: diff.ready, pilot)  # noqa: B023 - it is waited for here
        view = panel.query_one(".preview")
        if preview.problem is not None and kind != "bash":
            shown = b""  # it says why, and nothing is done
        elif isinstance(view, CommandView):
            shown = command_back(view).encode("utf-8", "surrogatepass")
        else:
            assert isinstance(view, DiffView)
            shown = added_back(view).encode("utf-8")
        assert fingerprint(proposed, preview) == given_to_panel
        tools = {**registry.TOOLS, "bash": recorder}
        result = await registry.run(proposed, self.workspace, lambda _: None, preview, tools)
        if preview.problem is not None and kind != "bash":
            assert not result.ok
            executed = b""
        else:
            executed = recorder.ran[0] if kind == "bash" else file.read_bytes()
        assert sha256(shown) == sha256(executed), f"{shown!r}\n{executed!r}"
        self.equal += 1


CASE = st.one_of(
    st.tuples(st.just("bash"), st.just(""), TEXT.map("".join).map(lambda text: text or "x")),
    st.tuples(st.just("write"), st.just(""), st.one_of(TEXT.map("".join), MIXED)),
    st.tuples(
        st.just("edit"),
        # Spaces at the end of a line that stays as it is are not told apart on the screen.
        TEXT.map("".join).map(lambda text: re.sub(r"(?m) +$", "", visible(text)) or "y\n"),
        TEXT.map("".join).map(lambda text: text.replace("\r", "")),
    ),
)


@pytest.mark.parametrize("count", [20, pytest.param(CASES, marks=pytest.mark.slow)])
def test_what_is_read_on_the_screen_is_what_runs(count: int, tmp_path: Path) -> None:
    """300 of 300: the text that the panel shows, read back, has the hash of what was done."""
    cases: list[tuple[str, str, str]] = []

    @settings(
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(CASE)
    def collect(case: tuple[str, str, str]) -> None:
        cases.append(case)

    collect()
    cases = cases[:count]
    reader = Reader(tmp_path)
    asyncio.run(reader.run(iter(cases)))
    assert len(cases) == count
    assert reader.equal == count


def test_no_two_texts_look_the_same() -> None:
    """A mark that stands in the text is not the character that the mark stands for."""
    alike = [
        ("ls \x1b[2J", "ls ⟨ESC⟩[2J"),
        ("ls  ", "ls ··"),
        ("ls ·", "ls ⟨U+00B7⟩"),
        ("a\u202eb", "a⟨U+202E⟩b"),
        ("a\u00a0b", "a b"),
        ("a\nb", "a⟨LF⟩b"),
        ("caf\udce9", "caf⟨0xE9⟩"),
    ]
    for one, other in alike:
        assert shown_exactly(one) != shown_exactly(other)
    assert len({shown_exactly(text) for pair in alike for text in pair}) == 2 * len(alike)


def test_a_description_cannot_be_read_in_two_ways(tmp_path: Path) -> None:
    """A pattern that says where it is searched is not a pattern and a folder."""
    workspace = Workspace(tmp_path)

    def text(tool: str, **arguments: Any) -> str:
        return registry.preview(ToolCall(name=tool, arguments=arguments), workspace).text

    assert text("grep", pattern="key in /etc") != text("grep", pattern="key", path="/etc")
    assert text("glob", pattern="* in src") != text("glob", pattern="*", path="src")
    assert text("read", path="a, lines 2-3") != text("read", path="a", offset=2, limit=2)
    assert quoted("a\nb") == '"a\\nb"'
    assert quoted("src/[a-z]+.py") == "src/[a-z]+.py"


# --- nothing else runs ----------------------------------------------------------------------


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(tmp_path)


def log_of(session: Session) -> str:
    return (session.data / "logs" / "app.log").read_text()


async def test_every_call_that_ran_is_logged_by_the_hash_of_what_was_shown(
    session: Session,
) -> None:
    calls = [
        call("bash", command="echo one"),
        call("write", path="new.txt", content="new\n"),
        call("read", path="calc.py"),
    ]
    session.write_script(completions=[*calls, "Done."])
    await session.run(Approve(), Approve())
    shown = re.findall(r"run: call (\d+), (\w+), sha256 ([0-9a-f]{64})", log_of(session))
    finished = session.seen(ToolFinished)
    assert len(shown) == len(finished) == 3
    for (number, tool, digest), event in zip(shown, finished, strict=True):
        proposal = event.proposal
        assert (int(number), tool) == (proposal.number, proposal.call.name)
        assert digest == fingerprint(proposal.call, proposal.preview) == proposal.sha256


async def test_an_edited_call_is_logged_by_its_own_hash(session: Session) -> None:
    session.write_script(completions=[call("bash", command="echo one"), "Done."])
    await session.run(Edit({"command": "echo two"}))
    (digest,) = re.findall(r"sha256 ([0-9a-f]{64})", log_of(session))
    edited = ToolCall(name="bash", arguments={"command": "echo two"})
    shown = registry.preview(edited, Workspace(session.folder))
    terms = session.proposals[0].preview.terms
    assert digest == fingerprint(edited, replace(shown, terms=terms))


class Swapping(Session):
    """A session in which something changes the call after it was shown."""

    how = "arguments"

    async def decide(self, proposal: Proposal) -> Decision:
        shown = proposal.sha256
        if self.how == "arguments":
            proposal.call.arguments["command"] = "touch PWNED"
            return Approve()
        if self.how == "preview":
            other = Preview(kind="command", title="bash", command="touch PWNED", folder="/")
            object.__setattr__(proposal, "preview", other)
            return Approve(shown=shown)
        return Approve(shown="0" * 64)


@pytest.mark.parametrize("how", ["arguments", "preview", "digest"])
async def test_a_call_that_is_not_the_one_that_was_shown_does_not_run(
    how: str, tmp_path: Path
) -> None:
    session = Swapping(tmp_path)
    session.how = how
    session.write_script(completions=[call("bash", command="touch PWNED-not"), "Done."])
    await session.run(Approve())
    (finished,) = session.seen(ToolFinished)
    assert finished.result == ToolResult(ok=False, output=f"error: {NOT_SHOWN}")
    assert any("was not run" in notice.text for notice in session.seen(Notice))
    assert "was not shown" in log_of(session)
    assert not list(session.folder.glob("PWNED*"))


async def test_the_swap_works_without_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attack is real: with a fingerprint that always agrees, the other command runs."""
    same = "continualcode_tui.app.controllers.turn.fingerprint"
    monkeypatch.setattr("continualcode_tui.app.agent.proposal.fingerprint", lambda *_: "same")
    monkeypatch.setattr(same, lambda *_: "same")
    session = Swapping(tmp_path)
    session.write_script(completions=[call("bash", command="touch PWNED-not"), "Done."])
    with pytest.MonkeyPatch.context() as unguarded:
        real = registry.run

        async def run(call: ToolCall, *more: Any) -> ToolResult:
            workspace, sink, _, tools = more
            return await real(call, workspace, sink, None, tools)

        unguarded.setattr(registry, "run", run)
        await session.run(Approve())
    assert [path.name for path in session.folder.glob("PWNED*")] == ["PWNED"]


async def test_a_command_that_differs_from_the_preview_is_refused_by_the_tools(
    tmp_path: Path,
) -> None:
    workspace = Workspace(tmp_path)
    shown = registry.preview(ToolCall(name="bash", arguments={"command": "true"}), workspace)
    other = ToolCall(name="bash", arguments={"command": "touch PWNED"})
    result = await registry.run(other, workspace, lambda _: None, shown)
    assert not result.ok
    assert "not the one that was shown" in result.output
    elsewhere = Workspace(tmp_path.parent)
    result = await registry.run(
        ToolCall(name="bash", arguments={"command": "true"}), elsewhere, lambda _: None, shown
    )
    assert not result.ok
    assert not (tmp_path / "PWNED").exists()


async def test_a_panel_that_shows_something_else_approves_nothing(tmp_path: Path) -> None:
    """The preview of edited arguments must not be taken for the call that waits."""
    workspace = Workspace(tmp_path)
    proposed = ToolCall(name="bash", arguments={"command": "touch PWNED"})
    proposal = Proposal(1, proposed, registry.preview(proposed, workspace), COMPLETION, ())
    desk = DecisionDesk(arm_delay=0, typing=lambda: False)
    app = Stage(desk)
    async with app.run_test(size=(80, 30)) as pilot:
        waiting = asyncio.ensure_future(desk.decide(proposal, workspace))
        await until(lambda: desk.panel is not None and desk.panel.armed, pilot)
        assert desk.panel is not None
        harmless = ToolCall(name="bash", arguments={"command": "true"})
        await desk.panel.show_preview(call_preview(harmless, registry.preview(harmless, workspace)))
        desk.panel.post_message(ProposalPanel.Approved(desk.panel))
        await settled(pilot)
        assert not waiting.done()
        assert "touch PWNED" in screen_text(app)
        desk.panel.post_message(ProposalPanel.Approved(desk.panel))
        await until(waiting.done, pilot)
        assert waiting.result() == Approve(shown=proposal.sha256)


def test_a_rule_names_every_argument() -> None:
    one = ToolCall(name="bash", arguments={"command": "ls"})
    other = ToolCall(name="bash", arguments={"command": "ls "})
    assert pattern(one) != pattern(other)
    assert shown_exactly(spelled_out(one)) != shown_exactly(spelled_out(other))
