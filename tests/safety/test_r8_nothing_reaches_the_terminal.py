"""R8: nothing untrusted reaches the terminal or the markup parser."""

from __future__ import annotations

import io
import json
import logging
import shlex
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from continualcode_tui.app import calling
from continualcode_tui.app.headless import Run
from continualcode_tui.app.screens.confirm import ConfirmScreen
from continualcode_tui.app.screens.figures import figures_page
from continualcode_tui.app.screens.rewind import named
from continualcode_tui.app.store.log import log_to
from continualcode_tui.app.verbs import json_line, write
from continualcode_tui.app.workspace.visible import visible as visible_to_model
from continualcode_tui.app.workspace.visible import visible_path
from continualcode_tui.widgets.arguments_editor import ArgumentsEditor
from continualcode_tui.widgets.before_after import BeforeAfter
from continualcode_tui.widgets.call_preview import CallPreview
from continualcode_tui.widgets.chart_data import ChartLine, ChartSeries
from continualcode_tui.widgets.chart_pane import series_title
from continualcode_tui.widgets.completions import Completion, command_choices, file_choices
from continualcode_tui.widgets.composer import CodeArea, Composer
from continualcode_tui.widgets.correction_box import CorrectionBox
from continualcode_tui.widgets.entries import AssistantEntry, entry_of
from continualcode_tui.widgets.fact_list import FactList
from continualcode_tui.widgets.field import Field
from continualcode_tui.widgets.file_index import FileIndex
from continualcode_tui.widgets.heatmap import HeatmapView
from continualcode_tui.widgets.heatmap_layout import token_text, wanted_text
from continualcode_tui.widgets.heatmap_scale import TokenCell
from continualcode_tui.widgets.proposal_panel import ProposalPanel
from continualcode_tui.widgets.queue_list import QueueList
from continualcode_tui.widgets.sanitise import (
    content,
    one_line,
    original,
    prose,
    shown_exactly,
    shown_row,
    visible,
)
from continualcode_tui.widgets.stages import LessonStages
from continualcode_tui.widgets.status_bar import StatusBar
from continualcode_tui.widgets.transcript_model import (
    AssistantRecord,
    CallRecord,
    LessonRecord,
    NoticeRecord,
    UserRecord,
)
from textual.app import App
from textual.containers import VerticalScroll
from textual.content import Content
from textual.events import Paste
from textual.geometry import Region
from textual.markup import MarkupError
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ..controllers.support import FAKE_WORKER, call
from ..support.terminal import Terminal
from ..widgets.support import Stage, settled, until
from .escapes import hidden, kinds
from .naughty import POINTS, STRINGS

CORPUS = [*STRINGS, *POINTS]
BATCHES = [CORPUS[at : at + 60] for at in range(0, len(CORPUS), 60)]
EMOJI_PARTS = {"\ufe0e", "\ufe0f", "\u200d"}
NEVER = frozenset({"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"})
SCRIPT = str(Path(sys.executable).parent / "continualcode-tui")


def raw_in(text: str, allowed: set[str] = EMOJI_PARTS) -> set[str]:
    """The characters of a text that must not be on a screen."""
    return {each for each in text if unicodedata.category(each) in NEVER} - allowed


def test_the_corpus_is_large_enough() -> None:
    assert len(STRINGS) >= 515
    assert len(set(STRINGS)) == len(STRINGS)
    assert len(POINTS) >= 65 + 160


# --- string by string -----------------------------------------------------------------------

