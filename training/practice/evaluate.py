"""Measure a trained model: ``python -m continualcode_tui.training.practice.evaluate MODEL``.

A corrected answer counts when it is exactly a call that has the wanted value, whatever usual
value the other options take. ``train`` draws from the training distribution, ``wordings`` uses
phrases that training never uses, ``all`` adds words and values that it never uses.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ..protocol import ChatMessage, ToolCall
from ..teacher import trailing_block
from .episodes import DENIED, system, system_text
from .model import as_dicts, as_tools
from .tasks import SHARES
from .tasks.base import (
    COMMAND,
    Choice,
    Correction,
    Task,
    Turn,
    make_call,
    numbered,
    proposal,
    tool,
    user,
)
from .tasks.talk import Talk, Values
from .tokenizer import TOOLS
from .vocabulary import Names
from .wording import correct, say

SPLITS = {
    "train": {},
    "wordings": {"new_wordings": True},
    "all": {"new_wordings": True, "held_out": True},
}
CORRECTION_FAMILIES = ("tool", "prefix", "runner", "manager", "path", "args", "style", "whole")
ASKED_FAMILIES = CORRECTION_FAMILIES
HANDWRITTEN = "corrections_by_hand.jsonl"
FORMS = ("block", "denial", "notes", "solution")
_CALL = re.compile(r"<tool_call>\n(.*)\n</tool_call>", re.DOTALL)


class Case(NamedTuple):
    """A prompt, and the answers that count."""

    group: str
    turns: list[Turn]
    accepted: Callable[[str], bool]


class Outcome(NamedTuple):
    """What the model answered."""

    case: Case
    answer: str
    right: bool


class Model:
    """A model folder with greedy decoding."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self.model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.tools = as_tools(TOOLS)

    def prompt(self, turns: Sequence[Turn]) -> str:
        """Render a conversation up to the model's next turn."""
        messages = as_dicts([turn.message for turn in turns])
        return self.tokenizer.apply_chat_template(
            messages, tools=self.tools, add_generation_prompt=True, tokenize=False
        )

    @torch.no_grad()
    def answers(self, prompts: Sequence[str], batch: int = 24) -> list[str]:
        """Answer greedily, the prompts of like length together."""
        order = sorted(range(len(prompts)), key=lambda at: len(prompts[at]))
        answers = [""] * len(prompts)
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            inputs = self.tokenizer(
                [prompts[at] for at in chosen], return_tensors="pt", padding=True
            )
            inputs.pop("token_type_ids", None)
            out = self.model.generate(**inputs, max_new_tokens=320, do_sample=False)
            texts = self.tokenizer.batch_decode(
                out[:, inputs.input_ids.shape[1] :], skip_special_tokens=True
            )
            for at, text in zip(chosen, texts, strict=True):
                answers[at] = text
        return answers

    @torch.no_grad()
    def log_probability(self, prompt: str, answer: str) -> float:
        """The log-probability of an answer with its end token."""
        before = self.tokenizer(prompt).input_ids
        after = self.tokenizer(answer + "<|im_end|>").input_ids
        logits = self.model(torch.tensor([before + after])).logits[0, len(before) - 1 : -1]
        chosen = logits.log_softmax(-1).gather(-1, torch.tensor(after)[:, None])
        return float(chosen.sum())


def parse_call(answer: str) -> ToolCall | None:
    """The call in an answer, if it is one."""
    found = _CALL.fullmatch(answer.strip())
    if not found:
        return None
    try:
        return ToolCall(**json.loads(found[1]))
    except (ValueError, TypeError):
        return None


def usual_calls(task: Task, fixed: Choice) -> list[ToolCall]:
    """Every call with these choices and usual values for the others."""
    if COMMAND in fixed:
        return [task.call(fixed)]
    free = [name for name in task.options if name not in fixed]
    values = [list(task.options[name].usual) for name in free]
    return [
        task.call({**dict(zip(free, chosen, strict=True)), **fixed})
        for chosen in itertools.product(*values)
    ]


def one_of(calls: Iterable[ToolCall]) -> Callable[[str], bool]:
    """Accept exactly these calls."""
    wanted = list(calls)
    return lambda answer: parse_call(answer) in wanted


