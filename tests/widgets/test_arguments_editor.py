"""The editor for the arguments of a call."""

from __future__ import annotations

from typing import Any

import pytest
from continualcode_tui.widgets.argument_values import ABSENT, Spec, parse, specs_of, text_of
from continualcode_tui.widgets.arguments_editor import UNCHANGED, ArgumentsEditor
from continualcode_tui.widgets.composer import CodeArea
from continualcode_tui.widgets.tick import Tick
from hypothesis import given
from hypothesis import strategies as st
from textual.widgets import Input

from .support import HOSTILE, Stage, screen_text, settled, until

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "path": {"type": "string"},
        "start_line": {"type": "integer", "minimum": 1},
        "end_line": {"type": "integer", "minimum": 1},
        "content": {"type": "string"},
        "mode": {"type": "string", "enum": ["add", "replace"]},
        "backup": {"type": "boolean"},
    },
    "required": ["path", "start_line", "end_line", "content"],
}
CALL = {"path": "calc.py", "start_line": 3, "end_line": 4, "content": "a\tb\x1b\r\nc\n"}


def stage(arguments: dict[str, Any] = CALL, **more: Any) -> tuple[Stage, ArgumentsEditor]:
    editor = ArgumentsEditor(SCHEMA, arguments, "python", title="Edit the call", **more)
    return Stage(editor), editor


async def test_the_agents_call_comes_back_unchanged_to_the_byte():
    app, editor = stage()
    async with app.run_test() as pilot:
        await settled(pilot)
        assert editor.arguments() == (CALL, None)
        assert not editor.changed
        await pilot.press("ctrl+s")
        await until(lambda: UNCHANGED[:30] in screen_text(app), pilot)
        assert not app.of(ArgumentsEditor.Submitted)


async def test_an_edited_call_is_announced_and_run():
    app, editor = stage()
    async with app.run_test() as pilot:
        await settled(pilot)
        assert isinstance(app.focused, CodeArea)
        await pilot.press("x")
        await until(lambda: app.of(ArgumentsEditor.Changed), pilot)
        assert "changed by you" in screen_text(app)
        await pilot.press("ctrl+s")
        await until(lambda: app.of(ArgumentsEditor.Submitted), pilot)
        wanted = {**CALL, "content": "xa\tb\x1b\r\nc\n"}
        assert app.of(ArgumentsEditor.Changed)[-1].arguments == wanted
        assert app.of(ArgumentsEditor.Submitted)[0].arguments == wanted
        assert editor.changed


async def test_a_wrong_value_is_named_at_its_field_and_stops_the_run():
    app, editor = stage()
    async with app.run_test(size=(80, 40)) as pilot:
        await settled(pilot)
        number = editor.query(Input)[1]
        number.focus()
        await pilot.press("end", "x")
        await until(lambda: "start_line must be a whole number." in screen_text(app), pilot)
        await pilot.press("ctrl+s")
        await settled(pilot)
        assert not app.of(ArgumentsEditor.Submitted)
        number.value = "0"
        await until(lambda: "start_line must be at least 1." in screen_text(app), pilot)
        number.value = ""
        await until(lambda: "start_line is missing." in screen_text(app), pilot)
        assert not app.of(ArgumentsEditor.Changed)


async def test_the_owner_may_refuse_the_whole():
    app, _ = stage(validate=lambda call: "end before start" if call["end_line"] < 3 else None)
    async with app.run_test() as pilot:
        await settled(pilot)
        app.query(Input)[2].value = "2"
        await until(lambda: "end before start" in screen_text(app), pilot)
        await pilot.press("ctrl+s")
        await settled(pilot)
        assert not app.of(ArgumentsEditor.Submitted)


async def test_reset_puts_the_agents_call_back():
    app, editor = stage()
    async with app.run_test() as pilot:
        await pilot.press("x", "y", "tab")
        app.query_one(Tick).value = True
        app.query(Input)[0].value = "other.py"
        assert editor.changed
        await pilot.press("ctrl+r")
        await until(lambda: not editor.changed, pilot)
        assert editor.arguments() == (CALL, None)


