"""One file as a syntax tree, and small questions about it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

Function = ast.FunctionDef | ast.AsyncFunctionDef
DEFERRING = frozenset(
    "call_after_refresh call_from_thread call_later call_next partial to_thread".split()
)
"""What calls its first argument with the others."""


def parameters(function: Function) -> list[ast.arg]:
    given = function.args
    found = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    found += [each for each in (given.vararg, given.kwarg) if each is not None]
    return [each for each in found if each.arg not in ("self", "cls")]


def argument(function: Function, call: ast.Call, name: str) -> ast.expr | None:
    """What a call gives a parameter; its default, or something that is never shown."""
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    if any(keyword.arg is None for keyword in call.keywords):
        return ast.Name(id="?unknown")
    given = [*function.args.posonlyargs, *function.args.args]
    names = [each.arg for each in given if each.arg not in ("self", "cls")]
    if name in names:
        place = names.index(name)
        starred = [n for n, each in enumerate(call.args) if isinstance(each, ast.Starred)]
        if starred and place >= starred[0]:
            return call.args[starred[0]]
        if place < len(call.args):
            return call.args[place]
        defaults = function.args.defaults
        back = len(names) - place
        return defaults[-back] if back <= len(defaults) else ast.Constant(None)
    if function.args.vararg is not None and function.args.vararg.arg == name:
        return ast.Tuple(elts=call.args[len(names) :])
    kinds = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    return next((each for known, each in kinds if known.arg == name), ast.Name(id="?unknown"))


@cache
def own_nodes(function: Function) -> tuple[ast.AST, ...]:
    """The nodes of a function that are not those of a function inside it."""
    found: list[ast.AST] = []
    waiting: list[ast.AST] = list(ast.iter_child_nodes(function))
    while waiting:
        node = waiting.pop(0)
        found.append(node)
        if not isinstance(node, Function | ast.ClassDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)
    return tuple(found)


def flat(target: ast.expr) -> Iterator[ast.expr]:
    if isinstance(target, ast.Tuple | ast.List):
        for each in target.elts:
            yield from flat(each)
    elif isinstance(target, ast.Starred):
        yield from flat(target.value)
    else:
        yield target


def names_in(target: ast.expr) -> set[str]:
    return {each.id for each in flat(target) if isinstance(each, ast.Name)}


def element(
    value: ast.expr, target: ast.expr, name: str, *, assigned: bool = False
) -> ast.expr | bool:
    """What one name of a target stands for, out of what is assigned or gone through."""
    match value:
        case ast.Call(func=ast.Name(id="enumerate"), args=[inner, *_]):
            pair = isinstance(target, ast.Tuple) and len(target.elts) == 2
            if pair and name in names_in(target.elts[0]):
                return True
            return inner
        case ast.Call(func=ast.Name(id="zip"), args=parts) if isinstance(target, ast.Tuple):
            if len(parts) == len(target.elts):
                for part, each in zip(parts, target.elts, strict=True):
                    if name in names_in(each):
                        return part
        case ast.Tuple(elts=parts) if assigned and isinstance(target, ast.Tuple):
            if len(parts) == len(target.elts):
                for part, each in zip(parts, target.elts, strict=True):
                    if name in names_in(each):
                        return element(part, each, name, assigned=True)
        case ast.Call(func=ast.Name(id="range")):
            return True
        case _:
            pass
    return value


def is_self(node: ast.expr, name: str) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and node.attr == name
        and isinstance(node.value, ast.Name)
        and node.value.id in ("self", "cls")
    )


def split_type(annotation: str) -> list[str]:
    """The parts of ``A | B`` or of ``A, B``, brackets left whole."""
    parts, depth = [""], 0
    for character in annotation:
        depth += (character in "[(") - (character in "])")
        if character in "|," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


@dataclass
class Module:
    """One file: its constants, functions, classes and where its names come from."""

    name: str
    tree: ast.Module
    constants: dict[str, list[ast.expr]] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    imports: dict[str, tuple[str, str]] = field(default_factory=dict)
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for node in ast.walk(self.tree):
            for child in ast.iter_child_nodes(node):
                self.parents[child] = node
            if isinstance(node, ast.ImportFrom):
                source = (node.module or "").rpartition(".")[2]
                for alias in node.names:
                    self.imports[alias.asname or alias.name] = (source, alias.name)
        for node in self.tree.body:
            self._note(node)

    @property
    def has_screen(self) -> bool:
        """Whether the file has to do with Textual at all."""
        return any(
            isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("textual", "rich"))
            for node in ast.walk(self.tree)
        )

    def _note(self, node: ast.stmt) -> None:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self.constants.setdefault(name, []).append(value)
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=value):
                for each in names:
                    if isinstance(each, ast.Name):
                        self.constants.setdefault(each.id, []).append(value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                self.constants.setdefault(name, []).append(value)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self.functions[node.name] = node
            case ast.ClassDef():
                self.classes[node.name] = node
            case _:
                pass

    def enclosing(self, node: ast.AST, kind: type | tuple[type, ...]) -> ast.AST | None:
        """The innermost function or class around a node."""
        around = self.parents.get(node)
        while around is not None and not isinstance(around, kind):
            around = self.parents.get(around)
        return around

    def mentions(self, name: str) -> int:
        """How often a function is named, its definition and imports left out."""
        return sum(
            (isinstance(node, ast.Name) and node.id == name)
            or (isinstance(node, ast.Attribute) and node.attr == name)
            for node in ast.walk(self.tree)
        )


PUTTING = frozenset("append appendleft extend insert add setdefault update".split())


def put_into(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """What is put into a container: the container, and each thing."""
    match node:
        case ast.Call(func=ast.Attribute(attr=name, value=owner), args=values) if name in PUTTING:
            for value in values[-1:]:
                yield owner, value
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                if isinstance(target, ast.Subscript):
                    yield target.value, value
        case _:
            pass


def deferred(node: ast.AST, name: str) -> ast.Call | None:
    """The call of a function that another call makes later."""
    if not isinstance(node, ast.Call) or not node.args:
        return None
    if ast.unparse(node.func).rpartition(".")[2] not in DEFERRING:
        return None
    if ast.unparse(node.args[0]).rpartition(".")[2] != name:
        return None
    return ast.Call(func=node.args[0], args=node.args[1:], keywords=node.keywords)
