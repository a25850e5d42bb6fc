"""What bad input and a bad service get: one sentence in time, and an adapter as it was."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from continualcode_tui.training.adapter_messages import Save
from continualcode_tui.training.engine import EngineFailure
from continualcode_tui.training.engines.hosted import recipes
from continualcode_tui.training.engines.hosted.connection import Limits
from continualcode_tui.training.protocol import ChatMessage, Event, ProgressEvent, Sample

from tests.hosted.conftest import Start, quiet, said, tool
from tests.loopback.faults import Fault
from tests.loopback.server import Loopback
from tests.loopback.service import Features
from tests.training.conftest import SHOW, learn_request, lesson

pytestmark = pytest.mark.slow

WAITS = ("connect", "create", "sample", "train", "save")
SHORT = Limits(**dict.fromkeys(WAITS, 2.5))
"""Time enough to be told of a wait, which is once in a second."""
SHORTER = Limits(**dict.fromkeys(WAITS, 1.5))
POLLS = 12
"""The most that one endpoint is asked in that time: a busy loop asks thousands of times."""


@dataclass
class Caught:
    """The sentence of a failure, and how long it took to come."""

    message: str = ""
    seconds: float = 0.0


@contextmanager
def failing(within: float) -> Iterator[Caught]:
    """Expect one sentence in words, within so many seconds."""
    caught = Caught()
    began = time.monotonic()
    with pytest.raises(EngineFailure) as failure:
        yield caught
    caught.seconds = time.monotonic() - began
    caught.message = failure.value.message
    assert caught.seconds < within
    assert "\n" not in caught.message
    assert caught.message.endswith((".", ")")) or ": " in caught.message


# --- at the door ----------------------------------------------------------------------


def test_an_unknown_model_is_known_within_five_seconds(start: Start):
    with failing(5) as caught:
        start(model_name="Qwen/Qwen3-4B")
    assert caught.message.startswith("The service has no model Qwen/Qwen3-4B: choose model_name=")


def test_an_unknown_model_is_known_on_servers_that_take_any_name(start: Start, loopback: Loopback):
    loopback.service.features = Features(any_model_name=True)
    loopback.service.name = "something-else"
    with failing(5) as caught:
        start(model_name="no/such-model")
    assert "no/such-model" in caught.message


def test_a_model_that_is_unknown_until_sampling_is_known_before_the_first_turn(
    start: Start, loopback: Loopback
):
    loopback.service.faults.always("asample", Fault("status", code=400))
    with failing(5) as caught:
        start()
    assert caught.message.startswith("Scoring three tokens was refused by the service")


def test_a_tokenizer_that_cannot_be_loaded_is_known_within_five_seconds(
    start: Start, loopback: Loopback, tmp_path: Path
):
    (tmp_path / "empty").mkdir()
    loopback.service.name = str(tmp_path / "empty")
    with failing(5) as caught:
        start(model_name=str(tmp_path / "empty"))
    assert "could not be loaded" in caught.message


@pytest.mark.parametrize(
    "path", ["tinker://run/weights/nothing", "nonsense", "tinker://", "/a/file"]
)
def test_a_checkpoint_that_does_not_exist_is_told_in_words(start: Start, path: str):
    with failing(5) as caught:
        start(load_checkpoint_path=path)
    assert caught.message.startswith("Restoring the adapter")


def test_a_teacher_with_another_tokenizer_is_refused(start: Start):
    practice = Path(__file__).parents[2] / "training" / "practice" / "model"
    with failing(5) as caught:
        start(teacher_model=str(practice))
    assert "another tokenizer" in caught.message


def test_a_teacher_that_does_not_exist_is_told_in_words(start: Start):
    with failing(5) as caught:
        start(teacher_checkpoint="tinker://run/sampler_weights/nothing")
    assert caught.message.startswith("Opening the teacher was refused by the service")


def test_a_conversation_that_is_too_long_is_known_before_it_is_sent(
    start: Start, loopback: Loopback
):
    engine = start()
    asked = loopback.service.books.calls["asample"]
    long = (SHOW[0], ChatMessage(role="user", content="show " * 2000))
    with failing(1) as caught:
        engine.sample(Sample(id=1, messages=long, tools=(), temperature=0, max_tokens=60), quiet())
    assert "start a new conversation" in caught.message
    assert loopback.service.books.calls["asample"] == asked


def test_a_context_that_is_shorter_than_was_said_is_told_in_words(start: Start, loopback: Loopback):
    engine = start()
    shorter = '{"detail": "prompt of 900 tokens is longer than 512"}'
    loopback.service.faults.add("asample", Fault("status", code=400, body=shorter))
    with pytest.raises(EngineFailure) as failure:
        said(engine)
    assert failure.value.code == "context_too_long"


# --- a service that answers 5xx, or nothing, or nonsense --------------------------------


def load(start: Start, limits: Limits | None, events: list[Event]) -> None:
    start(limits, quiet(events=events))


def sample(start: Start, limits: Limits | None, events: list[Event]) -> None:
    request = Sample(id=1, messages=SHOW, tools=(), temperature=0, max_tokens=60)
    start(limits).sample(request, quiet(events=events))


def learn(start: Start, limits: Limits | None, events: list[Event]) -> None:
    engine = start(limits, save_every=1)
    engine.learn(learn_request(lesson(said(engine))), quiet(events=events))


def export(start: Start, limits: Limits | None, events: list[Event]) -> None:
    start(limits).save(Save(id=1), quiet(events=events))


AT = {
    "client/config": load,
    "create_session": load,
    "get_server_capabilities": load,
    "create_sampling_session": load,
    "create_model": load,
    "retrieve_future/create_model": load,
    "save_weights_for_sampler": load,
    "retrieve_future/save_weights_for_sampler": load,
    "asample": sample,
    "retrieve_future/asample": sample,
    "forward_backward": learn,
    "retrieve_future/forward_backward": learn,
    "optim_step": learn,
    "retrieve_future/optim_step": learn,
    "save_weights": learn,
    "retrieve_future/save_weights": learn,
    "save_weights_external": export,
    "retrieve_future/save_weights_external": export,
    "external_weights_urls": export,
    "files": export,
}
at_every_endpoint = pytest.mark.parametrize("endpoint", AT)


def begun_by(loopback: Loopback, endpoint: str, fault: Fault) -> None:
    """Let the fault begin with what the test is about, after the engine has loaded."""
    service = loopback.service
    if AT[endpoint] is load:
        service.faults.always(endpoint, fault)
        return
    plain, loaded = service.faults.take, False

    def take(name: str) -> Fault | None:
        nonlocal loaded
        # The last that loading does is to ask whether several targets may be given.
        loaded = loaded or name == "retrieve_future/forward_backward"
        training = AT[endpoint] is learn and not service.books.calls["asample"] > 1
        return fault if name == endpoint and loaded and not training else plain(name)

    service.faults.take = take


@at_every_endpoint
def test_5xx_is_told_and_given_up_in_time_and_never_a_busy_loop(
    start: Start, loopback: Loopback, endpoint: str
):
    begun_by(loopback, endpoint, Fault("status", code=503))
    events: list[Event] = []
    calls = loopback.service.books.calls
    with failing(60) as caught:
        AT[endpoint](start, SHORT, events)
    told = [event.message for event in events if isinstance(event, ProgressEvent)]
    if endpoint != "files":
        assert "the service answers 503" in caught.message
        assert any("waiting, the service answers 503" in message for message in told), told
    assert calls[endpoint] <= POLLS + calls["asample"]


@at_every_endpoint
@pytest.mark.parametrize("kind", ["malformed", "refuse"])
def test_nonsense_and_silence_end_in_a_sentence(
    start: Start, loopback: Loopback, endpoint: str, kind: str
):
    begun_by(loopback, endpoint, Fault(kind))
    with failing(60):
        AT[endpoint](start, SHORTER, [])
    assert loopback.service.books.calls[endpoint] <= 60


@at_every_endpoint
def test_two_5xx_at_any_endpoint_costs_nothing(
    start: Start, loopback: Loopback, brief_waits: None, endpoint: str
):
    for code in (500, 503):
        loopback.service.faults.add(endpoint, Fault("status", code=code))
    AT[endpoint](start, None, [])
    assert not loopback.service.faults.waiting(endpoint)


@pytest.mark.parametrize("code", [401, 402, 403])
def test_an_account_that_is_refused_in_the_middle_is_told_within_two_seconds(
    start: Start, loopback: Loopback, code: int
):
    engine = start()
    loopback.service.faults.always("asample", Fault("status", code=code))
    with failing(2) as caught:
        said(engine)
    words = {401: "rejected the key", 402: "no credit", 403: "may not do this"}
    assert words[code] in caught.message


# --- in the middle of a lesson ----------------------------------------------------------


@contextmanager
def at_the(loopback: Loopback, count: int, endpoint: str, fault: Fault) -> Iterator[None]:
    """Let the requests to an endpoint go wrong from the so-many-th on."""
    faults = loopback.service.faults
    plain, seen = faults.take, 0

    def take(name: str) -> Fault | None:
        nonlocal seen
        seen += name == endpoint
        return fault if name == endpoint and seen >= count else plain(name)

    faults.take = take
    yield
    faults.take = plain


@pytest.mark.parametrize(
    ("endpoint", "fault"),
    [
        ("retrieve_future/asample", Fault("nan")),
        ("retrieve_future/asample", Fault("missing")),
        ("retrieve_future/asample", Fault("untold")),
        ("asample", Fault("status", code=400)),
        ("retrieve_future/forward_backward", Fault("status", code=404)),
        ("optim_step", Fault("status", code=400)),
        ("save_weights_for_sampler", Fault("status", code=400)),
    ],
)
def test_a_failure_in_the_middle_leaves_the_adapter_as_it_was(
    start: Start, loopback: Loopback, endpoint: str, fault: Fault
):
    engine = start()
    before = said(engine)
    count = {"asample": 12, "retrieve_future/asample": 12}.get(endpoint, 1)
    with at_the(loopback, count, endpoint, fault), failing(20):
        engine.learn(learn_request(lesson(before)), quiet())
    assert said(engine).tokens == before.tokens
    assert engine.learn(learn_request(lesson(before)), quiet()).proved


def test_a_training_client_that_is_poisoned_is_replaced(
    start: Start, monkeypatch: pytest.MonkeyPatch
):
    """A loss that fails here makes the SDK refuse everything that client is asked later."""
    engine = start(objective="reverse_kl", max_steps=12)
    before = said(engine)

    def fails(*_: object) -> None:
        raise ArithmeticError("no such divergence")

    with monkeypatch.context() as patch, failing(20) as caught:
        patch.setattr(recipes.objectives, "divergence", fails)
        engine.learn(learn_request(lesson(before)), quiet())
    assert "no such divergence" in caught.message
    assert said(engine).tokens == before.tokens
    assert engine.learn(learn_request(lesson(before)), quiet()).proved


@pytest.mark.parametrize(
    ("endpoint", "kind"),
    [
        ("optim_step", "lose"),
        ("optim_step", "again"),
        ("forward_backward", "lose"),
        ("forward_backward", "again"),
        ("save_weights_for_sampler", "lose"),
    ],
)
def test_what_is_lost_or_doubled_on_the_way_is_taken_once(
    start: Start, loopback: Loopback, endpoint: str, kind: str
):
    plain = start(repository="plain")
    learned = plain.learn(learn_request(lesson(said(plain))), quiet())
    expected = said(plain)
    engine = start(repository="faulty")
    loopback.service.faults.add(endpoint, Fault(kind))
    result = engine.learn(learn_request(lesson(said(engine))), quiet())
    assert result.proved
    assert len(result.steps) == len(learned.steps)
    answer = said(engine)
    assert answer.tokens == expected.tokens
    assert answer.logprobs == pytest.approx(expected.logprobs, abs=1e-4)
    engine.close()
    assert tool(start(repository="faulty")) == "bash"


# --- a service that goes away -----------------------------------------------------------


@pytest.mark.parametrize("endpoint", ["asample", "optim_step"])
def test_a_service_that_has_forgotten_the_session_is_asked_in_another(
    start: Start, loopback: Loopback, endpoint: str
):
    """As after a restart of the server, or a night in which the laptop slept."""
    engine = start()
    before = said(engine)
    if endpoint == "optim_step":
        first = engine.learn(learn_request(lesson(before, id="first")), quiet())
        assert first.proved
        before = said(engine)
    loopback.service.forget()
    assert said(engine).tokens == before.tokens
    loopback.service.forget()
    correction = "use read" if endpoint == "optim_step" else "use cat"
    result = engine.learn(learn_request(lesson(before, correction, id="next")), quiet())
    assert result.proved, result.reason
    loopback.service.forget()
    assert tool(engine) == ("read" if endpoint == "optim_step" else "bash")


def test_a_service_that_dies_is_told_long_before_the_call_s_own_time_is_over(
    start: Start, loopback: Loopback
):
    engine = start(Limits(lost=1.0))
    loopback.close()
    with failing(8) as caught:
        said(engine)
    assert "the connection to the service was lost" in caught.message
    assert "See that it runs" in caught.message


def test_a_service_that_dies_while_it_works_is_told_as_soon(start: Start, loopback: Loopback):
    """The SDK's polls break without a word; it would go on for hours."""
    engine = start(Limits(lost=1.0))
    loopback.service.queue = ("active", "")
    threading.Timer(1.0, loopback.close).start()
    with failing(9) as caught:
        said(engine)
    assert "the connection to the service was lost" in caught.message


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"detail": "asample promises always carry sample_sequence_ids"}', "upgrade the server"),
        (
            '{"detail": [{"loc": ["body", "optimizer_config"], "msg": "Extra inputs are not '
            'permitted"}]}',
            "upgrade the server",
        ),
        ('{"detail": [{"loc": ["body", "top"], "msg": "bad"}, {"msg": "worse"}]}', "top: bad; the"),
        ('{"error": {"message": "no luck"}}', "refused by the service: no luck"),
        ('{"error_message": "no luck"}', "refused by the service: no luck"),
        ("not even JSON", "refused by the service"),
        (
            '{"detail": "Maximum number of LoRA adapters (8) reached"}',
            "wait five minutes for old ones to go",
        ),
    ],
)
def test_what_a_server_says_is_said_again_in_words(
    start: Start, loopback: Loopback, body: str, words: str
):
    loopback.service.faults.always("create_model", Fault("status", code=400, body=body))
    with failing(5) as caught:
        start()
    assert words in caught.message


# --- Esc --------------------------------------------------------------------------------


@pytest.mark.parametrize("endpoint", ["asample", "retrieve_future/asample"])
def test_esc_ends_a_wait_at_once(start: Start, loopback: Loopback, endpoint: str):
    engine = start()
    loopback.service.faults.always(endpoint, Fault("delay", seconds=4))
    began = time.monotonic()
    request = Sample(id=1, messages=SHOW, tools=(), temperature=0, max_tokens=60)
    with pytest.raises(EngineFailure) as failure:
        engine.sample(request, quiet(lambda: time.monotonic() - began > 0.3))
    assert failure.value.code == "cancelled"
    assert time.monotonic() - began < 0.8
