"""Every key of the program, read from where it is bound; and the user's own keys for them.

A binding has an id, and its tooltip or description is its line in the help. `keymap` in the
settings gives other keys to an id. The three that decide about a call stay what they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from textual.binding import Binding

if TYPE_CHECKING:
    from textual.dom import DOMNode

FIXED = frozenset({"proposal.approve", "proposal.deny", "proposal.edit"})
EASILY_PRESSED = frozenset({"enter", "space", "tab", "escape"})
NAMES = {
    "escape": "Esc",
    "enter": "Enter",
    "tab": "Tab",
    "space": "Space",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "question_mark": "?",
    "slash": "/",
    "plus": "+",
    "minus": "-",
    "equals_sign": "=",
    "full_stop": ".",
    "comma": ",",
}


TYPED: dict[str, tuple[tuple[str, str], ...]] = {
    "The prompt": (
        ("Up", "Take the last queued message back; go through what you wrote before"),
        ("/", "A command"),
        ("@", "Name a file of the repository"),
        ("!", "Run a shell command yourself; the model does not see it"),
        ("!!", "Run it without your keys; its output goes with your next request"),
    ),
}
"""What is typed rather than bound, by place."""


@dataclass(frozen=True, slots=True)
class KeyLine:
    """One binding: its id, the keys as they are shown, and what they do."""

    id: str
    keys: str
    words: str


def shown(keys: str) -> str:
    """Write bound keys as a person reads them: `escape,q` is `Esc, q`."""
    return ", ".join(NAMES.get(key.strip(), key.strip()) for key in keys.split(",") if key.strip())


def bindings_of(owner: type[DOMNode]) -> Iterator[Binding]:
    """The bindings that a class itself declares."""
    for entry in owner.__dict__.get("BINDINGS", ()):
        if isinstance(entry, Binding):
            yield entry


def owners() -> list[tuple[str, tuple[type[DOMNode], ...]]]:
    """Where keys are bound, in the order in which a person meets them."""
    from ..widgets.arguments_editor import ArgumentsEditor
    from ..widgets.chart_panel import ChartPanel
    from ..widgets.composer import Composer
    from ..widgets.conversation import Conversation
    from ..widgets.correction_box import Chips, CorrectionBox
    from ..widgets.entries import Fold, LessonCard
    from ..widgets.heatmap import Heatmap
    from ..widgets.history_search import HistorySearch
    from ..widgets.prompt import Prompt, PromptArea
    from ..widgets.proposal_panel import ProposalPanel
    from ..widgets.queue_list import Lines
    from .screens.chat import ChatScreen
    from .screens.lessons import LessonsScreen
    from .screens.metrics import MetricsScreen
    from .screens.secret import SecretPanel
    from .tui import ContinualCode

    return [
        ("A call that waits", (ProposalPanel,)),
        ("The correction", (CorrectionBox, Chips)),
        ("The arguments", (ArgumentsEditor,)),
        ("A secret that was found", (SecretPanel,)),
        ("The prompt", (Composer, Prompt, PromptArea)),
        ("Queued messages", (Lines,)),
        ("The history", (HistorySearch,)),
        ("Anywhere", (ChatScreen, ContinualCode)),
        ("The conversation", (Conversation, Fold, LessonCard)),
        ("The heatmap", (Heatmap,)),
        ("/metrics", (MetricsScreen, ChartPanel)),
        ("/lessons", (LessonsScreen,)),
    ]


def groups(keymap: Mapping[str, str] | None = None) -> list[tuple[str, list[KeyLine]]]:
    """Every key with its line, by place; with the user's keys where there are such."""
    chosen = keymap or {}
    found: list[tuple[str, list[KeyLine]]] = []
    for title, classes in owners():
        lines = [
            KeyLine(
                binding.id or "",
                shown(chosen.get(binding.id or "", binding.key)),
                binding.tooltip or binding.description,
            )
            for owner in classes
            for binding in bindings_of(owner)
            if binding.tooltip or binding.description
        ]
        lines += [KeyLine("", keys, words) for keys, words in TYPED.get(title, ())]
        found.append((title, lines))
    return found


def usable(keymap: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The part of a keymap that can be used, and a sentence for each line that cannot."""
    known = {line.id for _, lines in groups() for line in lines if line.id}
    taken: dict[str, str] = {}
    refused: list[str] = []
    for name, keys in keymap.items():
        problem = _problem(name, keys, known)
        if problem:
            refused.append(f"The key {name}={keys} of keymap is not used: {problem}.")
        else:
            taken[name] = ",".join(_key(key) for key in keys.split(","))
    return taken, refused


def _problem(name: str, keys: str, known: set[str]) -> str:
    """Why a line of the keymap cannot be used; empty when it can."""
    if name not in known:
        near = get_close_matches(name, known, n=1)
        return f"there is no such binding{f'; did you mean {near[0]}' if near else ''}"
    if name in FIXED:
        return "y, n and e decide about a call and stay what they are"
    if not keys.strip() or any(not key.strip() for key in keys.split(",")):
        return "it names no key"
    if name == "proposal.always" and EASILY_PRESSED & {key.strip() for key in keys.split(",")}:
        return "what approves a call must not be a key that is pressed by the way"
    return ""


def _key(key: str) -> str:
    """A key by the name that the screen knows it by."""
    names = {value: key for key, value in NAMES.items()}
    return names.get(key.strip(), key.strip())
