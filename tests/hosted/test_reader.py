"""What a service says of an answer is what the model behind it says."""

from __future__ import annotations

import pytest
import torch
from continualcode_tui.training.engine import EngineFailure
from continualcode_tui.training.engines.generation import Sampling
from continualcode_tui.training.engines.hosted.reader import Abilities, Named, Reader

from tests.loopback.faults import Fault
from tests.training.conftest import SHOW


@pytest.fixture
def reader(connection, hosted, reply) -> Reader:
    named = Named(str(hosted.folder), hosted.tokenizer, hosted.context)
    return Reader(connection, named, reply)


def test_a_sample_comes_with_its_text_and_log_probabilities(reader, hosted):
    prompt = reader.renderer.prompt(SHOW, ())
    shown = []
    said = reader.sample(prompt, Sampling(0, 60), on_token=lambda *one: shown.append(one))
    assert said.text.startswith('<tool_call>\n{"name": "read"')
    assert said.stop_reason == "stop"
    assert "".join(text for text, _, _ in shown) == said.text
    rows = hosted.logprobs(None, [*prompt.tokens, *said.tokens])
    after = len(prompt) - 1
    for at, (token, logprob) in enumerate(zip(said.tokens, said.logprobs, strict=True)):
        assert logprob == pytest.approx(float(rows[after + at, token]), abs=1e-4)


@pytest.mark.parametrize("last_n", [True, False])
def test_a_score_is_the_models_where_it_was_told(reader, hosted, loopback, last_n):
    reader.abilities = Abilities(top_k=5, last_n=last_n)
    prompt = reader.renderer.prompt(SHOW, ())
    said = reader.sample(prompt, Sampling(0, 60))
    found = reader.score(prompt, said.tokens)
    true = hosted.logprobs(None, [*prompt.tokens, *said.tokens])[len(prompt) - 1 : -1].detach()
    assert found.shape == (len(said.tokens), len(hosted.tokenizer))
    assert torch.allclose(found.exp().sum(-1), torch.ones(len(found)), atol=1e-4)
    told = true.topk(5).indices
    torch.testing.assert_close(found.gather(-1, told), true.gather(-1, told), atol=2e-3, rtol=0)
    asked = [body for _, body in loopback.service.books.asked if body.get("prompt_logprobs")]
    assert (asked[-1].get("prompt_logprobs_last_n") == len(said.tokens)) == last_n


@pytest.mark.parametrize(
    ("kind", "words"), [("nan", "are no numbers"), ("missing", "left out log-probabilities")]
)
def test_log_probabilities_that_are_none_are_told_in_words(reader, loopback, kind, words):
    prompt = reader.renderer.prompt(SHOW, ())
    loopback.service.faults.add("retrieve_future/asample", Fault(kind))
    with pytest.raises(EngineFailure, match=words):
        reader.sample(prompt, Sampling(0, 20))


def test_a_prompt_that_is_too_long_is_told_before_it_is_sent(reader):
    reader.context_tokens = 8
    prompt = reader.renderer.prompt(SHOW, ())
    with pytest.raises(EngineFailure, match="start a new conversation"):
        reader.sample(prompt, Sampling(0, 20))
