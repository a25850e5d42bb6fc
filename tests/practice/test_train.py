from __future__ import annotations

import pytest
from continualcode_tui.training.practice.train import LONGEST, longest_at


@pytest.mark.parametrize(("done", "longest"), [(0.0, 260), (0.3, 400), (1.0, 2_048), (1.2, 2_048)])
def test_conversations_grow_longer_and_the_last_batches_have_a_length_too(
    done: float, longest: int
) -> None:
    assert longest_at(done) == longest
    assert list(LONGEST) == sorted(LONGEST)
