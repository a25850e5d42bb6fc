"""The one question about a secret that would be kept: leave it out, or keep it."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static
from typing_extensions import override

from ...widgets.arming import ArmedPanel
from ...widgets.sanitise import content
from ..controllers.secrets import SecretFound

WHAT_FOLLOWS = (
    "Redacted, neither the model nor anything on the disk has it. Kept, it may be stored and "
    "learned from. What is on the screen, and the file itself, stay as they are."
)


class SecretPanel(ArmedPanel):
    """Says what was found; its keys arm like those of a call."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r,enter", "answer(False)", "Leave the secret out", id="secret.redact"),
        Binding("k", "answer(True)", "Keep it as it is", id="secret.keep"),
    ]

    def __init__(self, found: SecretFound, arm_delay: float) -> None:
        super().__init__(arm_delay=arm_delay)
        self._found = found

    def compose(self) -> ComposeResult:
        """One sentence, and what each answer means."""
        yield Static(content(self._found.sentence))
        yield Static(Content.assemble("\n", (WHAT_FOLLOWS, "dim")))

    @override
    def show_keys(self) -> None:
        """Dim the keys until they can be pressed."""
        style = "bold $primary" if self.armed else "dim"
        self.border_subtitle = Content.assemble(
            ("r", style),
            " redact · ",
            ("k", style),
            " keep · ",
            ("Esc", "bold $primary"),
            " redact",
        )

    def action_answer(self, keep: bool) -> None:
        """Answer, once it is clear that the key was meant for this."""

        def answer() -> None:
            self.screen.dismiss(keep)

        self.ask(answer)


class SecretScreen(ModalScreen[bool]):
    """Asks over whatever is on the screen; Esc redacts."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(False)", "Leave the secret out", show=False),
    ]
    DEFAULT_CSS = """
    SecretScreen { align: center middle; }
    SecretScreen > SecretPanel {
        width: 64; max-width: 100%; height: auto; max-height: 100%;
        background: $surface; border: round $warning; padding: 1 2;
        border-subtitle-color: $foreground;
    }
    """

    def __init__(self, found: SecretFound, arm_delay: float) -> None:
        super().__init__()
        self._found, self._arm_delay = found, arm_delay

    def compose(self) -> ComposeResult:
        """The question."""
        panel = SecretPanel(self._found, self._arm_delay)
        panel.border_title = "secret"
        yield panel

    def on_mount(self) -> None:
        """The keys are the panel's from the start."""
        self.query_one(SecretPanel).focus()


async def ask_about_secret(app: App[Any], found: SecretFound, arm_delay: float) -> bool:
    """Ask whether to keep what was found; taken off the screen when nobody waits any more."""
    answered: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def take(keep: bool | None) -> None:
        if not answered.done():
            answered.set_result(bool(keep))

    screen = SecretScreen(found, arm_delay)
    await app.push_screen(screen, take)
    try:
        return await answered
    finally:
        if not answered.done() or answered.cancelled():
            screen.dismiss(False)
