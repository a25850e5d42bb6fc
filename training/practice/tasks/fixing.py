"""Tasks that read a file first and then change one line of it."""

from __future__ import annotations

from typing import NamedTuple

from ...protocol import ToolCall
from ..vocabulary import Names
from ..wording import append, ask
from .arithmetic import ARITHMETIC, expression, some_functions, wrong_number
from .base import (
    Choice,
    Option,
    Task,
    Turn,
    bash,
    make_call,
    numbered,
    proposal,
    tool,
    user,
    words,
    written,
)
from .commands import RUNNER
from .files import VIEW, ReadTask, code_file

EDIT = Option(
    "tool",
    "edit",
    {"write": 0.84, "edit": 0.16},
    ("sed",),
    spelled={"edit": "edit_lines", "sed": "sed -i"},
)
RENAME_EDIT = Option(
    "tool",
    "edit",
    {"edit": 0.8, "write": 0.2},
    ("sed",),
    spelled={"edit": "edit_lines", "sed": "sed -i"},
)
MISSPELT = {
    "assert": ("asert", "assrt", "asset", "assertt", "asssert"),
    "import": ("imprt", "improt", "importt", "inport"),
    "return": ("retrun", "retun", "returnn", "reutrn"),
    "def": ("dfe", "de", "deff", "fed"),
}
PROSE = {
    "the": "teh", "install": "instal", "project": "porject", "tests": "tets", "with": "wiht",
    "requires": "requries", "command": "comand", "library": "libary", "document": "docment",
    "simple": "simpel", "example": "exmaple", "function": "funtion", "package": "pacakge",
    "receive": "recieve", "separate": "seperate", "and": "adn", "occurred": "occured",
    "available": "availible", "version": "verison", "license": "lisence",
}  # fmt: skip


class Fault(NamedTuple):
    """A file with one wrong line: its lines as they should be, and the wrong one."""

    good: list[str]
    at: int
    bad: str
    about: str = ""


class RepairTask(Task):
    """Read the file, then change the line: the whole file anew, or the one line."""

    path: str
    fault: Fault

    @property
    def lines(self) -> list[str]:
        """The file as it is."""
        return [
            self.fault.bad if at == self.fault.at else line
            for at, line in enumerate(self.fault.good)
        ]

    def opening(self) -> list[Turn]:
        """The request, and what reading the file showed."""
        read = make_call("read", path=self.path)
        return [user(self.request), proposal(read), tool(numbered(self.lines))]

    def answer(self, choice: Choice) -> ToolCall:
        """Write the file, edit the line, or use the shell."""
        number, fixed = self.fault.at + 1, self.fault.good[self.fault.at]
        if choice["edit"] == "write":
            return make_call("write", path=self.path, content="\n".join(self.fault.good) + "\n")
        if choice["edit"] == "sed":
            return bash(f"sed -i '{number}s|.*|{fixed}|' {self.path}")
        at = {"start_line": number, "end_line": number}
        return make_call("edit_lines", path=self.path, **at, content=fixed)

    def result(self, call: ToolCall) -> str:
        """Report the change."""
        if call.name == "write":
            return written(self.path, call.arguments["content"])
        number = self.fault.at + 1
        edited = f"edited {self.path} (lines {number}-{number} are now {number}-{number})"
        return edited if call.name == "edit_lines" else "[exit 0]"

    def closing(self, call: ToolCall, result: str) -> str:
        """Say what was wrong."""
        about = f": {self.fault.about}" if self.fault.about else ""
        return f"Fixed line {self.fault.at + 1} of {self.path}{about}."


class TestFile:
    """Builds a test file, line by line, and knows where its assertions are."""

    __test__ = False

    def __init__(self, names: Names, module: str, *, obvious: bool) -> None:
        self.names = names
        self.asserts: list[tuple[int, str, int]] = []
        count = names.rng.choice((1, 1, 1, 1, 2, 2, 3))
        if obvious:
            functions = some_functions(names, count)
        else:
            functions = _distinct(
                [names.identifier(names.rng.choice((1, 2))) for _ in range(count)]
            )
        self.obvious = obvious
        self.dotted = names.chance(0.12)
        self.stem = module.rsplit(".", 1)[-1]
        self.lines = self._head(module, functions)
        for function in functions:
            self._test(function)

    def _head(self, module: str, functions: list[str]) -> list[str]:
        names = self.names
        lines = [f'"""Tests of {self.stem}."""', ""] if names.chance(0.06) else []
        if names.chance(0.1):
            lines += [names.rng.choice(("import pytest", "import unittest", "import os")), ""]
        if self.dotted:
            folder = module.rpartition(".")[0]
            lines.append(f"from {folder} import {self.stem}" if folder else f"import {module}")
        elif names.chance(0.04):
            lines.append(f"from {module} import *")
        else:
            lines.append(f"from {module} import {', '.join(functions)}")
        return lines

    def _test(self, function: str) -> None:
        names = self.names
        called = f"{self.stem}.{function}" if self.dotted else function
        self.lines += ["", ""] if names.chance(0.88) else [""]
        tail = f"_{names.word()}" if names.chance(0.12) else ""
        self.lines.append(f"def test_{function}{tail}():")
        if names.chance(0.05):
            self.lines.append(f"    # {names.sentence(1, 3)}")
        for _ in range(names.rng.choice((1, 1, 1, 1, 2, 3))):
            if self.obvious:
                arguments, value = expression(names, function)
            else:
                arguments = ", ".join(
                    str(names.rng.randint(0, 20)) for _ in range(names.rng.randint(0, 2))
                )
                value = names.rng.randint(0, 99)
            applied = f"{called}({arguments})"
            self.asserts.append((len(self.lines), applied, value))
            self.lines.append(f"    assert {applied} == {value}")


