"""Messages that wait for the agent."""

from __future__ import annotations

from continualcode_tui.app.controllers.queue import MessageQueue
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule


def test_a_stop_holds_them_until_the_user_says_so() -> None:
    queue = MessageQueue()
    queue.add("one")
    queue.add("two")
    assert queue.next() == "one"
    queue.hold()
    queue.add("three")
    assert queue.next() is None
    assert queue.texts == ("two", "three")
    queue.release()
    assert [queue.next(), queue.next(), queue.next()] == ["two", "three", None]


def test_nothing_is_held_when_nothing_waits() -> None:
    queue = MessageQueue()
    queue.hold()
    queue.add("one")
    assert queue.next() == "one"
    queue.add("two")
    queue.hold()
    assert queue.take() == "two"
    assert not queue.held
    assert queue.take() is None


class Queueing(RuleBasedStateMachine):
    """The queue against a list."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = MessageQueue()
        self.model: list[str] = []
        self.held = False

    @rule(text=st.text())
    def add(self, text: str) -> None:
        self.queue.add(text)
        self.model.append(text)

    @rule()
    def hold(self) -> None:
        self.queue.hold()
        self.held = bool(self.model)

    @rule()
    def release(self) -> None:
        self.queue.release()
        self.held = False

    @rule(index=st.integers(-3, 3))
    def take(self, index: int) -> None:
        there = -len(self.model) <= index < len(self.model)
        assert self.queue.take(index) == (self.model.pop(index) if there else None)
        self.held = self.held and bool(self.model)

    @rule()
    def next(self) -> None:
        given = None if self.held or not self.model else self.model.pop(0)
        assert self.queue.next() == given

    @invariant()
    def the_same(self) -> None:
        assert self.queue.texts == tuple(self.model)
        assert self.queue.held == self.held


TestQueueing = Queueing.TestCase
TestQueueing.settings = settings(max_examples=20, stateful_step_count=20, deadline=None)
