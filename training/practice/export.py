"""Write a trained model as the folder that ships: half precision, and nothing but what loads it.

``python -m continualcode_tui.training.practice.export CHECKPOINT [FOLDER]``
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen3ForCausalLM

from .model import CHAT_TEMPLATE

MODEL = Path(__file__).parent / "model"


def export(checkpoint: Path, folder: Path) -> None:
    """Convert a checkpoint of the trainer."""
    folder.mkdir(parents=True, exist_ok=True)
    model = Qwen3ForCausalLM.from_pretrained(checkpoint, dtype=torch.float16)
    model.config.use_cache = True
    end, pad = model.config.eos_token_id, model.config.pad_token_id
    model.generation_config = GenerationConfig(eos_token_id=end, pad_token_id=pad)
    model.save_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(checkpoint)
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    settings = folder / "tokenizer_config.json"
    written = json.loads(settings.read_text(encoding="utf-8"))
    written["tokenizer_class"] = "PreTrainedTokenizerFast"
    settings.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
    (folder / "model.safetensors").chmod(0o644)


def main() -> None:
    """Read the command line and export."""
    parser = argparse.ArgumentParser(description="Export a trained practice model.")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("folder", type=Path, nargs="?", default=MODEL)
    given = parser.parse_args()
    export(given.checkpoint, given.folder)


if __name__ == "__main__":
    main()
