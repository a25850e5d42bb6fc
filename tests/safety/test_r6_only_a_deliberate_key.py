"""R6: nothing but a deliberate key approves a call."""

from __future__ import annotations

import asyncio
import string
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import pytest
from continualcode_tui.app.keyboard import LARGEST, MOST_PASTED, Keyboard
from continualcode_tui.app.screens.help import HelpScreen
from continualcode_tui.widgets.arguments_editor import ArgumentsEditor
from continualcode_tui.widgets.arming import SETTLE, ArmedPanel
from continualcode_tui.widgets.call_preview import CallPreview
from continualcode_tui.widgets.composer import Composer
from continualcode_tui.widgets.correction_box import CorrectionBox
from continualcode_tui.widgets.prompt import Prompt
from continualcode_tui.widgets.proposal_panel import ProposalPanel
from textual import events
from textual.constants import ESCAPE_DELAY
from textual.containers import Vertical
from textual.message import Message
from textual.pilot import Pilot

from ..app.test_deciding import panel_of
from ..app.test_screen import running
from ..controllers.support import Stage as Session
from ..controllers.support import call
from ..widgets.support import Stage, until

pytestmark = pytest.mark.slow

ARM = 0.05
TYPIST = 0.05
"""Seconds between two keys of somebody who types fast."""
RUN = CallPreview("bash", "command", "bash", command="touch approved", folder="/r")


@dataclass(frozen=True)
class Case:
    """What comes from the terminal: pieces, the time between them, and when they come."""

    name: str
    pieces: tuple[bytes, ...]
    pause: float = 0.0
    armed: bool = True


def burst(name: str, data: bytes) -> list[Case]:
    """The same bytes in one read and byte by byte, before the keys are armed and after."""
    single = tuple(bytes([each]) for each in data)
    return [
        Case(f"{name}, at once", (data,)),
        Case(f"{name}, in bytes", single),
        Case(f"{name}, too early", (data,), armed=False),
    ]


def typed(text: str) -> Case:
    return Case(f"typed {text!r}", tuple(key.encode() for key in text), TYPIST)


def keys_before_it_is_armed() -> list[Case]:
    singles = [*string.ascii_letters, *"019 !?/.\r\t\x7f\n"]
    return [Case(f"{key!r} as it appears", (key.encode(),), armed=False) for key in singles]


def words() -> list[Case]:
    texts = (
        "yes", "yes please", "you", "yarn test", "yikes", "y n", "yay", "any", "agy", "ay", "key",
        "tty", "say y", "my", "fy", "xy", "ky", "jy", "gy", "y\x7f", "y ", "yy", "yyyyyyyy", "aaay",
        "n y", "sky", "ty ty", "y/n", "y.", "Y y", "-y", " y", "\ty", "run it y", "git push -y",
    )  # fmt: skip
    return [typed(text) for text in texts]


def pastes() -> list[Case]:
    texts = (
        "y", "y\n", "yes\n", "y\ny\n", "a\ny\n", "ag", "ny", "git push\ny\n", "\ny", "y\r", " y ",
        "y\x1b[A", "\x1b[Ay", "\x1b[200~y", "x\x1by", "y" * 5_000, "é\ny", "\x00y", "y\n\n", "n\ny",
    )  # fmt: skip
    bracketed = [
        Case(f"pasted {text[:9]!r}", (b"\x1b[200~" + text.encode() + b"\x1b[201~",))
        for text in texts
    ]
    split = [
        Case("pasted in pieces", (b"\x1b[20", b"0~y", b"\n\x1b[2", b"01~"), 0.02),
        Case("pasted, its mark late", (b"\x1b", b"[200~y\n\x1b[201~"), 0.15),
    ]
    bare = [Case(f"pasted bare {t[:9]!r}", (t.encode(),)) for t in texts if len(t) > 1]
    return bracketed + split + bare


