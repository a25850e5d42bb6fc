"""Follows a text through a program: whether it is made of what may be shown only.

Local names, constants of the project, its functions and methods (with what they are called with),
annotated attributes and properties are followed. What cannot be followed may not be shown.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from .known_names import (
    NUMBERS,
    NUMERIC_ATTRIBUTES,
    NUMERIC_SPEC,
    PASSING,
    SANITISERS,
    SANITISING,
    SHOWN_TYPES,
    SINKS,
    STRING_METHODS,
    WRAPPERS,
)
from .syntax import (
    Function,
    Module,
    argument,
    deferred,
    element,
    flat,
    is_self,
    names_in,
    own_nodes,
    parameters,
    put_into,
    split_type,
)


class Project:
    """All files that are looked at together."""

    def __init__(self, sources: dict[str, str]) -> None:
        self.modules = {name: Module(name, ast.parse(text)) for name, text in sources.items()}
        self.by_stem: dict[str, Module] = {Path(n).stem: m for n, m in self.modules.items()}
        self.attributes: dict[str, set[str]] = {}
        self.properties: dict[str, list[tuple[Module, Function]]] = {}
        self.methods: dict[str, list[tuple[Module, Function]]] = {}
        for module in self.modules.values():
            for node in ast.walk(module.tree):
                self._note(module, node)
        self.asked: set[str] = set()
        self._calls: dict[str, list[tuple[ast.AST, ast.Call]]] = {}
        self._deciding: set[tuple[int, tuple[bool, ...]]] = set()
        self._decided: dict[tuple[int, tuple[bool, ...]], bool] = {}

    def _note(self, module: Module, node: ast.AST) -> None:
        if isinstance(node, ast.AnnAssign):
            match node.target:
                case ast.Attribute(attr=name) | ast.Name(id=name):
                    if isinstance(node.target, ast.Attribute) or isinstance(
                        module.parents[node], ast.ClassDef
                    ):
                        self.attributes.setdefault(name, set()).add(ast.unparse(node.annotation))
        elif isinstance(node, Function) and isinstance(module.parents.get(node), ast.ClassDef):
            self.methods.setdefault(node.name, []).append((module, node))
            names = {ast.unparse(each) for each in node.decorator_list}
            if names & {"property", "cached_property"}:
                self.properties.setdefault(node.name, []).append((module, node))

    def calls_of(self, module: Module, name: str) -> list[tuple[ast.AST, ast.Call]]:
        """Every call of a function in a file, also those that are made later."""
        key = f"{module.name}:{name}"
        if key not in self._calls:
            found: list[tuple[ast.AST, ast.Call]] = []
            for node in ast.walk(module.tree):
                if isinstance(node, ast.Call):
                    if ast.unparse(node.func).rpartition(".")[2] == name:
                        found.append((node, node))
                    later = deferred(node, name)
                    if later is not None:
                        found.append((node, later))
            self._calls[key] = found
        return self._calls[key]

    # --- functions ----------------------------------------------------------------------

    def answers_shown(self, module: Module, function: Function, arguments: dict[str, bool]) -> bool:
        """Say whether what a function gives back may be shown, called with such arguments."""
        if function.returns is not None and self.shown_type(ast.unparse(function.returns), module):
            return True
        key = (
            id(function),
            tuple(arguments.get(each.arg, False) for each in parameters(function)),
        )
        if key in self._decided:
            return self._decided[key]
        if key in self._deciding:
            return True  # decided by the other ways out of it
        self._deciding.add(key)
        scope = Scope(self, module, function, arguments)
        values = [
            each.value
            for each in own_nodes(function)
            if isinstance(each, ast.Return | ast.Yield | ast.YieldFrom) and each.value is not None
        ]
        answer = bool(values) and all(scope.shown(value) for value in values)
        self._deciding.discard(key)
        if not self._deciding:
            # Else the answer may rest on one that is not decided yet.
            self._decided[key] = answer
        return answer

    def shown_type(self, annotation: str, module: Module, depth: int = 0) -> bool:
        """Say whether whatever has this type may be shown."""
        annotation = annotation.strip().strip("\"'")
        if wrapped := WRAPPERS.fullmatch(annotation):
            annotation = wrapped[1]
        parts = split_type(annotation)
        if len(parts) > 1:
            return all(self.shown_type(part, module, depth) for part in parts)
        if annotation == "..." or SHOWN_TYPES.fullmatch(annotation):
            return True
        source = module
        if annotation in module.imports:
            stem, annotation = module.imports[annotation]
            source = self.by_stem.get(stem, module)
        alias = source.constants.get(annotation)
        return (
            depth < 5
            and alias is not None
            and all(self.shown_type(ast.unparse(each), source, depth + 1) for each in alias)
        )


class Scope:
    """Follows the names of one function."""

    def __init__(
        self,
        project: Project,
        module: Module,
        function: ast.AST | None,
        arguments: dict[str, bool] | None = None,
    ) -> None:
        self.project = project
        self.module = module
        self.function = function
        self.arguments = arguments or {}
        self._looking: set[str] = set()

    def shown(self, value: ast.expr | None, at: ast.AST | None = None) -> bool:
        """Say whether an expression is made of what may be shown only.

        ``at`` is where an expression stands that is put together here.
        """
        if isinstance(value, ast.Tuple) and value not in self.module.parents and at is not None:
            self.module.parents[value] = at
        match value:
            case None | ast.Constant():
                return True
            case ast.JoinedStr(values=parts):
                return all(self._part(part) for part in parts)
            case ast.Compare() | ast.UnaryOp():
                return True
            case ast.BinOp(left=left, right=right):
                return self.shown(left) and self.shown(right)
            case ast.BoolOp(values=values):
                return all(map(self.shown, values))
            case ast.IfExp(body=body, orelse=other):
                return self.shown(body) and self.shown(other)
            case ast.Tuple(elts=values) | ast.List(elts=values) | ast.Set(elts=values):
                return all(map(self.shown, values))
            case ast.Dict(values=values):
                return all(map(self.shown, values))
            case ast.Starred(value=inner) | ast.Await(value=inner) | ast.Yield(value=inner):
                return self.shown(inner)
            case ast.YieldFrom(value=inner) | ast.NamedExpr(value=inner):
                return self.shown(inner)
            case ast.Subscript(value=inner):
                return self.shown(inner)
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp():
                return self.shown(value.elt)
            case ast.DictComp():
                return self.shown(value.value)
            case ast.Lambda(body=body):
                return self.shown(body)
            case ast.Name(id=name):
                return self._name(name, value)
            case ast.Attribute():
                return self._attribute(value)
            case ast.Call():
                return self._called(value)
            case _:
                return False

    def _part(self, part: ast.expr) -> bool:
        if isinstance(part, ast.FormattedValue):
            spec = part.format_spec
            text = (
                "".join(each.value for each in spec.values if isinstance(each, ast.Constant))
                if isinstance(spec, ast.JoinedStr)
                else ""
            )
            # A text cannot be formatted like a number.
            return bool(NUMERIC_SPEC.fullmatch(text)) or self.shown(part.value)
        return self.shown(part)

    # --- names --------------------------------------------------------------------------

    def _name(self, name: str, at: ast.expr) -> bool:
        if name in self._looking:
            return True
        self._looking.add(name)
        try:
            return self._local(name, at) if self._is_local(name, at) else self._global(name)
        finally:
            self._looking.discard(name)

    def _is_local(self, name: str, at: ast.expr) -> bool:
        return any(True for _ in self._bindings(name, at))

    def _local(self, name: str, at: ast.expr) -> bool:
        return all(
            good if isinstance(good, bool) else self.shown(good)
            for good in self._bindings(name, at)
        )

    def _bindings(self, name: str, at: ast.expr) -> Iterator[ast.expr | bool]:
        """Everything that a local name may stand for."""
        node: ast.AST | None = at
        while node is not None and not isinstance(node, Function | ast.Lambda):
            if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
                for generator in node.generators:
                    if name in names_in(generator.target):
                        yield element(generator.iter, generator.target, name)
                        return
            node = self.module.parents.get(node)
        if isinstance(node, ast.Lambda) and name in [each.arg for each in node.args.args]:
            yield False
            return
        function = node if isinstance(node, Function) else self.function
        while isinstance(function, Function):
            found = list(self._bound_in(function, name))
            if found:
                yield from found
                return
            function = self.module.enclosing(function, Function)

    def _bound_in(self, function: Function, name: str) -> Iterator[ast.expr | bool]:
        for parameter in parameters(function):
            if parameter.arg == name:
                yield self._parameter(function, parameter)
        for node in own_nodes(function):
            match node:
                case ast.Assign(targets=targets, value=value):
                    for owner, each in put_into(node):
                        if isinstance(owner, ast.Name) and owner.id == name:
                            yield each
                    for target in targets:
                        if name in names_in(target):
                            yield element(value, target, name, assigned=True)
                case ast.AnnAssign(target=ast.Name(id=known), annotation=kind, value=value):
                    if known == name:
                        shown = self.project.shown_type(ast.unparse(kind), self.module)
                        yield shown or (value if value is not None else False)
                case ast.AugAssign(target=ast.Name(id=known), value=value) if known == name:
                    yield value
                case ast.NamedExpr(target=ast.Name(id=known), value=value) if known == name:
                    yield value
                case ast.For(target=target, iter=iterable) if name in names_in(target):
                    yield element(iterable, target, name)
                case ast.withitem(optional_vars=ast.Name(id=known), context_expr=value):
                    if known == name:
                        yield value
                case ast.ExceptHandler(name=known) if known == name:
                    yield False
                case ast.MatchAs(name=known) | ast.MatchStar(name=known) if known == name:
                    yield self._captured(node)
                case _:
                    for owner, value in put_into(node):
                        if isinstance(owner, ast.Name) and owner.id == name:
                            yield value

    def _captured(self, node: ast.AST) -> bool:
        """What a pattern of match takes out of an object is known by the attribute's type."""
        around = self.module.parents.get(node)
        if isinstance(around, ast.MatchClass):
            for name, pattern in zip(around.kwd_attrs, around.kwd_patterns, strict=True):
                if pattern is node:
                    return self._declared(name)
        return False

    def _parameter(self, function: Function, parameter: ast.arg) -> bool:
        if parameter.arg in self.arguments and function is self.function:
            return self.arguments[parameter.arg]
        if parameter.annotation is not None and self.project.shown_type(
            ast.unparse(parameter.annotation), self.module
        ):
            return True
        return self._always_called_with(function, parameter.arg)

    def _always_called_with(self, function: Function, name: str) -> bool:
        """Look at every call of a function: a private one is called in its own file only."""
        if function.name.startswith("__"):
            return False
        private = function.name.startswith("_")
        modules = [self.module] if private else list(self.project.modules.values())
        calls = [
            (module, node, call)
            for module in modules
            for node, call in self.project.calls_of(module, function.name)
        ]
        mentioned = sum(module.mentions(function.name) for module in modules)
        key = f"{id(function)}.{name}"
        if not calls or mentioned > len(calls):
            return False
        if key in self.project.asked:
            return True
        self.project.asked.add(key)
        try:
            return all(
                Scope(self.project, module, module.enclosing(node, Function)).shown(
                    argument(function, call, name), node
                )
                for module, node, call in calls
            )
        finally:
            self.project.asked.discard(key)

    def _global(self, name: str) -> bool:
        module = self.module
        if name in module.imports and name not in module.constants:
            stem, name = module.imports[name]
            if stem not in self.project.by_stem:
                return name.isupper()  # a constant of a library
            module = self.project.by_stem[stem]
        values = module.constants.get(name)
        if not values:
            return False
        scope = Scope(self.project, module, None)
        scope._looking = self._looking
        return all(scope.shown(value) for value in values)

    # --- attributes and calls -----------------------------------------------------------

    def _attribute(self, node: ast.Attribute) -> bool:
        if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
            around = self.module.enclosing(node, ast.ClassDef)
            if isinstance(around, ast.ClassDef):
                return self._own(around, node.attr)
        match node.value:
            case ast.Name(id=name) if name in self.module.imports:
                stem = self.module.imports[name][1]
                module = self.project.by_stem.get(stem)
                if module is not None and node.attr in module.constants:
                    scope = Scope(self.project, module, None)
                    return all(scope.shown(each) for each in module.constants[node.attr])
            case ast.Name(id=name) if name in self.module.classes:
                return self._own(self.module.classes[name], node.attr)
            case _:
                pass
        return (node.attr in ("plain",) and self.shown(node.value)) or self._declared(node.attr)

    def _declared(self, name: str) -> bool:
        """An attribute is known by its name where all that have it say what they hold."""
        kinds = self.project.attributes.get(name, set())
        properties = self.project.properties.get(name, [])
        return name in NUMERIC_ATTRIBUTES or (
            bool(kinds or properties)
            and all(self.project.shown_type(each, self.module) for each in kinds)
            and all(self.project.answers_shown(module, each, {}) for module, each in properties)
        )

    def _own(self, around: ast.ClassDef, name: str) -> bool:
        """An attribute of the class itself: all that it is ever set to, or its type."""
        key = f"{id(around)}.{name}"
        if key in self.project.asked:
            return True
        self.project.asked.add(key)
        try:
            values: list[ast.expr | bool] = []
            for node in ast.walk(around):
                match node:
                    case ast.Assign(targets=targets, value=value):
                        values += [each for owner, each in put_into(node) if is_self(owner, name)]
                        for target in targets:
                            for each in flat(target):
                                if is_self(each, name) or (
                                    isinstance(each, ast.Name)
                                    and each.id == name
                                    and self.module.parents.get(node) is around
                                ):
                                    values.append(value)
                    case ast.AnnAssign(target=target, annotation=kind, value=value):
                        if is_self(target, name) or (
                            isinstance(target, ast.Name)
                            and target.id == name
                            and self.module.parents.get(node) is around
                        ):
                            known = self.project.shown_type(ast.unparse(kind), self.module)
                            values.append(known or (value if value is not None else False))
                    case ast.AugAssign(target=target, value=value) if is_self(target, name):
                        values.append(value)
                    case ast.Call():
                        values += [each for owner, each in put_into(node) if is_self(owner, name)]
                    case ast.FunctionDef(name=known, returns=kind) if known == name:
                        names = {ast.unparse(each) for each in node.decorator_list}
                        if "property" in names:
                            values.append(self.project.answers_shown(self.module, node, {}))
                    case _:
                        pass
            return bool(values) and all(
                each
                if isinstance(each, bool)
                else Scope(self.project, self.module, self.module.enclosing(each, Function)).shown(
                    each
                )
                for each in values
            )
        finally:
            self.project.asked.discard(key)

    def _called(self, node: ast.Call) -> bool:
        match node.func:
            case ast.Name(id=name):
                return self._called_function(name, node)
            case ast.Attribute(attr=name, value=receiver):
                return self._called_method(name, receiver, node)
            case _:
                return False

    def _called_function(self, name: str, node: ast.Call) -> bool:
        source, original = self.module.imports.get(name, ("", name))
        if original in SANITISERS and (
            source in SANITISING or Path(self.module.name).stem in SANITISING
        ):
            return True
        if name in NUMBERS:
            return True
        module = self.project.by_stem.get(source, self.module) if source else self.module
        function = module.functions.get(original)
        if function is not None:
            return self.project.answers_shown(module, function, self._with(function, node))
        if name in PASSING:
            return all(self.shown(each) for each in node.args)
        if name in SINKS or name == "super":
            return True
        if name == "highlight":
            return all(self.shown(each) for each in node.args)
        local = self._local_function(name)
        if local is not None:
            return self.project.answers_shown(self.module, local, self._with(local, node))
        return False

    def _local_function(self, name: str) -> Function | None:
        function = self.function
        while isinstance(function, Function):
            for node in ast.walk(function):
                if isinstance(node, Function) and node.name == name:
                    return node
            function = self.module.enclosing(function, Function)
        return None

    def _called_method(self, name: str, receiver: ast.expr, node: ast.Call) -> bool:
        if name in ("styled", "assemble", "from_text", "Option", "blank"):
            return True  # a sink of its own
        if isinstance(receiver, ast.Name) and receiver.id in self.module.imports:
            module = self.project.by_stem.get(self.module.imports[receiver.id][1])
            function = module.functions.get(name) if module else None
            if module is not None and function is not None:
                return self.project.answers_shown(module, function, self._with(function, node))
        if name == "highlight":  # of a matcher, which gives its argument back in colours
            return all(self.shown(each) for each in node.args)
        if name in STRING_METHODS:
            given = [*node.args, *(each.value for each in node.keywords)]
            given = node.args[1:] if name in ("get", "pop") else given
            return self.shown(receiver) and all(
                self.shown(each) for each in given if not isinstance(each, ast.Lambda)
            )
        if name in NUMBERS:
            return True
        known = self.project.methods.get(name, [])
        if isinstance(receiver, ast.Name) and receiver.id in ("self", "cls"):
            around = self.module.enclosing(node, ast.ClassDef)
            own = [(module, each) for module, each in known if module.parents.get(each) is around]
            known = own or known
        return bool(known) and all(
            self.project.answers_shown(module, each, self._with(each, node))
            for module, each in known
        )

    def _with(self, function: Function, call: ast.Call) -> dict[str, bool]:
        """Say of each parameter whether what a call gives it may be shown."""
        return {
            each.arg: self.shown(argument(function, call, each.arg))
            for each in parameters(function)
        }
