"""Text areas: one to write messages in, one to edit code in.

Text is held in its visible form, since a text area would send control characters to the
terminal as they are; ``value`` gives it back as it was meant.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content, Span
from textual.highlight import highlight
from textual.message import Message
from textual.widgets import TextArea
from typing_extensions import override

from ..themes.syntax import SyntaxTheme
from .field import TakesPaste, act_at_once
from .sanitise import content, original, prose, visible

LONGEST_HIGHLIGHTED = 60_000
LONGEST_PASTE = 200_000
"""The characters of a paste beyond which none of it is taken."""


@dataclass
class EditorRequested(Message):
    """The user wants to write the text in an editor of their own.

    Whoever takes this up gives the new text to ``area.put``; ``suffix`` says what it is.
    """

    area: Composer | CodeArea
    text: str
    suffix: str


def unix_lines(text: str) -> str:
    """Give a pasted text line feeds for whatever ends its lines."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def fits(area: TextArea, text: str) -> bool:
    """Say whether a pasted text is one that a box can take, and tell the user if it is not."""
    if len(text) <= LONGEST_PASTE:
        return True
    area.notify(
        f"That paste has {len(text):,} characters, of which {LONGEST_PASTE:,} fit. Put it into a "
        "file and name the file instead.",
        severity="warning",
        markup=False,
    )
    return False


def suffix_of(language: str | None) -> str:
    """Give the ending of a file's name in a language, as editors know it."""
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        patterns = get_lexer_by_name(language or "text").filenames
    except ClassNotFound:
        patterns = []
    endings = [pattern[1:] for pattern in patterns if re.fullmatch(r"\*\.\w+", pattern)]
    return endings[0] if endings else ".txt"


