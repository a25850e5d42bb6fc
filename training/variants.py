"""Requests like the corrected one, made from its own words.

A lesson is about more than one request: it should hold for other names, and it should not hold
where the user asks in so many words for what was denied here. Both kinds of request can be
written down from the request, the denied call and the call that the teacher makes instead.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .protocol import ChatMessage, ToolCall

Messages = tuple[ChatMessage, ...]
NAME = re.compile(r"[\w./-]*\w")
PART = re.compile(r"[A-Za-z][A-Za-z0-9]*")
PIECE = re.compile(r"\S+")
SHORTEST_NAME = 3
KEPT_PARTS = frozenset(
    {"app", "bin", "lib", "main", "setup", "spec", "src", "test", "tests"}
    | {"css", "docs", "go", "html", "ini", "init", "java", "js", "json", "jsx", "md", "py", "rb"}
    | {"rs", "sh", "toml", "ts", "tsx", "txt", "yaml", "yml"}
)
STEMS = (
    ("orders", "invoice", "ledger", "refund"),
    ("parser", "tokens", "grammar", "reader"),
    ("camera", "lens", "shutter", "flash"),
    ("river", "meadow", "harbour", "island"),
)


@dataclass(frozen=True)
class Change:
    """What a correction changed in a call: the words before and after.

    ``tool`` says that it is another tool, and ``shell`` that the new one is a shell.
    """

    old: str
    new: str
    tool: bool = False
    shell: bool = False


def call_of(text: str) -> ToolCall | None:
    """The call in an answer, by its JSON object."""
    start, end = text.find("{"), text.rfind("}")
    try:
        found = json.loads(text[start : end + 1])
        return ToolCall(name=found["name"], arguments=found["arguments"])
    except (ValueError, KeyError, TypeError):
        return None


def change(denied: str, wanted: str) -> Change | None:
    """What differs between two answers; None where it cannot be said in a few words."""
    before, after = call_of(denied), call_of(wanted)
    if before is None or after is None:
        return None
    if before.name != after.name:
        shell = "command" in after.arguments
        return Change(_spoken(before), _spoken(after), tool=True, shell=shell)
    for name, old in before.arguments.items():
        new = after.arguments.get(name)
        if isinstance(old, str) and isinstance(new, str) and old != new:
            return _difference(old, new)
    return None


def _spoken(call: ToolCall) -> str:
    """How a user names a tool: a shell's is the command in it."""
    command = call.arguments.get("command")
    words = PIECE.findall(command) if isinstance(command, str) else []
    return words[0] if words else call.name


def _difference(old: str, new: str) -> Change | None:
    """The words from the first to the last that differ, and one more where one side has none."""
    left, right = PIECE.findall(old), PIECE.findall(new)
    blocks = difflib.SequenceMatcher(None, left, right, autojunk=False).get_opcodes()
    changed = [block for block in blocks if block[0] != "equal"]
    if not changed:
        return None
    _, first_left, _, first_right, _ = changed[0]
    _, _, last_left, _, last_right = changed[-1]
    if first_left == last_left or first_right == last_right:
        if first_left and first_right:
            first_left, first_right = first_left - 1, first_right - 1
        else:
            last_left, last_right = last_left + 1, last_right + 1
    said, instead = left[first_left:last_left], right[first_right:last_right]
    if not said or not instead or len(said) + len(instead) > 12:
        return None
    return Change(" ".join(said), " ".join(instead))


# --- the other way --------------------------------------------------------------------


def settled_words(changed: Change) -> list[str]:
    """The words of a change that are not on both of its sides."""
    old, new = set(PART.findall(changed.old)), set(PART.findall(changed.new))
    return sorted(old ^ new)


WISHES = ("use {old}", "{old} is the right way here", "I want {old} this time")
OF_TWO = ("with {old}, not {new}", "no {new} please, {old}")
OF_TOOLS = ("use the {old} tool",)
OF_SHELLS = ("without the shell, {old}",)
ADDED = ("with {extra}", "use {old}", "don't leave out {extra}")
LEFT_OUT = ("without {extra}", "no {extra} please", "just {old}, no {extra}")


def asking_otherwise(messages: Messages, correction: str, changed: Change) -> Iterator[Messages]:
    """The request with the denied way asked for in the user's own words."""
    wishes = [*_wishes(changed)]
    swapped = _swapped(correction, changed)
    if swapped is not None:
        wishes.insert(0, swapped)
    for wish in wishes:
        yield _to_last_user(messages, lambda text, wish=wish: f"{text.rstrip('.!?')}, {wish}")


