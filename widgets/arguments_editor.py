"""An editor for the arguments of a call, one field each, typed by the tool's schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, Select, Static, TextArea

from .argument_values import ABSENT, Spec, parse, specs_of, text_of
from .composer import CodeArea
from .field import Field
from .reading import end_in_view
from .sanitise import content, visible
from .tick import Tick

Validate = Callable[[dict[str, Any]], str | None]
UNCHANGED = "Nothing is changed yet. Esc goes back to the call, where y approves it as it is."
UNREAD = "The end of {} has not been on the screen yet; Ctrl+End goes there."


class ArgumentField(Vertical):
    """One argument: its name and type, an editor, and what is wrong with its value."""

    DEFAULT_CSS = """
    ArgumentField {
        height: auto;
        & > Horizontal { height: auto; }
        & .label { color: $quiet; width: 14; height: 1; text-overflow: ellipsis; }
        & .label { text-wrap: nowrap; }
        & .note { color: $quiet; width: auto; height: 1; padding: 0 0 0 1; }
        & > .complaint { color: $text-error; display: none; height: auto; padding: 0 0 0 14; }
        & Input, & Tick { width: 1fr; height: 1; border: none; padding: 0; }
        & Input, & Tick { background: $surface; }
        & Input:focus, & Tick:focus { background: $panel; }
        & Select { width: 1fr; }
        & CodeArea, & CodeArea:focus { border: none; padding: 0; }
        &.-block { margin: 0 0 1 0; }
        &.-block:last-of-type { margin: 0; }
        &.-block .label { width: 1fr; }
        &.-block > .complaint { padding: 0; }
        &:focus-within .label { color: $primary; text-style: bold; }
    }
    """

    def __init__(self, spec: Spec, value: object, language: str | None) -> None:
        super().__init__()
        self.spec = spec
        self.read = False
        self._first = value
        self._language = language
        self.set_class(self.block, "-block")

    def compose(self) -> ComposeResult:
        """Lay out the label, the editor, a note beside it and the complaint below."""
        label = Static(Content(visible(self.spec.name, keep="")), classes="label")
        with Horizontal():
            yield label
            if self.block:
                yield Static(classes="note")
            else:
                yield self._editor()
                yield Static(classes="note")
        if self.block:
            yield self._editor()
        yield Static(classes="complaint")

    @property
    def block(self) -> bool:
        """Whether the editor takes lines of its own."""
        return self.spec.kind in ("code", "json")

    def _editor(self) -> Widget:
        spec, text = self.spec, text_of(self.spec, self._first)
        if self.block:
            return CodeArea(text, code_language=self._language)
        if spec.kind == "boolean":
            return Tick(value=self._first is True)
        if spec.kind == "choice":
            return Select(
                [(content(choice, keep=""), choice) for choice in spec.choices],
                prompt="choose one",
                value=text if text in spec.choices else Select.NULL,
                allow_blank=True,
                compact=True,
            )
        return Field(text, compact=True)

    def on_mount(self) -> None:
        """Show the label, and take note of what comes on the screen."""
        self.show(self.value())
        for area in self.query(CodeArea):
            self.watch(area, "scroll_y", self._scrolled)

    def on_resize(self) -> None:
        """Take note of what is on the screen now."""
        self._scrolled()

    def _scrolled(self) -> None:
        self.call_after_refresh(self.note_read)

    def note_read(self) -> bool:
        """Say whether the end of the value has been on the screen; a line always counts."""
        self.read |= all(end_in_view(area) for area in self.query(CodeArea))
        return self.read

    def text(self) -> str:
        """What the editor holds, as it was meant."""
        if self.spec.kind == "boolean":
            return "true" if self.query_one(Tick).value else "false"
        if self.spec.kind == "choice":
            chosen = self.query_one(Select).value
            return chosen if isinstance(chosen, str) else ""
        if self.spec.kind in ("code", "json"):
            return self.query_one(CodeArea).value
        return self.query_one(Field).meant

    def value(self) -> tuple[object, str | None]:
        """Give the value, or ABSENT, and what is wrong with it."""
        return parse(self.spec, self.text(), self._first)

    def changed(self) -> bool:
        """Whether the value differs from the agent's."""
        value, _ = self.value()
        first = self._first
        return type(value) is not type(first) or value != first

    def reset(self) -> None:
        """Put the agent's value back."""
        text = text_of(self.spec, self._first)
        if self.spec.kind == "boolean":
            self.query_one(Tick).value = self._first is True
        elif self.spec.kind == "choice":
            select = self.query_one(Select)
            select.value = text if text in self.spec.choices else Select.NULL
        elif self.spec.kind in ("code", "json"):
            self.query_one(CodeArea).put(text)
        else:
            self.query_one(Field).put(text)

    def show(self, parsed: tuple[object, str | None]) -> None:
        """Show whether the value is changed, and what is wrong with it."""
        _, problem = parsed
        note = content(self.spec.described, keep="")
        if self.changed():
            note = Content.styled("changed by you", "$mark-edited")
        self.query_one(".note", Static).update(note)
        complaint = self.query_one(".complaint", Static)
        complaint.update(content(problem or ""))
        complaint.display = problem is not None


