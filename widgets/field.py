"""A field to type one line in, and how keys act in the order in which they were pressed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual import events
from textual.app import App
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input
from typing_extensions import override

from .sanitise import original, visible

LONGEST_PASTE = 10_000
"""The characters of a paste in which a line is looked for."""


async def act_at_once(widget: Widget, event: events.Key) -> bool:
    """Run what a key is bound to, in a widget or in the box around it; say whether it is.

    Else a binding waits until its key has bubbled up, and the letters behind it overtake it.
    """
    bound = None if event.is_printable else widget.screen.active_bindings.get(event.key)
    if bound is None or not bound.enabled or isinstance(bound.node, Screen | App):
        return False
    event.prevent_default()
    if await widget.app.run_action(bound.binding.action, default_namespace=bound.node):
        event.stop()  # what has no use for the key leaves it to whoever comes next
    return True


class TakesPaste:
    """A box that inserts what is pasted in its own way, wherever it comes from; goes first."""

    if TYPE_CHECKING:
        app: App[object]

    def _on_paste(self, event: events.Paste) -> Any:  # of Input a function, of TextArea a coroutine
        event.prevent_default()
        event.stop()
        self._insert_pasted(event.text)

    def action_paste(self) -> None:
        """Insert what was copied inside the program."""
        self._insert_pasted(self.app.clipboard)

    def _insert_pasted(self, text: str) -> None:
        # Each box has its own; an abstract class would need another metaclass than a widget's.
        raise NotImplementedError


class Field(TakesPaste, Input):
    """An Input that holds text in its visible form; ``meant`` gives it back as it was meant."""

    def __init__(
        self,
        value: str = "",
        *,
        placeholder: str = "",
        select_on_focus: bool = True,
        compact: bool = False,
        id: str | None = None,
    ) -> None:
        super().__init__(
            visible(value, keep=""),
            placeholder=visible(placeholder, keep=""),
            select_on_focus=select_on_focus,
            compact=compact,
            id=id,
        )

    @property
    def meant(self) -> str:
        """The text, control characters included."""
        return original(self.value)

    def put(self, text: str) -> None:
        """Replace the text."""
        self.value = visible(text, keep="")

    async def _on_key(self, event: events.Key) -> None:
        await act_at_once(self, event)

    @override
    def _insert_pasted(self, text: str) -> None:
        lines = text[:LONGEST_PASTE].replace("\r", "\n").split("\n")
        line = next((line for line in lines if line.strip()), "")
        self.replace(visible(line, keep=""), *self.selection)