ONE_BY_ONE: dict[str, Callable[[str], str]] = {
    "visible": lambda text: visible(text, keep=""),
    "prose": lambda text: prose(text).replace("\n", "").replace("\t", ""),
    "one line": one_line,
    "exactly": lambda text: shown_exactly(text).replace("\n", ""),
    "a row of a diff": lambda text: "".join(
        shown_row(line, changed=True)[0] for line in text.replace("\r", "\n").split("\n")
    ),
    "a token": lambda text: token_text(text).replace("\n", ""),
    "a teacher's token": wanted_text,
    "content": lambda text: content(text, keep="").plain,
    "a heading": lambda text: CallPreview(text, "text", text).heading,
    "a title": lambda text: calling._title(text)[4:-1],
    "a path": visible_path,
    "paths": lambda text: named([text]),
    "a figure": lambda text: figures_page([(text, [(text, text)])], 60).plain.replace("\n", ""),
    "a chart": lambda text: series_title(
        1, ChartSeries(text, text, [ChartLine(text, [(1, 1)], "quiet")]), 1, log=True, drawn=True
    ).plain,
    "a file": lambda text: file_choices(FileIndex([text]), "", shell=False)[0].offered.plain,
    "a command": lambda text: command_choices([Completion(f"/{text}", text)], "/")[0].offered.plain,
    "a line of JSON": lambda text: json_line({text.encode("utf-8", "replace").decode(): text}),
}  # fmt: skip


@pytest.mark.parametrize("sink", ONE_BY_ONE)
def test_each_string_in_each_sink(sink: str) -> None:
    """Every string of the corpus and every control and format character, one by one."""
    checked = 0
    for text in CORPUS:
        shown = ONE_BY_ONE[sink](text)
        assert not raw_in(shown), (text, shown)
        checked += 1
    assert checked >= 740


def test_each_string_comes_back() -> None:
    for text in CORPUS:
        assert original(visible(text, keep="")) == text
        assert (
            original(shown_exactly(text).replace("·", " ")) == text.replace("·", " ") or "·" in text
        )


# --- in widgets -----------------------------------------------------------------------------


def widgets_of(batch: list[str]) -> list[Widget]:
    """Every place where such a text can come to, on the chat screen."""
    text = "\n".join(batch)
    line = " ".join(batch).replace("\n", " ")
    records = [
        UserRecord(text),
        AssistantRecord(text),
        CallRecord(line, line, "denied", detail=line, output=text, ok=False, note=line),
        CallRecord("bash", line, output=text, ok=True),
        NoticeRecord(text, "error"),
        LessonRecord(line[:200] or "learned", line, line, line),
    ]
    schema = {"properties": {f"a{n}": {"type": "string"} for n in range(3)}}
    values = {f"a{n}": each for n, each in enumerate(batch[:3])}
    cells = [TokenCell(each or "x", -1.0, 0.5, 0.1, each, 0.2) for each in batch]
    stages = LessonStages()
    stages.set_reactive(LessonStages.detail, line)
    bar = StatusBar()
    for name in ("repository", "branch", "engine", "model", "detail"):
        bar.set_reactive(getattr(StatusBar, name), line[:300])
    facts = FactList()
    facts.set_reactive(FactList.rows, tuple((each[:40], each) for each in batch))
    found: list[Widget] = [entry_of(record) for record in records]
    found += [ProposalPanel(CallPreview(line, "command", line, command=text, folder=line))]
    found += [
        ProposalPanel(CallPreview("write", "diff", line, path=line, before=text, after=f"{text}x"))
    ]
    found += [
        ProposalPanel(CallPreview("grep", "text", line, text=text, problem=text), always=text)
    ]
    found += [CorrectionBox(suggestion=text, chips=batch[:5], title=line)]
    found += [ArgumentsEditor(schema, values, "python", title=line)]
    found += [Composer(text), CodeArea(text, code_language="bash"), Field(line)]
    found += [QueueList(), bar, stages, facts, BeforeAfter(cells), HeatmapView(cells)]
    return found


def painted(app: App[object]) -> Iterator[tuple[Widget, str]]:
    """Every line of every widget, borders and titles too, whether it is in view or not."""
    for widget in app.screen.walk_children(Widget):
        width, height = widget.outer_size
        if width and height:
            for strip in widget.render_lines(Region(0, 0, width, height)):
                yield widget, strip.text


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
async def test_no_widget_paints_a_raw_character(part: int) -> None:
    """All of the corpus in every widget of the chat screen: no raw control, no crash."""
    lines = 0
    for batch in BATCHES[part::4]:
        app = Stage(VerticalScroll())
        async with app.run_test(size=(120, 60)) as pilot:
            await app.query_one(VerticalScroll).mount(*widgets_of(batch))
            app.query_one(QueueList).show(batch, held=True)
            for panel in app.query(ProposalPanel):
                panel.stage = "always"
            await settled(pilot)
            for widget, text in painted(app):
                lines += 1
                assert not raw_in(text, EMOJI_PARTS), (widget, text)
    assert lines > 1_000


