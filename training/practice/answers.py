"""Make the answers of the practice model to the bank of unrelated prompts, which ship with it.

``python -m continualcode_tui.training.practice.answers``

Without the file the worker makes them in idle time, and a lesson that comes sooner waits.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from ..anchors import SHIPPED_ANSWERS, Bank
from ..engine import Reply
from ..engines.local import LocalEngine
from ..protocol import Load, ToolSchema
from .export import MODEL
from .tokenizer import TOOLS


def make() -> Path:
    """Answer the whole bank and write the file beside the weights."""
    path = MODEL / SHIPPED_ANSWERS
    path.unlink(missing_ok=True)
    engine = LocalEngine()
    with tempfile.TemporaryDirectory() as folder:
        request = Load(id=1, engine="practice", repository="answers", data_dir=folder)
        engine.load(request, Reply(1, lambda _: None))
        assert engine.policy is not None
        # The model's chat template reads no more of a tool than its name.
        tools = tuple(ToolSchema(name=name, description="", parameters={}) for name in TOOLS)
        bank = Bank(engine.policy, tools, None)
        bank.finish(lambda: None)
        bank.file.write(path)
        engine.close()
    return path


if __name__ == "__main__":
    make()
