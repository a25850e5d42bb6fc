"""The model's configuration, its chat template, and the rendering that the trainer uses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..protocol import ChatMessage
from ..teacher import render_call
from .tasks.base import Turn
from .tokenizer import END, TOOLS_LINE

CHAT_TEMPLATE = """\
{%- for message in messages %}
{{- '<|im_start|>' + ('user' if message.role == 'tool' else message.role) + '\\n' }}
{%- if message.role == 'tool' %}
{{- '<tool_response>\\n' + message.content + '\\n</tool_response>' }}
{%- else %}
{{- message.content or '' }}
{%- endif %}
{%- if message.role == 'system' and tools %}
{{- '\\n\\nTools: ' }}
{%- for tool in tools %}
{{- (tool.function if tool.function is defined else tool).name + ('' if loop.last else ', ') }}
{%- endfor %}
{%- endif %}
{%- for tool_call in message.tool_calls or [] %}
{%- set call = tool_call.function if tool_call.function is defined else tool_call %}
{{- '\\n' if message.content or not loop.first else '' }}
{{- '<tool_call>\\n{"name": "' + call.name + '", "arguments": ' }}
{{- call.arguments if call.arguments is string else call.arguments | tojson }}
{{- '}\\n</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
SIZES = {
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 32,
}


def body(message: ChatMessage) -> str:
    """What stands between a message's header and its end."""
    if message.role == "tool":
        return f"<tool_response>\n{message.content}\n</tool_response>"
    text = message.content + ("\n\n" + TOOLS_LINE if message.role == "system" else "")
    calls = "\n".join(render_call(call) for call in message.tool_calls)
    return "\n".join(filter(None, (text, calls)))


def render(message: ChatMessage) -> str:
    """One message, as the chat template writes it when all tools are offered."""
    role = "user" if message.role == "tool" else message.role
    return f"<|im_start|>{role}\n{body(message)}{END}\n"


def render_all(turns: Sequence[Turn]) -> str:
    """A whole conversation."""
    return "".join(render(turn.message) for turn in turns)


def configuration(vocabulary: int, end: int, pad: int, **sizes: int) -> dict[str, Any]:
    """The arguments of ``Qwen3Config``."""
    return {
        **SIZES,
        **sizes,
        "vocab_size": vocabulary,
        "tie_word_embeddings": True,
        "max_position_embeddings": 4096,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
        "initializer_range": 0.04,
        "bos_token_id": None,
        "eos_token_id": end,
        "pad_token_id": pad,
    }


def as_tools(names: Sequence[str]) -> list[dict[str, Any]]:
    """Tool schemas that hold nothing but the names, which is all that the template shows."""
    schema = {"type": "object", "properties": {}}
    return [
        {"type": "function", "function": {"name": name, "description": "", "parameters": schema}}
        for name in names
    ]


def as_dicts(messages: Sequence[ChatMessage]) -> list[dict[str, Any]]:
    """Messages in the form that ``apply_chat_template`` takes."""
    return [
        {
            "role": message.role,
            "content": message.content,
            **(
                {
                    "tool_calls": [
                        {"type": "function", "function": json.loads(call.model_dump_json())}
                        for call in message.tool_calls
                    ]
                }
                if message.tool_calls
                else {}
            ),
        }
        for message in messages
    ]
