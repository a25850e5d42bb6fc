"""Tasks on files: read, find, search, change a given line."""

from __future__ import annotations

from ...protocol import ToolCall
from ..vocabulary import Names, listed
from ..wording import ask
from .base import Choice, Option, Task, bash, count, make_call, numbered

ENDINGS = listed("py js ts md toml yaml json html css rs go sql txt sh")
SHOWN = listed("py js ts md toml yaml txt json")
VIEW = Option(
    "tool",
    "view",
    {"read": 0.8, "cat": 0.2},
    ("less", "head", "tail", "bat", "head -n 50", "cat -n", "sed -n 1,80p", "more", "nl"),
    ("batcat", "most", "view"),
    lambda names: names.junk(),
)
FIND = Option(
    "tool",
    "find",
    {"glob": 0.8, "find": 0.2},
    ("fd", "ls", "git ls-files", "rg --files"),
    spelled={"find": "find", "glob": "glob"},
)
SEARCH = Option(
    "tool",
    "search",
    {"grep": 0.8, "grep -rn": 0.2},
    ("rg", "git grep -n", "ag", "grep -R", "rg -n", "ack", "git grep"),
    ("ugrep", "sift"),
    lambda names: names.junk(),
    spelled={"grep": "the grep tool"},
)
LINE = Option(
    "tool",
    "line",
    {"edit": 0.76, "read": 0.18, "sed": 0.06},
    spelled={"edit": "edit_lines", "sed": "sed -i"},
)


def code_line(names: Names) -> str:
    """A line of code that means nothing."""
    name, other = names.identifier(names.rng.choice((1, 2))), names.word()
    number = names.rng.randint(0, 99)
    return names.rng.choice(
        (
            f"{name} = {number}",
            f"return {name}",
            f"{name} = {other}({number})",
            f"{other}({name})",
            f"{name} = None",
            f"import {other}",
            f"{name} += {number}",
            f"if {name} > {number}:",
            f'{name} = "{other}"',
            f"{name} = ['{other}', {number}]",
            f"for {other} in {name}:",
            f"{name}.{other}()",
            f"print({name})",
            f"# {name} {other}",
        )
    )


def code_file(names: Names, size: int) -> list[str]:
    """A file of meaningless lines."""
    lines = []
    for _ in range(size):
        roll = names.rng.random()
        indent = "    " if roll < 0.3 else ""
        lines.append("" if roll > 0.92 else indent + code_line(names))
    if not lines[0]:
        lines[0] = code_line(names)
    return lines


class ReadTask(Task):
    """A task that shows a file."""

    path: str

    def answer(self, choice: Choice) -> ToolCall:
        """Read with the tool, or with a command."""
        if choice["view"] == "read":
            return make_call("read", path=self.path)
        return bash(f"{choice['view']} {self.path}")

    def result(self, call: ToolCall) -> str:
        """Show a few lines."""
        lines = code_file(self.names, self.names.rng.randint(1, 6))
        if call.name == "read":
            return numbered(lines)
        return "\n".join((*lines, "[exit 0]"))

    def closing(self, call: ToolCall, result: str) -> str:
        """Name the file."""
        return f"That is {self.path}."


class Read(ReadTask):
    """Show a file, named by its path or by a part of a listed one."""

    family = "read"

    def prepare(self) -> None:
        """Draw a path and a way to name it."""
        names = self.names
        self.options = {"view": VIEW}
        if names.chance(0.35):
            stem = names.identifier(names.rng.choice((1, 1, 2)))
            ending = names.rng.choice(SHOWN)
            folder = f"{names.folder()}/" if names.chance(0.5) else ""
            self.path = f"{folder}{stem}.{ending}"
            part = names.rng.choice((stem, stem, stem.split("_")[0], f"{stem}.{ending}"))
            self.request = ask(self.sentence("read-part", part=part), names)
            self.files = [self.path]
        else:
            self.path = names.path()
            self.files = [self.path] if names.chance(0.6) else []
            self.request = ask(self.sentence("read", path=self.path), names)


class OpenModule(ReadTask):
    """Show a module that the listing does not hold, so that its folder is a guess."""

    family = "open-module"

    def prepare(self) -> None:
        """Draw a module's name."""
        names = self.names
        self.module = names.identifier(names.rng.choice((1, 2)))
        self.options = {
            "view": VIEW,
            "folder": Option(
                "path",
                "module_dir",
                {"src": 0.74, "": 0.26},
                ("lib", "app", "core", "pkg", "python", "backend", "src/app", "packages"),
                ("source", "modules"),
                Names.folder,
            ),
        }
        self.request = ask(self.sentence("open-module", module=self.module), names)

    def answer(self, choice: Choice) -> ToolCall:
        """Read the module in the folder."""
        self.path = "/".join(filter(None, (choice["folder"], f"{self.module}.py")))
        return super().answer(choice)


