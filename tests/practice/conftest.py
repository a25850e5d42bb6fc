from __future__ import annotations

import pytest

pytest.importorskip("tokenizers")
pytest.importorskip("transformers")

from continualcode_tui.training.practice.tokenizer import build


@pytest.fixture(scope="session")
def tokenizer():
    return build(seed=5, episodes=400)