@pytest.mark.slow
async def test_words_that_stream_in_pieces_are_as_safe() -> None:
    """Where a text is cut makes no sequence of it."""
    for batch in BATCHES[::3]:
        entry = AssistantEntry()
        app = Stage(VerticalScroll(entry))
        async with app.run_test(size=(120, 40)) as pilot:
            text = " ".join(batch)[:3_000]
            for at in range(0, len(text), 7):
                entry.feed(text[at : at + 7])
            entry.finish()
            await settled(pilot)
            for widget, line in painted(app):
                assert not raw_in(line), (widget, line)


@pytest.mark.parametrize(
    "written",
    [
        "&#x202e;", "&#8203;", "&rlm;", "&zwnj;", "&shy;", "&ZeroWidthSpace;", "&#x1b;", "&#12;",
        "&#xE0041;",
    ],
)  # fmt: skip
async def test_an_entity_stays_what_is_written(written: str) -> None:
    """Markdown would decode it after the sanitiser has looked."""
    app = Stage(VerticalScroll(AssistantEntry(f"a{written}b **bold** `{written}`")))
    async with app.run_test(size=(80, 20)) as pilot:
        await settled(pilot)
        lines = "\n".join(text for _, text in painted(app))
        assert not raw_in(lines.replace("\n", ""))
        assert f"a{written}b" in lines


async def test_what_is_pasted_into_a_box_is_shown_and_not_obeyed() -> None:
    """By the terminal, and from the program's own clipboard."""
    hostile = "a\x1b[2J\x9b31m\u202eb"
    boxes = [Composer(), CodeArea(), Field()]
    app = Stage(*boxes)
    async with app.run_test() as pilot:
        app.copy_to_clipboard(hostile)
        for box in boxes:
            box.focus()
            await pilot.pause()
            app.post_message(Paste(hostile))
            await pilot.pause()
            await pilot.press("ctrl+v")
        await settled(pilot)
        assert [box.value for box in boxes[:2]] == [hostile * 2] * 2
        assert boxes[2].meant == hostile * 2
        for widget, text in painted(app):
            assert not raw_in(text), widget


async def test_titles_questions_and_notices_take_no_markup() -> None:
    """The places beside the conversation: a question, an option, a border, a notice."""
    for batch in BATCHES[::4]:
        line = " ".join(batch).replace("\n", " ")[:800]
        app = Stage(OptionList(*[Option(content(one_line(each))) for each in batch]))
        async with app.run_test(size=(100, 60)) as pilot:
            app.push_screen(ConfirmScreen(line, content(line), line[:30], line[:30]))
            await settled(pilot)
            for widget, text in painted(app):
                assert not raw_in(text), widget


def test_textual_itself_passes_them_on() -> None:
    """The attacks are real: what a widget is given as it is goes out as it is, or raises."""
    assert "\x1b" in str(Content("a\x1b[2J").plain)
    raised = 0
    for text in ("[/]", "[/x]", "[b][/i]"):
        try:
            Content.from_markup(text)
        except MarkupError:
            raised += 1
    assert raised == 3


# --- streams and files ----------------------------------------------------------------------


def test_progress_and_lines_of_exec_are_plain(tmp_path: Path) -> None:
    out, progress = io.StringIO(), io.StringIO()
    run = Run.__new__(Run)
    run._out, run._progress, run._last_line, run.listener_gone = out, progress, "", False
    for text in CORPUS:
        run._tell(text)
        run._print({"event": "message", "text": text})
    assert not raw_in(progress.getvalue().replace("\n", "").replace("\t", ""))
    assert not raw_in(out.getvalue().replace("\n", ""), set())
    decoded = [json.loads(line)["text"] for line in out.getvalue().splitlines()]
    assert decoded == CORPUS


