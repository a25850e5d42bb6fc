"""What a service can do, found out by asking it for three tokens; and which models it has."""

from __future__ import annotations

import contextlib
import difflib
from typing import TYPE_CHECKING, Any

import torch

from ...engine import EngineFailure, Reply
from .connection import Connection, Limits, TookTooLong
from .reader import TOP_K, Abilities
from .recipes import Example, Step

if TYPE_CHECKING:
    import tinker
    from transformers import PreTrainedTokenizerBase

    from .adapter import HostedAdapter

DEFAULT_CONTEXT = 32_768
NAMES_SHOWN = 3
QUICK = 60.0  # a server that compiles what it is first asked takes long for three tokens
LINEAR = 1e-3


def models_of(connection: Connection, reply: Reply) -> dict[str, int | None]:
    """The names of the models that a service offers, and how many tokens each reads, if told."""

    def begin() -> Any:
        import tinker

        return tinker.RestClient(base_url=connection.base_url).get_server_capabilities()

    found = connection.wait(
        "Asking which models there are", begin, reply, min(QUICK, connection.limits.connect)
    )
    return {
        model.model_name: model.max_context_length or None
        for model in found.supported_models
        if model.model_name
    }


def require_model(name: str, offered: dict[str, int | None]) -> int | None:
    """How many tokens a model reads, if told; fails in words where the service has it not."""
    if not offered:
        return None
    if name not in offered:
        near = difflib.get_close_matches(name, offered, NAMES_SHOWN, 0.3) or list(offered)
        shown = " or ".join(near[:NAMES_SHOWN])
        raise EngineFailure(
            "bad_model", f"The service has no model {name}: choose model_name={shown}."
        )
    return offered[name]


def context_of(name: str) -> int:
    """How many tokens a model reads by its own configuration, where that can be had."""
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError):
        return DEFAULT_CONTEXT
    return int(getattr(config, "max_position_embeddings", 0) or DEFAULT_CONTEXT)


def load_tokenizer(name: str, reply: Reply) -> PreTrainedTokenizerBase:
    """A model's tokenizer, from the hub's cache, the hub or a folder; never code from there."""
    reply.progress(f"Loading the tokenizer of {name}")
    from transformers import AutoTokenizer

    with contextlib.suppress(Exception):
        cached = AutoTokenizer.from_pretrained(name, trust_remote_code=False, local_files_only=True)
        if cached.chat_template:
            return cached
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    except Exception as error:
        raise EngineFailure(
            "bad_model",
            f"The tokenizer of {name} could not be loaded: check the network and HF_TOKEN, or "
            "choose another model_name.",
        ) from error
    if not tokenizer.chat_template:
        raise EngineFailure(
            "bad_model", f"{name} has no chat template: choose an instruction-tuned model."
        )
    return tokenizer


def require_same_tokenizer(ours: PreTrainedTokenizerBase, theirs: PreTrainedTokenizerBase) -> None:
    """Fail in words where a teacher would read other tokens than the student."""
    if ours.get_vocab() != theirs.get_vocab():
        raise EngineFailure(
            "bad_model",
            f"The teacher {theirs.name_or_path} has another tokenizer than the student, so it "
            "cannot score its tokens: choose a teacher_model of the same family.",
        )


def find_out(
    connection: Connection,
    sampler: tinker.SamplingClient,
    adapter: HostedAdapter | None,
    token: int,
    reply: Reply,
) -> Abilities:
    """Ask for three tokens in every way that a lesson would like to.

    Raises ``EngineFailure`` where the service does not score at all, or does not answer.
    """
    reply.progress("Finding out what the service can do")
    limits = connection.limits
    few = Limits(sample=min(QUICK, limits.sample), train=min(QUICK, limits.train))
    quick = Connection(connection.base_url, few, connection.client)
    every: dict[str, Any] = {"prompt_logprobs_last_n": 1, "topk_prompt_logprobs": TOP_K}
    last_n = top_k = True
    if not _scores(quick, sampler, token, reply, **every):
        _score(quick, sampler, token, reply)
        last_n = _scores(quick, sampler, token, reply, prompt_logprobs_last_n=1)
        top_k = _scores(quick, sampler, token, reply, topk_prompt_logprobs=TOP_K)
    wide = adapter is not None and _takes_wide_targets(quick, adapter, token, reply)
    return Abilities(top_k=TOP_K if top_k else 0, last_n=last_n, wide_targets=wide)


def is_linear(adapter: HostedAdapter, token: int, reply: Reply) -> bool:
    """Whether a loss that is computed here has the gradient there that it should have.

    Forward KL is both a loss of the service (cross-entropy with soft targets) and a divergence
    that can be taken here, up to a bucket that is left empty; the norms have to agree. Twice the
    loss has to have twice the gradient, which it has not where a service divides by the weights.
    """
    ids = torch.tensor([[token, token + 1], [token, token + 1]])
    weights = torch.full((2, 2), 0.5)
    tokens = torch.tensor([token, token])
    soft = Example(tokens, {"target_tokens": ids, "weights": weights})

    def here(times: float) -> Step:
        share = torch.full((2,), times)
        local = {"target_tokens": ids, "weights": weights, "teacher": weights.log(), "share": share}
        return Step("divergence", (Example(tokens, local),), 0.0)

    steps = (Step("cross_entropy", (soft,), 0.0), here(1.0), here(2.0))
    try:
        there, once, twice = (adapter.gradient_norm(step, reply) for step in steps)
    except EngineFailure as failure:
        if failure.code == "cancelled" or isinstance(failure, TookTooLong):
            raise
        return False
    near = LINEAR * there
    return there > 0 and abs(once - there) <= near and abs(twice - 2 * there) <= 2 * near


def _score(
    quick: Connection, sampler: tinker.SamplingClient, token: int, reply: Reply, **asked: Any
) -> tinker.SampleResponse:
    """One score of three tokens; raises ``EngineFailure`` where the service refuses it."""
    from tinker import types

    return quick.wait(
        "Scoring three tokens",
        lambda: sampler.sample(
            types.ModelInput.from_ints([token] * 3),
            1,
            types.SamplingParams(max_tokens=1),
            include_prompt_logprobs=True,
            **asked,
        ),
        reply,
        quick.limits.sample,
    )


def _scores(
    quick: Connection, sampler: tinker.SamplingClient, token: int, reply: Reply, **asked: Any
) -> bool:
    """Whether a score may be asked for in this way, and comes with what was asked for."""
    try:
        response = _score(quick, sampler, token, reply, **asked)
    except EngineFailure as failure:
        if failure.code == "cancelled" or isinstance(failure, TookTooLong):
            raise
        return False
    return "topk_prompt_logprobs" not in asked or response.topk_prompt_logprobs is not None


def _takes_wide_targets(
    quick: Connection, adapter: HostedAdapter, token: int, reply: Reply
) -> bool:
    """Whether several targets may be given for a token; nothing is trained by asking."""
    example = Example(
        torch.tensor([token, token]),
        {
            "target_tokens": torch.tensor([[token, token + 1], [token, token + 1]]),
            "weights": torch.full((2, 2), 0.5),
        },
    )
    try:
        output = quick.wait(
            "Finding out what the service can do",
            lambda: adapter.client.forward([example.datum()], "cross_entropy"),
            reply,
            quick.limits.train,
        )
    except EngineFailure as failure:
        if failure.code == "cancelled" or isinstance(failure, TookTooLong):
            raise
        return False
    shape = output.loss_fn_outputs[0]["logprobs"].shape
    return shape is not None and list(shape) == [2, 2]
