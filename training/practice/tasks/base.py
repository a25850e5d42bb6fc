"""What every task has: options that people choose differently, and corrections of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

from ...protocol import ChatMessage, ToolCall
from ..vocabulary import Names
from ..wording import amid, phrases, say, sections, with_wish

Choice = dict[str, str]
TAIL = 0.15
INVENTED = 0.22
AMID = 0.25
COMMAND = "command"


class Turn(NamedTuple):
    """A message, and whether the model is to learn to say it."""

    message: ChatMessage
    learn: bool = True


def user(text: str) -> Turn:
    """A message of the user."""
    return Turn(ChatMessage(role="user", content=text), learn=False)


def tool(text: str) -> Turn:
    """A tool's answer."""
    return Turn(ChatMessage(role="tool", content=text), learn=False)


def words(text: str) -> Turn:
    """An answer in words."""
    return Turn(ChatMessage(role="assistant", content=text))


def proposal(call: ToolCall, *, learn: bool = True) -> Turn:
    """A proposed call."""
    return Turn(ChatMessage(role="assistant", tool_calls=(call,)), learn)


def make_call(name: str, **arguments: str | int) -> ToolCall:
    """A call of one of the tools."""
    return ToolCall(name=name, arguments=arguments)


def bash(command: str) -> ToolCall:
    """A call of the shell."""
    return make_call("bash", command=command)


@dataclass(frozen=True)
class Option:
    """One thing that people do in different ways.

    ``usual`` is the mixture without any cue; with probability ``TAIL`` the value is drawn
    evenly from ``usual`` and ``tail`` together, so that whatever people really use is possible.
    ``unseen`` values appear in the held-out evaluation only, and ``invent`` makes values up.
    ``spelled`` gives the word a user says for a value where it is not the value itself.
    """

    family: str
    wordings: str
    usual: Mapping[str, float]
    tail: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    invent: Callable[[Names], str] | None = None
    spelled: Mapping[str, str] = field(default_factory=dict)
    swap: bool = True

    @property
    def known(self) -> tuple[str, ...]:
        """Every value that occurs without a cue."""
        return tuple(dict.fromkeys((*self.usual, *self.tail)))

    def draw(self, names: Names) -> str:
        """Choose without a cue."""
        if names.chance(TAIL):
            return names.rng.choice(self.known)
        return names.rng.choices(list(self.usual), list(self.usual.values()))[0]

    def other(self, names: Names, old: str) -> str:
        """Choose what a user may want instead of ``old``."""
        if names.held_out and self.unseen and names.chance(0.4):
            return names.rng.choice(self.unseen)
        if self.invent and names.chance(INVENTED):
            return self.invent(names)
        values = [value for value in self.known if value != old]
        if not values and self.invent:
            return self.invent(names)
        if "" in values and names.chance(0.7):
            values = [value for value in values if value] or values
        if names.chance(0.4):
            values = [value for value in values if value in self.usual] or values
        return names.rng.choice(values)

    def pair(self, names: Names, unlike: str = "") -> tuple[str, str]:
        """Draw what a request may ask for and what it then does not want, often the usual way."""
        usual = max(self.usual, key=lambda value: self.usual[value])
        value = usual if names.chance(0.45) else self.other(names, usual)
        if unlike and value == unlike:
            value = usual if usual != unlike else self.other(names, unlike)
        return value, unlike or (self.other(names, value) if value == usual else usual)

    def nickname(self, value: str) -> str:
        """The tool's name that is enough to mean this value, such as ``uv`` for ``uv run``."""
        tool = value.split(" ", maxsplit=1)[0]
        first = next((known for known in self.known if known.split(" ")[0] == tool), None)
        return tool if first == value and not tool.startswith("python") else ""

    def spell(self, value: str) -> str:
        """The word that a user says for a value."""
        return self.spelled.get(value, value.strip()) if self.swap else ""


class Correction(NamedTuple):
    """What a user asked for: a value of an option, in words and as a note."""

    family: str
    option: str
    value: str
    text: str
    note: str