def replies() -> list[Case]:
    found: list[Case] = []
    for name, data in (
        ("cursor position", b"\x1b[24;80R"),
        ("two of them", b"\x1b[24;80R\x1b[1;1R"),
        ("primary attributes", b"\x1b[?62;1;2;6;7;8;9;15;22;28;32c"),
        ("secondary attributes", b"\x1b[>41;354;0c"),
        ("tertiary attributes", b"\x1bP!|7E565445\x1b\\"),
        ("version", b"\x1bP>|kitty(0.31.0)\x1b\\"),
        ("another version", b"\x1bP>|alacritty y\x1b\\"),
        ("background", b"\x1b]11;rgb:ffff/ffff/ffff\x1b\\"),
        ("foreground with a bell", b"\x1b]10;rgb:00/00/00\x07"),
        ("a colour", b"\x1b]4;1;rgb:cd/00/00\x1b\\"),
        ("the clipboard", b"\x1b]52;c;eQp5\x1b\\"),
        ("the title", b"\x1b]ly\x1b\\"),
        ("focus", b"\x1b[I"),
        ("no focus", b"\x1b[O"),
        ("focus twice", b"\x1b[O\x1b[I"),
        ("a mode", b"\x1b[?2026;2$y"),
        ("a mode of ANSI", b"\x1b[4;2$y"),
        ("kitty's flags", b"\x1b[?1u"),
        ("the release of y", b"\x1b[121;1:3u"),
        ("the release of y with its text", b"\x1b[121;1:3;121u"),
        ("the release of Enter", b"\x1b[13;1:3u"),
        ("a number that is too long", b"\x1b[99999999999u"),
        ("a character there is not", b"\x1b[121;1;9999999u"),
        ("the size", b"\x1b[8;24;80t"),
        ("the size of a pixel", b"\x1b[6;16;8t"),
        ("a size that is none", b"\x1b[48;999999;999999;0;0t"),
        ("a capability", b"\x1bP1+r436f=323536y\x1b\\"),
        ("half an answer", b"\x1b]11;rgb:yyyy/"),
        ("no UTF-8", b"\xff\xfey\xff"),
        ("y with Alt", b"\x1by"),
        ("y with Ctrl", b"\x19"),
    ):
        found += burst(name, data)
    return found


def mouse() -> list[Case]:
    spots = [(14, 4), (3, 4), (6, 2), (20, 1), (1, 1), (60, 4)]
    clicks = [
        Case(f"a click at {x}, {y}", (f"\x1b[<0;{x};{y}M\x1b[<0;{x};{y}m".encode(),))
        for x, y in spots
    ]
    wheel = [Case(f"the wheel {code}", (f"\x1b[<{code};10;3M".encode() * 20,)) for code in (64, 65)]
    old = [
        Case("an old mouse over y", b"\x1b[M yy\x1b[M#yy" and (b"\x1b[M yy\x1b[M#yy",)),
        Case("another old mouse", (b"\x1b[32;121;121M",)),
        Case("a drag", (b"\x1b[<0;3;2M", b"\x1b[<32;9;3M", b"\x1b[<0;14;4m"), 0.02),
        Case("a double click", (b"\x1b[<0;14;4M\x1b[<0;14;4m" * 2,)),
    ]
    return clicks + wheel + old


def repeats() -> list[Case]:
    held = (b"y",) * 30
    return [
        Case("y held since before it appeared", held, 0.03, armed=False),
        Case("y held, fast", held, 0.01, armed=False),
        Case("Enter held", (b"\r",) * 30, 0.03),
        Case("y among arrows", (b"\x1b[A", b"y", b"\x1b[B", b"y"), 0.02),
        Case("y and an arrow", (b"y\x1b[B",)),
        Case("y and a function key", (b"y\x1bOP",)),
        Case("y and Ctrl+L", (b"y\x0c",)),
        Case("an arrow and y", (b"\x1b[By",)),
    ]


CASES = [
    *keys_before_it_is_armed(), *words(), *pastes(), *replies(), *mouse(), *repeats(),
]  # fmt: skip


class Naive(ProposalPanel):
    """A panel as they are usually written: a key is a decision."""

    def ask(self, decide) -> None:
        decide()

    def watch_has_focus(self, _has_focus: bool) -> None:
        pass


class Tty:
    """Sends bytes to an app the way the program's driver does."""

    def __init__(self, app: Stage) -> None:
        self._app = app
        self._keyboard = Keyboard()
        self.longest = 0.0
        self._last = monotonic()

    def send(self, data: bytes) -> None:
        self._pass_on(self._keyboard.feed(data.decode("utf-8", "replace")))
        self._last = monotonic()

    def tick(self) -> None:
        self._pass_on(self._keyboard.tick())

    def _pass_on(self, messages) -> None:
        for message in messages:
            assert self._app._driver is not None
            self._app._driver.process_message(message)

    async def play(self, case: Case) -> bool:
        """Send a case; say whether no piece came later than was meant."""
        in_time = True
        for piece in case.pieces:
            began = monotonic()
            self.send(piece)
            await asyncio.sleep(case.pause)
            in_time &= monotonic() - began < max(case.pause, TYPIST) + SETTLE / 3
            self.tick()
        return in_time


PARTS = 6


