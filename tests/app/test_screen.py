"""The program's screen, driven by keys, on the fake worker."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import pytest
from continualcode_tui.app.commands import COMMANDS
from continualcode_tui.app.screens.chat import ChatScreen
from continualcode_tui.app.screens.desk import DecisionDesk
from continualcode_tui.app.screens.help import HelpScreen
from continualcode_tui.app.screens.learning import LearningPanel
from continualcode_tui.app.screens.lessons import LessonsScreen
from continualcode_tui.app.screens.metrics import MetricsScreen
from continualcode_tui.app.screens.transcript import prose_of
from continualcode_tui.app.settings import load_settings
from continualcode_tui.app.tui import ContinualCode
from continualcode_tui.widgets.arguments_editor import ArgumentsEditor
from continualcode_tui.widgets.arming import SETTLE
from continualcode_tui.widgets.conversation import Conversation
from continualcode_tui.widgets.correction_box import CorrectionBox
from continualcode_tui.widgets.prompt import Prompt
from continualcode_tui.widgets.transcript_model import (
    AssistantRecord,
    CallRecord,
    NoticeRecord,
)
from textual.pilot import Pilot
from textual.widget import Widget

from ..controllers.support import TEST, Stage, call

WRITE = call("write", path="test_calc.py", content=TEST.replace("5", "4"))
EDIT = call(
    "edit_lines", path="test_calc.py", start_line=5, end_line=5,
    content="    assert add(2, 2) == 4",
)  # fmt: skip
CORRECTION = "use edit_lines; don't overwrite"
SECONDS = 20.0


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


class Driver:
    """Presses keys and waits for what they lead to."""

    def __init__(self, app: ContinualCode, pilot: Pilot[object]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def chat(self) -> ChatScreen:
        (screen,) = [each for each in self.app.screen_stack if isinstance(each, ChatScreen)]
        return screen

    async def until(
        self, condition: Callable[[], object], what: str = "", seconds: float = SECONDS
    ) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    await self.pilot.pause(0.02)
        except TimeoutError:
            raise AssertionError(f"did not come: {what}\n{self.text()}") from None

    async def ready(self) -> None:
        await self.until(
            lambda: any(isinstance(each, ChatScreen) for each in self.app.screen_stack), "chat"
        )
        await self.until(lambda: self.chat.phase == "ready", "ready")

    async def ask(self, text: str) -> None:
        self.chat.query_one(Prompt).text = text
        self.chat.query_one(Prompt).focus()
        await self.pilot.press("enter")

    async def proposal(self) -> None:
        """Wait for a call whose keys are armed."""

        def armed() -> bool:
            panel = self.chat.query_one(DecisionDesk).panel
            # A key that comes too soon after another is none.
            now = monotonic()
            return (
                panel is not None
                and panel.armed
                and now - panel._last_key > SETTLE
                and now - panel._last_text > 2 * SETTLE
            )

        await self.until(armed, "an armed proposal")

    async def box(self, kind: type[Widget]) -> None:
        """Wait until a box below the call takes the keys."""
        await self.until(
            lambda: self.chat.query(kind) and self.chat.query_one(kind).has_focus_within,
            kind.__name__,
        )

    async def settled(self) -> None:
        """Wait until the screen has been the same for half a second."""
        before = ""
        while before != (before := self.text()):
            await self.pilot.pause(0.5)

    async def type(self, text: str) -> None:
        for character in text:
            await self.pilot.press("space" if character == " " else character)

    def text(self) -> str:
        """What can be read on the screen."""
        width, height = self.app.size
        strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text.rstrip()[:width] for strip in strips[:height])


@asynccontextmanager
async def running(
    stage: Stage, *settings: str, size: tuple[int, int] = (100, 40)
) -> AsyncIterator[Driver]:
    if not stage.script.exists():
        stage.write_script()
    loaded = load_settings(stage.arguments("arm_delay=0.05", *settings), environ={})
    app = ContinualCode(loaded, stage.folder)
    async with app.run_test(size=size) as pilot:
        driver = Driver(app, pilot)
        await driver.ready()
        yield driver
        await driver.chat.session.close()


def changed(stage: Stage) -> bool:
    return "== 4" in (stage.folder / "test_calc.py").read_text()


async def test_a_denial_is_learned_and_the_retry_approved(stage: Stage) -> None:
    stage.write_script(
        completions=[WRITE, "Fixed."], lessons=[{"outcome": "learned", "retry": EDIT}]
    )
    async with running(stage) as at:
        await at.ask("fix the test")
        await at.proposal()
        assert "write test_calc.py" in at.text()
        await at.pilot.press("n")
        await at.box(CorrectionBox)
        await at.type("use edit lines")
        await at.pilot.press("enter")
        await at.until(lambda: "Learned" in at.text(), "the lesson")
        await at.proposal()
        assert not changed(stage)
        assert "edit_lines" in at.text(), at.text()
        assert at.chat.query_one(LearningPanel).display
        assert at.chat.lessons == 1
        await at.pilot.press("y")
        await at.until(lambda: changed(stage), "the edit")
        await at.until(lambda: "Fixed." in at.text(), "the model's words")
        assert at.chat.query_one(Prompt).has_focus_within
    learn = stage.requests("learn")[0]["lesson"]
    assert learn["correction"] == "use edit lines"
    assert all("use edit lines" not in message["content"] for message in learn["messages"])


@pytest.mark.slow
async def test_the_last_words_are_in_view_after_a_lesson_on_a_low_screen(stage: Stage) -> None:
    read = call("read", path="test_calc.py")
    stage.write_script(completions=[read, WRITE, "Fixed at last."], lessons=[{"retry": EDIT}])
    async with running(stage, size=(100, 30)) as screen:
        await screen.ask("fix the test")
        await screen.proposal()
        await screen.pilot.press("n")
        await screen.box(CorrectionBox)
        await screen.type(CORRECTION)
        await screen.pilot.press("enter")
        await screen.until(lambda: "edit_lines test_calc.py" in screen.text(), "the retry")
        await screen.proposal()
        await screen.pilot.press("y")
        await screen.until(lambda: screen.chat.phase == "ready", "ready")
        await screen.settled()
        assert "Fixed at last." in screen.text()


async def test_an_empty_correction_teaches_nothing_and_loses_nothing(stage: Stage) -> None:
    stage.write_script(completions=[WRITE])
    async with running(stage) as at:
        await at.ask("fix the test")
        await at.proposal()
        await at.pilot.press("n")
        await at.box(CorrectionBox)
        await at.pilot.press("enter")
        assert at.chat.query(CorrectionBox)
        await at.pilot.press("escape")
        await at.until(lambda: not at.chat.query(CorrectionBox), "the call again")
        await at.proposal()
        assert not changed(stage)


async def test_edited_arguments_are_what_runs(stage: Stage) -> None:
    stage.write_script(
        completions=[call("bash", command="echo one"), "Done."],
        lessons=[{"outcome": "learned", "retry": call("bash", command="echo two")}],
    )
    async with running(stage) as at:
        await at.ask("say it")
        await at.proposal()
        await at.pilot.press("e")
        await at.box(ArgumentsEditor)
        await at.pilot.press("end", "ctrl+u")
        await at.type("echo two")
        await at.pilot.press("ctrl+s")
        await at.until(lambda: "Done." in at.text(), "the end")
        assert "two" in at.text()
    (learn,) = stage.requests("learn")
    assert learn["lesson"]["solution"]["arguments"] == {"command": "echo two"}


async def test_no_key_decides_while_the_user_types(stage: Stage) -> None:
    stage.write_script(completions=[WRITE])
    async with running(stage) as at:
        at.chat.query_one(Prompt).text = "wait, "
        at.chat.run_worker(at.chat.session.submit("fix the test"))
        await at.until(lambda: at.chat.query_one(DecisionDesk).panel, "a proposal")
        await at.type("y y n a")
        await at.pilot.pause(0.2)
        panel = at.chat.query_one(DecisionDesk).panel
        assert panel is not None
        assert not panel.armed
        assert at.chat.query_one(Prompt).text == "wait, y y n a"
        assert not changed(stage)


async def test_keys_before_the_quiet_time_do_nothing(stage: Stage) -> None:
    stage.write_script(completions=[WRITE])
    async with running(stage, "arm_delay=30") as at:
        await at.ask("fix the test")
        await at.until(lambda: at.chat.query_one(DecisionDesk).panel, "a proposal")
        await at.pilot.press("y", "y", "enter")
        await at.pilot.pause(0.2)
        assert at.chat.phase == "waiting"
        assert not changed(stage)


async def test_escape_stops_and_the_prompt_takes_over(stage: Stage) -> None:
    stage.write_script(completions=[WRITE])
    async with running(stage) as at:
        await at.ask("fix the test")
        await at.proposal()
        await at.pilot.press("escape")
        await at.until(lambda: at.chat.phase == "ready", "ready")
        assert at.chat.query_one(Prompt).has_focus_within
        assert not changed(stage)


@pytest.mark.parametrize(
    "death",
    [
        "step",
        *(
            pytest.param(stage, marks=pytest.mark.slow)
            for stage in ("prepare", "gate", "snapshot", "guard", "retry", "commit", "answer")
        ),
    ],
)
async def test_the_screen_outlives_the_worker(stage: Stage, death: str) -> None:
    stage.write_script(
        completions=[WRITE],
        lessons=[{"outcome": "learned", "retry": EDIT, "die": death}] * 2,
    )
    async with running(stage) as at:
        await at.ask("fix the test")
        await at.proposal()
        await at.pilot.press("n")
        await at.box(CorrectionBox)
        await at.type("edit")
        await at.pilot.press("enter")
        await at.until(lambda: at.chat.session.lessons()[-1].standing != "pending", "a standing")
        await at.proposal()
        standing = at.chat.session.lessons()[-1].standing
        assert standing == ("learned" if death == "answer" else "failed")
        assert at.chat.lessons == (1 if death == "answer" else 0)


async def test_every_command_answers(stage: Stage) -> None:
    async with running(stage) as at:
        for command in COMMANDS:
            if command.name == "quit":
                continue
            before = at.text()
            await at.ask(f"/{command.name}")
            await at.until(lambda before=before: at.text() != before, f"/{command.name}")
            if not isinstance(at.app.screen, ChatScreen):
                await at.pilot.press("escape")
                await at.until(lambda: isinstance(at.app.screen, ChatScreen), "back")
        await at.ask("/metrix")
        await at.until(lambda: "Did you mean /metrics?" in at.text(), "the nearest command")


@pytest.mark.slow
async def test_metrics_and_lessons_show_the_lesson(stage: Stage) -> None:
    stage.write_script(
        completions=[WRITE, "Done."], lessons=[{"outcome": "learned", "retry": EDIT}]
    )
    async with running(stage, size=(120, 60)) as at:
        await at.ask("fix the test")
        await at.proposal()
        await at.pilot.press("n")
        await at.box(CorrectionBox)
        await at.type("edit")
        await at.pilot.press("enter")
        await at.proposal()
        await at.pilot.press("y")
        await at.until(lambda: at.chat.phase == "ready", "ready")
        await at.ask("/metrics")
        await at.until(lambda: isinstance(at.app.screen, MetricsScreen), "/metrics")
        await at.until(lambda: "Loss" in at.text(), "the charts")
        await at.pilot.press("f")
        await at.until(lambda: "last step" in at.text(), "the figures")
        await at.pilot.press("escape")
        await at.ask("/lessons")
        await at.until(lambda: isinstance(at.app.screen, LessonsScreen), "/lessons")
        await at.until(lambda: "standing" in at.text(), "the lesson")
        assert "a retry that did not see the correction" in at.text()


async def test_f1_shows_every_key_and_command(stage: Stage) -> None:
    async with running(stage, size=(100, 60)) as at:
        await at.pilot.press("f1")
        await at.until(lambda: isinstance(at.app.screen, HelpScreen), "help")
        await at.until(lambda: f"/{COMMANDS[-1].name}" in at.text(), "the commands")
        assert all(f"/{command.name}" in at.text() for command in COMMANDS)


async def test_control_c_twice_leaves(stage: Stage) -> None:
    async with running(stage) as at:
        await at.pilot.press("ctrl+c")
        assert at.app.is_running
        await at.pilot.press("ctrl+c")
        await at.until(lambda: at.app.return_code is not None, "the end")
        assert at.app.return_code == 0


async def test_an_engine_that_cannot_load_is_said_in_words(stage: Stage) -> None:
    sentence = "There is no model folder at nowhere; give model_name a folder that has one."
    stage.write_script(load=[{"failure": "bad_model", "message": sentence}])
    loaded = load_settings(stage.arguments(), environ={})
    app = ContinualCode(loaded, stage.folder)
    async with app.run_test(size=(100, 30)) as pilot:
        at = Driver(app, pilot)
        await at.until(lambda: "There is no model folder at nowhere" in at.text(), "the words")
        assert at.chat.phase == "failed"


def test_the_prose_of_a_turn_ends_where_its_call_begins() -> None:
    assert prose_of("I fix it.\n<tool_call>\n{") == "I fix it."
    assert prose_of("I fix it. <tool_") == "I fix it. "
    assert prose_of("a < b") == "a < b"


def test_nothing_heavy_is_imported_before_the_first_paint_or_ever() -> None:
    code = """
