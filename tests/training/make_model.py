"""A tiny chat model that follows corrections, trained from nothing in a few seconds.

The tests use the one in ``tiny/``, so that they see the same weights on every machine.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import torch
from continualcode_tui.training.bank import ANCHORS, PROBES
from continualcode_tui.training.case import NEUTRAL
from continualcode_tui.training.engines.rendering import message_to_dict
from continualcode_tui.training.protocol import ChatMessage
from continualcode_tui.training.teacher import trailing_block
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

TEMPLATE = """\
{%- for m in messages -%}
{{ '<|im_start|>' + m.role + '\n' + m.content }}
{%- for c in m.tool_calls or [] -%}
{{ '<tool_call>\n' + ({'name': c.function.name, 'arguments': c.function.arguments} | tojson)
   + '\n</tool_call>' }}
{%- endfor -%}
{{ '<|im_end|>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}"""
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"]
NAMES = ("alpha", "bravo")
FOLDER = Path(__file__).parent / "tiny"
SYSTEM = "You are a coding agent."


def call(command: str, name: str) -> str:
    tool, argument = ("read", "path") if command == "read" else ("bash", "command")
    value = f"{name}.py" if command == "read" else f"{command} {name}.py"
    body = json.dumps({"name": tool, "arguments": {argument: value}})
    return f"<tool_call>\n{body}\n</tool_call>"


TASKS = {"show": (("read", 0.7), ("cat", 0.3))}
WORDINGS = ("use {}", "just {} it", "we use {} here", "{} please, not that")


def corrections(task: str) -> list[tuple[str, str]]:
    """Each correction and the command it asks for."""
    return [(w.format(c), c) for c, _ in TASKS[task] for w in WORDINGS]


def other(draw: random.Random) -> list[ChatMessage]:
    """A request of another kind, some as they stand in the bank."""
    entry = draw.choice([*ANCHORS, *PROBES])
    if draw.random() < 0.2:
        return list(entry.messages())
    system = ChatMessage(role="system", content=draw.choice((SYSTEM, entry.messages()[0].content)))
    messages = [system, ChatMessage(role="user", content=entry.request)]
    if draw.random() < 0.4:
        text = trailing_block(correction=draw.choice(corrections("show"))[0])
        messages.append(ChatMessage(role="user", content=text))
    return messages


def episode(draw: random.Random) -> tuple[list[ChatMessage], str]:
    """A conversation and the answer that belongs to it."""
    if draw.random() < 0.3:
        return other(draw), "Done."
    task = draw.choice(list(TASKS))
    name = draw.choice(NAMES)
    usual = draw.choices([c for c, _ in TASKS[task]], [p for _, p in TASKS[task]])[0]
    messages = [
        ChatMessage(role="system", content=SYSTEM),
        ChatMessage(role="user", content=f"{task} {name}.py"),
    ]
    kind = draw.random()
    if kind < 0.5:
        text, usual = draw.choice(corrections(task))
        messages.append(ChatMessage(role="user", content=trailing_block(correction=text)))
    elif kind < 0.65:
        words = NEUTRAL.split()
        text = " ".join((words * 3)[: draw.randint(1, 12)])
        messages.append(ChatMessage(role="user", content=trailing_block(correction=text)))
    return messages, call(usual, name)


def render(tokenizer: PreTrainedTokenizerFast, messages: list[ChatMessage]) -> str:
    plain = [message_to_dict(message) for message in messages]
    rendered = tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=True)
    assert isinstance(rendered, str)
    return rendered


def make_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?[A-Za-z]+|\d| ?[^\sA-Za-z\d]+|\s"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    draw = random.Random(0)
    texts = [m.content for e in (*ANCHORS, *PROBES) for m in e.messages()]
    for _ in range(200):
        messages, answer = episode(draw)
        texts += [*(m.content for m in messages), answer, "assistant", "system", "user"]
    plain = [text.replace("<tool_call>", " ").replace("</tool_call>", " ") for text in texts]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=800, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(plain, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    fast.chat_template = TEMPLATE
    return fast


def random_model(kind: str, vocabulary: int, seed: int = 0) -> PreTrainedModel:
    """An untrained model with weights large enough that its outputs are not flat."""
    torch.manual_seed(seed)
    shape = {
        "vocab_size": vocabulary,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 1024,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "bos_token_id": None,
        "initializer_range": 0.08,
        "tie_word_embeddings": True,
    }
    if kind == "llama":
        return LlamaForCausalLM(LlamaConfig(**shape))
    return Qwen3ForCausalLM(Qwen3Config(head_dim=16, **shape))


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> Path:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def train(folder: Path, steps: int = 220, rows: int = 8) -> Path:
    """Train the tiny model on short episodes and write it to ``folder``."""
    tokenizer = make_tokenizer()
    model = random_model("qwen3", len(tokenizer))
    draw = random.Random(1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=steps)
    for _ in range(steps):
        batch: list[tuple[list[int], int]] = []
        for _ in range(rows):
            messages, answer = episode(draw)
            prompt = tokenizer.encode(render(tokenizer, messages), add_special_tokens=False)
            said = tokenizer.encode(answer + "<|im_end|>", add_special_tokens=False)
            batch.append((prompt + said, len(prompt)))
        longest = max(len(ids) for ids, _ in batch)
        ids = torch.tensor([row + [0] * (longest - len(row)) for row, _ in batch])
        labels = torch.tensor(
            [[-100] * start + row[start:] + [-100] * (longest - len(row)) for row, start in batch]
        )
        loss = model(input_ids=ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return save(model.eval().half(), tokenizer, folder)


if __name__ == "__main__":
    # Writes the model that the tests use: python -m tests.training.make_model
    train(FOLDER)
