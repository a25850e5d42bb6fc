"""Conversations made of tasks: with and without corrections, in every form they reach the model.

An episode is a list of turns. The trainer learns the assistant turns that are marked ``learn``.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from ..protocol import ChatMessage
from ..teacher import trailing_block
from .tasks import any_task
from .tasks.base import Choice, Correction, Task, Turn, bash, make_call, proposal, tool, user, words
from .tasks.commands import CommandTask
from .tasks.files import ReadTask, code_file
from .tasks.talk import Talk, Values
from .vocabulary import Names
from .wording import correct, say

KINDS = {
    "session": 0.12,
    "asked": 0.15,
    "reprompt": 0.42,
    "neutral": 0.06,
    "denial": 0.12,
    "notes": 0.09,
    "error": 0.02,
    "edited": 0.02,
}
OTHERWISE = 0.4
SLOTS = {
    "correction": 0.62,
    "solution": 0.08,
    "correction solution": 0.08,
    "notes correction": 0.1,
    "correction output": 0.09,
    "notes correction solution output": 0.03,
}
DENIED = "denied by the user: "
EDITED = "[the user edited this call before it ran]"
HEADINGS = ("# Conventions", "# Rules", "# Notes", "# Notes for agents", "## Style", "# AGENTS", "")


def system_text(
    name: str, files: Sequence[str], more: int = 0, agents: str = "", *, git: bool = True
) -> str:
    """The system message of the program, which ``app/agent/system_prompt.py`` writes."""
    place = f"git repository {name}" if git else f"folder {name}"
    parts = [
        f"You are a coding agent in the {place}. Propose one tool call at a time; "
        "answer in words when the work is done."
    ]
    if files:
        listing = [*files, f"... and {more} more"] if more else list(files)
        parts.append("Files:\n" + "\n".join(listing))
    if agents:
        parts.append("AGENTS.md:\n" + agents)
    return "\n\n".join(parts)


def episode(rng: Random, *, length: float = 0.0) -> list[Turn]:
    """Draw a conversation; ``length`` is the chance that it is a long one."""
    names = Names(rng)
    kind = rng.choices(list(KINDS), list(KINDS.values()))[0]
    long = names.chance(length)
    task = any_task(names)
    if isinstance(task, Talk):
        turns = [system(names, task, long=long), *talk(task)]
        while isinstance(task, Values) and names.chance(0.5):
            turns += talk(Values(names))
        return turns
    makers = {
        "session": session,
        "asked": asked,
        "reprompt": reprompt,
        "neutral": neutral,
        "denial": denial,
        "notes": with_notes,
        "error": with_error,
        "edited": edited,
    }
    turns = makers[kind](names, task, long)
    if turns[0].message.role != "system":
        turns.insert(0, system(names, task, long=long))
    return turns


def system(names: Names, task: Task, *, long: bool = False, notes: Sequence[str] = ()) -> Turn:
    """The system message with a listing that holds the task's files."""
    rng = names.rng
    size = rng.choice((0, 0, 0, 1, 1, 2, 3, 4, 6, 12)) if not long else rng.randint(8, 60)
    others = names.some_files(size)
    if task.family in ("fix-test", "fix-look"):
        others = [path for path in others if "test" not in path]
    files = sorted({*others, *task.files})
    more = rng.randint(1, 400) if files and names.chance(0.08) else 0
    agents = agents_text(names, notes, long=long) if notes or (long and names.chance(0.5)) else ""
    name = rng.choice((names.word(), names.kebab(), names.identifier(2)))
    text = system_text(name, files, more, agents, git=names.chance(0.9))
    return Turn(ChatMessage(role="system", content=text), learn=False)


def agents_text(names: Names, notes: Sequence[str], *, long: bool) -> str:
    """An AGENTS.md with these notes among others that mean nothing here."""
    rng = names.rng
    fillers = rng.randint(2, 8) if long else rng.choice((0, 0, 0, 1, 2))
    lines = [*notes, *(say("noise", names, _noise(names)) for _ in range(fillers))]
    rng.shuffle(lines)
    mark = rng.choice(("- ", "- ", "* ", ""))
    heading = rng.choice(HEADINGS) if names.chance(0.4) else ""
    return "\n".join(filter(None, (heading, *(mark + _written(names, line) for line in lines))))


def _written(names: Names, line: str) -> str:
    if names.chance(0.4):
        line = line[0].upper() + line[1:]
    return line + "." if names.chance(0.3) and line[-1].isalnum() else line


