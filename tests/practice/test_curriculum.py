"""The curriculum: every answer it teaches is a call that does what was asked."""

from __future__ import annotations

import random
import re
from itertools import pairwise

import pytest
from continualcode_tui.training.practice.episodes import DENIED, EDITED, episode
from continualcode_tui.training.practice.tasks import FAMILIES, any_task
from continualcode_tui.training.practice.tasks.base import COMMAND, Task, Turn
from continualcode_tui.training.practice.tasks.commands import PREFIX
from continualcode_tui.training.practice.tasks.fixing import FixTest, RepairTask
from continualcode_tui.training.practice.vocabulary import Names, held_out_words
from continualcode_tui.training.practice.wording import (
    expand,
    is_held_out,
    phrases,
    say,
    sections,
    slots_of,
)
from continualcode_tui.training.protocol import ToolCall

ARGUMENTS = {
    "read": ({"path"}, {"offset", "limit"}),
    "write": ({"path", "content"}, set()),
    "edit_lines": ({"path", "start_line", "end_line", "content"}, set()),
    "glob": ({"pattern"}, {"path"}),
    "grep": ({"pattern"}, {"path"}),
    "bash": ({"command"}, set()),
}
ANSWERS = {
    "read": re.compile(r"\d+\t.*(\n\d+\t.*)*"),
    "write": re.compile(r"wrote \S+ \(\d+ lines\)"),
    "edit_lines": re.compile(r"edited \S+ \(lines \d+-\d+ are now \d+-\d+\)"),
    "glob": re.compile(r"no files match \S+|\S+(\n\S+)*"),
    "grep": re.compile(r"no matches for \S+|\S+:\d+: .*(\n\S+:\d+: .*)*"),
    "bash": re.compile(r"(.*\n)*\[exit \d+\]"),
}


def names(seed: int, **sides: bool) -> Names:
    return Names(random.Random(seed), **sides)


def episodes(count: int, seed: int = 0) -> list[list[Turn]]:
    rng = random.Random(seed)
    return [episode(rng, length=0.05) for _ in range(count)]


def calls_of(turns: list[Turn]) -> list[ToolCall]:
    return [call for turn in turns for call in turn.message.tool_calls]


def test_the_same_seed_gives_the_same_conversations() -> None:
    assert episodes(60, seed=3) == episodes(60, seed=3)
    assert episodes(60, seed=3) != episodes(60, seed=4)


def test_every_call_fits_its_schema() -> None:
    for call in (call for turns in episodes(1500) for call in calls_of(turns)):
        needed, allowed = ARGUMENTS[call.name]
        assert needed <= set(call.arguments) <= needed | allowed
        for name, value in call.arguments.items():
            assert isinstance(value, int if name.endswith("_line") else str)
            assert value != "" or name == "content"


def test_tools_answer_in_the_program_s_words() -> None:
    for turns in episodes(1500, seed=1):
        for before, after in pairwise(turns):
            if after.message.role != "tool":
                continue
            (call,) = before.message.tool_calls
            text = after.message.content.removeprefix(EDITED + "\n")
            special = text.startswith((DENIED, "error: "))
            assert special or ANSWERS[call.name].fullmatch(text), text


def test_a_conversation_begins_with_the_system_message_and_ends_with_the_model() -> None:
    for turns in episodes(500, seed=2):
        assert turns[0].message.role == "system"
        assert turns[0].message.content.startswith("You are a coding agent in the ")
        assert turns[-1].message.role == "assistant"
        assert all(turn.message.role == "assistant" for turn in turns if turn.learn)


@pytest.mark.parametrize("family", FAMILIES)
def test_requests_and_corrections_are_never_empty(family: str) -> None:
    for sides in ({}, {"new_wordings": True}, {"held_out": True, "new_wordings": True}):
        source = names(7, **sides)
        for _ in range(60):
            task = FAMILIES[family](source)
            assert task.request.strip()
            assert not re.search(r"[{}]|<[^>]*\|", task.request.replace("{'", "")), task.request
            correction = task.correction(task.decide())
            assert correction is None or correction.text.strip()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_correction_changes_the_call(family: str) -> None:
    source = names(8)
    for _ in range(60):
        task = FAMILIES[family](source)
        choice = task.decide()
        correction = task.correction(choice)
        if correction is None or correction.option == COMMAND:
            continue
        revised = task.revise(correction, choice)
        assert task.call(revised) != task.call(choice)
        assert {name for name in choice if revised[name] != choice[name]} == {correction.option}


