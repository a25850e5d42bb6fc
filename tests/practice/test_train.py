from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch
from continualcode_tui.training.practice.export import MODEL
from continualcode_tui.training.practice.train import (
    LONGEST,
    TRAINED_RATE,
    Settings,
    Trainer,
    longest_at,
    prepare,
)
from transformers import Qwen3ForCausalLM


@pytest.mark.parametrize(("done", "longest"), [(0.0, 260), (0.3, 400), (1.0, 2_048), (1.2, 2_048)])
def test_conversations_grow_longer_and_the_last_batches_have_a_length_too(
    done: float, longest: int
) -> None:
    assert longest_at(done) == longest
    assert list(LONGEST) == sorted(LONGEST)


def test_a_run_can_begin_with_trained_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    settings = Settings(1.0, tmp_path, start=MODEL)
    prepare(settings)
    trainer = Trainer(settings, 0)
    began = trainer.model.state_dict()
    for name, tensor in Qwen3ForCausalLM.from_pretrained(MODEL).state_dict().items():
        assert torch.equal(began[name], tensor.float()), name
    trainer.progress.step = 1_000
    trainer._set_rates()
    first = trainer.optimizers[0].param_groups[0]["lr"]
    assert first == pytest.approx(TRAINED_RATE * settings.matrix_rate)
    trainer.progress.seconds = 30.0
    trainer._set_rates()
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(first / 2)
