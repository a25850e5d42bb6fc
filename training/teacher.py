"""What the teacher sees: the student's prompt, unchanged, and one trailing block."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from .protocol import ToolCall

SLOT_CHARACTERS = 4_000


def render_call(call: ToolCall, quote: Callable[[str], str] = str) -> str:
    """Write a call the way the model writes its own, with its text quoted where that is wanted."""
    body = json.dumps({"name": call.name, "arguments": call.arguments}, ensure_ascii=False)
    return f"<tool_call>\n{quote(body)}\n</tool_call>"


def shorten(text: str, limit: int = SLOT_CHARACTERS) -> str:
    """Cut the middle out of a text that is longer than ``limit`` characters."""
    if len(text) <= limit:
        return text
    half = (limit - 5) // 2
    return f"{text[:half]}\n...\n{text[-half:]}"


def trailing_block(
    *,
    correction: str = "",
    notes: Sequence[str] = (),
    solution: ToolCall | None = None,
    tool_output: str | None = None,
    limit: int = SLOT_CHARACTERS,
    quote: Callable[[str], str] = str,
) -> str:
    """Compose the block that turns the student's prompt into the teacher's.

    Each slot is shortened by itself to ``limit`` characters, so that the closing instruction
    always survives, and passed through ``quote``, which keeps a tokenizer from finding control
    tokens in it. The failed attempt is what gets scored and is therefore never repeated here.
    """
    parts: list[str] = []
    if notes:
        words = (quote(shorten(note, limit)) for note in notes)
        parts.append("Notes from the user:\n" + "\n".join(f"- {note}" for note in words))
    if solution is not None:
        parts.append("This call is right here:\n" + shorten(render_call(solution, quote), limit))
    if correction:
        said = quote(shorten(correction.strip(), limit))
        parts.append("Your first try was turned down. The user said:\n" + said)
    if tool_output:
        parts.append("The first try printed:\n" + quote(shorten(tool_output.strip(), limit)))
    parts.append("Answer the request again, as if for the first time.")
    return "\n\n".join(parts)