import sys
from continualcode_tui.app import cli, tui
from continualcode_tui.app.settings import load_settings
early = {"pydantic_settings", "textual.app"}
heavy = {"torch", "transformers", "peft", "tinker", "numpy", "git", "jsonschema", "textual_plot"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
from continualcode_tui.app.screens import chat, lessons, metrics, help
from continualcode_tui.app import headless
heavy -= {"git", "jsonschema"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


async def test_the_theme_is_changed_live_and_the_choice_is_told(stage: Stage) -> None:
    async with running(stage) as at:
        await at.ask("/theme")
        await at.until(lambda: "auto, which is dark in this terminal" in at.text(), "the list")
        await at.ask("/theme high-contrast")
        await at.until(lambda: at.app.theme == "continual-high-contrast", "the theme")
        await at.ask("/theme neon")
        await at.until(lambda: "now it is high-contrast." in at.text(), "the list again")


async def test_keys_that_the_prompt_does_not_need_scroll_the_conversation(stage: Stage) -> None:
    async with running(stage) as at:
        talk = at.chat.query_one(Conversation)
        talk.load([NoticeRecord(f"notice {i}") for i in range(300)])
        at.chat.query_one(Prompt).focus()
        await at.until(lambda: "notice 299" in at.text(), "the end")
        await at.pilot.press("pageup")
        await at.until(lambda: not talk.following, "a page up")
        at.chat.say("something new")
        await at.until(lambda: "1 new below · End" in at.text(), "the hint")
        await at.pilot.press("home")
        await at.until(lambda: "notice 0" in at.text(), "the beginning")
        await at.type("hi")
        await at.pilot.press("home", "x")
        assert at.chat.query_one(Prompt).text == "xhi"
        await at.pilot.press("ctrl+end")
        await at.until(lambda: "something new" in at.text(), "the newest")
        assert at.chat.query_one(Prompt).has_focus_within


async def test_copy_takes_an_answer_or_the_last_output_and_says_so(stage: Stage) -> None:
    async with running(stage) as at:
        await at.ask("/copy")
        await at.until(lambda: "has not answered anything yet" in at.text(), "no answer")
        talk = at.chat.query_one(Conversation)
        talk.load(
            [
                AssistantRecord("first"),
                CallRecord("bash", "ls", "approved", output="a.py\nb.py\n", ok=True),
                AssistantRecord("second \x1b[2Jone"),
            ]
        )
        await at.ask("/copy")
        await at.until(lambda: "Copied the last answer: 1 line" in at.text(), "the answer")
        assert at.app.clipboard == "second ⟨ESC⟩[2Jone"
        await at.ask("/copy 2")
        await at.until(lambda: at.app.clipboard == "first", "the answer before")
        await at.ask("/copy output")
        await at.until(lambda: "last output of a tool: 2 lines" in at.text(), "the output")
        assert at.app.clipboard == "a.py\nb.py"
        await at.ask("/copy 3")
        await at.until(lambda: "no answer 3 from the end" in at.text(), "no such answer")
        await at.ask("/copy all")
        await at.until(lambda: "/copy takes a number" in at.text(), "how it is used")
