"""Draw the pictures of the README and the docs: the real program with the practice model.

    python docs/pictures.py [FOLDER]

Each is an SVG of one moment of the same session: a proposal, the argument editor, a lesson, the
figures, the lessons. It takes about a minute.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from continualcode_tui.app.screens.chat import ChatScreen
from continualcode_tui.app.screens.desk import DecisionDesk
from continualcode_tui.app.settings import load_settings
from continualcode_tui.app.tui import ContinualCode
from continualcode_tui.widgets.arguments_editor import ArgumentsEditor
from continualcode_tui.widgets.correction_box import CorrectionBox
from continualcode_tui.widgets.prompt import Prompt
from textual.pilot import Pilot

WIDE, HIGH = 120, 40
PATIENCE = 120.0
TEST = "from calc import add\n\n\ndef test_add():\n    assert add(2, 2) == 5\n"


def make_repository(root: Path) -> Path:
    """A small repository with a test that is wrong."""
    root.mkdir(parents=True)
    (root / "calc.py").write_text("def add(a, b):\n    return a + b\n")
    (root / "test_calc.py").write_text(TEST)
    git = ["git", "-c", "user.name=you", "-c", "user.email=you@localhost"]
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "start"]):
        subprocess.run([*git, *command], cwd=root, check=True)
    return root


class Session:
    """The program, driven by keys, and drawn when there is something to see."""

    def __init__(self, app: ContinualCode, pilot: Pilot[object], folder: Path) -> None:
        self.app = app
        self.pilot = pilot
        self.folder = folder

    @property
    def chat(self) -> ChatScreen:
        """The main screen."""
        (screen,) = [each for each in self.app.screen_stack if isinstance(each, ChatScreen)]
        return screen

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await self.pilot.pause(0.05)

    async def ask(self, text: str) -> None:
        """Ask, and wait for a call that can be decided."""
        self.chat.query_one(Prompt).text = text
        self.chat.query_one(Prompt).focus()
        await self.pilot.press("enter")
        await self.armed()

    async def armed(self) -> None:
        """Wait for a call whose keys are taken."""

        def ready() -> bool:
            panel = self.chat.query_one(DecisionDesk).panel
            return panel is not None and panel.armed

        await self.until(ready)

    async def deny(self, correction: str) -> None:
        """Deny the call, and wait for the retry that the lesson leads to."""
        await self.pilot.press("n")
        await self.until(
            lambda: any(box.has_focus_within for box in self.chat.query(CorrectionBox))
        )
        for character in correction:
            await self.pilot.press("space" if character == " " else character)
        await self.draw("correction")
        await self.pilot.press("enter")
        await self.until(lambda: self.chat.phase == "learning")
        await self.until(lambda: self.chat.phase == "waiting")
        await self.armed()

    async def draw(self, name: str) -> None:
        """Write a picture of the screen as it is."""
        await self.pilot.pause(0.8)
        (self.folder / f"{name}.svg").write_text(
            self.app.export_screenshot(title="continualcode-tui")
        )


async def main(folder: Path) -> None:
    """One session from the first request to the list of its lessons."""
    with tempfile.TemporaryDirectory() as scratch:
        root = make_repository(Path(scratch) / "calculator")
        settings = load_settings(
            [
                "engine=practice",
                f"data_dir={scratch}/data",
                "temperature=0",
                "arm_delay=0.05",
                "theme=continual-dark",
            ],
            environ={},
        )
        app = ContinualCode(settings, root)
        async with app.run_test(size=(WIDE, HIGH)) as pilot:
            session = Session(app, pilot, folder)
            await session.until(
                lambda: any(isinstance(each, ChatScreen) for each in app.screen_stack)
            )
            await session.until(lambda: session.chat.phase == "ready")
            await session.draw("start")
            await session.ask("fix the test")
            await session.draw("proposal")
            await session.deny("use edit_lines; don't overwrite")
            await session.draw("lesson")
            await pilot.press("e")
            await session.until(lambda: session.chat.query(ArgumentsEditor))
            await session.draw("editor")
            await pilot.press("escape")
            await session.armed()
            await pilot.press("y")
            await session.until(lambda: session.chat.phase == "ready")
            await session.ask("install the npm package zod")
            await session.deny("use pnpm add")
            await pilot.press("escape")
            await session.until(lambda: session.chat.phase == "ready")
            for screen in ("metrics", "lessons", "settings"):
                session.chat.show(screen)
                await session.draw(screen)
                await pilot.press("escape")
                await session.until(lambda: app.screen is session.chat)
            await app.action_leave()


if __name__ == "__main__":
    given = sys.argv[1:]
    target = Path(given[0]) if given else Path(__file__).parent / "pictures"
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(target))