class Fuzz:
    """Shows one panel after another and counts what was approved by what was no decision."""

    def __init__(self, kind: type[ProposalPanel]) -> None:
        self.kind = kind
        self.approved: list[str] = []
        self.deliberate = 0
        self.checked = 0

    async def run(self, cases: Sequence[Case]) -> None:
        app = Stage(Vertical(id="desk"), Composer())
        async with app.run_test(size=(80, 24)) as pilot:
            for number, case in enumerate(cases):
                # Where the machine was too busy to type that fast, it is typed again.
                for _ in range(6):
                    if await self.one(app, pilot, case, deliberate=number % 8 == 0):
                        break
                self.checked += 1

    async def one(self, app: Stage, pilot: Pilot[object], case: Case, *, deliberate: bool) -> bool:
        panel = self.kind(RUN, always="bash touch approved", arm_delay=ARM)
        desk = app.query_one("#desk")
        await desk.remove_children()
        app.posted.clear()
        await desk.mount(panel)
        panel.focus()
        if self.kind is Naive:
            panel.armed = True
            await until(lambda: panel.size.width, pilot)
        elif case.armed:
            await until(lambda: panel.armed, pilot)
        tty = Tty(app)
        in_time = await tty.play(case)
        # What looked like the beginning of a sequence, and was none, becomes keys.
        await asyncio.sleep(ESCAPE_DELAY * 1.2)
        tty.tick()
        await asyncio.sleep(SETTLE * 1.3)
        await pilot.pause()
        decided = {"Approved", "AlwaysRequested"}
        if decided & {type(message).__name__ for message in app.posted}:
            if in_time:
                self.approved.append(case.name)
            return in_time
        if deliberate and self.kind is ProposalPanel:
            await self.decide(app, pilot, panel)
        return True

    async def decide(self, app: Stage, pilot: Pilot[object], panel: ProposalPanel) -> None:
        """The same panel still takes a deliberate key."""
        if panel.shut:
            panel.rearm()
        panel.stage = "call"
        panel.focus()
        panel.begin_quiet_time()
        await until(lambda: panel.armed, pilot)
        await asyncio.sleep(SETTLE * 2)
        Tty(app).send(b"y")
        await until(lambda: app.of(ProposalPanel.Approved), pilot)
        self.deliberate += 1


def test_there_are_enough_cases() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 250