def test_what_a_command_prints_is_plain(capsys: pytest.CaptureFixture[str]) -> None:
    write(*CORPUS)
    assert not raw_in(capsys.readouterr().out.replace("\n", "").replace("\t", ""))


def test_the_log_is_plain(tmp_path: Path) -> None:
    log_to(tmp_path / "app.log")
    logger = logging.getLogger("continualcode_tui.test")
    for text in CORPUS:
        logger.warning("%s", text.encode("utf-8", "replace").decode())
    written = (tmp_path / "app.log").read_text()
    assert not raw_in(written.replace("\n", "").replace("\t", ""))
    assert written.count("WARNING") >= len(CORPUS)


def test_what_the_model_reads_has_nothing_hidden() -> None:
    for text in CORPUS:
        shown = visible_to_model(text).replace("\n", "").replace("\t", "")
        assert not raw_in(shown), text


# --- the program in a terminal --------------------------------------------------------------

PAYLOAD = (
    "[/] [b +\x1b[2J\x1b[?1049l\x1b[31m\x1b]0;owned\x07\x1b]52;c;eA==\x07\x1bPq~\x1b\\\x1bc\x9b31m"
    "\x9d0;x\x9c\x07\x08\x0b\x0c\x0e\x0f\x7f\u202eabc\u200b\u2066\ufeff\U000e0041 &#x202e; &#27;"
)
NEUTRAL = "[x] plain words that do nothing at all, in about as many letters as the others have"


class Scene:
    """A repository, a worker's script and settings, all full of one text."""

    def __init__(self, root: Path, text: str, name: str, branch: str) -> None:
        self.folder = root / name
        self.folder.mkdir(parents=True)
        self.data = root / "data"
        line = text.replace("\n", " ")
        (self.folder / f"file {name}.txt").write_text(text)
        (self.folder / "notes.md").write_text(f"{text}\n{text}")
        git = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost"]
        subprocess.run([*git, "init", "-q", "-b", branch], cwd=self.folder, check=True)
        subprocess.run([*git, "add", "-A"], cwd=self.folder, check=True)
        subprocess.run([*git, "commit", "-qm", "start"], cwd=self.folder, check=True)
        script = root / "script.json"
        shown = f"cat notes.md # {line}".replace("\x00", "")
        script.write_text(
            json.dumps(
                {
                    "loaded": {
                        "model_name": f"model {line}",
                        "device": line,
                        "server": {line: line},
                    },
                    "completions": [
                        f"# {text}\n\n{call('read', path='notes.md')}",
                        f"<tool_call>{line}</tool_call>",
                        f"{text}\n\n{call('bash', command=shown)}",
                        call("write", path="new.txt", content=f"{line}\n{text}"),
                        f"**{text}** done.",
                    ],
                    "lessons": [{"outcome": "gated", "reason": f"{line} so."}],
                }
            )
        )
        worker = shlex.join([sys.executable, "-SE", str(FAKE_WORKER), str(script)])
        self.command = [
            SCRIPT, f"worker_command={worker}", f"data_dir={self.data}", "arm_delay=0.05",
            "notify=both",
        ]  # fmt: skip


