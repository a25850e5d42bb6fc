"""`/settings`: every setting with its value, where it comes from, and what it means."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from ...themes.names import AUTO
from ...themes.palettes import ThemedApp
from ...widgets.field import Field
from ...widgets.sanitise import content, one_line, original, visible
from ..early import usual_config_file
from ..settings import Settings, SettingsError, config_file_for, read_file
from ..settings_file import SettingLine, change, lines

LIVE = "theme"
WORDS = 400


class SettingsScreen(Screen[None]):
    """A list of the settings; Enter changes the one that is marked, in the user's file."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "back", "back", id="settings.back"),
        Binding("delete,backspace", "unset", "back to the default", id="settings.unset"),
    ]
    DEFAULT_CSS = """
    SettingsScreen {
        #title { padding: 0 1; background: $panel; width: 100%; }
        OptionList {
            height: 1fr; border: none; padding: 0 1; background: $background;
            &:focus { border: none; }
        }
        #words {
            height: auto; min-height: 3; max-height: 7;
            padding: 0 2; border-top: solid $panel;
        }
    }
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings
        self._arguments = settings.arguments
        self._lines: list[SettingLine] = []

    def compose(self) -> ComposeResult:
        """The list, and below it what the marked setting means."""
        yield Static("settings · Enter changes · Backspace default · Esc back", id="title")
        yield OptionList()
        yield Static(id="words", markup=False)

    async def on_mount(self) -> None:
        """Read the settings off the interface's thread."""
        await self._fill()
        self.query_one(OptionList).focus()

    async def _fill(self) -> None:
        options = self.query_one(OptionList)
        at = options.highlighted
        in_file = await asyncio.to_thread(self._in_file)
        self._lines = await asyncio.to_thread(lines, self._settings, self._arguments, in_file)
        width = max(len(line.name) for line in self._lines)
        options.clear_options()
        options.add_options(
            [Option(self._row(line, width, in_file), id=line.name) for line in self._lines]
        )
        options.highlighted = at or 0

    def _in_file(self) -> dict[str, object]:
        try:
            return dict(read_file(self._file()))
        except SettingsError:
            return {}

    def _file(self) -> Path | None:
        return config_file_for(self._arguments, os.environ)

    @staticmethod
    def _row(line: SettingLine, width: int, in_file: dict[str, object]) -> Content:
        value = one_line(line.value, 60) or "–"
        # No colours: they could not be read on the marked line.
        style = "bold" if line.source != "default" else ""
        parts: list[tuple[str, str]] = [(f"{visible(line.name):<{width}}  {value}", style)]
        written = in_file.get(line.name)
        if written is not None and str(written).lower() != line.value.lower():
            later = one_line(str(written), 30)
            later = later.lower() if isinstance(written, bool) else later
            parts.append((f" → {later} at the next start", "italic"))
        elif line.source != "default":
            parts.append((f"  from the {visible(line.source)}", "italic"))
        return Content.assemble(*parts)

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Say what the marked setting means."""
        line = self._lines[event.option_index]
        allowed = f"\n{' · '.join(line.choices)}" if line.choices else ""
        by_hand = "" if line.editable else "\nChanged in the file, by hand."
        words = one_line(line.words, WORDS) + visible(allowed) + by_hand
        self.query_one("#words", Static).update(Content(words))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Ask for another value."""
        event.stop()
        line = self._lines[event.option_index]
        if not line.editable:
            words = f"{line.name} is changed in {self._target()}."
            self.notify(visible(words), markup=False)
            return
        self.app.push_screen(
            ValueScreen(line),
            lambda text: self._change(line.name, text) if text is not None else None,
        )

    def action_unset(self) -> None:
        """Take the marked setting out of the file."""
        at = self.query_one(OptionList).highlighted
        if at is not None and self._lines[at].editable:
            self._change(self._lines[at].name, "")

    def _target(self) -> Path:
        return self._file() or usual_config_file()

    def _change(self, name: str, text: str) -> None:
        try:
            change(self._target(), name, text)
        except SettingsError as error:
            self.notify(visible(str(error)), severity="error", markup=False)
            return
        since = "it holds from the next start"
        if name == LIVE and isinstance(self.app, ThemedApp):
            self.app.use_theme(text or AUTO)
            since = "it holds from now on"
        words = f"{name} is written to {self._target()}; {since}."
        self.notify(visible(words), markup=False)
        self.run_worker(self._fill(), group="settings", exclusive=True, description="list settings")

    def action_back(self) -> None:
        """Return to the conversation."""
        self.dismiss()


class ValueScreen(ModalScreen[str | None]):
    """Asks for one setting's value: from its choices, or in words."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "back", id="setting.back"),
    ]
    DEFAULT_CSS = """
    ValueScreen { align: center middle; }
    ValueScreen > Vertical {
        width: 64; max-width: 100%; height: auto; max-height: 100%;
        background: $surface; border: round $primary; padding: 1 2;
        OptionList {
            height: auto; max-height: 12; border: none; padding: 0; background: $surface;
            &:focus { border: none; }
        }
    }
    """

    def __init__(self, line: SettingLine) -> None:
        super().__init__()
        self._line = line

    def compose(self) -> ComposeResult:
        """The choices, or a field."""
        with Vertical() as box:
            box.border_title = content(self._line.name)
            box.border_subtitle = "Enter writes · Esc back"
            yield Static(one_line(self._line.words, WORDS) + "\n", markup=False)
            if self._line.choices:
                yield OptionList(
                    *[Option(content(choice), id=choice) for choice in self._line.choices]
                )
            else:
                yield Field(self._line.value, placeholder="empty is the default")

    def on_mount(self) -> None:
        """Mark the present value."""
        if self._line.choices and self._line.value in self._line.choices:
            self.query_one(OptionList).highlighted = self._line.choices.index(self._line.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Close with what was written."""
        self.dismiss(original(event.value))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Close with the choice."""
        event.stop()
        self.dismiss(event.option.id)

    async def action_dismiss(self, result: str | None = None) -> None:
        """Close without a change."""
        self.dismiss(result)
