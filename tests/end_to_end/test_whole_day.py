"""A day with the real program, the real worker and the practice model in a real terminal.

A person denies a call, edits another, looks at what was learned, takes it back, leaves, comes
back, goes back and leaves again; on the way keys come at odd moments. What is checked at each
step is what that person would look at.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from ..support.scenario import TEST, can_decide, make_repository
from ..support.terminal import Terminal

SCRIPT = str(Path(sys.executable).parent / "continualcode-tui")
INSTALL = "install the npm package zod"
FIX = "fix the test"
FIXED = TEST.replace("== 5", "== 4")
BY_HAND = "# written by hand"
SCROLLBARS = "▁▂▃▄▅▆▇█▔▎▏▐│╎"
SWITCHES = ("?1049", "?1000", "?1003", "?1006", "?1004", "?2004")
HOSTILE = "".join(
    f"line {n} \x1b]52;c;eQ==\x07\x1b[?1049l\x1b[31mred \x9b31m\x7f\x03y\t\u202etxt\r\n"
    for n in range(200)
)

pytestmark = pytest.mark.slow


def can_ask(text: str) -> bool:
    """Whether the conversation is shown and the agent rests."""
    return "● ready" in text and "What shall we do?" in text


class Day:
    """One start of the program in a shell, and what a person does with it."""

    def __init__(self, place: Path, size: tuple[int, int], *arguments: str) -> None:
        self.root = place / "scratch"
        # Modules of the repository must not be taken for those of the program.
        path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), "."])
        environment = {
            "HOME": str(place), "XDG_DATA_HOME": str(place / "data"), "PYTHONPATH": path,
            "VISUAL": "cat",
        }  # fmt: skip
        script = 'stty -a; "$0" "$@"; echo "status $?"; stty -a; read wait'
        self.at = Terminal(
            ["/bin/sh", "-c", script, SCRIPT, "engine=practice", "temperature=0", *arguments],
            cwd=self.root,
            env=environment,
            columns=size[0],
            rows=size[1],
        )
        self.size = size
        self.wide = size[0] >= 120

    # --- what a person does -------------------------------------------------------------

    def ask(self, request: str, call: str) -> None:
        """Ask for something and wait until the call that it leads to can be decided."""
        self.at.type(request)
        self.at.press("enter")
        self.at.wait(
            lambda text: can_decide(text) and call in text, 90, f"{call!r} after {request!r}"
        )

    def command(self, command: str, *seen: str) -> str:
        """Give a command of the prompt and wait for what only its result shows."""
        self.at.type(command)
        self.at.press("enter")
        return self.at.wait(lambda text: all(each in text for each in seen), 30, f"{seen}")

    def stop(self) -> None:
        """Leave the call that waits."""
        self.at.press("escape")
        self.at.wait(can_ask, 30)

    def rest(self) -> str:
        """Wait until the agent rests; a call that waits is left."""
        self.at.wait(lambda text: can_decide(text) or can_ask(text), 120)
        if not can_ask(self.at.text):
            self.stop()
        return self.at.text

    def back(self) -> None:
        """Close the screen that lies over the conversation."""
        self.at.press("escape")
        self.at.wait(can_ask, 15)

    # --- what a person sees -------------------------------------------------------------

    def talk(self) -> list[str]:
        """The rows of the conversation as they are on the screen now."""
        rows = self.at.text.split("\n")
        end = next(i for i, row in enumerate(rows) if row.startswith(("╭", "─")))
        return [row.rstrip(SCROLLBARS + " ") for row in rows[:end]]

    def whole_talk(self) -> str:
        """The whole conversation, read from its beginning to its end."""
        self.at.press("home")
        self.at.settle()
        read = self.talk()
        while True:
            self.at.press("pagedown")
            self.at.settle()
            page = self.talk()
            overlap = max(n for n in range(len(page) + 1) if read[len(read) - n :] == page[:n])
            if overlap == len(page):
                break
            read += page[overlap:]
        return "\n".join(row for row in read if row)

    def status(self) -> str:
        """The status bar."""
        return self.at.text.split("\n")[-1]

    # --- the end ------------------------------------------------------------------------

    def ended(self) -> None:
        """Check that the terminal is as it was, and the program content."""
        self.at.wait("status 0", 20)
        self.at.settle()
        raw = self.at.raw.decode("utf-8", "replace")
        for switch in SWITCHES:
            assert raw.rindex(f"\x1b[{switch}h") < raw.rindex(f"\x1b[{switch}l"), switch
        assert raw.rindex("\x1b[?25l") < raw.rindex("\x1b[?25h"), "the cursor is hidden"
        before, after = raw[: raw.index("\x1b[?")], raw[raw.rindex("status 0") + len("status 0") :]
        assert "speed" in before
        assert before.split() == after.split()
        self.at.process.close(force=True)


@pytest.mark.parametrize(
    "size", [(120, 40), (80, 24), (60, 18)], ids=lambda size: "x".join(map(str, size))
)
def test_deny_edit_metrics_lessons_undo_resume_rewind(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    make_repository(tmp_path / "scratch")
    day = Day(tmp_path, size)
    day.at.wait(can_ask, 90)
    deny_and_see_it_learned(day)
    edit_and_see_that_run(day)
    look_at_the_figures(day)
    look_at_the_lessons(day)
    undo_and_ask_again(day)
    day.at.press("ctrl+t")  # beside it the conversation would be narrower than when resumed
    day.at.settle()
    before = day.whole_talk()
    day.command("/quit", "status 0")
    day.ended()

    day = Day(tmp_path, size, "--continue")
    day.at.wait(lambda text: can_ask(text) and "Resumed" in text, 90)
    everything_is_as_it_looked(day, before)
    go_back_with_the_files(day)
    run_complete_and_compact(day)
    day.at.press("ctrl+c")
    day.at.wait("Press ctrl+c again to leave", 15)
    day.at.press("ctrl+c")
    day.ended()


def deny_and_see_it_learned(day: Day) -> None:
    at = day.at
    day.ask(INSTALL, "$ npm install zod")
    at.press("n")
    at.wait("what should it do instead", 15)
    at.paste(HOSTILE)
    at.wait("line 199", 15)
    at.resize(day.size[0] + 7, day.size[1] + 3)
    at.wait("Esc back", 15)
    at.resize(*day.size)
    at.settle()
    at.press("escape")  # nothing of it is sent
    at.wait(can_decide, 15)
    at.press("e")
    at.wait("Ctrl+S run", 15)
    at.press("escape")
    at.wait(can_decide, 15)
    at.press("n")
    at.wait("what should it do instead", 15)
    at.type("use pnpm add")
    at.press("enter")
    at.wait("● learning", 30)
    at.type("and say hello", pause=0.05)
    at.wait("> and say hello", 15)
    for _ in "and say hello":
        at.press("backspace")
    at.wait(lambda text: can_decide(text) and "$ pnpm add zod" in text, 120)
    assert "1 lesson" in day.status()
    day.stop()
    talk = day.whole_talk()
    for said in ("✗ bash  denied: use pnpm add", "✓ Learned", "Learned in", "You stopped it."):
        assert said in talk, talk


def edit_and_see_that_run(day: Day) -> None:
    at, file = day.at, day.root / "test_calc.py"
    day.ask(FIX, "write")
    at.press("f")
    at.wait(lambda text: "read on" in text and "y approve" not in text, 15)
    at.press("t")
    at.wait("split", 15)
    at.press("escape")
    at.wait(can_decide, 15)
    at.press("e")
    at.wait("Ctrl+S run", 15)
    at.press("ctrl+end")
    at.type(BY_HAND)
    at.wait(lambda text: any("+" in row and BY_HAND in row for row in text.split("\n")), 15)
    assert file.read_text() == TEST
    at.press("ctrl+s")
    at.wait("edited by you", 60)
    day.rest()
    assert file.read_text() == FIXED + BY_HAND
    talk = day.whole_talk()
    assert "wrote test_calc.py" in talk
    assert talk.count("correction: ") == 2, talk
    assert "*" in day.status() or day.size[0] < 80


def look_at_the_figures(day: Day) -> None:
    at = day.at
    day.command("/metrics", "by step", "Loss")
    at.press("x")
    at.wait("by lesson", 15)
    at.press("l")
    at.wait("· log", 15)
    at.press("f")
    text = at.wait(lambda text: "tokens trained" in text or "KL budget" in text, 15)
    assert "forward kl" in text
    day.back()


def look_at_the_lessons(day: Day) -> None:
    at = day.at
    day.command("/lessons", "2 lessons", "use pnpm add")
    at.press("down")
    at.press("enter")
    at.wait(lambda text: "2 lessons" in text and INSTALL in text, 15)
    at.press("m")
    at.wait(lambda text: "change in probability" in text and "token by token" in text, 15)
    at.press("m")
    at.wait("teacher's token", 15)
    at.press("end")
    at.wait("guard KL", 15)
    at.press("pageup")
    at.wait("after the lesson", 15)
    at.press("escape")
    at.wait("proof: bash pnpm", 15)


def undo_and_ask_again(day: Day) -> None:
    at = day.at
    at.press("u")
    at.wait(lambda text: "↶ use pnpm add" in text and "was taken back" in text, 30)
    assert "0 learned" in at.text
    day.back()
    assert "0 lessons" in day.status()
    day.ask(INSTALL, "$ npm install zod")
    day.stop()


def everything_is_as_it_looked(day: Day, before: str) -> None:
    resumed = day.whole_talk()
    assert resumed.startswith(before), f"{before}\n--- resumed ---\n{resumed}"
    assert "Resumed" in resumed[len(before) :]
    assert "0 lessons" in day.status()
    text = day.command("/lessons", "2 lessons, 0 learned")
    assert "↶ use pnpm add" in text
    day.back()
    day.command("/sessions", "open now", INSTALL)
    day.back()


def go_back_with_the_files(day: Day) -> None:
    at = day.at
    day.command("/rewind", "Go back to before which request?", FIX)
    at.press("down")
    at.press("enter")
    at.wait("conversation and files", 15)
    assert "test_calc.py" in at.text
    at.press("f")
    at.wait(f"> {FIX}", 15)
    assert (day.root / "test_calc.py").read_text() == TEST
    talk = day.whole_talk_with_draft()
    assert "edited by you" not in talk
    at.press("ctrl+u")
    at.wait(can_ask, 15)


def run_complete_and_compact(day: Day) -> None:
    at = day.at
    at.type("!echo h''i there")
    at.wait("$ !echo", 15)
    at.press("enter")
    at.wait(lambda text: "hi there" in text and "exit 0" in text, 15)
    at.type("look at @te")
    at.wait("Tab or Enter takes it", 15)
    at.press("tab")
    at.wait("@test_calc.py", 15)
    at.press("ctrl+g")  # the editor only prints it; nothing is lost
    at.settle()
    assert "@test_calc.py" in at.text
    at.press("ctrl+u")
    at.wait(can_ask, 15)
    at.type("show me calc.py")
    at.press("enter")
    at.wait("read calc.py", 60)
    day.rest()
    day.command("/compact", "The model now sees")
