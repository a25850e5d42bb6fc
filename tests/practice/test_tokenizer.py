"""The tokenizer and the chat template: nothing is lost, and both renderings agree."""

from __future__ import annotations

import json
import random

from continualcode_tui.training.practice.episodes import episode
from continualcode_tui.training.practice.model import (
    as_dicts,
    as_tools,
    body,
    render_all,
)
from continualcode_tui.training.practice.tokenizer import FRAMES, TOOLS
from continualcode_tui.training.practice.train import Encoder, collate, pool_of_batches
from continualcode_tui.training.protocol import ChatMessage, ToolCall
from continualcode_tui.training.teacher import render_call, trailing_block

TRICKY = '"quotes" \'single\' <tag> & \\ back \\n\n\ttab ünï → 日本 {"a": "b", "c": 1}} $x `y`'


def rendered(tokenizer, messages: list[ChatMessage], **options) -> str:
    return tokenizer.apply_chat_template(
        as_dicts(messages), tools=as_tools(TOOLS), tokenize=False, **options
    )


def test_text_survives(tokenizer) -> None:
    rng = random.Random(1)
    for text in [TRICKY, *(render_all(episode(rng, length=0.2)) for _ in range(100))]:
        assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_a_name_is_the_same_tokens_everywhere(tokenizer) -> None:
    name = tokenizer("billing").input_ids
    for text in ('"billing"', "/billing.py", " billing ", "\\nbilling", "(billing)", "_billing_"):
        ids = tokenizer(text).input_ids
        assert any(ids[at : at + len(name)] == name for at in range(len(ids))), text


def test_the_program_s_sentences_are_single_tokens(tokenizer) -> None:
    for frame in FRAMES:
        assert len(tokenizer(frame).input_ids) == 1


def test_the_template_writes_what_the_trainer_renders(tokenizer) -> None:
    rng = random.Random(2)
    for _ in range(150):
        turns = episode(rng, length=0.1)
        assert rendered(tokenizer, [turn.message for turn in turns]) == render_all(turns)


def test_the_template_writes_calls_as_json_does(tokenizer) -> None:
    call = ToolCall(name="write", arguments={"path": "a.py", "content": TRICKY, "number": 3})
    message = ChatMessage(role="assistant", content="So:", tool_calls=(call,))
    text = rendered(tokenizer, [message])
    assert text == f"<|im_start|>assistant\nSo:\n{render_call(call)}<|im_end|>\n"
    bare = [
        {"role": "assistant", "content": "", "tool_calls": [json.loads(call.model_dump_json())]}
    ]
    assert render_call(call) in tokenizer.apply_chat_template(bare, tokenize=False)


def test_the_template_opens_the_model_s_turn(tokenizer) -> None:
    messages = [ChatMessage(role="system", content="S"), ChatMessage(role="user", content="U")]
    text = rendered(tokenizer, messages, add_generation_prompt=True)
    assert text == (
        "<|im_start|>system\nS\n\nTools: read, write, edit_lines, glob, grep, bash<|im_end|>\n"
        "<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_tool_s_answer_stands_in_a_user_turn(tokenizer) -> None:
    message = ChatMessage(role="tool", content="1\tx = 1")
    text = rendered(tokenizer, [message])
    assert text == "<|im_start|>user\n<tool_response>\n1\tx = 1\n</tool_response><|im_end|>\n"
    assert body(message) in text


def test_only_what_the_model_says_is_learned(tokenizer) -> None:
    encode = Encoder(tokenizer)
    rng = random.Random(3)
    for _ in range(100):
        turns = episode(rng)
        tokens, learn = encode(turns)
        assert tokens == tokenizer(render_all(turns)).input_ids
        learned = tokenizer.decode([token for token, on in zip(tokens, learn, strict=True) if on])
        said = [body(turn.message) + "<|im_end|>" for turn in turns if turn.learn]
        assert learned == "".join(said)


def test_batches_keep_to_the_budget(tokenizer) -> None:
    batches = pool_of_batches(random.Random(4), Encoder(tokenizer), done=0.05, budget=2_000)
    for batch in batches:
        ids, learn = collate(batch, "cpu")
        assert ids.shape == learn.shape
        assert ids.numel() <= 2_000
        assert learn.any(dim=1).all()


def test_the_trailing_block_uses_the_known_sentences(tokenizer) -> None:
    block = trailing_block(
        correction="use uv",
        notes=["n"],
        solution=ToolCall(name="read", arguments={"path": "a"}),
        tool_output="x",
    )
    known = [frame for frame in FRAMES if frame in block]
    assert len(known) >= 5
