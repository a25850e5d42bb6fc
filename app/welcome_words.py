"""What an empty conversation says: the welcome of the first run, and later a few keys."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from ..widgets.fitted_text import Block, Row

if TYPE_CHECKING:
    from ..training.protocol import EngineName
    from ..widgets.file_index import FileIndex
    from .settings import Settings

Start = Literal["example", "send", "failed"]
"""What Enter does: it writes the example, it sends what is written, or there is no engine."""

MARK = "● "
A_TEST = re.compile(r"(?:^|[/_.-])tests?(?:[/_.-]|$)")


def welcome(settings: Settings) -> tuple[Block, ...]:
    """What the program is, its engines and how to choose one, and the keys of a call."""
    return _about(settings), _engines(settings), _keys(settings)


def _about(settings: Settings) -> Block:
    alone = "It reads files by itself, but changes nothing"
    if not settings.auto_approve_readonly:
        alone = "It reads nothing, changes nothing"
    learns = " What you deny or edit becomes a lesson"
    more = ": its adapter is trained on it, and it tries again without seeing your correction."
    if not settings.enable_training:
        learns = " What you deny or edit is not learned (enable_training=false)"
        more = "."
    proposes = "The agent proposes one tool call at a time"
    asks = " and runs no command before you approve."
    return (
        Row(
            "continualcode-tui, a coding agent that learns from you",
            style="bold $primary",
            spared=True,
        ),
        Row(
            f"{proposes}. {alone}{asks}{learns}{more}",
            short=f"{proposes}; it changes nothing{asks}",
        ),
    )


def _engines(settings: Settings) -> Block:
    return (
        Row(
            "Three engines. To choose another, start with its line; /settings keeps the choice:",
            short="Three engines; to choose another, start with its line:",
            spared=True,
        ),
        _engine(
            settings, "practice", "continualcode-tui engine=practice",
            "Small, ships inside, runs at once on the CPU; for learning the program.",
            "small, ships inside, on the CPU",
        ),
        _engine(
            settings, "local", "continualcode-tui engine=local model_name=FOLDER",
            "Any Hugging Face model, by folder or name, with torch, transformers and PEFT.",
            "any Hugging Face model, with torch and PEFT",
        ),
        _engine(
            settings, "tinker", "continualcode-tui engine=tinker",
            "The hosted trainer, or your own server (base_url=URL); needs TINKER_API_KEY.",
            "hosted or own server; needs TINKER_API_KEY",
        ),
    )  # fmt: skip


def _engine(settings: Settings, name: EngineName, line: str, words: str, short: str) -> Row:
    if settings.engine != name:
        return Row(words, short, head=" " * len(MARK) + name, below=line)
    now = "In use"
    if settings.model_name:
        now += f", with {settings.model_name}"
    return Row(f"{now}. {words}", f"in use: {short}", head=MARK + name, head_style="bold $primary")


def _keys(settings: Settings) -> Block:
    learns = settings.enable_training
    briefly = "; it learns" if learns else ""
    return (
        Row("approve: the call runs as it is shown", head="  y"),
        Row(
            "deny: nothing runs, you say what to do instead"
            + ("; the model learns that" if learns else ""),
            short=f"deny and say what to do instead{briefly}",
            head="  n",
        ),
        Row(
            "edit the arguments, then it runs"
            + ("; the model learns the difference" if learns else ""),
            short=f"edit its arguments, then it runs{briefly}",
            head="  e",
        ),
    )


def start(what: Start) -> Block:
    """The one key to begin with."""
    again = Row(
        "shows this page again", short="", head="  /welcome", style="$quiet", head_style="$quiet"
    )
    match what:
        case "example":
            row = Row(
                "writes an example request into the prompt; or type your own",
                short="writes an example for you; or type your own",
                head="  Enter",
                head_style="bold $primary",
            )
        case "send":
            row = Row("sends what is written", head="  Enter", head_style="bold $primary")
        case "failed":
            return (
                Row("The engine did not start; mend that or choose another.", style="$text-error"),
            )
    return row, again


def hint() -> tuple[Block, ...]:
    """The few keys that matter, once the program is known."""
    lines = (
        ("y n e", "approve a call, deny it and say why, edit it"),
        ("/ @ !", "a command, a file, a shell command of your own"),
        ("/help", "every key and command"),
        ("/sessions", "go on with an earlier conversation"),
    )
    return (tuple(Row(words, head=head, style="$quiet") for head, words in lines),)


def example_request(engine: EngineName, files: FileIndex | None, *, git: bool) -> str:
    """A request that makes sense in this repository and that this engine's model understands."""
    near = files.best("test", 20) if files is not None else []
    if any(A_TEST.search(path.lower()) for path in near):
        return "run the tests"
    if git:
        return "show the last commits"
    # The practice model knows no other request for which nothing needs to be there.
    return "run the tests" if engine == "practice" else "say in a few words what is in this folder"
