"""A lint: no text goes to the terminal or the markup parser but through the sanitiser.

Every place where a text is handed to Textual, Rich or a stream is a sink. What is handed over must
be *shown*: a literal, a number, or what a function of the sanitiser gave back, put together in any
way; see ``flow``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .flow import Project, Scope
from .known_names import SANITISING
from .syntax import Function, Module

EVERY, NEVER = "every", "never"
RAW = frozenset(("Input", "TextArea", "Log", "RichLog"))
"""Boxes that show what is pasted into them; the project's own are made of them."""
CONSTRUCTORS: dict[str, tuple[object, ...]] = {
    "Static": (0, "content"),
    "Label": (0, "content"),
    "Button": (0, "label"),
    "Checkbox": (0, "label"),
    "RadioButton": (0, "label"),
    "Link": (0, "text"),
    "Option": (0, "prompt"),
    "OptionList": (EVERY,),
    "Select": (0, "prompt"),
    "Input": (0, 1, "value", "placeholder"),
    "TextArea": (0, "text", "placeholder"),
    "Markdown": (0, "markdown"),
    "Collapsible": ("title",),
    "Tab": (0, "label"),
    "TabPane": (0, "title"),
    "Tree": (0, "label"),
    "Digits": (0, "value"),
    "Text": (0, "text"),
    "Content": (0, "text"),
    "Segment": (0, "text"),
    "Hit": (1, "match_display", "help"),
    "DiscoveryHit": (0, "display", "help"),
    "Shown": (NEVER,),
}
METHODS: dict[str, tuple[object, ...]] = {
    "update": (0,),
    "notify": (0, "message", "title"),
    "add_option": (0,),
    "add_options": (0,),
    "add_row": (EVERY,),
    "add_column": (0, "label"),
    "add_columns": (EVERY,),
    "set_label": (0,),
    "append_text": (0,),
    "styled": (0,),
    "assemble": (EVERY,),
    "from_text": (0,),
    "from_markup": (NEVER,),
    "set_options": (0,),
    "write_line": (0,),
}
"""Of what has these names as a method, which arguments are shown."""
ATTRIBUTES = frozenset(
    "border_title border_subtitle title sub_title placeholder tooltip label".split()
)
STREAMS = frozenset("stdout stderr _out _progress driver _stream".split())
PIPES = frozenset(("grep_child", "search_child"))
"""Files whose standard output is no terminal but a pipe to the program."""


@dataclass(frozen=True)
class Violation:
    """A text that reaches a sink as it is."""

    file: str
    line: int
    sink: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.sink} is given {self.what}"


def violations(project: Project, only: str = "") -> list[Violation]:
    """Every text that reaches a sink as it is, in all files or in one."""
    found = [
        Violation(module.name, node.lineno, sink, ast.unparse(value)[:90])
        for module in project.modules.values()
        if Path(module.name).stem not in SANITISING | PIPES and module.name.startswith(only)
        for node, sink, value in _handed_over(module)
        if sink.startswith(NEVER)
        or not Scope(project, module, module.enclosing(node, Function)).shown(value)
    ]
    return sorted(found, key=lambda each: (each.file, each.line))


def _handed_over(module: Module) -> Iterator[tuple[ast.expr, str, ast.expr]]:
    for node in ast.walk(module.tree):
        match node:
            case ast.Call():
                yield from _call(node, module)
            case ast.Assign(targets=[ast.Attribute(attr=name) as target], value=value):
                owner = ast.unparse(target.value)
                box = name == "value" and ("Input" in owner or "Field" in owner)
                if module.has_screen and (name in ATTRIBUTES or box):
                    yield target, f".{name}", value
            case ast.FunctionDef(name="render", returns=ast.Name(id="str")):
                for each in ast.walk(node):
                    if isinstance(each, ast.Return) and each.value is not None:
                        yield each.value, "render", each.value
            case _:
                pass


def _call(node: ast.Call, module: Module) -> Iterator[tuple[ast.expr, str, ast.expr]]:
    name, wanted = _sink_of(node, module)
    if NEVER in wanted:
        yield node, f"{NEVER} {name}", node
        return
    for place, value in enumerate(node.args):
        if EVERY in wanted or place in wanted:
            yield node, name, _text_of(name, value)
    for keyword in node.keywords:
        if keyword.arg in wanted or (keyword.arg is None and wanted):
            yield node, name, keyword.value
    if name == "notify" and not any(
        keyword.arg == "markup" and ast.unparse(keyword.value) == "False"
        for keyword in node.keywords
    ):
        yield node, f"{NEVER} notify with markup", node


def _text_of(name: str, value: ast.expr) -> ast.expr:
    """What is shown of an argument: not the style beside it, nor the value behind an option."""
    if name == "assemble" and isinstance(value, ast.Tuple) and len(value.elts) == 2:
        return value.elts[0]
    if name == "Select" and isinstance(value, ast.ListComp) and isinstance(value.elt, ast.Tuple):
        return value.elt.elts[0]
    return value


def _sink_of(node: ast.Call, module: Module) -> tuple[str, Sequence[object]]:
    match node.func:
        case ast.Name(id="print"):
            return "print", (EVERY,)
        case ast.Name(id=name) if name in RAW and name not in module.classes:
            return name, (NEVER,)
        case ast.Name(id=name) if name in CONSTRUCTORS and name not in module.classes:
            return name, CONSTRUCTORS[name]
        case ast.Attribute(attr="__init__", value=ast.Call(func=ast.Name(id="super"))):
            around = module.enclosing(node, ast.ClassDef)
            bases = around.bases if isinstance(around, ast.ClassDef) else []
            names = [ast.unparse(base).partition("[")[0] for base in bases]
            return "super().__init__", next(
                (CONSTRUCTORS[name] for name in names if name in CONSTRUCTORS), ()
            )
        case ast.Attribute(attr="write", value=stream):
            wanted = ast.unparse(stream).rpartition(".")[2] in STREAMS
            return "write", (0,) if wanted else ()
        case ast.Attribute(attr="update", value=owner) if not (module.has_screen and _shows(owner)):
            return "update", ()
        case ast.Attribute(attr=name):
            return name, METHODS.get(name, ())
        case _:
            return "", ()


def _shows(owner: ast.expr) -> bool:
    """Whether ``x.update`` may be that of a widget, and not of a dictionary, a set or a hash."""
    name = ast.unparse(owner)
    return not any(
        word in name for word in ("hash", "digest", "sha", "environment", "values", "chosen", "env")
    )


def load(root: Path) -> dict[str, str]:
    """The sources that are looked at, and those that say what their names stand for."""
    return {
        str(path.relative_to(root)): path.read_text()
        for folder in ("app", "widgets", "themes")
        for path in sorted((root / folder).rglob("*.py"))
    }


def check(sources: dict[str, str], only: str = "") -> list[Violation]:
    """Find every text that reaches a sink as it is, in all files or in one."""
    return violations(Project(sources), only)


def count(sources: dict[str, str]) -> int:
    """How many places there are where a text is handed over."""
    return sum(1 for module in Project(sources).modules.values() for _ in _handed_over(module))
