"""A byte-level BPE tokenizer in which a name is the same tokens wherever it stands.

The pre-tokenizer keeps words, digits, underscores, quotes and spaces apart, so that copying a
name never depends on what surrounds it. The sentences that the program itself writes around the
user's text are single tokens, which makes a conversation about half as long.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

PAD = "<|endoftext|>"
START = "<|im_start|>"
END = "<|im_end|>"
SPECIAL = (PAD, START, END)
MARKERS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
TOOLS = ("read", "write", "edit_lines", "glob", "grep", "bash")
TOOLS_LINE = "Tools: " + ", ".join(TOOLS)
FRAMES = (
    '{"name": "',
    '", "arguments": {"',
    '": "',
    '", "',
    '"}}',
    "You are a coding agent in the git repository ",
    "You are a coding agent in the folder ",
    ". Propose one tool call at a time; answer in words when the work is done.",
    TOOLS_LINE,
    "Your first try was turned down. The user said:",
    "Answer the request again, as if for the first time.",
    "This call is right here:",
    "Notes from the user:",
    "The first try printed:",
    "[the user edited this call before it ran]",
    "denied by the user: ",
)
PIECES = r"""\\[nt"\\]|[A-Za-z]+|\d|_|["'`]| +|\n|\s|[^\sA-Za-z\d_"'`\\]+|\\"""
VOCABULARY = 2_304


def train(texts: Iterator[str], size: int = VOCABULARY) -> Tokenizer:
    """Train the merges on texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    added = [*SPECIAL, *MARKERS, *FRAMES]
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(MARKERS) - len(FRAMES),
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((_without(text, added) for text in texts), trainer)
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in MARKERS])
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in FRAMES])
    return tokenizer


def _without(text: str, added: list[str]) -> str:
    for token in added:
        text = text.replace(token, "\n")
    return text


def wrap(tokenizer: Tokenizer, chat_template: str) -> PreTrainedTokenizerFast:
    """Make it a transformers tokenizer."""
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[START, END],
        clean_up_tokenization_spaces=False,
        model_max_length=4096,
    )
    wrapped.chat_template = chat_template
    return wrapped


def build(seed: int = 3, episodes: int = 20_000) -> PreTrainedTokenizerFast:
    """Train the tokenizer on the curriculum."""
    from .episodes import episode
    from .model import CHAT_TEMPLATE, render_all

    rng = Random(seed)
    texts = (render_all(episode(rng, length=0.03)) for _ in range(episodes))
    return wrap(train(texts), CHAT_TEMPLATE)
