"""A model that another one takes the place of leaves the worker's memory."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
from continualcode_tui.training import worker
from continualcode_tui.training.protocol import Load


class Model:
    """Holds on to itself, as models do: only the collector finds it."""

    def __init__(self) -> None:
        self.itself = self

    def load(self, request: Load, reply: Any) -> None: ...

    def close(self) -> None: ...


class Reply:
    def check(self) -> None: ...


def test_the_model_before_is_collected_though_it_was_frozen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[weakref.ref[Model]] = []

    def make(_: Load) -> Model:
        model = Model()
        made.append(weakref.ref(model))
        return model

    monkeypatch.setattr(worker, "make_engine", make)
    it = worker.Worker.__new__(worker.Worker)
    it.engine = None
    request = Load(id=1, engine="practice", repository="r")
    for _ in range(2):
        it._load(request, Reply())  # pyright: ignore[reportArgumentType]
    before, now = made
    assert before() is None
    assert now() is not None
