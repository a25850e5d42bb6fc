"""What a call would do, in plain values, and the widget that shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .command_view import CommandView
from .diff import DiffMode, DiffView
from .sanitise import visible


@dataclass(frozen=True, slots=True)
class CallPreview:
    """What a call would do, in plain values; the fields are those of a tool's preview."""

    tool: str
    kind: Literal["diff", "command", "text"]
    title: str
    path: str | None = None
    before: str | None = None
    after: str | None = None
    command: str | None = None
    folder: str | None = None
    terms: str | None = None
    text: str = ""
    problem: str | None = None

    @property
    def heading(self) -> str:
        """The tool and what it is used on, in one visible line."""
        name, title = visible(self.tool, keep=""), visible(self.title, keep="")
        return title if title.startswith(name) else f"{name} {title}".rstrip()

    @property
    def changed_file(self) -> str:
        """The file that would be changed, where the heading names it in another way."""
        path = visible(self.path or "", keep="")
        named = self.heading == path or self.heading.endswith(f" {path}")
        return "" if named or self.kind != "diff" else path


def preview_widget(preview: CallPreview, mode: DiffMode = "automatic") -> DiffView | CommandView:
    """Make the widget that shows what a call would do."""
    if preview.kind == "diff":
        return DiffView(
            preview.before, preview.after, preview.path or "", mode=mode, classes="preview"
        )
    if preview.kind == "command":
        return CommandView(
            preview.command or "", preview.folder, terms=preview.terms, classes="preview"
        )
    return CommandView(preview.text, shell=False, classes="preview")
