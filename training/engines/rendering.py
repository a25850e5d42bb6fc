"""Conversations to token ids, by the tokenizer's own chat template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..engine import EngineFailure
from ..protocol import ChatMessage, ToolSchema
from .quoting import Quoting, control_tokens, pieces

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Prompt:
    """A rendered conversation that ends where the answer begins.

    ``prefix`` is everything before the last assistant header and ``header`` that header; an
    adapter with scope ``answer`` is active from the header on.
    """

    prefix: tuple[int, ...]
    header: tuple[int, ...]

    @property
    def tokens(self) -> tuple[int, ...]:
        """The whole prompt."""
        return self.prefix + self.header

    def __len__(self) -> int:
        return len(self.prefix) + len(self.header)


def message_to_dict(message: ChatMessage) -> dict[str, Any]:
    """One message in the form that chat templates take."""
    plain: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        plain["tool_calls"] = [
            {"type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    return plain


def tool_to_dict(tool: ToolSchema) -> dict[str, Any]:
    """One tool in the form that chat templates take."""
    return {
        "type": "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
        },
    }


class Renderer:
    """Renders prompts with one tokenizer; control tokens come from the template alone."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self._quoting = Quoting(tokenizer)
        self._control = frozenset(control_tokens(tokenizer))

    def encode(self, text: str) -> tuple[int, ...]:
        """Token ids of a text, with no special tokens added."""
        parts = (self.tokenizer.encode(each, add_special_tokens=False) for each in pieces(text))
        return tuple(token for part in parts for token in part)

    def control(self, tokens: Sequence[int]) -> tuple[int, ...]:
        """The control tokens among some tokens, in their order."""
        return tuple(token for token in tokens if token in self._control)

    def quote(self, text: str) -> str:
        """A text as it may stand in a trailing block: what imitates a control token is broken."""
        return self._quoting.text(text)

    def _render(
        self, messages: Sequence[ChatMessage], tools: Sequence[ToolSchema], header: bool
    ) -> str:
        rendered = self.tokenizer.apply_chat_template(
            [message_to_dict(message) for message in messages],
            tools=[tool_to_dict(tool) for tool in tools] or None,
            tokenize=False,
            add_generation_prompt=header,
            enable_thinking=False,
        )
        assert isinstance(rendered, str)
        return rendered

    def prompt(self, messages: Sequence[ChatMessage], tools: Sequence[ToolSchema]) -> Prompt:
        """The student's prompt."""
        return self._prompt([self._quoting.message(message) for message in messages], tools)

    def _prompt(self, messages: Sequence[ChatMessage], tools: Sequence[ToolSchema]) -> Prompt:
        from jinja2 import TemplateError

        try:
            text = self._render(messages, tools, header=True)
            without = self._render(messages, tools, header=False)
        except TemplateError as error:
            message = (
                f"The model's chat template refuses this conversation ({error}): choose another "
                "model."
            )
            raise EngineFailure("bad_model", message) from None
        return self._split(text, without)

    def _split(self, text: str, without: str) -> Prompt:
        """Cut a rendered prompt at its last assistant header."""
        tokens = self.encode(text)
        if text.startswith(without) and len(text) > len(without):
            header = self.encode(text[len(without) :])
            if tokens[-len(header) :] == header:
                return Prompt(tokens[: -len(header)], header)
        # A template without a header of its own: the last token opens the answer.
        return Prompt(tokens[:-1], tokens[-1:])

    def teacher_prompt(
        self, messages: Sequence[ChatMessage], tools: Sequence[ToolSchema], block: str
    ) -> Prompt:
        """The student's conversation and the trailing block as one more user message.

        The block is ours, and the texts in it are quoted. Where a template refuses two user
        messages in a row, or leaves one out, it is merged into the last user message.
        """
        from jinja2 import TemplateError

        quoted = [self._quoting.message(message) for message in messages]
        extended = [*quoted, ChatMessage(role="user", content=block)]
        try:
            if block in self._render(extended, tools, header=True):
                return self._prompt(extended, tools)
        except (TemplateError, EngineFailure):
            pass
        return self._prompt(merge_into_last_user(quoted, block), tools)


def merge_into_last_user(messages: Sequence[ChatMessage], block: str) -> list[ChatMessage]:
    """Append the block to the last user message, or add one when there is none."""
    merged = list(messages)
    for index in range(len(merged) - 1, -1, -1):
        if merged[index].role == "user":
            content = f"{merged[index].content}\n\n{block}"
            merged[index] = merged[index].model_copy(update={"content": content})
            return merged
    return [*merged, ChatMessage(role="user", content=block)]


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """How many tokens two sequences share at their beginning."""
    length = min(len(left), len(right))
    for index in range(length):
        if left[index] != right[index]:
            return index
    return length
