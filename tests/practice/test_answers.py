"""The answers that ship with the practice model are those to what the program asks it."""

from __future__ import annotations

from pathlib import Path

from continualcode_tui.app.tools.registry import schemas
from continualcode_tui.training.anchors import Bank, prompt_key
from continualcode_tui.training.bank import ANCHORS, PROBES
from continualcode_tui.training.engine import Reply
from continualcode_tui.training.engines.local import LocalEngine
from continualcode_tui.training.protocol import Load


def test_every_anchor_and_probe_is_answered_by_the_shipped_file(tmp_path: Path) -> None:
    engine = LocalEngine()
    request = Load(id=1, engine="practice", repository="test", data_dir=str(tmp_path))
    engine.load(request, Reply(1, lambda _: None))
    assert engine.policy is not None
    bank = Bank(engine.policy, schemas(), None)
    for entry in (*ANCHORS, *PROBES):
        prompt = engine.policy.renderer.prompt(entry.messages(), schemas())
        assert bank.file.answers.get(prompt_key(prompt)), entry.id
    engine.close()