def in_words(answer: str) -> bool:
    """Accept any answer that is no call."""
    return "<tool_call>" not in answer


def plain_cases(names: Names, count: int) -> list[Case]:
    """Requests without any cue, by task family."""
    cases = []
    for kind in SHARES:
        for _ in range(count):
            task = kind(names)
            turns = [system(names, task), *task.opening()]
            if isinstance(task, Values):
                accepted = task.reply.__eq__
            else:
                accepted = in_words if isinstance(task, Talk) else one_of(usual_calls(task, {}))
            cases.append(Case(kind.family, turns, accepted))
    return cases


def asked_cases(names: Names, count: int) -> list[Case]:
    """Requests whose own words say how they are to be done, by correction family."""
    cases: dict[str, list[Case]] = {family: [] for family in ASKED_FAMILIES}
    kinds = [kind for kind in SHARES if not issubclass(kind, Talk)]
    while any(len(found) < count for found in cases.values()):
        task = names.rng.choice(kinds)(names)
        wish = task.settle()
        for name in wish:
            found = cases[task.options[name].family]
            if len(found) < count:
                turns = [system(names, task), *task.opening()]
                accepted = one_of(usual_calls(task, wish))
                found.append(Case(f"asked/{task.options[name].family}", turns, accepted))
    return [case for found in cases.values() for case in found]


def draw_correction(names: Names, family: str) -> tuple[Task, Choice, Correction]:
    """A task with a denied choice and a correction of this family."""
    kinds = [kind for kind in SHARES if not issubclass(kind, Talk)]
    shares = [SHARES[kind] for kind in kinds]
    while True:
        task = names.rng.choices(kinds, shares)[0](names)
        denied = task.decide()
        correction = task.correction(denied)
        if correction and correction.family == family:
            return task, denied, correction


def correction_cases(names: Names, family: str, form: str, count: int) -> list[Case]:
    """Corrections of one family in one form."""
    cases = []
    while len(cases) < count:
        task, denied, correction = draw_correction(names, family)
        if form == "notes" and (not correction.note or family == "whole"):
            if family == "whole":
                return []
            continue
        wish = {correction.option: correction.value}
        wanted = usual_calls(task, wish)
        notes = [correction.note] if form == "notes" else []
        turns = [system(names, task, notes=notes), *task.opening()]
        text = correct(correction.text, names)
        if form == "block":
            turns.append(user(trailing_block(correction=text)))
        elif form == "solution":
            turns.append(user(trailing_block(solution=wanted[0])))
        elif form == "denial":
            turns += [proposal(task.call(denied)), tool(DENIED + text)]
            wanted.append(task.call({**denied, **wish}))
        cases.append(Case(f"{form}/{family}", turns, one_of(wanted)))
    return cases


def reference_cases(names: Names, count: int) -> list[Case]:
    """The reference example: the second step and its correction, in the first form."""
    fix = next(kind for kind in SHARES if kind.family == "fix-test")
    cases = []
    for wish, section in (("edit", "edit:edit"), ("write", "edit:write")):
        for _ in range(count):
            task = fix(names)
            text = correct(
                say(section, names, {"old": "write" if wish == "edit" else "edit_lines"}), names
            )
            block = user(trailing_block(correction=text))
            turns = [system(names, task), *task.opening(), block]
            cases.append(Case(f"fix-test: {wish}", turns, one_of([task.call({"edit": wish})])))
    return cases


def handwritten_cases() -> list[Case]:
    """Corrections written by hand in words that no phrase file holds, in the first form."""
    lines = (Path(__file__).parent / HANDWRITTEN).read_text(encoding="utf-8").splitlines()
    cases = []
    for line in lines:
        given = json.loads(line)
        listing = system_text("demo", sorted(given["files"]))
        turns = [Turn(ChatMessage(role="system", content=listing)), user(given["request"])]
        if shown := given.get("shown"):
            turns += [proposal(make_call("read", path=shown["path"]))]
            turns += [tool(numbered(shown["lines"]))]
        turns.append(user(trailing_block(correction=given["correction"])))
        cases.append(Case(given["group"], turns, matching(given["tool"], given["pattern"])))
    return cases