class Composer(TakesPaste, TextArea):
    """A multi-line box for a message: Enter sends, Ctrl+J and Shift+Enter begin a line.

    So does Enter after a backslash at the end of a line, in terminals that know neither.
    """

    @dataclass
    class Submitted(Message):
        """The user pressed Enter; ``text`` may be empty."""

        composer: Composer
        text: str

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "Send", id="composer.send"),
        Binding(
            "ctrl+j,shift+enter,alt+enter", "newline", "New line", show=False, id="composer.newline"
        ),
        Binding("ctrl+g", "external_editor", "Editor", show=False, id="composer.editor"),
    ]

    DEFAULT_CSS = """
    Composer {
        height: auto;
        min-height: 1;
        max-height: 8;
        border: none;
        padding: 0;
        background: transparent;
        scrollbar-size-vertical: 1;
        &:focus { border: none; }
        & .text-area--placeholder { color: $quiet; }
        & .text-area--cursor-line { background: transparent; }
    }
    """

    def __init__(
        self,
        text: str = "",
        *,
        placeholder: str = "",
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(
            prose(text),
            placeholder=content(placeholder),
            highlight_cursor_line=False,
            name=name,
            id=id,
            classes=classes,
        )

    @property
    def value(self) -> str:
        """The text as it was meant."""
        return original(self.text)

    def put(self, text: str) -> None:
        """Replace the text and leave the cursor at its end."""
        self.text = prose(text)
        self.move_cursor(self.document.end)

    def add(self, text: str) -> None:
        """Insert a text at the cursor, apart from the word before it."""
        row, column = self.cursor_location
        before = self.document.get_line(row)[:column]
        gap = "" if not before or before[-1].isspace() else " "
        self.insert(gap + prose(text))

    def action_submit(self) -> None:
        """Send the text, or begin a new line in place of a backslash."""
        row, column = self.cursor_location
        line = self.document.get_line(row)
        if self.selection.is_empty and column == len(line) and line.endswith("\\"):
            self.replace("\n", (row, column - 1), (row, column))
        else:
            self.send()

    def send(self) -> None:
        """Say that the text is complete."""
        self.post_message(self.Submitted(self, self.value))

    def action_external_editor(self) -> None:
        """Ask for an editor of the user's own."""
        self.post_message(EditorRequested(self, self.value, ".md"))

    def action_newline(self) -> None:
        """Begin a new line."""
        self.insert("\n")

    @override
    async def _on_key(self, event: events.Key) -> None:
        if not await act_at_once(self, event) and event.key == "enter":
            # The text area would take it for a new line.
            event.prevent_default()

    @override
    def _insert_pasted(self, text: str) -> None:
        if not self.read_only and fits(self, text):
            self.replace(prose(unix_lines(text)), *self.selection)


class CodeArea(TakesPaste, TextArea):
    """A text area that colours code by Pygments, and gives back exactly what was put in."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+g", "external_editor", "Editor", show=False, id="code.editor"),
        Binding("ctrl+home", "to_start", "The beginning", show=False, id="code.start"),
        Binding("ctrl+end", "to_end", "The end", show=False, id="code.end"),
    ]

    DEFAULT_CSS = """
    CodeArea {
        height: auto;
        min-height: 1;
        max-height: 14;
        scrollbar-size-vertical: 1;
        border: tall $border-blurred;
        background: $surface;
        & .text-area--gutter { color: $quiet; }
        & .text-area--cursor-line { background: transparent; }
    }
    """

    def __init__(
        self,
        text: str = "",
        *,
        code_language: str | None = None,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        self._code_language = code_language
        self._coloured: tuple[str, list[Content]] | None = None
        super().__init__(
            visible(text, keep="\n\t"),
            show_line_numbers=code_language is not None,
            tab_behavior="focus",
            highlight_cursor_line=False,
            name=name,
            id=id,
            classes=classes,
        )
        self.indent_width = 4

    @property
    def value(self) -> str:
        """The text as it was meant, control characters included."""
        return original(self.text)

    def put(self, text: str) -> None:
        """Replace the text."""
        self.text = visible(text, keep="\n\t")

    @property
    def code_language(self) -> str | None:
        """The Pygments name of the text's language; None leaves it plain."""
        return self._code_language

    @code_language.setter
    def code_language(self, language: str | None) -> None:
        if language != self._code_language:
            self._code_language = language
            self._coloured = None
            self._line_cache.clear()
            self.refresh()

    def action_external_editor(self) -> None:
        """Ask for an editor of the user's own."""
        suffix = suffix_of(self._code_language)
        self.post_message(EditorRequested(self, self.value, suffix))

    def action_to_start(self) -> None:
        """Go to the beginning of the text."""
        self.move_cursor((0, 0))

    def action_to_end(self) -> None:
        """Go to the end of the text."""
        self.move_cursor(self.document.end)

    @override
    def get_line(self, line_index: int) -> Text:
        line = super().get_line(line_index)
        if self._code_language is None:
            return line
        colours = self._colours()
        if line_index < len(colours):
            for span in colours[line_index].spans:
                if span.style != "$text":
                    line.stylize(self._rich_style(span), span.start, span.end)
        return line

    def _rich_style(self, span: Span) -> str:
        style = self._get_style(span.style).rich_style
        return str(style)

    def _colours(self) -> list[Content]:
        text = self.text
        if self._coloured is None or self._coloured[0] != text:
            lines: list[Content] = []
            if text and len(text) <= LONGEST_HIGHLIGHTED:
                # Pygments would expand tabs and so move everything after them.
                code = text.replace("\t", " ")
                coloured = highlight(code, language=self._code_language, theme=SyntaxTheme)
                lines = coloured.split("\n", allow_blank=True)
            self._coloured = (text, lines)
        return self._coloured[1]

    @override
    async def _on_key(self, event: events.Key) -> None:
        await act_at_once(self, event)

    @override
    def _insert_pasted(self, text: str) -> None:
        if not self.read_only and fits(self, text):
            self.replace(visible(unix_lines(text), keep="\n\t"), *self.selection)