def apply(call: ToolCall, lines: list[str]) -> list[str]:
    arguments = call.arguments
    if call.name == "write":
        return arguments["content"].splitlines()
    first, last = arguments["start_line"], arguments["end_line"]
    return [*lines[: first - 1], *arguments["content"].splitlines(), *lines[last:]]


@pytest.mark.parametrize("family", ["fix-test", "fix-bug", "fix-typo", "rename"])
def test_repairs_repair(family: str) -> None:
    source = names(9)
    for _ in range(150):
        task = FAMILIES[family](source)
        assert isinstance(task, RepairTask)
        shown = task.opening()[-1].message.content.splitlines()
        lines = [line.split("\t", 1)[1] for line in shown]
        assert lines != task.fault.good
        for way in ("write", "edit"):
            assert apply(task.call({"edit": way}), lines) == task.fault.good


def test_repaired_tests_are_right_about_arithmetic() -> None:
    source = names(10)
    functions = {"add": int.__add__, "sub": int.__sub__, "mul": int.__mul__}
    pattern = re.compile(r"    assert (?:\w+\.)?(add|sub|mul)\((\d+), (\d+)\) == (-?\d+)")
    checked = 0
    for _ in range(400):
        task = FixTest(source)
        for line in task.fault.good:
            if found := pattern.fullmatch(line):
                function, a, b, value = found.groups()
                assert functions[function](int(a), int(b)) == int(value)
                checked += 1
    assert checked > 100


def test_what_is_held_out_stays_out_of_training() -> None:
    source = names(11)
    drawn = {source.word() for _ in range(20_000)} | {source.junk() for _ in range(20_000)}
    assert not drawn & set(held_out_words())
    for section in sections():
        slots = frozenset().union(*(slots_of(line) for line in sections()[section]))
        kept = phrases(section, False, slots)
        seen = {line for line in sections()[section] if not is_held_out(section, line)}
        assert set(kept) == seen or not seen


def test_about_one_phrase_in_seven_is_held_out() -> None:
    everything = [(section, line) for section, lines in sections().items() for line in lines]
    share = sum(is_held_out(*one) for one in everything) / len(everything)
    assert 0.1 < share < 0.2


def test_phrases_expand_completely() -> None:
    source = names(12)
    slots = {
        name: name for lines in sections().values() for line in lines for name in slots_of(line)
    }
    for lines in sections().values():
        for line in lines:
            text = expand(line, source).format_map(slots)
            assert "|" not in text
            assert text.strip()


def test_uncued_choices_have_heavy_tails() -> None:
    source = names(13)
    drawn = [PREFIX.draw(source) for _ in range(4000)]
    assert 0.68 < drawn.count("") / len(drawn) < 0.79
    for value in PREFIX.tail:
        assert drawn.count(value) > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_a_request_can_say_itself_how_it_is_to_be_done(family: str) -> None:
    source = names(16)
    asked = 0
    for _ in range(60):
        task = FAMILIES[family](source)
        before = task.request
        wish = task.settle()
        assert (task.request != before) == bool(wish)
        for name, value in wish.items():
            asked += 1
            assert before.rstrip(".!") in task.request
            choice = {**task.decide(), **wish}
            others = [other for other in task.options[name].known if other != value]
            calls = [task.call({**choice, name: other}) for other in others]
            assert not calls or any(call != task.call(choice) for call in calls)
    assert asked or not FAMILIES[family](source).options


def test_a_request_may_ask_for_anything_but_what_it_is_told_not_to() -> None:
    source = names(17)
    wanted = set()
    for _ in range(200):
        task = FAMILIES["types"](source)
        wish = task.settle("checker", "mypy")
        assert set(wish) <= {"checker"}
        wanted |= set(wish.values())
    assert "mypy" not in wanted
    assert {"pyright", "pytype"} <= wanted
    assert FAMILIES["types"](source).settle("no-such-thing") == {}


def test_held_out_values_come_from_the_unseen_ones() -> None:
    seen = {PREFIX.other(names(seed), "") for seed in range(300)}
    unseen = {PREFIX.other(names(seed, held_out=True), "") for seed in range(300)}
    assert not seen & set(PREFIX.unseen)
    assert unseen & set(PREFIX.unseen)


def test_notes_and_remarks_keep_to_their_task() -> None:
    source = names(14)
    for _ in range(300):
        task: Task = any_task(source)
        correction = task.correction(task.decide()) if task.options else None
        if correction and correction.option != COMMAND:
            assert correction.option in task.options


def test_say_without_a_fitting_phrase_says_nothing() -> None:
    assert say("no-such-section", names(15)) == ""
