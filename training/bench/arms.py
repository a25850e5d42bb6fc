"""The arms: every way of learning from a correction that the bench compares."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import Literal

from ..protocol import AdapterScope, LoraTargets

Rule = Literal[
    "none",
    "context",
    "rules",
    "sft",
    "sft-kl",
    "dpo",
    "grpo",
    "sdpo-sampled",
    "sdpo-reverse",
    "sdpo-jsd",
    "sdpo-forward",
    "sdft",
    "ours",
]
# Adam's rates; half a decade apart, around what the practice model can bear.
RATES = (1e-3, 3e-3, 1e-2)
FIXED = (0.0,)


@dataclass(frozen=True)
class Variant:
    """Where the adapter is active, what it changes and how large it is."""

    scope: AdapterScope = "answer"
    targets: LoraTargets = "all"
    rank: int = 16


@dataclass(frozen=True)
class Arm:
    """A rule of learning with its adapter; ``rates`` is one zero where nothing is swept.

    Without ``rehearse`` our lesson is taken on the corrected request alone; with ``shown`` it also
    has the right call, as after an edit; with ``together`` the lessons of a sequence are learned
    in the same steps at its end.
    """

    name: str
    rule: Rule
    about: str
    variant: Variant = Variant()
    rehearse: bool = True
    shown: bool = False
    together: bool = False
    rates: tuple[float, ...] = RATES

    @property
    def trains(self) -> bool:
        """Whether the arm changes the weights."""
        return self.rule not in ("none", "context", "rules")


_RULES: tuple[Arm, ...] = (
    Arm("none", "none", "no training", rates=FIXED),
    Arm("context", "context", "the correction stays in the conversation", rates=FIXED),
    Arm("rules", "rules", "every past correction is a note in the system message", rates=FIXED),
    Arm("sft", "sft", "cross-entropy on the corrected call"),
    Arm("sft-kl", "sft-kl", "the same, and KL to the base on the answer"),
    Arm("dpo", "dpo", "the right call preferred to the denied one"),
    Arm("grpo", "grpo", "eight samples and an oracle's reward"),
    Arm(
        "sdpo-sampled",
        "sdpo-sampled",
        "sampled-token SDPO as in the reference implementation: one step, adapter everywhere",
        Variant(scope="everywhere"),
        rates=(5e-4, *RATES),
    ),
    Arm("sdpo-reverse", "sdpo-reverse", "SDPO, reverse KL over the vocabulary"),
    Arm("sdpo-jsd", "sdpo-jsd", "SDPO, Jensen-Shannon divergence over the vocabulary"),
    Arm("sdpo-forward", "sdpo-forward", "SDPO, forward KL over the vocabulary"),
    Arm("sdft", "sdft", "the right call shown to the teacher, forward KL on own samples"),
    Arm("ours", "ours", "this program's lesson as it ships", rates=FIXED),
)
RULES = {arm.name: arm for arm in _RULES}
SUFFIXES = ("answer", "everywhere", "attention", "rank4", "rank64")
OF_OURS = ("alone", "edit", "together")
DEFAULT_ARMS = (
    *RULES,
    "ours/edit",
    "ours/alone",
    "ours/together",
    "ours/everywhere",
    "ours/attention",
    "ours/rank4",
    "ours/rank64",
)
QUICK_ARMS = ("none", "context", "rules", "sft", "sdpo-sampled", "sdpo-forward", "ours")


class UnknownArm(ValueError):
    """A name that no arm has."""


def arm(name: str) -> Arm:
    """The arm of a name: a rule, and after a slash another adapter for it."""
    rule, slash, suffix = name.partition("/")
    found = RULES.get(rule)
    if found is not None and rule == "ours" and suffix == "alone":
        return replace(found, name=name, about="the same without rehearsal", rehearse=False)
    if found is not None and rule == "ours" and suffix == "edit":
        return replace(found, name=name, about="the same where the user edits the call", shown=True)
    if found is not None and rule == "ours" and suffix == "together":
        return replace(found, name=name, about="ten lessons in the same steps", together=True)
    if found is None or (slash and (suffix not in SUFFIXES or not found.trains)):
        known = [
            *RULES,
            *(f"{r.name}/{s}" for r in _RULES if r.trains for s in SUFFIXES),
            *(f"ours/{suffix}" for suffix in OF_OURS),
        ]
        nearest = difflib.get_close_matches(name, known, 1, 0)[0]
        raise UnknownArm(f"There is no arm {name}: did you mean {nearest}?")
    return replace(found, name=name, variant=_varied(found.variant, suffix))


def _varied(variant: Variant, suffix: str) -> Variant:
    if suffix == "answer":
        return replace(variant, scope="answer")
    if suffix == "everywhere":
        return replace(variant, scope="everywhere")
    if suffix == "attention":
        return replace(variant, targets="attention")
    if suffix.startswith("rank"):
        return replace(variant, rank=int(suffix.removeprefix("rank")))
    return variant
