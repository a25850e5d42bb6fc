"""Tasks that write new code in the style that the user likes."""

from __future__ import annotations

from ...protocol import ToolCall
from ..vocabulary import Names, listed
from ..wording import ask
from .base import Choice, Option, Task, make_call, written

QUOTES = Option("style", "quotes", {"double": 0.78, "single": 0.22}, swap=False)
HINTS = Option("style", "hints", {"no": 0.74, "yes": 0.26}, swap=False)
RESULT = Option("style", "result", {"return": 0.82, "print": 0.18}, swap=False)
JOIN = Option("style", "join", {"f": 0.75, "plus": 0.25}, swap=False)
DOCSTRING = Option("style", "docstring", {"no": 0.78, "yes": 0.22}, swap=False)
CASE = Option("style", "case", {"snake": 0.82, "camel": 0.18}, swap=False)
UPPER = Option("style", "upper", {"yes": 0.74, "no": 0.26}, swap=False)
COMMENT = Option("style", "comment", {"no": 0.82, "yes": 0.18}, swap=False)
OPERATIONS = {
    "plus": "+", "minus": "-", "times": "*", "divided by": "/", "modulo": "%",
    "to the power of": "**", "and": "and", "or": "or",
}  # fmt: skip
# Names of these words exist in every spelling; a spelling can be copied, but not guessed.
SPELLED = listed(
    "max min size limit count total sum name title text label color width height depth level "
    "user item list file path host port url key token mode state status version time rate price "
    "score value result default base root start end first last make get set add load save read "
    "parse find build create update check send open close merge split sort count print show"
)
QUOTE_MARKS = {"double": '"', "single": "'"}