@pytest.mark.slow
async def test_a_panel_without_arming_approves_by_accident(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The attack fires: a panel whose keys simply decide is approved again and again."""
    monkeypatch.setattr(ArmedPanel, "on_key", lambda self, event: None)
    monkeypatch.setattr(ArmedPanel, "begin_quiet_time", lambda self: None)
    fuzzes = await in_parts(Naive, [case for case in CASES if b"y" in b"".join(case.pieces)])
    approved = [name for fuzz in fuzzes for name in fuzz.approved]
    assert len(approved) >= 60, approved
    for kind in ("typed", "pasted bare", "version", "a mode of ANSI", "y held", "y among arrows"):
        assert any(kind in name for name in approved), (kind, approved)


async def in_parts(kind: type[ProposalPanel], cases: Sequence[Case]) -> list[Fuzz]:
    """Most of it is waiting, so the parts wait together."""
    fuzzes = [Fuzz(kind) for _ in range(PARTS)]
    async with asyncio.TaskGroup() as together:
        for part, fuzz in enumerate(fuzzes):
            together.create_task(fuzz.run(cases[part::PARTS]))
    return fuzzes


@pytest.mark.slow
async def test_no_case_approves() -> None:
    """0 of 250 and more, over the parts, and the keys still work."""
    fuzzes = await in_parts(ProposalPanel, CASES)
    assert sum(fuzz.checked for fuzz in fuzzes) == len(CASES)
    assert [name for fuzz in fuzzes for name in fuzz.approved] == []
    assert sum(fuzz.deliberate for fuzz in fuzzes) >= len(CASES) // 8


QUICK = [case for number, case in enumerate(CASES) if number % 24 == 3]


async def test_a_part_of_the_cases_approves_nothing() -> None:
    fuzz = Fuzz(ProposalPanel)
    await fuzz.run(QUICK)
    assert fuzz.approved == []
    assert fuzz.checked == len(QUICK) >= 10


# --- what a terminal sends ------------------------------------------------------------------


def messages(data: bytes, size: int = 0) -> list[Message]:
    keyboard, found = Keyboard(), []
    text = data.decode("utf-8", "replace")
    for at in range(0, len(text), size or len(text)):
        found += keyboard.feed(text[at : at + (size or len(text))])
        found += keyboard.tick()
    return found


HOSTILE_PASTES = ["\x1b[Ay", "\x1by\n", "\x1b[121u", "\x1b[200~y", "\x1b]52;c;x\x07y", "\x1b[201y"]


@pytest.mark.parametrize("size", range(9))
@pytest.mark.parametrize("text", HOSTILE_PASTES)
def test_no_part_of_a_paste_is_a_key(text: str, size: int) -> None:
    """Textual's own parser takes what follows an escape in a paste for keys."""
    found = messages(f"\x1b[200~{text}\x1b[201~".encode(), size)
    (paste,) = [each for each in found if isinstance(each, events.Paste)]
    assert paste.text == text
    if size == 0 or size > 6:
        assert found == [paste]


def test_textuals_own_parser_takes_a_part_of_a_paste_for_keys() -> None:
    """The attack is real."""
    from textual._xterm_parser import XTermParser

    found = list(XTermParser().feed("\x1b[200~\x1b]y\n\x1b[201~"))
    assert "y" in [each.key for each in found if isinstance(each, events.Key)]


@pytest.mark.parametrize(
    "sequence",
    ["121;1:3u", "1;1:3A", "99999999999u", "121;1;9999999u", "121::;1:3;121u", "57441;2:3u"],
)
def test_a_sequence_that_the_parser_cannot_read_takes_nothing_with_it(sequence: str) -> None:
    found = messages(f"a\x1b[{sequence}b\x1b[A".encode())
    assert [each.key for each in found if isinstance(each, events.Key)] == ["a", "up"] or [
        each.key for each in found if isinstance(each, events.Key)
    ] == ["a", "b", "up"]


def test_a_size_that_no_terminal_has_is_not_taken_up() -> None:
    assert messages(b"\x1b[48;24;80;0;0t")
    for size in ("999999;80", "24;999999", "0;0", f"{LARGEST + 1};9"):
        assert not messages(f"\x1b[48;{size};0;0t".encode())


def test_a_paste_without_end_takes_no_more_than_it_may() -> None:
    keyboard = Keyboard()
    assert list(keyboard.feed("\x1b[200~")) == []
    for _ in range(MOST_PASTED // 1_000_000 + 3):
        assert list(keyboard.feed("x" * 1_000_000)) == []
    (paste,) = keyboard.feed("\x1b[201~")
    assert isinstance(paste, events.Paste)
    assert len(paste.text) == MOST_PASTED


# --- the whole program ----------------------------------------------------------------------

TOUCH = call("bash", command="touch approved")


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(tmp_path)


def approved(session: Session) -> bool:
    return (session.folder / "approved").exists()


EVERY_KEY = (
    *string.ascii_letters, *string.digits, "space", "tab", "shift+tab", "up", "down", "pagedown",
    "home", "end", "backspace", "delete",
)  # fmt: skip
DECIDING = tuple("ynaeft")


def test_every_key_is_pressed() -> None:
    assert len(EVERY_KEY) >= 70


@pytest.mark.parametrize("keys", [DECIDING, pytest.param(EVERY_KEY, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("key", "box"), [("n", CorrectionBox), ("e", ArgumentsEditor)])
async def test_while_a_box_is_open_no_key_reaches_the_call(
    key: str, box, keys: tuple[str, ...], session: Session
) -> None:
    session.write_script(completions=[TOUCH, "Done."])
    async with running(session, size=(100, 40)) as at:
        await at.ask("do it")
        await at.proposal()
        await at.pilot.pause(SETTLE)
        await at.pilot.press(key)
        await at.box(box)
        panel = panel_of(at)
        await at.pilot.press(*keys)
        # Even where the mouse gives the call the focus.
        panel.focus()
        await at.pilot.pause()
        await at.pilot.press(*keys)
        await at.pilot.pause(2 * SETTLE)
        assert panel.shut
        assert panel_of(at) is panel
        assert at.chat.phase == "waiting"
        assert at.chat.query(box)
        assert not approved(session)


async def test_keys_for_a_screen_in_front_do_not_decide_behind_it(session: Session) -> None:
    """A call that armed while another screen was in front is armed anew."""
    session.write_script(completions=[TOUCH, "Done."])
    async with running(session, "arm_delay=0.5", size=(100, 40)) as at:
        await at.ask("do it")
        await at.proposal()
        await at.pilot.press("f1")
        await at.until(lambda: isinstance(at.app.screen, HelpScreen), "help")
        await at.pilot.press("y", "y")
        await at.pilot.press("escape")
        await at.until(lambda: at.app.screen is at.chat, "the chat")
        assert not panel_of(at).armed
        await at.pilot.press("y")
        await at.pilot.pause(2 * SETTLE)
        assert not approved(session)
        assert at.chat.phase == "waiting"


async def test_who_types_when_a_call_appears_decides_nothing(session: Session) -> None:
    session.write_script(completions=[TOUCH, "Done."])
    async with running(session, size=(100, 40)) as at:
        prompt = at.chat.query_one(Prompt)
        at.chat.run_worker(at.chat.session.submit("do it"))
        for _ in range(8):
            await at.type("yany")
            await at.pilot.pause(0.03)
        await at.pilot.pause(2 * SETTLE)
        assert not approved(session)
        assert at.chat.phase in ("waiting", "thinking")
        assert set(prompt.text) <= set("yan")