def go_through(scene: Scene, text: str) -> bytes:
    """See the text in every place of the program that it can come to; give what was written."""
    environment = {"HOME": str(scene.data), "CONTINUALCODE_KEYMAP": ""}
    with Terminal(
        scene.command, cwd=scene.folder, env=environment, columns=110, rows=44
    ) as terminal:
        terminal.wait("● ready", 60)
        pasted = text.replace("\x1b[20", "").encode("utf-8", "surrogateescape")
        terminal.process.send(b"\x1b[200~" + pasted + b"\x1b[201~")
        terminal.press("enter")
        armed = lambda screen: "y approve" in screen and "arming" not in screen  # noqa: E731
        terminal.wait(lambda screen: armed(screen) and "bash" in screen, 60, "the command")
        terminal.process.send("\x1b[F")  # to its end
        terminal.settle(0.7)
        terminal.press("y")
        terminal.wait(lambda screen: armed(screen) and "write" in screen, 60, "the file")
        terminal.settle(0.7)
        terminal.press("n")
        terminal.wait("what should it do instead", 20)
        terminal.process.send(b"\x1b[200~" + pasted + b"\x1b[201~")
        terminal.press("enter")
        terminal.wait("● ready", 60)
        terminal.settle()
        for command, seen in (
            ("/lessons", "lesson"), ("/metrics", "Charts"), ("/sessions", "type to search"),
            ("/settings", "settings ·"),
        ):  # fmt: skip
            terminal.type(command)
            terminal.press("enter")
            terminal.wait(seen, 30)
            terminal.settle()
            if command == "/metrics":
                terminal.press("f")
                terminal.settle()
            terminal.press("escape")
            terminal.settle()
        terminal.type("@fi")
        terminal.settle()
        for _ in range(4):
            terminal.press("\x7f")
        terminal.type("/rules")
        terminal.press("enter")
        terminal.settle()
        terminal.type("/quit")
        terminal.press("enter")
        terminal.settle(1.5)
        assert "owned" not in terminal.screen.title
        return bytes(terminal.raw)


@pytest.mark.slow
def test_the_terminal_sees_the_same_kinds_of_sequences_as_with_plain_words(tmp_path: Path) -> None:
    """0 raw control bytes beyond those that the program itself writes."""
    plain = Scene(tmp_path / "plain", NEUTRAL, "plain repository", "main")
    hostile = Scene(tmp_path / "hostile", PAYLOAD, "re\x1b[31mpo\x9b\u202esi", "ma\u202ein\u200b")
    with ThreadPoolExecutor() as both:  # most of it is waiting
        wrote = both.submit(go_through, plain, NEUTRAL)
        raw = go_through(hostile, PAYLOAD)
        usual = kinds(wrote.result())
    assert len(usual) >= 10
    assert kinds(raw) - usual == set()
    assert not {each for each in kinds(raw) if each.startswith("control")} - {
        each for each in usual if each.startswith("control")
    }
    assert hidden(raw) - EMOJI_PARTS == set()
    assert b"\xc2\x9b" not in raw
    assert "⟨ESC⟩[2J".encode() in raw


def test_the_comparison_sees_every_sequence_of_the_payload() -> None:
    """The measure works: the payload itself has many kinds that the program never writes."""
    found = kinds(PAYLOAD.encode())
    assert {"CSI J", "CSI ?1049l", "CSI m", "OSC 0", "OSC 52", "string P", "ESC c"} <= found
    assert {"control 9B", "control 9D", "control 07", "control 08", "control 7F"} <= found
    assert len(hidden(PAYLOAD.encode())) >= 5
    assert isinstance(Screen, type)


@pytest.mark.parametrize(
    "arguments", [["exec", "x", "--then"], ["lessons"], ["adapters"], [], ["exec", "x"]]
)
def test_a_complaint_about_an_argument_is_plain(arguments: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [SCRIPT, *arguments, "x\x1b[2J\x9b31m\u202e=\x1b]0;owned\x07"],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", **_python_path()},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    assert done.returncode != 0
    assert done.stderr.strip()
    assert not raw_in((done.stdout + done.stderr).replace("\n", ""))


def _python_path() -> dict[str, str]:
    import os

    return {key: os.environ[key] for key in ("PYTHONPATH",) if key in os.environ}


async def test_a_folder_with_a_hostile_name_opens_plainly(tmp_path: Path) -> None:
    """The first line that is painted holds the folder's name."""
    from continualcode_tui.app.settings import load_settings
    from continualcode_tui.app.tui import ContinualCode

    folder = tmp_path / "re\x1b[31mpo\u202e"
    folder.mkdir()
    settings = load_settings([f"data_dir={tmp_path}"], environ={})
    app = ContinualCode(settings, folder)
    async with app.run_test(size=(80, 24)) as pilot:
        splash = app.screen_stack[0].query_one("#splash", Static)
        assert "re⟨ESC⟩[31mpo⟨U+202E⟩" in str(splash.content)
        await until(lambda: len(app.screen_stack) > 1, pilot)
        for widget, text in painted(app):
            assert not raw_in(text), widget
