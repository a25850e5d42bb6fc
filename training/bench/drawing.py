"""Rules and requests, drawn from the held-out side of the practice curriculum.

A draft is made in two strides, because what is denied is what the student says: ``Draft`` is a
request, and ``Draft.rule`` makes the case when the student's own answer is known. Both depend on
nothing but the seed, the number and that answer.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from ..practice.episodes import system
from ..practice.tasks import SHARES
from ..practice.tasks.base import Choice, Option, Task
from ..practice.tasks.commands import CommandTask
from ..practice.tasks.talk import Talk
from ..practice.vocabulary import Names
from ..practice.wording import correct, say, sections
from ..protocol import ChatMessage, ToolCall
from .oracle import BenchCase, Request, canonical, parse_call

OTHERS = 3
OTHER_SPARES = 4
FURTHER = 5
NEAR_SPARES = 4
TRIES = 300
KINDS = [kind for kind in SHARES if not issubclass(kind, Talk)]


def _by_content(method: Callable[..., Any]) -> Callable[..., Any]:
    def draw(self: SameNames, *arguments: Any) -> Any:
        kept, self.rng = self.rng, self.content
        try:
            return method(self, *arguments)
        finally:
            self.rng = kept

    return draw


class SameNames(Names):
    """Held-out names from one stream of chance and everything else from another.

    Two of them with the same first stream word the same request differently.
    """

    def __init__(self, content: Random, rest: Random) -> None:
        super().__init__(rest, held_out=True, new_wordings=True)
        self.content = content

    known_word = _by_content(Names.known_word)
    junk = _by_content(Names.junk)
    word = _by_content(Names.word)
    identifier = _by_content(Names.identifier)
    camel = _by_content(Names.camel)
    kebab = _by_content(Names.kebab)
    stem = _by_content(Names.stem)
    folder = _by_content(Names.folder)
    path = _by_content(Names.path)
    sentence = _by_content(Names.sentence)


def held_out(key: str) -> Names:
    """Names and wordings that training never uses."""
    return Names(Random(key), held_out=True, new_wordings=True)


def choices(task: Task, fixed: Choice | None = None) -> Iterator[Choice]:
    """Every way to answer a task with known values, some of them fixed."""
    fixed = fixed or {}
    free = [name for name in task.options if name not in fixed]
    for chosen in itertools.product(*(task.options[name].known for name in free)):
        yield {**dict(zip(free, chosen, strict=True)), **fixed}


def calls(task: Task, fixed: Choice) -> tuple[str, ...]:
    """Every call with these choices, whatever known value the other options take."""
    return tuple(dict.fromkeys(canonical(task.call(choice)) for choice in choices(task, fixed)))


def choice_of(task: Task, answer: str) -> Choice | None:
    """The choices that an answer shows; None where it is none of the task's calls."""
    call = parse_call(answer)
    if call is None:
        return None
    said = canonical(call)
    return next((c for c in choices(task) if canonical(task.call(c)) == said), None)


def lasting(option: Option) -> bool:
    """Whether a wish about this option is a rule, and not about one request alone."""
    return len(option.usual) > 1


def opening(names: Names, task: Task) -> tuple[ChatMessage, ...]:
    """The conversation up to the answer, in the program's own form."""
    return tuple(turn.message for turn in (system(names, task), *task.opening()))


def wish(names: Names, task: Task, option: Option, value: str, old: str) -> str:
    """Ask for a value instead of another, in a held-out wording."""
    new, before = option.spell(value), option.spell(old)
    slots = {**task.slots(), "new": new, "old": before, "tool": option.nickname(value)}
    slots |= {"oldtool": before.split(" ")[0], "thing": say(f"thing-{option.wordings}", names)}
    special = f"{option.wordings}:{value or 'none'}"
    for section in (special, option.wordings, "swap"):
        if section in sections() and (text := say(section, names, slots)):
            return text
    return ""


def kind_of(seed: int, number: int) -> type[Task]:
    """The family of a draft: every family in turn, in an order of the seed's own."""
    order = Random(f"bench/{seed}").sample(KINDS, len(KINDS))
    return order[number % len(order)]


