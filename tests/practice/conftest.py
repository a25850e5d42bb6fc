from __future__ import annotations

import pytest
from continualcode_tui.training.practice.tokenizer import build


@pytest.fixture(scope="session")
def tokenizer():
    return build(seed=5, episodes=400)