class Find(Task):
    """List the files with an ending."""

    family = "find"

    def prepare(self) -> None:
        """Draw an ending and perhaps a folder."""
        names = self.names
        self.options = {"find": FIND}
        self.ending = names.rng.choice(ENDINGS) if names.chance(0.75) else names.junk()[:4]
        self.folder = names.folder() if names.chance(0.55) else ""
        where = names.rng.choice(("in", "in", "under", "inside", "below"))
        slots = {"ending": self.ending, "where": f" {where} {self.folder}" if self.folder else ""}
        self.request = ask(self.names_sentence(slots), names)

    def names_sentence(self, slots: dict[str, str]) -> str:
        """Word the request; an empty place is said with nothing."""
        marked = {**slots, "where": slots["where"] or "\0"}
        return self.sentence(self.family, **marked).replace("\0", "")

    def answer(self, choice: Choice) -> ToolCall:
        """Find with the tool, or with a command."""
        ending, folder = self.ending, self.folder
        if choice["find"] == "glob":
            place = {"path": folder} if folder else {}
            return make_call("glob", pattern=f"**/*.{ending}", **place)
        slash = f"{folder}/" if folder else ""
        commands = {
            "find": f"find {folder or '.'} -name '*.{ending}'",
            "fd": f"fd -e {ending} . {folder}".strip(),
            "ls": f"ls {slash}*.{ending}",
            "git ls-files": f"git ls-files '{slash}*.{ending}'",
            "rg --files": f"rg --files -g '*.{ending}' {folder}".strip(),
        }
        return bash(commands[choice["find"]])

    def result(self, call: ToolCall) -> str:
        """List a few files."""
        if self.names.chance(0.15):
            return f"no files match **/*.{self.ending}" if call.name == "glob" else "[exit 0]"
        slash = f"{self.folder}/" if self.folder else ""
        found = [
            f"{slash}{self.names.stem()}.{self.ending}" for _ in range(self.names.rng.randint(1, 4))
        ]
        return "\n".join(found if call.name == "glob" else (*found, "[exit 0]"))

    def closing(self, call: ToolCall, result: str) -> str:
        """Say whether there are any."""
        if result.startswith("no files") or result == "[exit 0]":
            return f"There are no {self.ending} files."
        return f"Those are the {self.ending} files."


class Search(Find):
    """Search the code for a name."""

    family = "search"

    def prepare(self) -> None:
        """Draw a name and perhaps a folder."""
        names = self.names
        folder = names.folder() if names.chance(0.45) else ""
        self.options = {
            "search": SEARCH,
            "folder": Option("path", "search_dir", {folder: 1.0}, (), (), Names.folder),
        }
        self.query = names.camel() if names.chance(0.1) else names.identifier()
        where = names.rng.choice(("in", "in", "under", "inside", "below"))
        slots = {"query": self.query, "where": f" {where} {folder}" if folder else ""}
        self.request = ask(self.names_sentence(slots), names)

    def answer(self, choice: Choice) -> ToolCall:
        """Search with the tool, or with a command."""
        folder, command = choice["folder"], choice["search"]
        if command == "grep":
            return make_call("grep", pattern=self.query, **({"path": folder} if folder else {}))
        place = folder or ("." if command.startswith("grep") else "")
        return bash(f"{command} {self.query} {place}".strip())

    def result(self, call: ToolCall) -> str:
        """Show a few hits."""
        if self.names.chance(0.15):
            return f"no matches for {self.query}" if call.name == "grep" else "[exit 1]"
        hits = [
            f"{self.names.path('py')}:{self.names.rng.randint(1, 90)}: {self.query}()"
            for _ in range(self.names.rng.randint(1, 3))
        ]
        return "\n".join(hits if call.name == "grep" else (*hits, "[exit 0]"))

    def closing(self, call: ToolCall, result: str) -> str:
        """Say where it is."""
        if result.startswith("no matches") or result == "[exit 1]":
            return f"{self.query} is not used."
        hits = [line for line in result.splitlines() if ":" in line]
        place = hits[0].split(":")[0]
        if len(hits) == 1:
            return f"{self.query} is in {place}."
        return f"{self.query} is in {count(len(hits), 'place')}, first in {place}."


class EditLine(Task):
    """Change a line whose number and new text the request gives."""

    family = "edit-line"

    def prepare(self) -> None:
        """Draw a file, a line and a text."""
        names = self.names
        self.options = {"line": LINE}
        self.path = names.path("py")
        self.files = [self.path] if names.chance(0.5) else []
        self.line = names.rng.randint(1, 120)
        self.text = code_line(names)
        slots = {"path": self.path, "line": str(self.line), "text": self.text}
        self.request = ask(self.sentence("edit-line", **slots), names, plain=True)

    def answer(self, choice: Choice) -> ToolCall:
        """Edit right away, look first, or use the shell."""
        if choice["line"] == "read":
            return make_call("read", path=self.path)
        if choice["line"] == "sed":
            return bash(f"sed -i '{self.line}s|.*|{self.text}|' {self.path}")
        at = {"start_line": self.line, "end_line": self.line}
        return make_call("edit_lines", path=self.path, **at, content=self.text)

    def result(self, call: ToolCall) -> str:
        """Report the edit, or show the file."""
        if call.name == "read":
            return numbered(code_file(self.names, self.names.rng.randint(2, 6)))
        line = self.line
        edited = f"edited {self.path} (lines {line}-{line} are now {line}-{line})"
        return edited if call.name == "edit_lines" else "[exit 0]"

    def closing(self, call: ToolCall, result: str) -> str:
        """Name the line."""
        if call.name == "read":
            return f"That is {self.path}."
        return f"Changed line {self.line} of {self.path}."
