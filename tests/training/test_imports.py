"""Adapters written for PEFT and taken up from it, and every refusal in words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from continualcode_tui.training import snapshots
from continualcode_tui.training.adapter_messages import Import, Imported, Save, Undo, is_import
from continualcode_tui.training.engine import EngineFailure
from continualcode_tui.training.engines.local import LocalEngine
from continualcode_tui.training.protocol import Load
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from .conftest import SHOW, denied_completion, equal, learn_request, lesson, quiet, weights
from .test_adapters import answer, disturbed, grow, switch

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
CLOSE = 1e-4


def bring_in(engine: LocalEngine, path: Path | str) -> Imported:
    return engine.import_adapter(Import(id=1, path=str(path)), quiet())


@pytest.fixture
def exported(engine: LocalEngine, tmp_path: Path) -> Path:
    """A folder that PEFT loads; the session's adapter is empty again."""
    policy = engine.policy
    assert policy is not None
    policy.adapter.restore(disturbed(engine, 1))
    engine.save(Save(id=1, path=str(tmp_path / "out")), quiet())
    policy.adapter.restore(policy.adapter.initial())
    return tmp_path / "out"


def test_an_exported_folder_gives_transformers_and_peft_the_same_answers(engine, tmp_path, tiny):
    grow(engine, "one")
    engine.save(Save(id=1, path=str(tmp_path / "out")), quiet())
    policy = engine.policy
    prompt = policy.renderer.prompt(SHOW, ())
    tokens = answer(engine).tokens
    base = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, str(tmp_path / "out")).eval()
    ids = torch.tensor([[*prompt.tokens, *tokens]])
    with torch.no_grad():
        theirs = model(ids).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
    assert (policy.score(prompt, tokens) - theirs).abs().max() < CLOSE
    saved = load_file(tmp_path / "out" / WEIGHTS)
    live = weights(engine)
    assert all(
        torch.equal(saved[name.replace(".default.weight", ".weight")], live[name]) for name in live
    )


@pytest.mark.parametrize("scope", ["answer", "everywhere"])
def test_what_was_exported_comes_back_bit_for_bit_and_can_be_undone(
    engine, load_request, tmp_path, scope
):
    engine.load(load_request(adapter_scope=scope), quiet())
    grow(engine, "other")
    ours, said = weights(engine), answer(engine)
    engine.save(Save(id=1, path=str(tmp_path / "out")), quiet())
    switch(engine, "base")
    (first,) = grow(engine, "one")
    before, answered = weights(engine), answer(engine)
    imported = bring_in(engine, tmp_path / "out")
    assert imported.notice == ""
    assert equal(weights(engine), ours)
    assert answer(engine) == said
    listed = engine.adapters()
    newest = listed.snapshots[-1]
    assert (newest.id, newest.parent, newest.current) == (imported.snapshot, first, True)
    assert re.fullmatch(r"import-[0-9a-f]{8}", newest.lesson)
    # The next session goes on from it, and does not count it as a lesson.
    loaded = engine.load(load_request(adapter_scope=scope), quiet())
    assert (loaded.snapshot, loaded.lesson, loaded.lessons) == (imported.snapshot, "one", 1)
    assert equal(weights(engine), ours)
    undone = engine.undo(Undo(id=1), quiet())
    assert (undone.snapshot, undone.lesson) == (first, "one")
    assert undone.undone_lesson == newest.lesson
    assert equal(weights(engine), before)
    assert answer(engine) == answered
    assert switch(engine, imported.snapshot).again == {}
    assert equal(weights(engine), ours)


def test_a_lesson_is_learned_on_top_of_an_import(engine, load_request, tmp_path):
    engine.save(Save(id=1, path=str(tmp_path / "out")), quiet())
    imported = bring_in(engine, tmp_path / "out")
    denied = denied_completion(engine)
    result = engine.learn(learn_request(lesson(denied)), quiet())
    assert result.outcome == "learned"
    assert engine.store.manifest(result.snapshot).parent == imported.snapshot
    loaded = engine.load(load_request(), quiet())
    assert (loaded.lesson, loaded.lessons) == ("lesson-1", 1)
    assert engine.undo(Undo(id=1), quiet()).lesson is None
    assert is_import(engine.undo(Undo(id=1), quiet()).undone_lesson)
    assert engine.store.current() is None


