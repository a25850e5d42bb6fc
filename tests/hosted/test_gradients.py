"""One on-policy step has the same gradient by every loss that should give it."""

from __future__ import annotations

import numpy as np
import pytest
from tinker import types

from tests.training.conftest import SHOW


@pytest.fixture
def training(connection, hosted, reply):
    return connection.wait(
        "adapter",
        lambda: connection.client.create_lora_training_client(str(hosted.folder), rank=8, seed=1),
        reply,
        30,
    )


def norm_of(training, data, loss, config=None) -> float:
    training.forward_backward(data, loss, config).result()
    return step(training)


def step(training) -> float:
    """The norm of the gradient so far; a rate of zero leaves the weights alone."""
    moved = training.optim_step(types.AdamParams(learning_rate=0.0)).result()
    return moved.metrics["grad_norm"]


def test_importance_sampling_cispo_and_a_custom_loss_agree(connection, training, hosted, reply):
    student = connection.wait("publish", training.save_weights_and_get_sampling_client, reply, 30)
    prompt = hosted.tokenizer.apply_chat_template(
        [{"role": m.role, "content": m.content} for m in SHOW],
        add_generation_prompt=True,
        return_dict=False,
    )
    said = student.sample(
        types.ModelInput.from_ints(prompt), 1, types.SamplingParams(max_tokens=20, seed=3)
    ).result()
    answer = said.sequences[0].tokens
    drawn = np.asarray(said.sequences[0].logprobs, dtype=np.float32)
    draw = np.random.default_rng(0)
    teacher = drawn + draw.normal(size=len(answer)).astype(np.float32)
    reference = drawn + draw.normal(size=len(answer)).astype(np.float32)
    folded = (teacher - drawn) - 0.04 * (drawn - reference)
    before = len(prompt) - 1

    def padded(values: np.ndarray) -> np.ndarray:
        return np.concatenate([np.zeros(before, dtype=np.float32), values.astype(np.float32)])

    targets = np.array([*prompt[1:], *answer])
    tokens = types.ModelInput.from_ints([*prompt, *answer[:-1]])

    def datum(**inputs: np.ndarray) -> types.Datum:
        return types.Datum(model_input=tokens, loss_fn_inputs={"target_tokens": targets, **inputs})

    sampled = datum(logprobs=padded(drawn), advantages=padded(folded))
    clamp = {"clip_low_threshold": 0.5, "clip_high_threshold": 2.0}

    def custom(data, logprobs):
        del data
        weights = logprobs[0].new_tensor(padded(folded))
        return -(weights * logprobs[0]).sum(), {}

    plain = norm_of(training, [sampled], "importance_sampling")
    clamped = norm_of(training, [sampled], "cispo", clamp)
    training.forward_backward_custom(
        [datum(weights=np.ones(len(targets), dtype=np.float32))], custom
    ).result()
    local = step(training)
    assert plain > 0
    assert clamped == pytest.approx(plain, rel=1e-5)
    assert local == pytest.approx(plain, rel=1e-5)