class Draft:
    """A request of one family, drawn for one case, before anything is denied in it."""

    def __init__(self, seed: int, number: int) -> None:
        self.seed, self.number = seed, number
        self.key = f"bench/{seed}/{number}"
        self.names = SameNames(Random(f"{self.key}/names"), Random(self.key))
        self.task = kind_of(seed, number)(self.names)
        self.messages = opening(self.names, self.task)

    def rule(self, answer: str) -> BenchCase | None:
        """The case in which the student's answer is denied; None where there is no rule in it."""
        denied = choice_of(self.task, answer)
        rules = {name: o for name, o in self.task.options.items() if lasting(o)}
        if denied is None or not rules:
            return None
        name = self.names.rng.choice(list(rules))
        value = self._value(rules[name], denied[name])
        if value is None or value == denied[name]:
            return None
        self.name, self.option, self.value, self.denied = name, rules[name], value, denied
        corrected = self._request("corrected", self.names, self.task, self.messages)
        alike = list(itertools.islice(self._alike(), FURTHER + OTHERS + OTHER_SPARES))
        if corrected is None or len(alike) < FURTHER + OTHERS:
            return None
        further, rest = alike[:FURTHER], alike[FURTHER:]
        return BenchCase(
            seed=self.seed,
            number=self.number,
            family=self.task.family,
            option=self.option.wordings,
            value=value,
            denied_value=denied[name],
            corrected=corrected,
            others=tuple(filter(None, (self._paraphrase(), *rest))),
            near=(*self._settled(), *self._elsewhere()),
            further=tuple(further),
            irrelevant=self._irrelevant(),
        )

    def _value(self, option: Option, old: str) -> str | None:
        """Every other case wants what people often do, the rest whatever they may want."""
        usual = [value for value in option.usual if value != old]
        if self.number % 2 == 0 and usual:
            return self.names.rng.choice(usual)
        return option.other(self.names, old) if len(option.known) > 1 else None

    # --- requests to which the rule applies -------------------------------------------

    def _request(
        self, kind: Any, names: Names, task: Task, messages: tuple[ChatMessage, ...]
    ) -> Request | None:
        """A request with the calls that follow the rule and those that break it."""
        majority = {n: max(o.usual, key=lambda v: o.usual[v]) for n, o in task.options.items()}
        others = {n: v for n, v in self.denied.items() if n in task.options}
        choice = {**majority, **others, self.name: self.value}
        right = task.call(choice)
        wanted = calls(task, {self.name: self.value})
        denied = calls(task, {self.name: self.denied[self.name]})
        text = wish(names, task, self.option, self.value, self.denied[self.name])
        if not text or set(wanted) & set(denied):
            return None
        result = task.result(right)
        return Request(
            kind=kind,
            messages=messages,
            correction=correct(text, names),
            right=right,
            wanted=tuple(dict.fromkeys((*wanted, canonical(right)))),
            denied=denied,
            result=result,
            closing=task.closing(right, result),
        )

    def _concerned(self, task: Task) -> bool:
        """Whether a task of the same family has the same thing to decide."""
        option = task.options.get(self.name)
        mine = (self.option.wordings, self.option.known)
        return option is not None and (option.wordings, option.known) == mine

    def _alike(self) -> Iterator[Request]:
        """Requests of the same kind about other files and names, no two of them the same."""
        seen = {self.messages[-1].content}
        for at in range(TRIES):
            names = held_out(f"{self.key}/alike/{at}")
            task = type(self.task)(names)
            messages = opening(names, task)
            if not self._concerned(task) or messages[-1].content in seen:
                continue
            if found := self._request("other", names, task, messages):
                seen.add(messages[-1].content)
                yield found

    def _paraphrase(self) -> Request | None:
        """The same request in other words, if chance finds them."""
        plain = canonical(self.task.call(self.denied))
        for at in range(TRIES):
            names = SameNames(Random(f"{self.key}/names"), Random(f"{self.key}/again/{at}"))
            task = type(self.task)(names)
            if not self._concerned(task) or task.options.keys() != self.task.options.keys():
                continue
            if task.request != self.task.request and canonical(task.call(self.denied)) == plain:
                messages = (self.messages[0], *(turn.message for turn in task.opening()))
                return self._request("paraphrase", names, task, messages)
        return None

    # --- requests that the rule is not about ------------------------------------------

    def _settled(self) -> Iterator[Request]:
        """Requests of the same kind in which the user asks for the denied way."""
        for at in range(NEAR_SPARES):
            names = held_out(f"{self.key}/settled/{at}")
            task = type(self.task)(names)
            text = wish(names, task, self.option, self.denied[self.name], self.value)
            if not self._concerned(task) or not text:
                continue
            *before, request = opening(names, task)
            if request.role != "user":
                continue
            asked = request.content.rstrip(".!") + f", {text}"
            messages = (*before, ChatMessage(role="user", content=asked))
            majority = {n: max(o.usual, key=lambda v: o.usual[v]) for n, o in task.options.items()}
            yield Request(
                kind="settled",
                messages=messages,
                plain=(*before, request),
                denied=calls(task, {self.name: self.denied[self.name]}),
                right=task.call({**majority, self.name: self.value}),
            )

    def _elsewhere(self) -> Iterator[Request]:
        """Other tasks, in which there is nothing of the kind to decide."""
        kinds = [kind for kind in KINDS if kind is not type(self.task)]
        for at in range(NEAR_SPARES + 2):
            names = held_out(f"{self.key}/elsewhere/{at}")
            task = names.rng.choice(kinds)(names)
            if all(option.wordings != self.option.wordings for option in task.options.values()):
                yield Request(kind="task", messages=opening(names, task))

    def _irrelevant(self) -> str:
        """A correction of another task, in which nothing can be meant for this one."""
        mine = {option.wordings for option in self.task.options.values()}
        for at in itertools.count():
            names = held_out(f"{self.key}/irrelevant/{at}")
            task = names.rng.choice(KINDS)(names)
            correction = task.correction(task.decide())
            shell = isinstance(task, CommandTask) and isinstance(self.task, CommandTask)
            if correction and not shell and type(task) is not type(self.task):
                option = task.options.get(correction.option)
                if option is not None and option.wordings not in mine:
                    return correct(correction.text, names)
        raise AssertionError("the numbers came to an end")


def unrelated() -> Iterator[tuple[tuple[ChatMessage, ...], frozenset[str]]]:
    """One prompt of every family, with what can be decided in each; always the same."""
    for kind in SHARES:
        names = held_out(f"bench/unrelated/{kind.family}")
        task = kind(names)
        yield opening(names, task), frozenset(o.wordings for o in task.options.values())


def tool_of(call: ToolCall | None) -> str:
    """The name of the tool that a call uses."""
    return call.name if call else ""