def test_a_bare_file_is_taken_with_a_word_about_what_was_not_checked(engine, exported, tmp_path):
    bare = tmp_path / "bare.safetensors"
    bare.write_bytes((exported / WEIGHTS).read_bytes())
    imported = bring_in(engine, bare)
    assert "scope could not be checked" in imported.notice
    whole = weights(engine)
    assert equal(whole, disturbed(engine, 1))
    # The file of a snapshot is one too, and so is the one in a folder, which is checked.
    own = engine.store.snapshots / imported.snapshot / "adapter.safetensors"
    engine.policy.adapter.restore(engine.policy.adapter.initial())
    bring_in(engine, own)
    assert equal(weights(engine), whole)
    assert bring_in(engine, exported / WEIGHTS).notice == ""


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_taken_up_as_float32(engine, exported, kind):
    tensors = {name: each.to(kind) for name, each in load_file(exported / WEIGHTS).items()}
    save_file(tensors, exported / WEIGHTS)
    bring_in(engine, exported)
    for name, tensor in weights(engine).items():
        assert tensor.dtype == torch.float32
        stored = tensors[name.replace(".default.weight", ".weight")]
        assert torch.equal(tensor, stored.to(torch.float32))


def test_an_adapter_for_a_model_of_another_name_is_taken_with_a_word(engine, exported):
    describe(base_model_name_or_path="somebody/else")(exported)
    assert "was made for somebody/else" in bring_in(engine, exported).notice


def test_a_crash_before_the_rename_leaves_everything_as_it_was(engine, exported, monkeypatch):
    (first,) = grow(engine, "one")
    before = weights(engine)
    monkeypatch.setattr(Path, "rename", lambda *a: (_ for _ in ()).throw(SystemExit))
    with pytest.raises(SystemExit):
        bring_in(engine, exported)
    assert engine.store.newest_intact() == (first, [])
    assert equal(weights(engine), before)


Spoil = Callable[[Path], object]


def describe(**changes: object) -> Spoil:
    def spoil(folder: Path) -> None:
        config = json.loads((folder / CONFIG).read_text()) | changes
        (folder / CONFIG).write_text(json.dumps(config))

    return spoil


