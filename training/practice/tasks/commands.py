"""Tasks that the shell does: tests, scripts, packages, formatters, git."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ...protocol import ToolCall
from ..vocabulary import Names
from ..wording import ask
from .base import Choice, Option, Task, bash, count

SUITES = ("make", "just", "tox", "nox", "npm", "task")


def invented_prefix(names: Names) -> str:
    """Make up a command that runs another."""
    return f"{names.junk()} {names.rng.choice(('run', 'run', 'run', 'exec'))}"


def invented_command(names: Names) -> str:
    """Make up a command of one or two words."""
    roll = names.rng.random()
    if roll < 0.5:
        return names.junk()
    if roll < 0.65:
        return f"python -m {names.word()}"
    if roll < 0.8:
        return f"./{names.word()}.sh"
    return f"{names.junk()} {names.word()}"


def invented_adder(names: Names) -> str:
    """Make up a package manager."""
    return f"{names.junk()} {names.rng.choice(('add', 'add', 'install', 'get', 'i'))}"


def invented_flag(names: Names) -> str:
    """Make up a command line flag."""
    return names.rng.choice((f"--{names.word()}", f"-{names.rng.choice('abcdefgwz')}"))


def invented_marker(names: Names) -> str:
    """Make up what a commit message starts with."""
    word = names.word()
    number = names.rng.randint(1, 999)
    return names.rng.choice((f"{word}: ", f"{word}: ", f"[{word}] ", f"{word.upper()}-{number}: "))


PREFIX = Option(
    "prefix",
    "prefix",
    {"": 0.85, "uv run": 0.09, "poetry run": 0.06},
    (
        *("uv run", "poetry run", "pipenv run", "hatch run", "rye run", "pdm run", "conda run"),
        *("pixi run", "docker compose run app", "docker compose exec app", "CI=1", "PYTHONPATH=."),
    ),
    ("pants run", "nix run", "uvx", "devbox run"),
    invented_prefix,
)
RUNNER = Option(
    "runner",
    "runner",
    {"pytest": 0.8, "python -m pytest": 0.11, "python -m unittest": 0.09},
    (
        *("tox", "nox", "make test", "nose2", "py.test", "python3 -m pytest", "just test"),
        *("hatch test", "python -m unittest discover", "python -m doctest", "make check"),
        *("npm test", "task test", "stestr run", "python3 -m unittest"),
    ),
    ("ward", "green", "trial", "avocado run"),
    invented_command,
)
TEST_FLAG = Option(
    "args",
    "test_flag",
    {"": 0.88, "-q": 0.05, "-v": 0.04, "-x": 0.03},
    ("-vv", "-s", "--lf", "--maxfail=1", "-n auto", "--tb=short", "-ra", "--cov", "--durations=5"),
    ("--ff", "--pdb", "--strict-markers"),
    invented_flag,
)
INTERPRETER = Option(
    "runner",
    "interpreter",
    {"python": 0.78, "python3": 0.22},
    (
        *("python3.11", "python3.12", "python3.13", "pypy", "pypy3", "python -m", "python -u"),
        *("python -X dev", "ipython", ".venv/bin/python"),
    ),
    ("python3.14", "graalpy", "micropython"),
    lambda names: names.junk(),
)
PYTHON_MANAGER = Option(
    "manager",
    "manager",
    {"pip install": 0.78, "uv add": 0.12, "poetry add": 0.1},
    (
        *("pdm add", "conda install", "pipenv install", "rye add", "uv pip install"),
        *("python -m pip install", "pip3 install", "mamba install", "pip install -U"),
        "pip install --user",
    ),
    ("pixi add", "micromamba install", "flit install"),
    invented_adder,
)
JS_MANAGER = Option(
    "manager",
    "manager",
    {"npm install": 0.8, "pnpm add": 0.1, "yarn add": 0.1},
    ("bun add", "npm i", "npm add", "npm install -D", "pnpm add -D", "yarn add -D", "bun install"),
    ("deno add", "jspm install", "cnpm install"),
    invented_adder,
)
INSTALL_ALL = Option(
    "manager",
    "manager",
    {"pip install -r requirements.txt": 0.75, "pip install -e .": 0.15, "uv sync": 0.1},
    ("poetry install", "pdm install", "pipenv install", "npm install", "make install", "npm ci"),
    ("rye sync", "hatch env create"),
    invented_adder,
)
FORMATTER = Option(
    "runner",
    "formatter",
    {"ruff format": 0.76, "black": 0.24},
    (
        *("isort", "yapf -i", "autopep8 -i", "prettier --write", "ruff check --fix"),
        *("python -m black", "pre-commit run --files", "npx prettier --write"),
    ),
    ("blue", "darker", "tidy -m"),
    invented_command,
)
LINTER = Option(
    "runner",
    "linter",
    {"ruff check": 0.78, "flake8": 0.22},
    ("pylint", "pyflakes", "python -m flake8", "pycodestyle", "ruff check --fix", "bandit"),
    ("prospector", "pylama"),
    invented_command,
)
CHECKER = Option(
    "runner",
    "checker",
    {"mypy": 0.78, "pyright": 0.22},
    ("basedpyright", "pytype", "python -m mypy", "ty check", "mypy --strict"),
    ("pyre check", "pyrefly check"),
    invented_command,
)
COMMIT_FLAG = Option(
    "args",
    "commit_flag",
    {"-m": 0.78, "-am": 0.22},
    ("-a -m", "-sm", "-s -m", "-S -m", "--no-verify -m", "--amend -m", "-qm"),
    ("--signoff -m", "-vm"),
)
COMMIT_PREFIX = Option(
    "args",
    "commit_prefix",
    {"": 0.9, "fix: ": 0.04, "feat: ": 0.03, "chore: ": 0.03},
    ("docs: ", "refactor: ", "test: ", "style: ", "perf: ", "ci: ", "build: ", "wip: ", "WIP "),
    ("hotfix: ", "ops: ", "deps: "),
    invented_marker,
)
STAGE = Option(
    "args",
    "stage",
    {"": 0.9, "git add -A": 0.1},
    ("git add .", "git add -u", "git add --all"),
)
MESSAGE_QUOTES = Option("style", "quotes", {"double": 0.78, "single": 0.22}, swap=False)


class CommandTask(Task):
    """A task whose answer is a command line; the output is short."""

    outputs: tuple[str, ...] = ("",)
    failures: tuple[str, ...] = ()
    done = "Done."
    failed = "The command failed."

    def result(self, call: ToolCall) -> str:
        """Print something that fits, and the exit code."""
        failing = bool(self.failures) and self.names.chance(0.25)
        output = self.names.rng.choice(self.failures if failing else self.outputs)
        number = str(self.names.rng.randint(1, 30))
        output = output.format(number=number, word=self.names.word())
        return f"{output}\n[exit {int(failing)}]" if output else f"[exit {int(failing)}]"

    def closing(self, call: ToolCall, result: str) -> str:
        """Say how it went."""
        return self.done if result.endswith("[exit 0]") else self.failed


class TargetCommand(CommandTask):
    """A command on one file, such as a formatter; a prefix may come before it."""

    option: tuple[str, Option]

    def prepare(self) -> None:
        """Draw a file."""
        self.path = self.names.path("py")
        self.files = [self.path]
        name, option = self.option
        self.options = {name: option, "prefix": PREFIX}
        self.request = ask(self.sentence(self.family, path=self.path), self.names)

    def answer(self, choice: Choice) -> ToolCall:
        """Prefix, command, file."""
        return bash(" ".join(filter(None, (choice["prefix"], choice[self.option[0]], self.path))))


class RunTests(CommandTask):
    """Run one test file, the tests of a part, or the whole suite."""

    family = "run-tests"
    outputs = ("{number} passed in 0.{number}s", "{number} passed", "OK")
    failures = ("1 failed, {number} passed in 0.12s", "FAILED test_{word}.py - assert 1 == 2")
    done = "The tests pass."
    failed = "The tests fail."

    def prepare(self) -> None:
        """Draw what to test."""
        names = self.names
        self.options = {"runner": RUNNER, "prefix": PREFIX, "test_flag": TEST_FLAG}
        stem = names.identifier(names.rng.choice((1, 1, 2)))
        folder = names.rng.choice(("tests/", "tests/", "", "", "test/", "tests/unit/"))
        self.path = f"{folder}{stem}_test.py" if names.chance(0.1) else f"{folder}test_{stem}.py"
        roll = names.rng.random()
        if roll < 0.55:
            self.request = ask(self.sentence("run-tests", path=self.path), names)
        elif roll < 0.65:
            self.request = ask(self.sentence("run-part", part=stem), names)
            self.files = [self.path]
        else:
            self.request = ask(self.sentence("run-suite"), names)
            self.files = [self.path] if names.chance(0.5) else []
            self.path = ""

    def answer(self, choice: Choice) -> ToolCall:
        """Prefix, runner, flag, file; runners of whole suites take no file."""
        runner = choice["runner"]
        path = "" if runner.split(" ")[0] in SUITES else self.path
        parts = (choice["prefix"], runner, choice["test_flag"], path)
        return bash(" ".join(filter(None, parts)))


class RunScript(CommandTask):
    """Run a Python file."""

    family = "run-script"
    outputs = ("{word}", "{number}", "", "{word}: {number}")
    failures = ("NameError: name '{word}' is not defined", "ModuleNotFoundError: {word}")
    failed = "The script failed."
    done = "The script ran."

    def prepare(self) -> None:
        """Draw a script."""
        self.path = self.names.path("py")
        self.files = [self.path]
        self.options = {"interpreter": INTERPRETER, "prefix": PREFIX}
        self.request = ask(self.sentence("run-script", path=self.path), self.names)

    def answer(self, choice: Choice) -> ToolCall:
        """Prefix, interpreter, file."""
        return bash(" ".join(filter(None, (choice["prefix"], choice["interpreter"], self.path))))


class Install(CommandTask):
    """Add a package; the request or the listing says for which language."""

    family = "install"
    outputs = ("", "added {number} packages", "Successfully installed {word}-1.{number}")
    failures = ("error: no version of {word} was found",)
    failed = "The package could not be installed."

    def prepare(self) -> None:
        """Draw a package and a language."""
        names = self.names
        javascript = names.chance(0.4)
        self.package = names.kebab()
        self.options = {"manager": JS_MANAGER if javascript else PYTHON_MANAGER}
        section = "install-js" if javascript else "install-py"
        if names.chance(0.55):
            section = "install"
            self.files = ["package.json"] if javascript else []
            if not javascript and names.chance(0.7):
                self.files = [names.rng.choice(("pyproject.toml", "requirements.txt", "setup.py"))]
        self.request = ask(self.sentence(section, package=self.package), names)

    def answer(self, choice: Choice) -> ToolCall:
        """Manager, package."""
        return bash(f"{choice['manager']} {self.package}")


class InstallAll(CommandTask):
    """Install what the project needs."""

    family = "install-all"
    done = "The dependencies are installed."

    def prepare(self) -> None:
        """Draw a wording."""
        self.options = {"manager": INSTALL_ALL}
        self.files = ["requirements.txt"]
        self.request = ask(self.sentence("install-all"), self.names)

    def answer(self, choice: Choice) -> ToolCall:
        """Take the command as it is."""
        return bash(choice["manager"])


class Format(TargetCommand):
    """Format a file."""

    family = "format"
    option = ("formatter", FORMATTER)
    outputs = ("1 file reformatted", "1 file left unchanged", "")
    done = "The file is formatted."


class Lint(TargetCommand):
    """Lint a file."""

    family = "lint"
    option = ("linter", LINTER)
    outputs = ("All checks passed!", "")
    failures = ("Found {number} errors.",)
    done = "The linter finds nothing."
    failed = "The linter finds errors."


class TypeCheck(TargetCommand):
    """Check the types of a file."""

    family = "types"
    option = ("checker", CHECKER)
    outputs = ("Success: no issues found in 1 source file", "0 errors")
    failures = ("Found {number} errors in 1 file",)
    done = "The types are right."
    failed = "There are type errors."


class Commit(CommandTask):
    """Commit with a message."""

    family = "commit"
    outputs = ("[main 1f3a{number}] {word}", " 1 file changed, {number} insertions(+)")
    failures = ("nothing to commit, working tree clean",)
    done = "Committed."
    failed = "There is nothing to commit."

    def prepare(self) -> None:
        """Draw a message."""
        self.options = {
            "commit_flag": COMMIT_FLAG,
            "commit_prefix": COMMIT_PREFIX,
            "stage": STAGE,
            "quotes": MESSAGE_QUOTES,
        }
        self.message = self.names.sentence(1, 5)
        self.request = ask(self.sentence("commit", message=self.message), self.names, plain=True)

    def answer(self, choice: Choice) -> ToolCall:
        """Stage if wanted, then commit."""
        quote = '"' if choice["quotes"] == "double" else "'"
        message = f"{quote}{choice['commit_prefix']}{self.message}{quote}"
        stage = f"{choice['stage']} && " if choice["stage"] else ""
        return bash(f"{stage}git commit {choice['commit_flag']} {message}")


def _git(usual: dict[str, float], *tail: str) -> Option:
    return Option("whole", "git", usual, tail)


class Git(CommandTask):
    """Ask git about the state of things."""

    family = "git"
    outputs = ("M {word}.py", " M src/{word}.py", "nothing to commit, working tree clean", "")
    done = "That is the state of the repository."
    kinds: ClassVar[Mapping[str, Option]] = {
        "git-status": _git({"git status": 0.8, "git status --short": 0.2}, "git status -sb"),
        "git-diff": _git({"git diff": 0.8, "git diff --stat": 0.2}, "git diff HEAD"),
        "git-log": _git(
            {"git log --oneline": 0.75, "git log": 0.25}, "git log -5", "git log --oneline -10"
        ),
    }

    def prepare(self) -> None:
        """Draw a question."""
        kind = self.names.rng.choice(list(self.kinds))
        self.options = {"git": self.kinds[kind]}
        self.request = ask(self.sentence(kind), self.names)

    def answer(self, choice: Choice) -> ToolCall:
        """Take the command as it is."""
        return bash(choice["git"])


class Remove(CommandTask):
    """Delete a file."""

    family = "remove"
    done = "The file is gone."

    def prepare(self) -> None:
        """Draw a file."""
        self.path = self.names.path()
        self.files = [self.path]
        self.options = {
            "remove": Option(
                "runner",
                "remove",
                {"rm": 0.78, "git rm": 0.22},
                ("rm -f", "trash", "git rm -f", "unlink"),
                ("gio trash", "shred -u"),
                invented_command,
            )
        }
        self.request = ask(self.sentence("remove", path=self.path), self.names)

    def answer(self, choice: Choice) -> ToolCall:
        """Command, file."""
        return bash(f"{choice['remove']} {self.path}")


class Move(CommandTask):
    """Rename or move a file."""

    family = "move"
    done = "The file has moved."

    def prepare(self) -> None:
        """Draw two paths with the same ending."""
        self.path = self.names.path("py")
        self.target = self.names.path("py")
        self.files = [self.path]
        self.options = {
            "move": Option(
                "runner",
                "move",
                {"mv": 0.72, "git mv": 0.28},
                ("mv -n", "mv -i", "git mv -f", "cp"),
                ("mv -v", "rsync"),
                invented_command,
            )
        }
        slots = {"path": self.path, "target": self.target}
        self.request = ask(self.sentence("move", **slots), self.names)

    def answer(self, choice: Choice) -> ToolCall:
        """Command, source, target."""
        return bash(f"{choice['move']} {self.path} {self.target}")


__all__ = [
    "Commit",
    "Format",
    "Git",
    "Install",
    "InstallAll",
    "Lint",
    "Move",
    "Remove",
    "RunScript",
    "RunTests",
    "TypeCheck",
    "count",
]
