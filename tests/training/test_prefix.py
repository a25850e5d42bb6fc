"""One prefix, three readers: every cached path gives what the uncached model gives."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from continualcode_tui.training.bank import ANCHORS
from continualcode_tui.training.engines import batch
from continualcode_tui.training.engines.batch import (
    Anchor,
    Batch,
    Reading,
    answer_together,
    read_together,
)
from continualcode_tui.training.engines.generation import Sampling, generate
from continualcode_tui.training.engines.prefix import Prefix, PrefixCache
from continualcode_tui.training.engines.rendering import Prompt
from continualcode_tui.training.protocol import ChatMessage
from peft import PeftModel
from transformers import AutoModelForCausalLM

from .conftest import SHOW, quiet

COMPLETION = tuple(range(40, 60))
CLOSE = 1e-4


def base_logprobs(folder: Path, prompt: Prompt, completion: tuple[int, ...]) -> torch.Tensor:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = torch.tensor([[*prompt.tokens, *completion]])
    with torch.no_grad():
        return model(ids).logits[0, len(prompt) - 1 : -1].log_softmax(-1)


def test_without_the_adapter_it_is_the_base(make_policy, folder):
    policy = make_policy()
    prompt = policy.renderer.prompt(SHOW, ())
    expected = base_logprobs(folder, prompt, COMPLETION)
    for scope_policy in (policy, make_policy(scope="everywhere")):
        found = scope_policy.score(prompt, COMPLETION, adapter=False)
        assert (found - expected).abs().max() < CLOSE
    assert (policy.score(prompt, COMPLETION) - expected).abs().max() > 0.1


def test_a_new_adapter_does_nothing_exactly(make_policy):
    policy = make_policy(disturb=0.0)
    prompt = policy.renderer.prompt(SHOW, ())
    with_it, without = (policy.score(prompt, COMPLETION, adapter=on) for on in (True, False))
    assert torch.equal(with_it, without)


def test_the_exported_adapter_agrees_with_peft(make_policy, folder, tmp_path):
    policy = make_policy()
    prompt = policy.renderer.prompt(SHOW, ())
    policy.adapter.export(tmp_path / "out", policy.header_tokens(), str(folder))
    assert (tmp_path / "out" / "adapter_config.json").is_file()
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, str(tmp_path / "out")).eval()
    ids = torch.tensor([[*prompt.tokens, *COMPLETION]])
    with torch.no_grad():
        theirs = model(ids).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
    assert (policy.score(prompt, COMPLETION) - theirs).abs().max() < CLOSE


def test_cached_with_gradient_agrees_with_uncached(make_policy):
    policy = make_policy()
    prompt = policy.renderer.prompt(SHOW, ())
    loss = policy.score_with_gradient(prompt, COMPLETION)[:, 5].sum()
    gradients = torch.autograd.grad(loss, policy.adapter.parameters)
    # The same by finite differences of the cached score along the gradient.
    square = sum(float(g.square().sum()) for g in gradients)
    start = policy.adapter.state()
    step = 1e-3 / square**0.5
    direction = dict(zip(policy.adapter.names, gradients, strict=True))
    values: list[float] = []
    for sign in (1, -1):
        policy.adapter.move(start, direction, sign * step)
        values.append(float(policy.score(prompt, COMPLETION)[:, 5].double().sum()))
    assert (values[0] - values[1]) / (2 * step) == pytest.approx(square, rel=0.02)


def test_prefixes_are_extended_cropped_and_shared(make_policy):
    policy = make_policy()
    short = policy.renderer.prompt(SHOW, ())
    longer = policy.renderer.prompt([*SHOW, ChatMessage(role="user", content="more")], ())
    alone = make_policy().score(longer, COMPLETION)
    policy.score(short, COMPLETION)
    computed = policy.prefixes.computed_tokens
    assert (policy.score(longer, COMPLETION) - alone).abs().max() < CLOSE
    assert policy.prefixes.computed_tokens - computed == len(longer.prefix) - len(short.prefix)
    # Going back to the shorter one costs nothing, and gives the same as at first.
    computed = policy.prefixes.computed_tokens
    again = make_policy().score(short, COMPLETION)
    assert (policy.score(short, COMPLETION) - again).abs().max() < CLOSE
    assert policy.prefixes.computed_tokens == computed


def test_the_least_recently_used_prefix_goes_first(make_policy):
    policy = make_policy()
    cache = PrefixCache(policy._extend, max_entries=2)
    first, second, third = ((10 + i, 20, 30, 40) for i in range(3))
    cache.get(first)
    cache.get(second)
    cache.get(first)
    cache.get(third)
    computed = cache.computed_tokens
    cache.get(first)
    assert cache.computed_tokens == computed
    cache.get(second)
    assert cache.computed_tokens == computed + 4
    assert len(cache) == 2


def test_an_empty_prefix_needs_no_cache(make_policy):
    policy = make_policy()
    prompt = Prompt((), (5, 6, 7))
    assert policy.score(prompt, COMPLETION).shape[0] == len(COMPLETION)
    assert Prefix((), None).fork() is None


@pytest.mark.parametrize("scope", ["answer", "everywhere"])
def test_a_padded_batch_agrees_with_single_rows(make_policy, scope):
    policy = make_policy(scope=scope)
    anchors: list[Anchor] = []
    for index, entry in enumerate(ANCHORS[:5]):
        prompt = policy.renderer.prompt(entry.messages(), ())
        with policy.as_base():
            prefix = policy.prefix(prompt, keep=False)
        answer = tuple(range(40, 45 + 4 * index))
        anchors.append(Anchor(entry.id, prompt, prefix, answer))
    batch = Batch(policy, anchors)
    for adapter in (True, False):
        with torch.no_grad():
            together = batch.logprobs(adapter=adapter)
        for row, anchor in enumerate(anchors):
            alone = policy.score(anchor.prompt, anchor.answer, adapter=adapter)
            length = len(anchor.answer)
            assert batch.real[row].sum() == length
            assert (together[row, :length] - alone).abs().max() < CLOSE


def test_answers_made_together_are_those_made_alone(make_policy):
    policy = make_policy()
    anchors: list[Anchor] = []
    for entry in ANCHORS[:4]:
        prompt = policy.renderer.prompt(entry.messages(), ())
        anchors.append(Anchor(entry.id, prompt, policy.prefix(prompt, keep=False)))
    with policy.as_base():
        *_, together = answer_together(policy, anchors, 12)
    for anchor, answer in zip(anchors, together, strict=True):
        with policy.as_base():
            alone = generate(policy, anchor.prompt, Sampling(0, 12))
        assert answer == alone.tokens


@pytest.mark.parametrize("scope", ["answer", "everywhere"])
def test_sampling_agrees_with_scoring(make_policy, scope):
    policy = make_policy(scope=scope)
    prompt = policy.renderer.prompt(SHOW, ())
    said = generate(policy, prompt, Sampling(0.8, 24, seed=3))
    scored = policy.score(prompt, said.tokens)
    chosen = scored.gather(-1, torch.tensor(said.tokens)[:, None])[:, 0]
    assert (chosen - torch.tensor(said.logprobs)).abs().max() < CLOSE
    again = generate(policy, prompt, Sampling(0.8, 24, seed=3))
    assert again.tokens == said.tokens
    greedy = generate(policy, prompt, Sampling(0, 24))
    assert policy.score(prompt, greedy.tokens).argmax(-1).tolist() == list(greedy.tokens)


def test_scopes_differ_only_before_the_header(make_policy):
    answer, everywhere = make_policy(), make_policy(scope="everywhere")
    prompt = answer.renderer.prompt(SHOW, ())
    assert not torch.allclose(
        answer.score(prompt, COMPLETION), everywhere.score(prompt, COMPLETION), atol=1e-3
    )
    everything_is_answer = Prompt((), prompt.tokens)
    assert torch.allclose(
        answer.score(everything_is_answer, COMPLETION),
        everywhere.score(prompt, COMPLETION),
        atol=CLOSE,
    )


def test_cancelling_a_long_prefix_stops_between_chunks(make_policy, monkeypatch):
    monkeypatch.setattr("continualcode_tui.training.engines.prefix.CHUNK_TOKENS", 8)
    policy = make_policy()
    looks: list[int] = []

    def check() -> None:
        looks.append(1)
        if len(looks) == 3:
            raise KeyboardInterrupt

    prompt = policy.renderer.prompt(SHOW, ())
    with pytest.raises(KeyboardInterrupt):
        policy.prefix(prompt, check=check)
    assert quiet().is_cancelled() is False
    assert len(policy.prefixes) == 0


@pytest.mark.parametrize("scope", ["answer", "everywhere"])
@pytest.mark.parametrize("room", [batch.MOST_TOKENS_TOGETHER, 0])
def test_student_teacher_and_reference_are_read_together(make_policy, monkeypatch, scope, room):
    monkeypatch.setattr(batch, "MOST_TOKENS_TOGETHER", room)
    policy = make_policy(scope=scope)
    short = policy.renderer.prompt(SHOW, ())
    long = policy.renderer.teacher_prompt(SHOW, (), "use cat and nothing else for that")
    wanted = [
        Reading(short, COMPLETION),
        Reading(long, COMPLETION[:7]),
        Reading(short, COMPLETION, adapter=False),
    ]
    passes: list[int] = []
    forward = policy.adapter.model.forward
    monkeypatch.setattr(
        policy.adapter.model, "forward", lambda **k: passes.append(1) or forward(**k)
    )
    for reading in wanted:
        if scope == "answer":
            policy.prefix(reading.prompt)
    passes.clear()
    found = read_together(policy, wanted)
    assert len(passes) == (1 if room else 3)
    for reading, read in zip(wanted, found, strict=True):
        alone = policy.score(reading.prompt, reading.tokens, adapter=reading.adapter)
        assert (read - alone).abs().max() < CLOSE
    assert (found[0] - found[2]).abs().max() > 0.1