def _distinct(items: list[str]) -> list[str]:
    return list(dict.fromkeys(items))


def break_syntax(names: Names, lines: list[str]) -> Fault:
    """Spoil a keyword or a colon."""
    spots: list[tuple[int, str]] = []
    for at, line in enumerate(lines):
        if line.endswith(":"):
            spots.append((at, line[:-1]))
        word = line.split(" ", 1)[0] if not line.startswith(" ") else line.split()[0]
        if word in MISSPELT:
            spots.append((at, line.replace(word, names.rng.choice(MISSPELT[word]), 1)))
    at, bad = names.rng.choice(spots)
    return Fault(lines, at, bad)


class FixTest(RepairTask):
    """The reference example: a test fails because of a mistake in the test itself."""

    family = "fix-test"

    def prepare(self) -> None:
        """Draw a repository, a test file and what is wrong in it."""
        names = self.names
        self.options = {"edit": EDIT}
        self._place()
        roll = names.rng.random()
        kind = "number" if roll < 0.6 else "given" if roll < 0.7 else "shown"
        kind = "syntax" if roll > 0.84 else kind
        self.shown = kind == "shown"
        file = TestFile(
            names, self.module, obvious=kind != "given" and not (self.shown and names.chance(0.6))
        )
        self.function, value, wrong = "", 0, 0
        if kind == "syntax":
            self.fault = break_syntax(names, file.lines)
        else:
            at, applied, value = names.rng.choice(file.asserts)
            wrong = wrong_number(names, value)
            bad = file.lines[at].rsplit(" ", 1)[0] + f" {wrong}"
            self.fault = Fault(file.lines, at, bad, f"{applied} is {value}")
        self._word(kind, value)

    def _place(self) -> None:
        names = self.names
        stem = names.identifier(names.rng.choice((1, 1, 1, 2)))
        if names.chance(0.25):
            stem = names.rng.choice(("calc", "calculator", "math_utils", "ops", "arith"))
        layout = names.rng.choice(("flat", "flat", "flat", "tests", "tests", "src", "after"))
        folder = names.folder().replace("/", "") if layout == "src" else ""
        source = f"{folder}/{stem}.py" if folder else f"{stem}.py"
        self.module = f"{folder}.{stem}" if folder else stem
        self.path = {
            "flat": f"test_{stem}.py",
            "after": f"{stem}_test.py",
            "tests": f"tests/test_{stem}.py",
            "src": f"{names.rng.choice(('tests', 'tests', 'test', folder))}/test_{stem}.py",
        }[layout]
        self.files = [source, self.path]
        self.several = names.chance(0.25)
        if self.several:
            other = self.path.replace(stem, names.identifier(1))
            self.files += [other] * (other != self.path)

    def _word(self, kind: str, value: int) -> None:
        names = self.names
        named = self.several or names.chance(0.35)
        if self.shown and names.chance(0.6):
            section = "fix-it"
        else:
            section = "fix-test-named" if named else "fix-test"
        path = self.path if names.chance(0.8) else self.path.rsplit("/", 1)[-1]
        text = self.sentence(section, path=path)
        if kind == "given":
            text = append(text.rstrip("?!."), self.sentence("fix-value", value=str(value)))
        self.request = ask(text, names, plain=kind == "given")

    def opening(self) -> list[Turn]:
        """Where the failure was seen, the run of the tests comes first."""
        turns = super().opening()
        if not self.shown:
            return turns
        names = self.names
        run = bash(" ".join(filter(None, (RUNNER.draw(names),))))
        report = self._report()
        ask_run = ask(self.sentence("run-suite"), names)
        return [
            user(ask_run),
            proposal(run),
            tool(report),
            words(f"A test fails in {self.path}."),
            *turns,
        ]

    def _report(self) -> str:
        """What pytest prints about the wrong assertion."""
        names = self.names
        wrong, right = self.fault.bad.rsplit(" ", 1)[-1], self.fault.about.rsplit(" ", 1)[-1]
        applied = self.fault.about.rsplit(" is ", 1)[0]
        above = [line for line in self.lines[: self.fault.at] if line.startswith("def ")][-1]
        function = above.removeprefix("def ").split("(")[0]
        summary = f"FAILED {self.path}::{function} - assert {right} == {wrong}"
        short = [
            f">       {self.fault.bad.strip()}",
            f"E       assert {right} == {wrong}",
            f"E        +  where {right} = {applied}",
        ]
        counts = "1 failed in 0.02s"
        if names.chance(0.45):
            return "\n".join((*short, counts, "[exit 1]"))
        if names.chance(0.4):
            return "\n".join((f"E       assert {right} == {wrong}", "[exit 1]"))
        return "\n".join(
            (
                f"{'F':<73}[100%]",
                f"{' FAILURES ':=^80}",
                f"{f' {function} ':_^80}",
                "",
                f"    {above}",
                *short,
                "",
                f"{self.path}:{self.fault.at + 1}: AssertionError",
                f"{' short test summary info ':=^80}",
                summary,
                counts,
                "[exit 1]",
            )
        )

    def closing(self, call: ToolCall, result: str) -> str:
        """Say what the test expects now."""
        if self.fault.about:
            return f"Fixed the test in {self.path}: {self.fault.about}."
        return f"Fixed line {self.fault.at + 1} of {self.path}."