class ArgumentsEditor(VerticalScroll, can_focus=False):
    """Edits the arguments of a call.

    ``schema`` is the tool's JSON schema, ``language_hint`` the Pygments name of the language of
    a ``content`` argument, ``validate`` may say in one sentence what is wrong with the whole.
    It runs only once the end of every argument has been on the screen, here or, where ``read``
    says so, somewhere else.
    """

    @dataclass
    class Submitted(Message):
        """Run the call with these arguments, which are valid and differ from the agent's."""

        editor: ArgumentsEditor
        arguments: dict[str, Any]

    @dataclass
    class Changed(Message):
        """The arguments changed; posted only while every field can be read."""

        editor: ArgumentsEditor
        arguments: dict[str, Any]

    @dataclass
    class Unreadable(Message):
        """A field cannot be read, so that what was shown before no longer holds."""

        editor: ArgumentsEditor

    @dataclass
    class Cancelled(Message):
        """The user went back to the call."""

        editor: ArgumentsEditor

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "submit", "Run", id="arguments.run"),
        Binding("ctrl+r", "reset", "Reset", id="arguments.reset"),
        Binding("escape", "cancel", "Back", id="arguments.back"),
    ]

    DEFAULT_CSS = """
    ArgumentsEditor {
        height: auto;
        max-height: 70%;
        border: round $primary;
        border-title-color: $foreground;
        border-title-style: bold;
        border-subtitle-color: $quiet;
        border-subtitle-align: left;
        padding: 0 1;
        scrollbar-size-vertical: 1;
        & > .problem { color: $text-error; display: none; height: auto; }
    }
    """

    def __init__(
        self,
        schema: Mapping[str, Any],
        arguments: Mapping[str, Any],
        language_hint: str | None = None,
        *,
        validate: Validate | None = None,
        read: bool = False,
        title: str = "Edit the call",
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._agent_arguments = dict(arguments)
        self._specs = specs_of(schema, self._agent_arguments)
        self._language_hint = language_hint
        self._validate_all = validate
        self._read = read
        self._change_timer: Timer | None = None
        self._refused: str | None = None
        self._told: dict[str, Any] | None = self._agent_arguments
        self.border_title = Content(visible(title, keep=""))
        self.border_subtitle = Content("Ctrl+S run · Ctrl+R reset · Ctrl+G editor · Esc back")

    def compose(self) -> ComposeResult:
        """Lay out the fields, and what is wrong with the whole."""
        for spec in self._specs:
            value = self._agent_arguments.get(spec.name, ABSENT)
            yield ArgumentField(spec, value, spec.language or self._language_hint)
        yield Static(classes="problem")

    def on_mount(self) -> None:
        """Take the focus, in the first field of code or else the first of all."""
        fields = list(self.query(ArgumentField))
        code = [field for field in fields if field.spec.kind == "code"]
        for field in (code or fields)[:1]:
            field.query("CodeArea, Input, Select, Tick").first().focus()

    def arguments(self) -> tuple[dict[str, Any], str | None]:
        """Give the arguments as they stand, and the first thing that is wrong with them."""
        arguments: dict[str, Any] = {}
        first_problem: str | None = None
        for field in self.query(ArgumentField):
            value, problem = field.value()
            first_problem = first_problem or problem
            if value is not ABSENT:
                arguments[field.spec.name] = value
        if first_problem is None and self._validate_all is not None:
            first_problem = self._validate_all(arguments)
        return arguments, first_problem

    @property
    def changed(self) -> bool:
        """Whether anything differs from the agent's call."""
        return any(field.changed() for field in self.query(ArgumentField))

    def use_language(self, language: str) -> None:
        """Colour the code arguments as another language, because the path has changed."""
        for field in self.query(ArgumentField):
            if field.spec.kind == "code" and field.spec.language is None:
                field.query_one(CodeArea).code_language = language

    @on(TextArea.Changed)
    @on(Input.Changed)
    @on(Select.Changed)
    @on(Tick.Changed)
    def value_changed(self, event: Message) -> None:
        """Check the field at once, and tell the owner when typing pauses."""
        event.stop()
        if not self.is_mounted:
            return
        for field in self.query(ArgumentField):
            field.show(field.value())
        self._refused = None
        if self._change_timer is not None:
            self._change_timer.stop()
        self._change_timer = self.set_timer(0.15, self._tell)

    @on(Input.Submitted)
    def next_field(self, event: Input.Submitted) -> None:
        """Go to the next field on Enter."""
        event.stop()
        self.screen.focus_next()

    def on_key(self, event: events.Key) -> None:
        """Keep every key that types to this editor; a checkbox is ticked with Space."""
        ticks = event.key == "space" and isinstance(self.screen.focused, Tick)
        if event.is_printable and not ticks:
            event.stop()

    def on_paste(self, event: events.Paste) -> None:
        """Keep pasted text to this editor."""
        event.stop()

    def action_submit(self) -> None:
        """Run the edited call, or say why not."""
        arguments, problem = self.arguments()
        if problem is None and not self.changed:
            problem = UNCHANGED
        if problem is None:
            problem = self._unread()
        self._refused = problem
        self._complain(problem)
        if problem is None:
            self.post_message(self.Submitted(self, arguments))

    def _unread(self) -> str | None:
        unread = [field for field in self.query(ArgumentField) if not field.note_read()]
        if self._read or not unread:
            return None
        return UNREAD.format(unread[0].spec.name)

    def action_reset(self) -> None:
        """Put the agent's call back."""
        for field in self.query(ArgumentField):
            field.reset()

    def action_cancel(self) -> None:
        """Go back to the call."""
        self.post_message(self.Cancelled(self))

    def _tell(self) -> None:
        arguments, problem = self.arguments()
        unreadable = any(field.value()[1] for field in self.query(ArgumentField))
        self._complain(None if unreadable else problem or self._refused)
        if unreadable:
            self._told = None
            self.post_message(self.Unreadable(self))
        elif arguments != self._told:
            self._told = arguments
            self.post_message(self.Changed(self, arguments))

    def _complain(self, problem: str | None) -> None:
        line = self.query_one(".problem", Static)
        line.update(content(problem or ""))
        line.display = problem is not None
        if problem is not None:
            self.call_after_refresh(line.scroll_visible, animate=False)