def _noise(names: Names) -> dict[str, str]:
    return {"word": names.word(), "other": names.word(), "number": str(names.rng.randint(2, 90))}


def done(task: Task, choice: Choice) -> list[Turn]:
    """The call, its result, and the closing words."""
    call = task.call(choice)
    result = task.result(call)
    return [proposal(call), tool(result), words(task.closing(call, result))]


def talk(task: Task) -> list[Turn]:
    """A message and its answer in words."""
    return [user(task.request), words(task.closing(bash("true"), ""))]


def earlier(names: Names, long: bool) -> tuple[list[Turn], list[str]]:
    """Some finished work before the task at hand, with the files that it was about."""
    turns: list[Turn] = []
    files: list[str] = []
    count = names.rng.randint(1, 4) if long else int(names.chance(0.1))
    for _ in range(count):
        task = any_task(names)
        files += task.files
        if isinstance(task, Talk):
            turns += talk(task)
        elif isinstance(task, ReadTask) and long:
            turns += _long_read(names)
        else:
            turns += [*task.opening(), *done(task, task.decide())]
    return turns, files


def _long_read(names: Names) -> list[Turn]:
    call = make_call("read", path=names.path("py"))
    lines = code_file(names, names.rng.randint(8, 60))
    shown = "\n".join(f"{at}\t{line}" for at, line in enumerate(lines, 1))
    request = say("read", names, {"path": call.arguments["path"]})
    return [user(request), proposal(call), tool(shown), words(f"That is {call.arguments['path']}.")]


def _begin(names: Names, task: Task, long: bool, notes: Sequence[str] = ()) -> list[Turn]:
    before, files = earlier(names, long)
    task.files = [*task.files, *files]
    return [system(names, task, long=long, notes=notes), *before, *task.opening()]


def session(names: Names, task: Task, long: bool) -> list[Turn]:
    """Work without any correction."""
    turns = [*_begin(names, task, long), *done(task, task.decide())]
    while names.chance(0.3):
        turns += _another(any_task(names))
    return turns


def asked(names: Names, task: Task, long: bool) -> list[Turn]:
    """A request whose own words say how it is to be done, and more of that."""
    wish = task.settle()
    turns = [*_begin(names, task, long), *done(task, {**task.decide(), **wish})]
    while names.chance(0.4):
        task = any_task(names)
        wish = task.settle()
        turns += _another(task, {**task.decide(), **wish})
    return turns


def _another(task: Task, choice: Choice | None = None) -> list[Turn]:
    if isinstance(task, Talk):
        return talk(task)
    return [*task.opening(), *done(task, choice or task.decide())]


def reprompt(names: Names, task: Task, long: bool) -> list[Turn]:
    """What the teacher reads: the request, and the correction in a trailing block.

    Several such exchanges may follow each other, so that the newest block is the one that counts.
    """
    block = corrected(names, task)
    if not block:
        return session(names, task, long)
    turns = [*_begin(names, task, long), *block]
    while names.chance(0.45):
        task = any_task(names)
        if block := corrected(names, task):
            turns += [*task.opening(), *block]
    return turns


def corrected(names: Names, task: Task) -> list[Turn]:
    """A trailing block and the call that follows it; nothing where nothing can be corrected."""
    # What is said last counts, so a correction goes before what the request asks for.
    wish = task.settle() if names.chance(0.12) else {}
    denied = {**task.decide(), **wish}
    correction = task.correction(denied)
    if correction is None:
        return []
    choice = task.revise(correction, {**task.decide(), **wish})
    if correction.option != "command" and names.chance(0.5):
        choice = task.revise(correction, denied)
    slots = names.rng.choices(list(SLOTS), list(SLOTS.values()))[0].split()
    notes = _notes_beside(names, task, correction, choice) if "notes" in slots else ()
    solution = task.call(choice) if "solution" in slots else None
    output = task.result(task.call(denied)) if "output" in slots else None
    block = trailing_block(
        correction=correct(correction.text, names) if "correction" in slots else "",
        notes=notes,
        solution=solution,
        tool_output=output,
    )
    return [user(block), proposal(task.call(choice))]


def _notes_beside(
    names: Names, task: Task, correction: Correction, choice: Choice
) -> tuple[str, ...]:
    """Notes that go with a correction: one that is followed too, and some about other tasks."""
    notes = [note for note in (_foreign_note(names, task) for _ in range(2)) if note]
    other = task.correction(choice)
    if other and other.option not in (correction.option, "command") and other.note:
        choice[other.option] = other.value
        notes.append(other.note)
    elif names.chance(0.3):
        notes.append(correction.note)
    names.rng.shuffle(notes)
    return tuple(notes) or (correction.note or correction.text,)


