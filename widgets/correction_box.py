"""The box for the correction that goes with a denial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.style import Style
from textual.widget import Widget
from textual.widgets import Static, TextArea
from typing_extensions import override

from .composer import Composer
from .sanitise import content, one_line, visible

EMPTY = "Say what to do instead; an empty correction teaches nothing."
CHIPS: tuple[str, ...] = (
    "Change only the lines that need it.",
    "Read the file first.",
    "Wrong file.",
    "Run the tests first.",
)


class Chips(Widget, can_focus=True):
    """A row of phrases; choosing one posts it, and does nothing else."""

    @dataclass
    class Chosen(Message):
        """A phrase was chosen."""

        text: str

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "move(-1)", "Previous phrase", show=False, id="chips.previous"),
        Binding("right", "move(1)", "Next phrase", show=False, id="chips.next"),
        Binding("enter", "choose", "Insert the phrase", show=False, id="chips.choose"),
    ]

    DEFAULT_CSS = """
    Chips { height: auto; width: 1fr; color: $quiet; }
    Chips:focus { color: $foreground; }
    """

    cursor: reactive[int] = reactive(0)

    def __init__(self, phrases: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._phrases = tuple(phrases)

    @override
    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._rows(width))

    def render(self) -> Content:
        """Show the phrases, the chosen one reversed while the row has the focus."""
        rows: list[Content] = []
        for row in self._rows(self.size.width):
            chips: list[Content] = []
            for index in row:
                chosen = self.has_focus and index == self.cursor
                label = f"[{visible(self._phrases[index][0], keep='')}]"
                chip = Content.styled(label, "reverse" if chosen else "")
                chips.append(chip.stylize(Style.from_meta({"chip": index})))
            rows.append(Content(" ").join(chips))
        return Content("\n").join(rows)

    def _rows(self, width: int) -> list[list[int]]:
        """Give the phrases of each line; a phrase stays together where it fits."""
        rows: list[list[int]] = [[]]
        used = 0
        for index, (label, _) in enumerate(self._phrases):
            size = cell_len(visible(label, keep="")) + 3
            if rows[-1] and used + size - 1 > width:
                rows.append([])
                used = 0
            rows[-1].append(index)
            used += size
        return rows

    def on_click(self, event: events.Click) -> None:
        """Choose the phrase under the mouse."""
        index = event.style.meta.get("chip")
        if isinstance(index, int):
            self.cursor = index
            self.action_choose()

    def action_move(self, by: int) -> None:
        """Move to the next or previous phrase."""
        self.cursor = (self.cursor + by) % len(self._phrases)

    def action_choose(self) -> None:
        """Post the phrase."""
        self.post_message(self.Chosen(self._phrases[self.cursor][1]))


class CorrectionBox(Vertical):
    """Asks what the agent should have done instead.

    ``suggestion`` is offered as one more phrase, for instance the last tool error. Phrases are
    inserted as text and never sent by themselves. No key that types goes further than this box.
    """

    @dataclass
    class Submitted(Message):
        """The user sent a correction; ``text`` is not empty."""

        box: CorrectionBox
        text: str

    @dataclass
    class Cancelled(Message):
        """The user went back to the call."""

        box: CorrectionBox

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Back", id="correction.back"),
    ]

    DEFAULT_CSS = """
    CorrectionBox {
        height: auto;
        border: round $primary;
        border-title-color: $foreground;
        border-title-style: bold;
        border-subtitle-color: $quiet;
        border-subtitle-align: left;
        padding: 0 1;
        & > .complaint { color: $text-error; display: none; }
        & > .suggestion { color: $quiet; }
    }
    """

    def __init__(
        self,
        *,
        chips: Sequence[str] = CHIPS,
        suggestion: str | None = None,
        title: str = "Deny: what should it do instead?",
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._suggestion = suggestion.strip() if suggestion else ""
        self._phrases = [(chip, chip) for chip in chips]
        if self._suggestion:
            self._phrases.append(("the last error", self._suggestion))
        self.border_title = content(title)
        self.border_subtitle = Content("Enter send · Ctrl+J new line · Tab phrases · Esc back")

    def compose(self) -> ComposeResult:
        """Lay out the text, the phrases and the keys."""
        yield Composer(placeholder="What to do instead, in your own words")
        yield Static(Content(EMPTY), classes="complaint")
        if self._phrases:
            yield Chips(self._phrases)
        if self._suggestion:
            error = one_line(self._suggestion, 160)
            yield Static(Content(f"the last error: {error}"), classes="suggestion")

    def on_mount(self) -> None:
        """Take the focus."""
        self.query_one(Composer).focus()

    @property
    def text(self) -> str:
        """What has been written so far."""
        return self.query_one(Composer).value

    def on_key(self, event: events.Key) -> None:
        """Keep every key that types to this box."""
        if event.is_printable:
            event.stop()
            if not isinstance(self.app.focused, Composer):
                composer = self.query_one(Composer)
                composer.focus()
                composer.insert(event.character or "")

    def on_paste(self, event: events.Paste) -> None:
        """Keep pasted text to this box."""
        event.stop()

    @on(Chips.Chosen)
    def insert_phrase(self, event: Chips.Chosen) -> None:
        """Insert a phrase as text and let the user go on writing."""
        event.stop()
        composer = self.query_one(Composer)
        composer.add(event.text)
        composer.focus()

    @on(TextArea.Changed)
    def hide_complaint(self, event: TextArea.Changed) -> None:
        """Take back the complaint once there is something to send."""
        event.stop()
        if self.text.strip():
            self.query_one(".complaint").display = False

    @on(Composer.Submitted)
    def submit(self, event: Composer.Submitted) -> None:
        """Send the correction, or say why not."""
        event.stop()
        text = event.text.strip()
        if text:
            self.post_message(self.Submitted(self, text))
        else:
            self.query_one(".complaint").display = True

    def action_cancel(self) -> None:
        """Go back to the call."""
        self.post_message(self.Cancelled(self))
