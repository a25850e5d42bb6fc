"""How a call was decided and what a lesson took, in words; the same shown live and resumed."""

from __future__ import annotations

from typing import Literal

from ..training.protocol import LessonResult
from .agent.difference import show_edit
from .agent.proposal import Approve, Deny, Edit, Proposal
from .controllers.approval import pattern

Decided = Literal["approved", "denied", "edited", "rule"]


def outcome_of(
    proposal: Proposal, decision: Approve | Deny | Edit, rule: str | None
) -> tuple[Decided, str]:
    """How a call ended, and the words beside it."""
    match decision:
        case Deny(correction=correction):
            return "denied", correction
        case Edit(arguments=arguments):
            return "edited", show_edit(proposal.call.arguments, arguments)
        case Approve(always=always, for_good=for_good) if rule is None:
            span = "for good" if for_good else "in this session"
            return "approved", f"always, {span}: {pattern(proposal.call)}" if always else ""
        case _:
            return "rule", rule or ""


def cost_of(result: LessonResult) -> str:
    """What a lesson took."""
    count = len(result.steps)
    parts = [f"{count} step{'' if count == 1 else 's'}"] if count else []
    if result.kl is not None:
        parts.append(f"KL {result.kl:.3f}")
    if result.seconds:
        parts.append(f"{result.seconds:.1f} s")
    return " · ".join(parts)


def told_model(problem: str) -> str:
    """That a turn of the model held no call that could be understood."""
    return f"The model was told: {problem}"
