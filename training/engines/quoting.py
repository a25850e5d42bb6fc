"""Text of others in a prompt: what looks like a control token in it stays text.

A tool's output, a file, a file's name and the user's own words may hold ``<|im_end|>`` or
``<tool_call>``. Tokenised with the template around them these would end the turn or begin a call.
So such a text is broken after its first character, and what lies on the two sides of a break is
tokenised apart. Nothing else changes, and the tokens still spell the same text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ..protocol import ChatMessage, ToolCall

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BREAK = "\ufdd0"  # no character, by Unicode's own promise
UNKNOWN = "\ufffd"
TAG = re.compile(r"<[^<>\s]+>|\[/?[A-Z_]+\]")
THOUGHTS = frozenset({"<think>", "</think>"})


def control_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[int, str]:
    """The tokens that mean something of their own: special ones, and tags.

    Other added tokens, such as runs of spaces, are only shorter ways to write a text.
    """
    found = {
        number: token.content
        for number, token in tokenizer.added_tokens_decoder.items()
        if token.special or TAG.fullmatch(token.content)
    }
    named = zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True)
    return found | {number: str(text) for number, text in named if number is not None}


def pieces(text: str) -> list[str]:
    """What is tokenised apart."""
    return text.split(BREAK)


class Quoting:
    """Breaks what one tokenizer would take for a control token."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        texts = {text for text in control_tokens(tokenizer).values() if len(text) > 1}
        self._any = _finder(texts)
        # Templates look for these two in what the model said before.
        self._said = _finder(texts - THOUGHTS)

    def text(self, text: str) -> str:
        """A text that is nobody's but its author's."""
        return _broken(self._any, text)

    def message(self, message: ChatMessage) -> ChatMessage:
        """A message whose content and calls are text."""
        finder = self._said if message.role == "assistant" else self._any
        calls = tuple(
            ToolCall(name=self.text(call.name), arguments=self._value(call.arguments))
            for call in message.tool_calls
        )
        content = _broken(finder, message.content)
        return message.model_copy(update={"content": content, "tool_calls": calls})

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(str(key)): self._value(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._value(item) for item in value]
        return value


def _finder(texts: set[str]) -> re.Pattern[str]:
    """Finds the first character of each of these texts, also where they overlap."""
    if not texts:
        return re.compile(r"(?!)()")
    first = "".join(re.escape(text[0]) for text in sorted(texts))
    rest = "|".join(re.escape(text) for text in sorted(texts))
    return re.compile(rf"(?=[{first}])(?=(?:{rest}))(.)", re.IGNORECASE | re.DOTALL)


def _broken(finder: re.Pattern[str], text: str) -> str:
    return finder.sub(rf"\1{BREAK}", text.replace(BREAK, UNKNOWN))