def tensors(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Spoil:
    def spoil(folder: Path) -> None:
        found = load_file(folder / WEIGHTS)
        save_file({n: t.contiguous() for n, t in change(found).items()}, folder / WEIGHTS)

    return spoil


def at_first(change: Callable[[torch.Tensor], torch.Tensor]) -> Spoil:
    def spoil(found: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        name = min(found)
        return found | {name: change(found[name])}

    return tensors(spoil)


def narrow(found: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {n: t[:8] if ".lora_A." in n else t[:, :8] for n, t in found.items()}


def as_pickle(folder: Path) -> None:
    torch.save(load_file(folder / WEIGHTS), folder / "adapter_model.bin")
    (folder / WEIGHTS).unlink()


def cut(folder: Path) -> None:
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[: len(data) // 2])


REFUSALS: dict[str, tuple[Spoil, str]] = {
    "rank": (describe(r=8, lora_alpha=16), "rank 8 .* has 16: start with lora_rank=8"),
    "rank of a bare file": (
        lambda folder: (tensors(narrow)(folder), (folder / CONFIG).unlink()),
        "rank 8 .* has 16: start with lora_rank=8",
    ),
    "scale": (describe(lora_alpha=16), "scale 1 .* has 2: multiply its lora_B tensors by 0.5"),
    "rslora": (describe(use_rslora=True), "scale 8 .*and use_rslora=false"),
    "pattern": (describe(alpha_pattern={"q_proj": 8}), "Its alpha_pattern lets .* differ"),
    "scope": (describe(alora_invocation_tokens=None), "start with adapter_scope=everywhere"),
    "header": (describe(alora_invocation_tokens=[1, 2]), "other tokens than those"),
    "kind": (describe(peft_type="LOHA"), "of the kind LOHA: import a plain LoRA"),
    "dora": (describe(use_dora=True), "of the kind DORA"),
    "no rank": (describe(r=None), "names no rank r or no lora_alpha"),
    "a rank in words": (describe(r="16"), "names no rank r or no lora_alpha"),
    "an endless alpha": (describe(lora_alpha=10**400), "names no rank r or no lora_alpha"),
    "no json": (lambda folder: (folder / CONFIG).write_text("{"), "not readable as a JSON object"),
    "a list": (lambda folder: (folder / CONFIG).write_text("[]"), "not readable as a JSON object"),
    "no config": (lambda folder: (folder / CONFIG).unlink(), f"holds no {CONFIG}: add it"),
    "no weights": (lambda folder: (folder / WEIGHTS).unlink(), f"holds no {WEIGHTS}"),
    "pickle": (as_pickle, "never loaded: save the adapter with safe_serialization=True"),
    "truncated": (cut, "is damaged .*: copy it again"),
    "empty file": (lambda folder: (folder / WEIGHTS).write_bytes(b""), "is damaged"),
    "noise": (lambda folder: (folder / WEIGHTS).write_bytes(b"\xff" * 99), "is damaged"),
    "nothing in it": (tensors(lambda found: {}), "lacks .* more, unlike an adapter"),
    "other names": (
        tensors(lambda found: {f"x.{n}": t for n, t in found.items()}),
        "has x.base_model.* import one that was made for it",
    ),
    "one too many": (
        tensors(lambda found: found | {"lm_head.weight": torch.zeros(2)}),
        "has lm_head.weight, unlike",
    ),
    "attention alone": (
        tensors(lambda found: {n: t for n, t in found.items() if "self_attn" in n}),
        "changes k_proj.* start with lora_targets=attention",
    ),
    "another shape": (at_first(lambda t: t[:, :-1]), "made for this model"),
    "no matrix": (at_first(lambda t: t[0]), "made for this model"),
    "integers": (at_first(lambda t: t.to(torch.int32)), "I32 numbers .*save it as float32"),
    "nan": (at_first(lambda t: t.log()), "numbers that are not finite"),
    "infinite": (at_first(lambda t: t / 0), "numbers that are not finite"),
    "too large": (at_first(lambda t: t.double() * 1e300), "numbers that are not finite"),
}


@pytest.fixture(scope="module")
def shared(tiny, tmp_path_factory):
    """One engine and one exported folder for everything that is refused."""
    root = tmp_path_factory.mktemp("refusals")
    engine = LocalEngine()
    engine.load(
        Load(id=1, engine="local", model_name=str(tiny), repository="r", data_dir=str(root)),
        quiet(),
    )
    engine.policy.adapter.restore(disturbed(engine, 1))
    engine.save(Save(id=1, path=str(root / "out")), quiet())
    yield engine, {name: (root / "out" / name).read_bytes() for name in (WEIGHTS, CONFIG)}
    engine.close()


def refused(engine: LocalEngine, path: Path | str, words: str) -> None:
    """One sentence that names the way out, and everything as it was."""
    before, listed = weights(engine), engine.adapters()
    with pytest.raises(EngineFailure, match=words) as failure:
        bring_in(engine, path)
    assert failure.value.code == "bad_adapter"
    assert failure.value.message.endswith(".")
    assert "\n" not in failure.value.message
    assert equal(weights(engine), before)
    assert engine.adapters() == listed
    assert not list(engine.store.snapshots.glob("*.tmp-*"))


@pytest.mark.parametrize("name", REFUSALS)
def test_what_does_not_fit_is_refused_in_one_sentence(shared, tmp_path, name):
    engine, files = shared
    for file, data in files.items():
        (tmp_path / file).write_bytes(data)
    spoil, words = REFUSALS[name]
    spoil(tmp_path)
    bare = name == "rank of a bare file"
    refused(engine, tmp_path / WEIGHTS if bare else tmp_path, words)


def test_paths_that_lead_nowhere_are_refused_in_one_sentence(shared, tmp_path):
    engine, _ = shared
    (tmp_path / "adapter_model.bin").write_bytes(b"pickle")
    (tmp_path / "notes.txt").write_text("x")
    for path, words in [
        (tmp_path / "nowhere", "There is no file or folder"),
        (tmp_path / "adapter_model.bin", "is a pickle"),
        (tmp_path / "nowhere.pt", "is a pickle"),
        (tmp_path / "notes.txt", "not a .safetensors file"),
        (tmp_path / ("x" * 300), "cannot be read|There is no file"),
        ("a\0b", "There is no file or folder"),
        ("~nobody-of-this-name/x", "no home folder"),
        ("", f"holds no {WEIGHTS}"),
    ]:
        refused(engine, path, words)


def test_with_an_adapter_there_the_way_out_begins_at_base(engine, exported):
    grow(engine, "one")
    describe(r=8, lora_alpha=16)(exported)
    refused(engine, exported, "go to base, .* and then start with lora_rank=8")


def test_sessions_that_may_not_write_import_nothing(engine, exported, load_request, monkeypatch):
    monkeypatch.setattr(snapshots, "LOCK_PATIENCE", 0.1)
    second = LocalEngine()
    assert second.load(load_request(), quiet()).read_only
    for attempt in (lambda: bring_in(second, exported), lambda: switch(second, "base")):
        with pytest.raises(EngineFailure, match="Another session") as failure:
            attempt()
        assert failure.value.code == "read_only"
    second.load(load_request(enable_training=False), quiet())
    with pytest.raises(EngineFailure, match="enable_training=true"):
        bring_in(second, exported)
    second.close()
    assert engine.adapters().snapshots == ()
