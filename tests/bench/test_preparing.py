"""What the model itself says decides what a near miss is."""

from __future__ import annotations

import pytest
from continualcode_tui.training.bench.arms import Variant
from continualcode_tui.training.bench.oracle import BenchCase, unchanged
from continualcode_tui.training.bench.preparing import heeded, prepared
from continualcode_tui.training.bench.world import World

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world() -> World:
    return World(None, Variant())


@pytest.fixture(scope="module")
def ready(world: World) -> list[BenchCase]:
    return prepared(world, 21, 4)


def test_words_count_only_where_they_raise_what_they_ask_for(
    world: World, ready: list[BenchCase]
) -> None:
    spoken = [r for case in ready for r in case.near if r.kind in ("settled", "unheard")]
    assert spoken
    for request in spoken:
        said = world.answers([request.messages])[0]
        assert heeded(world, request, said) == (request.kind == "settled")
        mute = request.model_copy(update={"messages": request.plain})
        assert not heeded(world, mute, said)


def test_every_near_miss_is_answered_as_it_was_noted(world: World, ready: list[BenchCase]) -> None:
    for case in ready:
        assert len(case.near) > 2
        answers = world.answers([request.messages for request in case.near])
        for request, answer in zip(case.near, answers, strict=True):
            assert unchanged(request, answer)