async def test_a_tick_can_be_read_without_colours():
    app, _ = stage()
    async with app.run_test(size=(100, 40)) as pilot:
        await settled(pilot)
        assert "[ ] yes" in screen_text(app)
        app.query_one(Tick).focus()
        await pilot.press("space")
        await until(lambda: "[✓] yes" in screen_text(app), pilot)
        await pilot.press("space")
        await until(lambda: "[ ] yes" in screen_text(app), pilot)


async def test_enter_goes_on_escape_goes_back_and_typing_stays_inside():
    app, _ = stage()
    async with app.run_test() as pilot:
        app.query(Input)[0].focus()
        await pilot.press("enter", "y")
        assert app.focused is app.query(Input)[1]
        await pilot.press("escape")
        await until(lambda: app.of(ArgumentsEditor.Cancelled), pilot)


async def test_missing_extra_and_mistyped_arguments_of_the_agent_are_named():
    call = {"path": "calc.py", "start_line": "three", "content": "x", "colour": "red"}
    app, editor = stage(call)
    async with app.run_test(size=(100, 40)) as pilot:
        await settled(pilot)
        text = screen_text(app)
        assert "start_line must be a whole number." in text
        assert "end_line is missing." in text
        assert "The tool has no argument colour" in text
        fields = {field.spec.name: field for field in editor.query("ArgumentField")}
        fields["start_line"].query_one(Input).value = "3"
        fields["end_line"].query_one(Input).value = "4"
        fields["colour"].query_one(CodeArea).put("")
        wanted = {"path": "calc.py", "start_line": 3, "end_line": 4, "content": "x"}
        await until(lambda: editor.arguments() == (wanted, None), pilot)


async def test_hostile_text_is_shown_and_not_obeyed():
    app, editor = stage({**CALL, "path": HOSTILE, HOSTILE: HOSTILE})
    async with app.run_test(size=(160, 40)) as pilot:
        await settled(pilot)
        text = screen_text(app)
        assert text.count("[/] [red]x[/red] [b +⟨ESC⟩[2J") >= 2
        assert not {"\x1b", "\x9b", "\x00", "\u202e", "\u200b"} & set(text)
        assert editor.arguments()[0]["path"] == HOSTILE


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from([*SCHEMA["properties"], "other"]), JSON)
def test_an_untouched_value_of_any_kind_stays_what_it_is(name: str, value: object):
    specs = {spec.name: spec for spec in specs_of(SCHEMA, {name: value})}
    spec = specs[name]
    parsed, problem = parse(spec, text_of(spec, value), value)
    assert parsed == value or problem is not None or isinstance(value, str)


@pytest.mark.parametrize(
    ("kind", "text", "value", "problem"),
    [
        ("integer", " 7 ", 7, None),
        ("integer", "", ABSENT, "n is missing."),
        ("number", "1.5", 1.5, None),
        ("number", "one", "one", "n must be a number."),
        ("json", '{"a": [1]}', {"a": [1]}, None),
        ("json", "{", "{", "n must be JSON."),
        ("text", "", "", None),
    ],
)
def test_reading_a_text(kind, text, value, problem):
    assert parse(Spec("n", kind, required=True), text, "was") == (value, problem)


@pytest.mark.parametrize("size", [(60, 18), (80, 24)])
def test_snapshot(snap_compare, size):
    call = {"path": "src/calc.py", "start_line": 3, "end_line": "x"}
    editor = ArgumentsEditor(
        SCHEMA,
        {**call, "content": "def add(a, b):\n    # sum\n    return a + b\n"},
        "python",
        title="Edit the call: edit_lines",
    )
    theme = "continual-dark" if size == (80, 24) else "continual-light"
    assert snap_compare(Stage(editor, theme=theme), terminal_size=size, press=["x"])