def matching(name: str, pattern: str) -> Callable[[str], bool]:
    """Accept calls of this tool whose arguments, written as JSON, match a pattern."""

    def accepted(answer: str) -> bool:
        call = parse_call(answer)
        if call is None or call.name != name:
            return False
        return bool(re.fullmatch(pattern, json.dumps(call.arguments, ensure_ascii=False)))

    return accepted


def neutral_agreement(model: Model, names: Names, count: int) -> float:
    """How often a remark that says nothing leaves the greedy answer as it was."""
    plain, remarked = [], []
    kinds = [kind for kind in SHARES if not issubclass(kind, Talk)]
    for at in range(count):
        task = kinds[at % len(kinds)](names)
        turns = [system(names, task), *task.opening()]
        slots = {"word": names.word(), "other": names.word(), "number": "7"}
        block = user(trailing_block(correction=say("neutral", names, slots)))
        plain.append(model.prompt(turns))
        remarked.append(model.prompt([*turns, block]))
    pairs = zip(model.answers(plain), model.answers(remarked), strict=True)
    return sum(one == other for one, other in pairs) / count


def priors(model: Model, names: Names, count: int) -> dict[str, list[float]]:
    """The probabilities of calls with values that are unusual but known, by correction family."""
    found: dict[str, list[float]] = defaultdict(list)
    kinds = [kind for kind in SHARES if not issubclass(kind, Talk)]
    for at in range(count):
        task = kinds[at % len(kinds)](names)
        prompt = model.prompt([system(names, task), *task.opening()])
        majority = {
            name: max(o.usual, key=lambda v: o.usual[v]) for name, o in task.options.items()
        }
        for name, option in task.options.items():
            rare = [value for value in option.known if option.usual.get(value, 0) < 0.12]
            if rare and option.family != "whole":
                call = task.call({**majority, name: names.rng.choice(rare)})
                answer = as_answer(call)
                found[option.family].append(model.log_probability(prompt, answer))
    return found


def as_answer(call: ToolCall) -> str:
    """What the model says when it proposes a call."""
    body = json.dumps({"name": call.name, "arguments": call.arguments}, ensure_ascii=False)
    return f"<tool_call>\n{body}\n</tool_call>"


def run(model: Model, cases: Sequence[Case]) -> list[Outcome]:
    """Answer all cases."""
    answers = model.answers([model.prompt(case.turns) for case in cases])
    return [
        Outcome(case, answer, case.accepted(answer))
        for case, answer in zip(cases, answers, strict=True)
    ]


def rates(outcomes: Iterable[Outcome]) -> dict[str, float]:
    """The share of right answers by group."""
    groups: dict[str, list[bool]] = defaultdict(list)
    for outcome in outcomes:
        groups[outcome.case.group].append(outcome.right)
    return {group: sum(right) / len(right) for group, right in groups.items()}


def evaluate(model: Model, split: str, count: int, seed: int) -> tuple[dict, list[Outcome]]:
    """All figures for one split."""

    def names() -> Names:
        return Names(random.Random(f"{seed}/{split}"), **SPLITS[split])

    plain = run(model, plain_cases(names(), count))
    fixing = run(model, reference_cases(names(), 2 * count))
    corrected: list[Outcome] = []
    for form, family in itertools.product(FORMS, CORRECTION_FAMILIES):
        corrected += run(model, correction_cases(names(), family, form, count))
    asked = run(model, asked_cases(names(), count))
    calls = [outcome for outcome in plain if outcome.case.group != "talk"]
    figures = {
        "valid": sum(parse_call(one.answer) is not None for one in calls) / len(calls),
        "plain": rates(plain),
        "reference": rates(fixing),
        "corrected": rates(corrected),
        "asked": rates(asked),
        "neutral": neutral_agreement(model, names(), 4 * count),
    }
    return figures, [*plain, *fixing, *corrected, *asked]


def mean(values: Iterable[float]) -> float:
    """The mean, or nothing's."""
    listed = list(values)
    return sum(listed) / len(listed) if listed else float("nan")


