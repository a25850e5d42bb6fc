"""What is kept: states saved on the service, recipes here, checkpoints to start from, exports."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from continualcode_tui.training.adapter_messages import Save, Undo
from continualcode_tui.training.engine import EngineFailure
from continualcode_tui.training.engines.hosted.words import KEY

from tests.hosted.conftest import Start, quiet, said, slow, tool
from tests.loopback.faults import Fault
from tests.loopback.server import KEY as KEY_OF_THE_TESTS
from tests.loopback.server import Loopback
from tests.loopback.service import Features
from tests.training.conftest import learn_request, lesson


@pytest.mark.slow
def test_the_state_is_saved_at_the_end_and_taken_up_again(start: Start, loopback: Loopback):
    first = start()
    assert first.learn(learn_request(lesson(said(first))), quiet()).proved
    answer = said(first)
    calls = loopback.service.books.calls
    assert calls["save_weights"] == 0
    first.close()
    assert calls["save_weights"] == 1
    calls.clear()
    again = start()
    assert said(again).tokens == answer.tokens
    assert (calls["load_weights"], calls["optim_step"]) == (1, 0)
    again.close()
    assert calls["save_weights"] == 0


def test_where_nothing_was_learned_nothing_is_saved(start: Start, loopback: Loopback):
    start().close()
    assert loopback.service.books.calls["save_weights"] == 0


@slow
@pytest.mark.parametrize(
    "fault", [Fault("status", code=500), Fault("delay", seconds=20), Fault("status", code=404)]
)
def test_a_service_that_does_not_save_keeps_nobody_waiting(
    start: Start, loopback: Loopback, fault: Fault
):
    first = start()
    assert first.learn(learn_request(lesson(said(first))), quiet()).proved
    loopback.service.faults.always("save_weights", fault)
    began = time.monotonic()
    first.close()
    assert time.monotonic() - began < first.closing_seconds
    loopback.service.faults.clear()
    assert tool(start()) == "bash"


@slow
def test_the_path_of_a_saved_state_comes_with_the_lesson(start: Start, loopback: Loopback):
    engine = start(save_every=1)
    result = engine.learn(learn_request(lesson(said(engine))), quiet())
    assert result.saved in loopback.service.books.states
    assert engine.store.manifest(result.snapshot).saved == result.saved


@slow
def test_a_saved_state_that_is_gone_is_learned_again(start: Start, loopback: Loopback):
    first = start(save_every=1)
    assert first.learn(learn_request(lesson(said(first))), quiet()).proved
    answer = said(first)
    first.close()
    loopback.service.books.states.clear()
    again = start(save_every=1)
    assert said(again).tokens == answer.tokens


@slow
def test_a_checkpoint_to_start_from_goes_before_the_lessons(start: Start, loopback: Loopback):
    first = start(repository="elsewhere")
    assert first.learn(learn_request(lesson(said(first))), quiet()).proved
    path = first.lineage.adapter.save("start", quiet())
    first.close()
    # Here nothing was learned, and yet it answers as was learned elsewhere.
    engine = start(load_checkpoint_path=path)
    assert tool(engine) == "bash"
    assert engine.adapters().snapshots == ()
    second = engine.learn(learn_request(lesson(said(engine), "use read", id="back")), quiet())
    assert second.outcome == "learned", second.reason
    engine.close()
    # The line remembers where it began, whether or not that is said again.
    for options in ({"load_checkpoint_path": path}, {}):
        again = start(**options)
        assert tool(again) == "read"
        assert len(again.adapters().snapshots) == 1
        again.close()
    last = start()
    last.undo(Undo(id=1), quiet())
    assert tool(last) == "bash"


@slow
def test_another_rank_than_the_adapters_is_refused_in_words(start: Start):
    first = start()
    assert first.learn(learn_request(lesson(said(first))), quiet()).proved
    first.close()
    with pytest.raises(EngineFailure, match="start with lora_rank=8") as failure:
        start(lora_rank=4)
    assert failure.value.code == "bad_adapter"


@slow
def test_inference_only_makes_no_adapter(start: Start, loopback: Loopback):
    engine = start(enable_training=False)
    assert tool(engine) == "read"
    assert loopback.service.books.calls["create_model"] == 0


# --- exports --------------------------------------------------------------------------


def test_an_export_is_what_was_trained(start: Start, loopback: Loopback, tmp_path: Path):
    engine = start()
    saved = engine.save(Save(id=1, path=str(tmp_path / "out")), quiet())
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"adapter_config.json", "adapter_model.safetensors"}
    assert json.loads((tmp_path / "out" / "adapter_config.json").read_bytes())["r"] == 8
    assert saved.path == str((tmp_path / "out").resolve())
    assert not list(tmp_path.glob("*.tmp-*"))
    default = engine.save(Save(id=2), quiet())
    assert default.path.endswith("export/base")


def test_a_service_that_hands_out_no_adapter_is_told_in_words(
    start: Start, loopback: Loopback, tmp_path: Path
):
    loopback.service.features = Features(hands_out=False)
    engine = start()
    with pytest.raises(
        EngineFailure, match="hands out no adapters; it is saved there as tinker://"
    ):
        engine.save(Save(id=1, path=str(tmp_path / "out")), quiet())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "a/b", "..", ""])
def test_a_file_outside_of_the_folder_is_not_taken(
    start: Start, loopback: Loopback, tmp_path: Path, name: str
):
    engine = start()
    loopback.service.hosted_name = name
    with pytest.raises(EngineFailure, match="outside of the adapter"):
        engine.save(Save(id=1, path=str(tmp_path / "in" / "out")), quiet())
    assert not list(tmp_path.rglob("outside"))


def test_a_folder_that_cannot_be_written_is_told_in_words(start: Start, tmp_path: Path):
    engine = start()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EngineFailure, match="cannot be written"):
        engine.save(Save(id=1, path=str(tmp_path / "file" / "out")), quiet())


@slow
def test_the_key_reaches_no_file(start: Start, tmp_path: Path):
    engine = start()
    engine.learn(learn_request(lesson(said(engine))), quiet())
    engine.save(Save(id=1), quiet())
    engine.close()
    assert KEY == "TINKER_API_KEY"
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or KEY_OF_THE_TESTS.encode() not in path.read_bytes()