class Task:
    """A request with everything that can be decided about its answer."""

    family: ClassVar[str]
    options: Mapping[str, Option]

    def __init__(self, names: Names) -> None:
        self.names = names
        self.options = {}
        self.request = ""
        self.files: list[str] = []
        self.prepare()

    def prepare(self) -> None:
        """Draw the parameters and the wording."""
        raise NotImplementedError

    def answer(self, choice: Choice) -> ToolCall:
        """Make the call that these choices lead to."""
        raise NotImplementedError

    def call(self, choice: Choice) -> ToolCall:
        """Make the call, or the command that the user gave word for word."""
        return bash(choice[COMMAND]) if COMMAND in choice else self.answer(choice)

    def opening(self) -> list[Turn]:
        """The turns before the decision, the request among them."""
        return [user(self.request)]

    def decide(self) -> Choice:
        """Choose every option without a cue."""
        return {name: option.draw(self.names) for name, option in self.options.items()}

    def result(self, call: ToolCall) -> str:
        """What the tool answers."""
        raise NotImplementedError

    def closing(self, call: ToolCall, result: str) -> str:
        """What the model says when the work is done."""
        raise NotImplementedError

    def slots(self) -> dict[str, str]:
        """Values that the wordings of corrections may use."""
        return {}

    def correction(self, choice: Choice) -> Correction | None:
        """Ask for something else than ``choice``; None where nothing else can be asked for."""
        before = self.call(choice)
        if before.name == "bash" and self.names.chance(0.05):
            return self._whole_command()
        for _ in range(8 if self.options else 0):
            name = self.names.rng.choice(list(self.options))
            option = self.options[name]
            value = option.other(self.names, choice[name])
            after = self.call({**choice, name: value})
            if after != before:
                if after.name == "bash" and self.names.chance(0.06):
                    return self._spelled_out(option.family, after)
                correction = self._worded(name, option, value, choice[name])
                if correction.text:
                    return correction
        return None

    def revise(self, correction: Correction, choice: Choice | None = None) -> Choice:
        """Follow a correction; what it does not concern stays, or is chosen anew."""
        return {**(choice or self.decide()), correction.option: correction.value}

    def settle(self, name: str = "", unlike: str = "") -> Choice:
        """Let the request itself say how one thing is to be done, and return that choice.

        It is about the option of this ``name`` and not its value ``unlike``, where they are given;
        empty where the request leaves nothing open.
        """
        if not self.options or (name and name not in self.options):
            return {}
        name = name or self.names.rng.choice(list(self.options))
        option = self.options[name]
        value, old = option.pair(self.names, unlike)
        if value == old:
            return {}
        slots = self._wish_slots(option, value, old)
        key = self._key(option, value, slots)
        wish = "" if key and self.names.chance(0.3) else self._worded(name, option, value, old).text
        if not key and not wish:
            return {}
        self.request = with_wish(self.request, self.names, wish=wish, key="" if wish else key)
        return {name: value}

    def _whole_command(self) -> Correction:
        parts = [self.names.word() for _ in range(self.names.rng.randint(1, 3))]
        head = self.names.rng.choice(("make", "just", "npm run", "task", "./", "bin/", "", "", ""))
        command = f"{head}{' ' if head and head[-1] != '/' else ''}{' '.join(parts)}"
        text = say("whole", self.names, {"new": command})
        return Correction("whole", COMMAND, command, text, f"use `{command}`")

    def _spelled_out(self, family: str, call: ToolCall) -> Correction:
        command = call.arguments["command"]
        text = say("whole", self.names, {"new": command})
        return Correction(family, COMMAND, command, text, "")

    def _worded(self, name: str, option: Option, value: str, old: str) -> Correction:
        slots = self._wish_slots(option, value, old)
        binary = len(option.usual) == 2 and {value, old} == set(option.usual)
        if self.names.chance(AMID) and (key := self._key(option, value, slots)):
            text = amid(key, self.names)
        elif binary and slots["old"] and self.names.chance(0.08):
            text = say("negation", self.names, slots)
        else:
            text = self._phrase(option, value, slots)
        note = self._note(option, value, slots)
        return Correction(option.family, name, value, text, note)

    def _wish_slots(self, option: Option, value: str, old: str) -> dict[str, str]:
        new, before = option.spell(value), option.spell(old)
        return {
            **self.slots(),
            "new": new,
            "old": before,
            "tool": option.nickname(value),
            "oldtool": before.split(" ")[0],
            "thing": say(f"thing-{option.wordings}", self.names),
        }

    def _key(self, option: Option, value: str, slots: dict[str, str]) -> str:
        """The words that are enough to tell which value is meant."""
        section = f"key-{option.wordings}:{value}"
        if section in sections():
            return say(section, self.names, slots)
        known = value in option.known or value in option.unseen
        key = slots["tool"] if known and self.names.chance(0.3) else ""
        return key or (slots["new"] if known else "")

    def _phrase(self, option: Option, value: str, slots: dict[str, str]) -> str:
        special = f"{option.wordings}:{value or 'none'}"
        generic = option.wordings if option.wordings in sections() else ""
        if special in sections() and (not slots["new"] or not self.names.chance(0.3)):
            return say(special, self.names, slots)
        if generic and not self.names.chance(0.45):
            return say(generic, self.names, slots)
        return say("swap", self.names, slots)

    def _note(self, option: Option, value: str, slots: dict[str, str]) -> str:
        section = f"note-{option.wordings}"
        slots = {**slots, "stem": "NAME"}
        if not option.swap or not slots["new"] or section not in sections():
            return say(f"{option.wordings}:{value or 'none'}", self.names, slots)
        if self.names.chance(0.3):
            return self._phrase(option, value, slots)
        section = section if self.names.chance(0.7) else "note-swap"
        return say(section, self.names, slots)

    def sentence(self, section: str, **slots: str) -> str:
        """Word a request from one of the sections of the phrase files."""
        return say(section, self.names, slots)


def count(number: int, thing: str) -> str:
    """Write a number of things."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def written(path: str, content: str) -> str:
    """What the write tool answers."""
    return f"wrote {path} ({len(content.splitlines())} lines)"


def numbered(lines: list[str], first: int = 1) -> str:
    """What the read tool answers."""
    return "\n".join(f"{first + at}\t{line}" for at, line in enumerate(lines))


__all__ = [
    "Choice",
    "Correction",
    "Option",
    "Task",
    "Turn",
    "bash",
    "count",
    "make_call",
    "numbered",
    "phrases",
    "proposal",
    "tool",
    "user",
    "words",
    "written",
]
