"""Keys and commands, generated from where they are defined."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from ..commands import COMMANDS

KEYS: tuple[tuple[str, str], ...] = (
    ("y", "approve the call that is shown"),
    ("n", "deny it and say what to do instead; the model learns from it"),
    ("e", "edit its arguments, then run it; the model learns from the difference"),
    ("a", "approve exactly this call for the rest of the session"),
    ("Esc", "go back, or interrupt the agent"),
    ("Tab", "move between the prompt and the call"),
    ("Enter", "send, or queue while the agent works; after Esc it sends what is held"),
    ("ctrl+j", "begin a new line, as shift+enter does, and Enter after a backslash"),
    ("Up", "take the last queued message back; go through what you wrote before"),
    ("ctrl+r", "search what you wrote before"),
    ("@", "name a file of the repository"),
    ("!", "run a shell command yourself; the model does not see it"),
    ("!!", "run it without your keys; its output goes with your next request"),
    ("ctrl+t", "show or hide what the last lesson did"),
    ("ctrl+c", "copy the selection; twice to leave"),
    ("F1", "this page"),
)


class HelpScreen(ModalScreen[None]):
    """One page that any key closes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,f1,enter", "dismiss", "back", id="help.back"),
    ]
    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen > VerticalScroll {
        width: 84; max-width: 100%; height: auto; max-height: 100%;
        background: $surface; border: round $primary; padding: 0 2;
    }
    """

    def compose(self) -> ComposeResult:
        """Two tables of a key or command and its line."""
        commands = [(command.title, command.help) for command in COMMANDS]
        with VerticalScroll() as scroll:
            scroll.border_title = "help"
            scroll.border_subtitle = "Esc closes"
            yield Static(_table("Keys", list(KEYS)))
            yield Static(_table("Commands", commands))
            yield Static(
                Content(
                    "\nA denied call teaches: the model sees your correction, compares itself with "
                    "the model that does not, and moves its adapter until the corrected choice "
                    "comes by itself. Only a retry that did not see the correction proves it.\n"
                )
            )

    async def action_dismiss(self, result: None = None) -> None:
        """Close the page."""
        self.dismiss(result)


def _table(title: str, rows: list[tuple[str, str]]) -> Content:
    width = max(len(left) for left, _ in rows)
    lines = [Content.styled(f"\n{title}\n", "bold $primary")]
    lines += [
        Content.assemble((f"{left:<{width}}", "bold"), "  ", right, "\n") for left, right in rows
    ]
    return Content("").join(lines)