class FixLook(ReadTask):
    """The first step of a repair: look at the file."""

    family = "fix-look"

    def prepare(self) -> None:
        """Take the request of a repair."""
        repair = FixTest(self.names)
        while repair.shown:
            repair = FixTest(self.names)
        self.request, self.path, self.files = repair.request, repair.path, repair.files
        self.options = {"view": VIEW}


class FixBug(RepairTask):
    """A function that computes something else than its name says."""

    family = "fix-bug"

    def prepare(self) -> None:
        """Draw a module with one wrong operator or keyword."""
        names = self.names
        self.options = {"edit": EDIT}
        self.path = names.path("py")
        self.files = [self.path]
        functions = some_functions(names, names.rng.randint(1, 3))
        lines: list[str] = []
        bodies: list[tuple[int, str]] = []
        for function in functions:
            _, formula, arity = ARITHMETIC[function]
            a, b = names.rng.choice((("a", "b"), ("a", "b"), ("x", "y"), ("n", "m")))
            arguments = f"{a}, {b}" if arity == 2 else a
            lines += [*([""] * 2 if lines else []), f"def {function}({arguments}):"]
            bodies.append((len(lines), function))
            lines.append(f"    return {formula.format(a=a, b=b)}")
        self.fault = self._spoil(lines, bodies)
        self.request = ask(self.sentence("fix-bug", path=self.path), names)

    def _spoil(self, lines: list[str], bodies: list[tuple[int, str]]) -> Fault:
        if self.names.chance(0.3):
            return break_syntax(self.names, lines)
        at, function = self.names.rng.choice(bodies)
        sign = next(sign for sign in "+-*" if f" {sign} " in lines[at])
        other = self.names.rng.choice([mark for mark in "+-*" if mark != sign])
        bad = lines[at].replace(f" {sign} ", f" {other} ")
        return Fault(lines, at, bad, f"{function} uses {sign}")


class FixTypo(RepairTask):
    """A misspelt word in a text."""

    family = "fix-typo"

    def prepare(self) -> None:
        """Draw a text with one misspelt word."""
        names = self.names
        self.options = {"edit": EDIT}
        self.path = names.rng.choice(
            ("README.md", "README.md", names.path("md"), names.path("txt"))
        )
        self.files = [self.path]
        title = names.word()
        lines = [f"# {title}", ""]
        for _ in range(names.rng.randint(1, 4)):
            parts = [
                names.word() if names.chance(0.5) else names.rng.choice(list(PROSE))
                for _ in range(5)
            ]
            lines.append(" ".join(parts) + ".")
        at = names.rng.randrange(2, len(lines))
        parts = lines[at].split(" ")
        right = names.rng.choice(list(PROSE))
        spot = names.rng.randrange(len(parts) - 1)
        good = " ".join((*parts[:spot], right, *parts[spot + 1 :]))
        bad = " ".join((*parts[:spot], PROSE[right], *parts[spot + 1 :]))
        lines[at] = good
        self.fault = Fault(lines, at, bad, right)
        self.request = ask(self.sentence("fix-typo", path=self.path), names)


class Rename(RepairTask):
    """Rename a variable in a file, or give it another value."""

    family = "rename"

    def prepare(self) -> None:
        """Draw a file with one assignment that is to change."""
        names = self.names
        self.options = {"edit": RENAME_EDIT}
        self.path = names.path("py")
        self.files = [self.path]
        lines = code_file(names, names.rng.randint(2, 8))
        at = names.rng.randrange(len(lines))
        name, value = names.identifier(names.rng.choice((1, 2))), names.rng.randint(0, 99)
        bad = f"{name} = {value}"
        if names.chance(0.5):
            target = f"{names.word()}_{name}" if names.chance(0.1) else names.identifier(2)
            text = self.sentence("rename-name", name=name, target=target, path=self.path)
            lines[at] = f"{target} = {value}"
        else:
            fresh = str(wrong_number(names, value))
            text = self.sentence("set-value", name=name, value=fresh, path=self.path)
            lines[at] = f"{name} = {fresh}"
        self.fault = Fault(lines, at, bad)
        self.request = ask(text, names)

    def closing(self, call: ToolCall, result: str) -> str:
        """Name the line."""
        return f"Changed line {self.fault.at + 1} of {self.path}."