def camel_case(name: str) -> str:
    """Write a snake_case name in camelCase."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


class NewFile(Task):
    """Write a file with one function or one constant."""

    family = "new-file"

    def prepare(self) -> None:
        """Draw what to write and where."""
        names = self.names
        self.path = names.path("py")
        self.kind = names.rng.choice(("sum", "text", "constant", "greet"))
        spelled = self.kind == "constant" or names.chance(0.35)
        self.name = self._spelled() if spelled else names.identifier(names.rng.choice((1, 2)))
        self.a, self.b = names.word(), names.word()
        self.text = names.sentence(1, 2)
        self.spoken, self.sign = names.rng.choice(list(OPERATIONS.items())[:5])
        function = {"hints": HINTS, "result": RESULT, "docstring": DOCSTRING}
        if spelled and "_" in self.name:
            function["case"] = CASE
        self.options = {
            "sum": function,
            "text": {**function, "quotes": QUOTES},
            "greet": {**function, "quotes": QUOTES, "join": JOIN},
            "constant": {"quotes": QUOTES, "upper": UPPER, "comment": COMMENT},
        }[self.kind]
        op = self.spoken if names.chance(0.6) else self.sign
        slots = {"name": self.name, "a": self.a, "b": self.b, "text": self.text, "op": op}
        thing = self.sentence(f"thing-{self.kind}", **slots)
        self.request = ask(self.sentence("new-file", path=self.path, thing=thing), names)

    def _spelled(self) -> str:
        return "_".join(self.names.rng.sample(SPELLED, self.names.rng.choice((1, 2, 2))))

    def slots(self) -> dict[str, str]:
        """The name in every spelling."""
        spellings = {"upper": self.name.upper(), "lower": self.name}
        if "_" in self.name:
            spellings |= {"camel": camel_case(self.name), "snake": self.name}
        return spellings

    def answer(self, choice: Choice) -> ToolCall:
        """Write the file in this style."""
        lines = self._constant(choice) if self.kind == "constant" else self._function(choice)
        return make_call("write", path=self.path, content="\n".join(lines) + "\n")

    def _constant(self, choice: Choice) -> list[str]:
        quote = QUOTE_MARKS[choice["quotes"]]
        name = self.name.upper() if choice["upper"] == "yes" else self.name
        comment = f"  # {self.name.replace('_', ' ')}" if choice["comment"] == "yes" else ""
        return [f"{name} = {quote}{self.text}{quote}{comment}"]

    def _function(self, choice: Choice) -> list[str]:
        kind = "int" if self.kind == "sum" else "str"
        typed = choice["hints"] == "yes"
        taken = {"sum": (self.a, self.b), "greet": (self.a,)}.get(self.kind, ())
        arguments = ", ".join(f"{name}: {kind}" if typed else name for name in taken)
        returned = kind if choice["result"] == "return" else "None"
        name = camel_case(self.name) if choice.get("case") == "camel" else self.name
        value = self._value(choice)
        lines = [f"def {name}({arguments}){f' -> {returned}' if typed else ''}:"]
        if choice["docstring"] == "yes":
            lines.append(f'    """The {self.name.replace("_", " ")}."""')
        lines.append(
            f"    return {value}" if choice["result"] == "return" else f"    print({value})"
        )
        return lines

    def _value(self, choice: Choice) -> str:
        quote = QUOTE_MARKS[choice.get("quotes", "double")]
        if self.kind == "sum":
            return f"{self.a} {self.sign} {self.b}"
        if self.kind == "text":
            return f"{quote}{self.text}{quote}"
        if choice["join"] == "f":
            return f"f{quote}{self.text} {{{self.a}}}{quote}"
        return f"{quote}{self.text} {quote} + {self.a}"

    def result(self, call: ToolCall) -> str:
        """Report what was written."""
        return written(self.path, call.arguments["content"])

    def closing(self, call: ToolCall, result: str) -> str:
        """Name the file."""
        return f"Wrote {self.path}."


def test_folder(names: Names) -> str:
    """Make up a folder for tests."""
    if names.chance(0.4):
        return names.folder()
    return f"{names.rng.choice(('tests', 'tests', 'test', 'qa', 'src'))}/{names.word()}"


class NewTest(Task):
    """Write a test for a function whose value the request gives."""

    family = "new-test"

    def prepare(self) -> None:
        """Draw a module, a function and its value."""
        names = self.names
        self.stem = names.identifier(names.rng.choice((1, 1, 2)))
        folder = f"{names.folder()}/" if names.chance(0.6) else ""
        self.module = f"{folder}{self.stem}.py"
        self.name = names.identifier(names.rng.choice((1, 2)))
        self.number = str(names.rng.randint(0, 60))
        self.files = [self.module] if names.chance(0.6) else []
        self.options = {
            "folder": Option(
                "path",
                "test_dir",
                {"tests": 0.86, "test": 0.08, "": 0.06},
                (
                    *("tests/unit", "tests/integration", "spec", "src/tests", "tests/functional"),
                    *("testing", "unit_tests", "tests/e2e", "t", "qa", "__tests__"),
                ),
                ("tests/smoke", "checks", "tests/fast"),
                test_folder,
            ),
            "suffix": Option("path", "suffix", {"before": 0.87, "after": 0.13}, swap=False),
        }
        slots = {"name": self.name, "module": self.module, "number": self.number}
        self.request = ask(self.sentence("new-test", **slots), names)

    def slots(self) -> dict[str, str]:
        """The module's name, for wordings that spell out the file's."""
        return {"stem": self.stem}

    def answer(self, choice: Choice) -> ToolCall:
        """Write the test where tests go."""
        file = f"test_{self.stem}.py" if choice["suffix"] == "before" else f"{self.stem}_test.py"
        package = self.module.removesuffix(".py").replace("/", ".")
        content = (
            f"from {package} import {self.name}\n\n\n"
            f"def test_{self.name}():\n    assert {self.name}() == {self.number}\n"
        )
        path = "/".join(filter(None, (choice["folder"], file)))
        return make_call("write", path=path, content=content)

    def result(self, call: ToolCall) -> str:
        """Report what was written."""
        return written(call.arguments["path"], call.arguments["content"])

    def closing(self, call: ToolCall, result: str) -> str:
        """Name the file."""
        return f"Wrote a test for {self.name} in {call.arguments['path']}."
