"""Keys that are pressed faster than they are worked off, and what is pasted into one line."""

from __future__ import annotations

import pytest
from continualcode_tui.widgets.arguments_editor import ArgumentsEditor
from continualcode_tui.widgets.composer import CodeArea, Composer
from continualcode_tui.widgets.field import Field
from textual.events import Key, Paste
from textual.widgets import Input, TextArea

from .support import HOSTILE, Stage, screen_text, settled, until

BURST = [("ctrl+e", None), ("ctrl+u", None), *((letter, letter) for letter in "echo")]


def press_at_once(widget: Input | TextArea, keys: list[tuple[str, str | None]]) -> None:
    for key, character in keys:
        widget.post_message(Key(key, character))


@pytest.mark.parametrize("kind", [CodeArea, Composer, Field])
async def test_letters_do_not_overtake_the_keys_before_them(
    kind: type[CodeArea | Composer | Field],
) -> None:
    widget = kind()
    app = Stage(widget, focus=kind)
    async with app.run_test() as pilot:
        widget.put("npm install")
        await settled(pilot)
        press_at_once(widget, BURST)
        await settled(pilot)
        assert (widget.value if isinstance(widget, Field) else widget.text) == "echo"


async def test_what_is_typed_after_the_key_that_runs_is_not_run() -> None:
    schema = {"type": "object", "properties": {"path": {"type": "string"}}}
    editor = ArgumentsEditor(schema, {"path": "ls"})
    app = Stage(editor)
    async with app.run_test() as pilot:
        await settled(pilot)
        keys = [("end", None), ("backspace", None), ("p", "p"), ("ctrl+s", None), ("y", "y")]
        press_at_once(editor.query_one(Field), keys)
        await until(lambda: app.of(ArgumentsEditor.Submitted), pilot)
        assert app.of(ArgumentsEditor.Submitted)[0].arguments == {"path": "lp"}


async def test_a_pasted_line_is_shown_and_given_back_as_it_was_meant() -> None:
    field = Field()
    app = Stage(field, focus=Field)
    async with app.run_test(size=(200, 10)) as pilot:
        field.post_message(Paste(f"\r\n{HOSTILE}\r\nmore"))
        await settled(pilot)
        shown = screen_text(app)
        assert field.meant == HOSTILE
        assert "⟨ESC⟩[2J" in shown
        assert not set("\x1b\x9b\u202e\u200b") & set(shown)
