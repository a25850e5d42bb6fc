"""What `/copy` takes from the conversation, and what is said about it."""

from __future__ import annotations

from typing import NamedTuple

from ...widgets.conversation import Conversation
from ...widgets.sanitise import prose

ASKED_FOR = "/copy takes a number, 1 for the last answer, or the word output."


class Copied(NamedTuple):
    """A text for the clipboard, empty where there is none, and a sentence for the user."""

    text: str
    sentence: str


def copied_text(conversation: Conversation, what: str) -> Copied:
    """Give what was asked for: the last answer, one further back, or the last output.

    It is copied as it is shown: nothing invisible gets from a model into another program.
    """
    what = what.strip().lower()
    if what == "output":
        text = conversation.output()
        name = "the last output of a tool"
        missing = "No tool has printed anything yet."
    elif not what or (what.isdecimal() and int(what)):
        back = int(what or 1)
        text = conversation.answer(back)
        name = "the last answer" if back == 1 else f"answer {back} from the end"
        missing = (
            f"There is no answer {back} from the end; /copy takes the last one."
            if conversation.answer()
            else "The model has not answered anything yet."
        )
    else:
        return Copied("", ASKED_FOR)
    if text is None:
        return Copied("", missing)
    shown = prose(text.strip("\n"))
    lines = shown.count("\n") + 1
    size = f"{lines} line{'' if lines == 1 else 's'}, {len(shown):,} characters"
    return Copied(shown, f"Copied {name}: {size}.")
