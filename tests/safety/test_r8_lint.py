"""R8: that a text goes to a widget through the sanitiser is checked wherever one is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import sinks

ROOT = Path(__file__).parents[2]
SOURCES = sinks.load(ROOT)

HEAD = """
from textual.content import Content
from textual.widgets import Static, Label, Button, Option, OptionList, Input, Markdown, Select
from rich.segment import Segment
from .sanitise import content, one_line, prose, visible

WORDS = "fixed words"
SIGNS = {"a": ("x", "bold"), "b": ("y", "")}


class Model:
    name: str
    count: int


def plain(text: str) -> str:
    return text.strip()


def safe(text: str) -> str:
    return visible(text).strip()
"""

PLANTED = {
    "static": "def f(name: str):\n    return Static(name)",
    "static in a keyword": "def f(name: str):\n    return Static(content=name)",
    "an f-string": 'def f(name: str):\n    return Static(f"of {name}")',
    "put together": 'def f(name: str):\n    return Label("of " + name)',
    "in percent": 'def f(name: str):\n    return Label("of %s" % name)',
    "formatted": 'def f(name: str):\n    return Label("{}".format(name))',
    "joined": 'def f(names: list[str]):\n    return Static(", ".join(names))',
    "a local name": "def f(name: str):\n    shown = name\n    return Static(shown)",
    "one of two ways": (
        "def f(name: str, yes: bool):\n"
        "    shown = visible(name)\n    if yes:\n        shown = name\n    return Static(shown)"
    ),
    "added later": (
        "def f(name: str):\n    parts = ['a']\n    parts.append(name)\n"
        "    return Static(' '.join(parts))"
    ),
    "added in place": (
        "def f(name: str):\n    text = 'a'\n    text += name\n    return Static(text)"
    ),
    "gone through": (
        "def f(names: list[str]):\n    for name in names:\n        yield Static(name)"
    ),
    "comprehension": "def f(names: list[str]):\n    return OptionList(*[Option(n) for n in names])",
    "unpacked": "def f(pair: tuple[str, str]):\n    one, other = pair\n    return Label(other)",
    "through a helper": "def f(name: str):\n    return Static(plain(name))",
    "through a method": (
        "class W:\n    def name(self, text: str) -> str:\n        return text\n"
        "    def f(self, text: str):\n        return Static(self.name(text))"
    ),
    "an attribute": "def f(model: Model):\n    return Static(model.name)",
    "an own attribute": (
        "class W:\n    def __init__(self, name: str):\n        self._name = name\n"
        "    def compose(self):\n        yield Static(self._name)"
    ),
    "update": (
        "class W:\n    def f(self, text: str):\n        self.query_one(Static).update(text)"
    ),
    "update of a name": (
        "class W:\n    def f(self, text: str):\n"
        "        line = self.query_one('#x', Static)\n        line.update(text)"
    ),
    "border title": "class W:\n    def f(self, text: str):\n        self.border_title = text",
    "border subtitle": (
        "class W:\n    def f(self, text: str):\n        self.border_subtitle = f' {text} '"
    ),
    "tooltip": "class W:\n    def f(self, text: str):\n        self.tooltip = text",
    "notify": "class W:\n    def f(self, text: str):\n        self.notify(text, markup=False)",
    "notify with markup": "class W:\n    def f(self):\n        self.notify('a [b')",
    "content": "def f(name: str):\n    return Content(name)",
    "styled": "def f(name: str):\n    return Content.styled(name, 'bold')",
    "assembled": "def f(name: str):\n    return Content.assemble('a', (name, 'bold'))",
    "markup": "def f():\n    return Content.from_markup('[b]x[/b]')",
    "segment": "def f(name: str):\n    return Segment(name)",
    "markdown": "def f(name: str):\n    return Markdown(name)",
    "subclass": (
        "class W(Static):\n    def __init__(self, text: str):\n        super().__init__(text)"
    ),
    "a raw box": "def f():\n    return Input()",
    "select": "def f(names: list[str]):\n    return Select([(n, n) for n in names])",
    "button": "def f(name: str):\n    return Button(name)",
    "table": "class W:\n    def f(self, text: str):\n        self.table.add_row('a', text)",
    "render": "class W:\n    def render(self) -> str:\n        return self.text",
    "print": "def f(name: str):\n    print(name)",
    "stream": "import sys\ndef f(name: str):\n    sys.stderr.write(name)",
    "exception": (
        "def f():\n    try:\n        pass\n    except ValueError as error:\n"
        "        return Static(str(error))"
    ),
    "repr": "def f(name: str):\n    return Static(repr(name))",
    "a width": 'def f(name: str):\n    return Static(f"{name:<10}")',
    "match": (
        "def f(value):\n    match value:\n        case Model(name=name):\n"
        "            return Static(name)"
    ),
    "called later": (
        "class W:\n    def g(self, text: str):\n        self.call_later(self._f, text)\n"
        "    def _f(self, text: str):\n        self.query_one(Static).update(text)"
    ),
    "a private helper": (
        "def f(name: str):\n    return _line(name)\n\n\n"
        "def _line(text: str):\n    return Static(text)"
    ),
    "a lambda": "def f(names: list[str]):\n    return Static(max(names, key=lambda n: len(n)))",
    "a default": "def f(name: str, shown: str = 'a'):\n    return Static(shown or name)",
    "a choice": "def f(name: str):\n    return Static('a' if len(name) > 3 else name)",
    "a walrus": "def f(name: str):\n    if shown := name:\n        return Static(shown)",
    "a property": (
        "class W:\n    @property\n    def line(self) -> str:\n        return self.text\n"
        "    def f(self):\n        return Static(self.line)"
    ),
    "kept first": (
        "class W:\n    def __init__(self):\n        self._names: list[str] = []\n"
        "    def add(self, name: str):\n        self._names.append(name)\n"
        "    def f(self):\n        return Static(self._names[0])"
    ),
    "kept under a key": (
        "def f(name: str):\n    known = {}\n    known['a'] = name\n    return Static(known['a'])"
    ),
    "a mark forged": "from .sanitise import Shown\ndef f(name: str):\n    return Shown(name)",
}

ALLOWED = {
    "a literal": "def f():\n    return Static('words')",
    "a constant": "def f():\n    return Static(WORDS)",
    "from a table": "def f(key: str):\n    sign, style = SIGNS[key]\n    return Static(sign)",
    "a number": 'def f(model: Model):\n    return Static(f"{model.count} of {len(WORDS)}")',
    "like a number": 'def f(value):\n    return Static(f"{value:.1%} {value:,}")',
    "sanitised": "def f(name: str):\n    return Static(content(name))",
    "put together": 'def f(name: str):\n    return Static(Content(f"of {one_line(name)}"))',
    "a local name": "def f(name: str):\n    shown = prose(name)\n    return Markdown(shown)",
    "through a helper": "def f(name: str):\n    return Static(Content(safe(name)))",
    "a private helper": (
        "def f(name: str):\n    return _line(visible(name))\n\n\n"
        "def _line(text: str):\n    return Label(text)"
    ),
    "joined": (
        "def f(names: list[str]):\n    parts = [visible(name) for name in names]\n"
        "    return Static(Content(' '.join(parts)))"
    ),
    "an own attribute": (
        "class W:\n    def __init__(self, name: str):\n        self._name = visible(name)\n"
        "    def compose(self):\n        yield Static(self._name)"
    ),
    "called later": (
        "class W:\n    def g(self, text: str):\n        self.call_later(self._f, visible(text))\n"
        "    def _f(self, text: str):\n        self.query_one(Static).update(text)"
    ),
    "a typed parameter": "def f(words: Content, count: int):\n    return Static(words)",
    "a dictionary": "def f(other: dict[str, str]):\n    values = {}\n    values.update(other)",
}


def found(code: str) -> list[sinks.Violation]:
    sources = {
        "widgets/sanitise.py": SOURCES["widgets/sanitise.py"],
        "widgets/planted.py": f"{HEAD}\n\n{code}\n",
    }
    return sinks.check(sources, "widgets/planted.py")


def test_nothing_untrusted_reaches_a_widget_or_a_stream() -> None:
    """Every place of the program where text is handed over, and there are many."""
    assert [str(each) for each in sinks.check(SOURCES)] == []
    assert sinks.count(SOURCES) > 250
    assert len(PLANTED) == 53


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_violation_is_caught(name: str) -> None:
    """53 of 53 ways to hand over a text as it is."""
    assert len(found(PLANTED[name])) >= 1, PLANTED[name]


@pytest.mark.parametrize("name", ALLOWED)
def test_what_may_be_shown_is_let_through(name: str) -> None:
    assert [str(each) for each in found(ALLOWED[name])] == []


GUARDS = [
    ("widgets/entries.py", "Content(prose(text))", "Content(text)"),
    ("widgets/proposal_panel.py", 'content(problem or "", keep="")', 'problem or ""'),
    ("widgets/queue_list.py", "{one_line(text)}", "{text}"),
    ("app/screens/outbox.py", "one_line(what, 60)", "what"),
    ("app/tui.py", "content(line)", "line"),
    ("app/headless.py", "visible(text), file", "text, file"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("file", "guard", "bare"), GUARDS, ids=[each[0] for each in GUARDS])
def test_each_guard_is_missed_where_it_is_taken_out(file: str, guard: str, bare: str) -> None:
    """The program itself with one call of the sanitiser less is a violation."""
    assert guard in SOURCES[file]
    broken = {**SOURCES, file: SOURCES[file].replace(guard, bare)}
    assert sinks.check(broken, file)
