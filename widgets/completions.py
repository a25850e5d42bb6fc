"""The list of what the prompt can complete: slash commands, and files after an @."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from .file_index import FileIndex
from .fuzzy import Fuzzy
from .sanitise import original, visible

MOST_FILES = 30

_MENTION = re.compile(r'(?:^|(?<=\s))@("[^"]*|[^\s"]*)$')


@dataclass(frozen=True, slots=True)
class Completion:
    """A slash command: its name with the slash, and one line of help.

    ``takes_text`` marks a command that needs words after it, so that Enter completes it
    instead of sending it.
    """

    name: str
    help: str
    takes_text: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """One line of the list: what it puts in place of how many characters before the cursor.

    ``runs`` marks a command that Enter may send as it is.
    """

    offered: Content
    text: str
    replaces: int
    runs: bool = False


class CompletionList(OptionList, can_focus=False):
    """Shows the choices there are, and nothing where there are none."""

    DEFAULT_CSS = """
    CompletionList {
        height: auto;
        max-height: 8;
        border: none;
        padding: 0;
        background: transparent;
        display: none;
        scrollbar-size-vertical: 1;
        text-wrap: nowrap;
        text-overflow: ellipsis;
    }
    """

    def __init__(self) -> None:
        super().__init__(compact=True, markup=False)
        self._choices: tuple[Choice, ...] = ()

    @property
    def chosen(self) -> Choice | None:
        """The highlighted choice."""
        if not self.display or self.highlighted is None:
            return None
        return self._choices[self.highlighted]

    def offer(self, choices: Sequence[Choice]) -> None:
        """Show these choices, the first highlighted."""
        self._choices = tuple(choices)
        self.display = bool(choices)
        self.clear_options()
        if choices:
            self.add_options([Option(choice.offered) for choice in choices])
            self.highlighted = 0

    def move(self, direction: int) -> None:
        """Highlight the next choice, or the one before, round and round."""
        self.highlighted = ((self.highlighted or 0) + direction) % self.option_count


def command_choices(completions: Sequence[Completion], text: str) -> list[Choice]:
    """The commands that fit what is written, which is the beginning of one."""
    found = [each for each in completions if each.name.startswith(text)]
    if not found and len(text) > 1:
        fuzzy = Fuzzy(text[1:])
        scores = {each: fuzzy.score(each.name[1:]) for each in completions}
        found = [each for each in completions if scores[each] > 0]
        found.sort(key=lambda each: -scores[each])
    width = max((len(each.name) for each in found), default=0)
    return [
        Choice(_line(each, width), each.name + " ", len(text), runs=not each.takes_text)
        for each in found
    ]


def mention_before(line: str) -> str | None:
    """The word after the @ that a line ends with; None where it does not end with one."""
    match = _MENTION.search(line)
    return None if match is None else match.group(1)


def file_choices(files: FileIndex, mention: str, *, shell: bool) -> list[Choice]:
    """The files that fit a word after an @, which a shell would not want to see."""
    found = files.best(original(mention).removeprefix('"'), MOST_FILES)
    replaces = len(mention) + 1
    return [
        Choice(
            Content(visible(path, keep="")),
            f"{shlex.quote(path) if shell else mention_of(path)} ",
            replaces,
        )
        for path in found
    ]


def mention_of(path: str) -> str:
    """A path as it stands in a message; one with spaces is put in quotes."""
    return f'@"{path}"' if any(map(str.isspace, path)) else f"@{path}"


def _line(completion: Completion, width: int) -> Content:
    name = visible(completion.name, keep="").ljust(width)
    return Content.assemble((name, "bold"), "  ", visible(completion.help, keep=""))