def _foreign_note(names: Names, task: Task) -> str:
    """A note that concerns none of this task's options."""
    for _ in range(4):
        other = any_task(names)
        found = other.correction(other.decide()) if other.options else None
        if found and found.option not in {*task.options, "command"} and _distant(task, other):
            return found.note
    return ""


def _distant(task: Task, other: Task) -> bool:
    """Say whether a correction of one task has no meaning for the other."""
    shell = isinstance(task, CommandTask) and isinstance(other, CommandTask)
    return type(task) is not type(other) and not shell


def neutral(names: Names, task: Task, long: bool) -> list[Turn]:
    """A trailing block that says nothing about the task: all stays as likely as it was."""
    text = say("neutral", names, _noise(names))
    foreign = _foreign_note(names, task) if names.chance(0.3) else ""
    block = trailing_block(correction=foreign or text)
    return [*_begin(names, task, long), user(block), proposal(task.call(task.decide()))]


def denial(names: Names, task: Task, long: bool) -> list[Turn]:
    """A denied call in the conversation, and afterwards perhaps a request of the same kind."""
    denied = task.decide()
    correction = task.correction(denied)
    if correction is None:
        return session(names, task, long)
    choice = task.revise(correction, denied)
    refusal = tool(DENIED + correct(correction.text, names))
    turns = [*_begin(names, task, long), proposal(task.call(denied)), refusal]
    if correction.option == "command" or names.chance(0.55):
        return [*turns, proposal(task.call(choice))]
    turns += done(task, choice)
    if names.chance(0.3):
        turns += _another(any_task(names))
    return [*turns, *_again(names, task, correction)]


def _again(names: Names, task: Task, correction: Correction) -> list[Turn]:
    """Another request of the same kind, which follows the correction or asks for something else."""
    before = task.options[correction.option]
    for _ in range(20):
        again = type(task)(names)
        option = again.options.get(correction.option)
        if option and (option.wordings, option.known) == (before.wordings, before.known):
            if names.chance(OTHERWISE):
                wish = again.settle(correction.option, correction.value)
                return _another(again, {**again.revise(correction), **wish})
            return _another(again, again.revise(correction))
    return []


def with_notes(names: Names, task: Task, long: bool) -> list[Turn]:
    """Notes in AGENTS.md, followed where they concern the task and it asks for nothing else."""
    choice = task.decide()
    correction = task.correction(choice)
    notes = [note for note in (_foreign_note(names, task),) if note and names.chance(0.6)]
    if correction and correction.option != "command" and correction.note and names.chance(0.8):
        notes.append(correction.note)
        choice = task.revise(correction, choice)
        if names.chance(OTHERWISE):
            choice |= task.settle(correction.option, correction.value)
    return [*_begin(names, task, long, notes), *done(task, choice)]


def edited(names: Names, task: Task, long: bool) -> list[Turn]:
    """A call that the user edited before it ran, and a request of the same kind after it."""
    denied = task.decide()
    correction = task.correction(denied)
    if correction is None or correction.option == "command":
        return session(names, task, long)
    call = task.call(task.revise(correction, denied))
    result = task.result(call)
    return [
        *_begin(names, task, long),
        proposal(call, learn=False),
        tool(f"{EDITED}\n{result}"),
        words(task.closing(call, result)),
        *_again(names, task, correction),
    ]


def with_error(names: Names, task: Task, long: bool) -> list[Turn]:
    """A path that does not exist: take the nearest, or say so."""
    if not isinstance(task, ReadTask):
        return session(names, task, long)
    path = names.path("py")
    wrong = _misspelt(names, path)
    request = user(say("read", names, {"path": wrong}))
    first = proposal(make_call("read", path=wrong))
    if names.chance(0.7):
        retry = make_call("read", path=path)
        error = tool(f"error: no such file: {wrong} (nearest: {path})")
        shown = tool(task.result(retry))
        return [request, first, error, proposal(retry), shown, words(f"That is {path}.")]
    return [request, first, tool(f"error: no such file: {wrong}"), words(f"There is no {wrong}.")]


def _misspelt(names: Names, path: str) -> str:
    stem, dot, ending = path.rpartition(".")
    at = names.rng.randrange(len(stem))
    return stem[:at] + stem[at + 1 :] + dot + ending if len(stem) > 2 else "x" + path