def _wishes(changed: Change) -> Iterator[str]:
    old, new = PIECE.findall(changed.old), PIECE.findall(changed.new)
    more, less = _without(new, old), _without(old, new)
    if more or less:
        for wish in ADDED if less else LEFT_OUT:
            yield wish.format(old=changed.old, extra=" ".join(more or less or ()))
        return
    spoken = [*WISHES, *OF_TWO]
    spoken += OF_TOOLS if changed.tool else ()
    spoken += OF_SHELLS if changed.shell else ()
    for wish in spoken:
        yield wish.format(old=changed.old, new=changed.new)


def _without(words: list[str], fewer: list[str]) -> list[str] | None:
    """What words have before or after fewer of them; None where they are not the same."""
    if len(words) <= len(fewer):
        return None
    if words[: len(fewer)] == fewer:
        return words[len(fewer) :]
    return words[: -len(fewer)] if words[-len(fewer) :] == fewer else None


def _swapped(correction: str, changed: Change) -> str | None:
    """The correction with old and new exchanged; None where it does not name the new."""
    pattern = re.compile(
        rf"(?<!\w)(?:{re.escape(changed.old)}|{re.escape(changed.new)})(?!\w)", re.IGNORECASE
    )
    named = {found.group().lower() for found in pattern.finditer(correction)}
    if changed.new.lower() not in named:
        return None
    return pattern.sub(
        lambda m: changed.old if m.group().lower() == changed.new.lower() else changed.new,
        correction,
    )


def _to_last_user(messages: Messages, edit: Callable[[str], str]) -> Messages:
    for at in range(len(messages) - 1, -1, -1):
        if messages[at].role == "user":
            content = edit(messages[at].content)
            edited = messages[at].model_copy(update={"content": content})
            return (*messages[:at], edited, *messages[at + 1 :])
    return messages


# --- other names ----------------------------------------------------------------------


def names_in(messages: Messages, answers: Sequence[str], fixed: Sequence[str]) -> list[str]:
    """The names that the request hands on to the calls, the longest first.

    ``fixed`` are texts whose words mean something of their own, as the correction's do.
    """
    request = next((m.content for m in reversed(messages) if m.role == "user"), "")
    known = {word.lower() for text in fixed for word in PART.findall(text)}
    known |= {word.lower() for answer in answers for word in _program(answer)}
    found: set[str] = set()
    for name in NAME.findall(request):
        parts = [part.lower() for part in PART.findall(name)]
        own = [part for part in parts if part not in KEPT_PARTS]
        if len(name) < SHORTEST_NAME or not own or known.intersection(own):
            continue
        if any(_holds(answer, name) for answer in answers):
            found.add(name)
    return sorted(found, key=len, reverse=True)


def _program(answer: str) -> list[str]:
    """The words by which a shell call names its program."""
    call = call_of(answer)
    command = call.arguments.get("command") if call else None
    return PIECE.findall(command)[:2] if isinstance(command, str) else []


def _holds(text: str, name: str) -> bool:
    return re.search(rf"(?<![\w]){re.escape(name)}(?![\w])", text) is not None


class Renaming:
    """Other names for some names, the same everywhere."""

    def __init__(self, names: Sequence[str], number: int) -> None:
        stems = iter(STEMS[number % len(STEMS)] * 4)
        self._parts: dict[str, str] = {}
        for name in names:
            for part in PART.findall(name):
                for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+", part):
                    low = word.lower()
                    if low not in KEPT_PARTS and low not in self._parts and not low.isdigit():
                        self._parts[low] = next(stems, low)
        self._names = re.compile(
            "|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in names) or r"(?!)"
        )

    def text(self, text: str) -> str:
        """A text with the other names."""
        return self._names.sub(lambda found: self._renamed(found.group()), text)

    def _renamed(self, name: str) -> str:
        return re.sub(r"[A-Z]?[a-z]+|[A-Z]+", self._word, name)

    def _word(self, found: re.Match[str]) -> str:
        word = found.group()
        other = self._parts.get(word.lower(), word)
        return other.capitalize() if word[0].isupper() else other

    def value(self, value: Any) -> Any:
        """Any JSON value with the other names in its texts."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.value(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.value(item) for item in value]
        return value

    def messages(self, messages: Messages) -> Messages:
        """A conversation with the other names."""
        return tuple(
            message.model_copy(
                update={
                    "content": self.text(message.content),
                    "tool_calls": tuple(
                        call.model_copy(update={"arguments": self.value(call.arguments)})
                        for call in message.tool_calls
                    ),
                }
            )
            for message in messages
        )


def renamings(messages: Messages, answers: Sequence[str], fixed: Sequence[str]) -> list[Renaming]:
    """Every way to call the names in a request otherwise; none where it has no names."""
    names = names_in(messages, answers, fixed)
    return [Renaming(names, number) for number in range(len(STEMS))] if names else []