def tables(results: dict[str, dict]) -> str:
    """The figures of all splits as Markdown tables."""
    splits = list(results)
    lines = [
        "| requests without a cue | " + " | ".join(splits) + " |",
        "|---" * (len(splits) + 1) + "|",
    ]

    def row(name: str, values: Iterable[float]) -> None:
        lines.append(f"| {name} | " + " | ".join(f"{value:.2f}" for value in values) + " |")

    row("a valid call", (results[split]["valid"] for split in splits))
    row("**all**", (mean(results[split]["plain"].values()) for split in splits))
    for family in results[splits[0]]["plain"]:
        row(family, (results[split]["plain"][family] for split in splits))
    row("neutral remark, same answer", (results[split]["neutral"] for split in splits))
    lines += ["", "| the reference example, corrected | " + " | ".join(splits) + " |"]
    lines.append("|---" * (len(splits) + 1) + "|")
    for group in results[splits[0]]["reference"]:
        row(group, (results[split]["reference"][group] for split in splits))
    lines += ["", "| asked for in the request | " + " | ".join(("all", *ASKED_FAMILIES)) + " |"]
    lines.append("|---" * (len(ASKED_FAMILIES) + 2) + "|")
    for split in splits:
        values = [results[split]["asked"][f"asked/{family}"] for family in ASKED_FAMILIES]
        row(split, (mean(values), *values))
    lines += ["", "| corrections | " + " | ".join(("all", *CORRECTION_FAMILIES)) + " |"]
    lines.append("|---" * (len(CORRECTION_FAMILIES) + 2) + "|")
    for split, form in itertools.product(splits, FORMS):
        figures = results[split]["corrected"]
        values = [figures.get(f"{form}/{family}", float("nan")) for family in CORRECTION_FAMILIES]
        row(f"{split}: {form}", (mean(value for value in values if not math.isnan(value)), *values))
    return "\n".join(lines).replace("nan", "–")


def table_by_hand(outcomes: Sequence[Outcome]) -> str:
    """How the handwritten corrections were followed, by group."""
    right = sum(outcome.right for outcome in outcomes)
    groups = " ".join(f"{group} {rate:.2f}" for group, rate in rates(outcomes).items())
    return f"corrections by hand: {right} of {len(outcomes)} followed ({groups})\n"


def main() -> None:
    """Print tables, and the failures if asked for."""
    parser = argparse.ArgumentParser(description="Measure a practice model.")
    parser.add_argument("model", type=Path, nargs="?", default=Path(__file__).parent / "model")
    parser.add_argument("--count", type=int, default=20, help="cases of every kind")
    parser.add_argument("--splits", nargs="*", default=list(SPLITS), choices=list(SPLITS))
    parser.add_argument("--seed", type=int, default=99)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--failures", type=int, default=0, help="show this many failures a group")
    given = parser.parse_args()
    model = Model(given.model)
    results: dict[str, dict] = {}
    by_hand = run(model, handwritten_cases())
    show_failures(by_hand, given.failures, "by hand")
    for split in given.splits:
        results[split], outcomes = evaluate(model, split, given.count, given.seed)
        show_failures(outcomes, given.failures, split)
    print(table_by_hand(by_hand))
    if not given.splits:
        return
    rare = priors(model, Names(random.Random(given.seed)), 8 * given.count)
    print(tables(results))
    print("\n| prior of unusual values | median | lowest tenth |\n|---|---|---|")
    for family, values in rare.items():
        ordered = sorted(values)
        middle, low = ordered[len(ordered) // 2], ordered[len(ordered) // 10]
        print(f"| {family} | {torch.tensor(middle).exp():.1e} | {torch.tensor(low).exp():.1e} |")
    if given.json:
        figures = {**results, "priors": rare, "by hand": rates(by_hand)}
        given.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")


def show_failures(outcomes: Sequence[Outcome], most: int, split: str) -> None:
    """Print what the model answered wrongly."""
    shown: dict[str, int] = defaultdict(int)
    for outcome in outcomes:
        group = outcome.case.group
        if outcome.right or shown[group] >= most:
            continue
        shown[group] += 1
        said = " || ".join(
            turn.message.content.removesuffix("Answer the request again, as if for the first time.")
            for turn in outcome.case.turns
            if turn.message.role in ("user", "tool")
        )
        print(f"[{split} {group}] {said!r}\n    -> {outcome.answer!r}")


if __name__ == "__main__":
    main()
