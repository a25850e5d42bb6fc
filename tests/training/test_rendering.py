"""Prompts from chat templates of every manner."""

from __future__ import annotations

import pytest
from continualcode_tui.training.engine import EngineFailure
from continualcode_tui.training.engines.generation import REPLACEMENT, Detokeniser
from continualcode_tui.training.engines.rendering import (
    Renderer,
    common_prefix,
    merge_into_last_user,
)
from continualcode_tui.training.protocol import ChatMessage, ToolCall, ToolSchema
from continualcode_tui.training.teacher import trailing_block
from hypothesis import given
from hypothesis import strategies as st

from . import make_model
from .conftest import SHOW

BLOCK = trailing_block(correction="use cat")
ALTERNATING = """\
{%- for m in messages -%}
{%- if loop.index0 > 0 and m.role == messages[loop.index0 - 1].role -%}
{{ raise_exception('roles must alternate') }}{%- endif -%}
{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}"""
LAST_ONLY = "{{ '<|im_start|>' + messages[1].content + '<|im_end|>\n' }}"
THINKING = make_model.TEMPLATE.replace("assistant\n' }}", "assistant\n<think>\n\n</think>\n\n' }}")


@pytest.fixture(scope="module")
def renderer():
    return Renderer(make_model.make_tokenizer())


def with_template(template: str) -> Renderer:
    tokenizer = make_model.make_tokenizer()
    tokenizer.chat_template = template
    return Renderer(tokenizer)


def decode(renderer: Renderer, tokens: tuple[int, ...]) -> str:
    return str(renderer.tokenizer.decode(list(tokens)))


def test_the_header_is_what_follows_the_conversation(renderer):
    prompt = renderer.prompt(SHOW, ())
    assert decode(renderer, prompt.header) == "<|im_start|>assistant\n"
    assert decode(renderer, prompt.prefix).endswith("show alpha.py<|im_end|>\n")


def test_the_teacher_shares_the_whole_prefix(renderer):
    student = renderer.prompt(SHOW, ())
    teacher = renderer.teacher_prompt(SHOW, (), BLOCK)
    assert common_prefix(student.prefix, teacher.prefix) == len(student.prefix)
    assert student.header == teacher.header
    assert BLOCK in decode(renderer, teacher.prefix)


def test_a_header_with_empty_thinking_belongs_to_the_header():
    renderer = with_template(THINKING)
    header = decode(renderer, renderer.prompt(SHOW, ()).header)
    assert header == "<|im_start|>assistant\n<think>\n\n</think>\n\n"


@pytest.mark.parametrize("template", [ALTERNATING, LAST_ONLY])
def test_the_block_is_merged_where_two_user_messages_are_not_taken(template):
    renderer = with_template(template)
    prompt = renderer.teacher_prompt(SHOW, (), BLOCK)
    assert f"show alpha.py\n\n{BLOCK}" in decode(renderer, prompt.tokens)
    assert len(prompt.header) >= 1


def test_a_template_that_refuses_is_told_in_words():
    renderer = with_template("{{ raise_exception('never') }}")
    with pytest.raises(EngineFailure, match="chat template refuses") as failure:
        renderer.prompt(SHOW, ())
    assert failure.value.code == "bad_model"


def test_merging_without_a_user_message_adds_one():
    merged = merge_into_last_user(SHOW[:1], "block")
    assert [m.role for m in merged] == ["system", "user"]


def test_calls_and_tools_reach_the_template():
    tool = ToolSchema(name="read", description="Read it.", parameters={"type": "object"})
    template = (
        "{{ tools[0].function.name }}{% for m in messages %}{% for c in m.tool_calls or [] %}"
    )
    template += "{{ c.function.arguments.path }}{% endfor %}{% endfor %}"
    renderer = with_template(template)
    call = ToolCall(name="read", arguments={"path": "x.py"})
    messages = [*SHOW, ChatMessage(role="assistant", tool_calls=(call,))]
    assert decode(renderer, renderer.prompt(messages, (tool,)).tokens) == "readx.py"


@given(text=st.text(max_size=30))
def test_detokenising_piece_by_piece_gives_the_whole(text):
    tokenizer = TOKENIZER
    tokens = tokenizer.encode(text, add_special_tokens=False)
    stream = Detokeniser(lambda ids: str(tokenizer.decode(ids)))
    pieces = [stream.push(token) for token in tokens]
    pieces.append(stream.finish())
    assert "".join(pieces) == tokenizer.decode(tokens) == stream.text
    if REPLACEMENT not in text:
        assert REPLACEMENT not in "".join(pieces[:-1])


TOKENIZER = make_model.make_tokenizer()
