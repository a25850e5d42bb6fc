"""Train the practice model: ``python -m continualcode_tui.training.practice.train --minutes 60``.

One process for each core (or one with CUDA) draws its own conversations; the gradients are
averaged after every batch. The schedule follows the clock, so a run ends when it was told to.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from platformdirs import user_cache_path
from torch import Tensor, nn
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from .episodes import episode
from .model import configuration, render
from .tasks.base import Turn
from .tokenizer import END, PAD, build

WARM_UP_STEPS = 40
COOL_DOWN_FROM = 0.55
TRAINED_RATE = 0.5
LONGEST = ((0.12, 260), (0.3, 400), (0.5, 700), (1.0, 2_048))
LONG_FROM, LONG_SHARE = 0.5, 0.02
POOL = 512
# glibc gives large blocks back to the system after every step, which costs a third of the time.
KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "67108864",
    "TOKENIZERS_PARALLELISM": "false",
}
SAVE_EVERY_SECONDS = 150.0
REPORT_EVERY_STEPS = 25
GRADIENT_NORM = 1.0


ATTENTION = "causal_matmul"
MATMUL_UP_TO = 640


def causal_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    **_: object,
) -> tuple[Tensor, None]:
    """Causal attention by plain products; its gradient is faster on a CPU for short texts."""
    del module, attention_mask
    batch, heads, length, width = query.shape
    groups = heads // key.shape[1]
    key, value = (one.repeat_interleave(groups, dim=1) for one in (key, value))
    if length > MATMUL_UP_TO or query.is_cuda:
        mixed = nn.functional.scaled_dot_product_attention(
            query, key, value, is_causal=True, scale=scaling
        )
        return mixed.transpose(1, 2), None
    future = torch.full((length, length), -1e4, dtype=query.dtype).triu(1)
    flat = (batch * heads, length, width)
    scores = torch.baddbmm(
        future.expand(batch * heads, length, length),
        query.reshape(flat),
        key.reshape(flat).transpose(1, 2),
        alpha=scaling,
    )
    mixed = torch.bmm(scores.softmax(-1), value.reshape(flat))
    return mixed.view(batch, heads, length, width).transpose(1, 2), None


AttentionInterface.register(ATTENTION, causal_attention)
AttentionMaskInterface.register(ATTENTION, lambda *_, **__: None)


@dataclass
class Settings:
    """What the command line says."""

    minutes: float
    out: Path
    seed: int = 1
    resume: bool = False
    start: Path | None = None
    tokens: int = 3_072
    matrix_rate: float = 5e-3
    other_rate: float = 3e-3
    compiled: bool = False
    workers: int = 1
    threads: int = 1


@dataclass
class Progress:
    """How far the run is; it is saved with every checkpoint."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)


Example = tuple[list[int], list[bool]]


class Encoder:
    """Turns conversations into tokens, and marks those that the model is to learn."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.tokenizer = tokenizer
        self.header = len(tokenizer("<|im_start|>assistant\n").input_ids)

    def __call__(self, turns: Sequence[Turn]) -> Example:
        """Encode message by message, which gives the same tokens as the whole text."""
        encoded = self.tokenizer([render(turn.message) for turn in turns]).input_ids
        tokens: list[int] = []
        learn: list[bool] = []
        for turn, ids in zip(turns, encoded, strict=True):
            said = turn.learn and turn.message.role == "assistant"
            tokens += ids
            learn += [said and self.header <= at < len(ids) - 1 for at in range(len(ids))]
        return tokens, learn


def longest_at(done: float) -> int:
    """The longest conversation that is trained at this part of a run from nothing."""
    return next((length for until, length in LONGEST if done <= until), LONGEST[-1][1])


def pool_of_batches(
    rng: random.Random, encode: Encoder, done: float, budget: int
) -> list[list[Example]]:
    """Draw many conversations and put those of like length together.

    ``done`` is the part of a run from nothing that has passed.
    """
    share = LONG_SHARE if done > LONG_FROM else 0.0
    drawn = (encode(episode(rng, length=share)) for _ in range(POOL))
    limit = longest_at(done)
    examples = sorted((one for one in drawn if len(one[0]) <= limit), key=lambda one: len(one[0]))
    batches: list[list[Example]] = [[]]
    for example in examples:
        if batches[-1] and (len(batches[-1]) + 1) * len(example[0]) > budget:
            batches.append([])
        batches[-1].append(example)
    rng.shuffle(batches)
    return batches


def collate(batch: Sequence[Example], device: torch.device) -> tuple[Tensor, Tensor]:
    """Pad on the right; causal attention never sees the padding."""
    width = max(len(tokens) for tokens, _ in batch)
    ids = torch.zeros(len(batch), width, dtype=torch.long)
    learn = torch.zeros(len(batch), width, dtype=torch.bool)
    for row, (tokens, marks) in enumerate(batch):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        learn[row, : len(marks)] = torch.tensor(marks)
    return ids.to(device), learn.to(device)


class Trainer:
    """One process of a run."""

    def __init__(self, settings: Settings, rank: int) -> None:
        self.settings, self.rank = settings, rank
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(settings.seed)
        self.rng = random.Random(settings.seed * 1_000 + rank)
        self.tokenizer = PreTrainedTokenizerFast.from_pretrained(settings.out)
        self.encode = Encoder(self.tokenizer)
        end, pad = self.tokenizer.convert_tokens_to_ids([END, PAD])
        config = Qwen3Config(**configuration(len(self.tokenizer), end, pad))
        config._attn_implementation = ATTENTION
        self.model = Qwen3ForCausalLM(config)
        nn.Module.to(self.model, self.device)
        self.model.config.use_cache = False
        self.optimizers = self._optimizers()
        self.rates = [[group["lr"] for group in one.param_groups] for one in self.optimizers]
        self.progress = Progress()
        self.stopping = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        if settings.resume:
            self._load()
        elif settings.start:
            self._begin_with(settings.start)
        core = self.model.model
        self.forward = torch.compile(core, dynamic=True) if settings.compiled else core

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        """Muon for the matrices, AdamW for embeddings and norms."""
        matrices, others = [], []
        for name, parameter in self.model.named_parameters():
            (matrices if parameter.ndim == 2 and "embed" not in name else others).append(parameter)
        return [
            torch.optim.Muon(
                matrices,
                lr=self.settings.matrix_rate,
                weight_decay=0.02,
                momentum=0.95,
                adjust_lr_fn="match_rms_adamw",
            ),
            torch.optim.AdamW(
                others, lr=self.settings.other_rate, betas=(0.9, 0.95), weight_decay=0.0
            ),
        ]

    def _stop(self, *_: object) -> None:
        """Stop after this batch; all processes hear of it with the gradients."""
        self.stopping = True

    @property
    def done(self) -> float:
        """The part of the time that has passed."""
        return self.progress.seconds / (60 * self.settings.minutes)

    def run(self) -> None:
        """Train until the time is over, or until told to stop."""
        began = last_save = time.monotonic()
        before = self.progress.seconds
        for batch in self._batches():
            if self.done >= 1 or self.stopping:
                break
            self._set_rates()
            loss, tokens = self._backward(batch)
            elapsed = before + time.monotonic() - began
            loss, tokens, elapsed = self._average(loss, tokens, elapsed)
            self._step()
            self.progress.step += 1
            self.progress.tokens += tokens
            self.progress.seconds = elapsed
            self.progress.losses.append(loss)
            if self.rank == 0 and self.progress.step % REPORT_EVERY_STEPS == 0:
                self._report()
            if time.monotonic() - last_save > SAVE_EVERY_SECONDS and self.rank == 0:
                self.save()
                last_save = time.monotonic()
        if self.rank == 0:
            self._report()
            self.save()

    def _batches(self) -> Iterator[list[Example]]:
        while True:
            done = 1.0 if self.settings.start else self.done
            yield from pool_of_batches(self.rng, self.encode, done, self.settings.tokens)

    def _set_rates(self) -> None:
        """Warm up, hold, and fall in a line to almost nothing; trained weights fall at once."""
        hold, most = (0.0, TRAINED_RATE) if self.settings.start else (COOL_DOWN_FROM, 1.0)
        falling = most * min(1.0, (1 - self.done) / (1 - hold))
        scale = min(1.0, (self.progress.step + 1) / WARM_UP_STEPS) * max(0.01, falling)
        for optimizer, rates in zip(self.optimizers, self.rates, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * scale

    def _backward(self, batch: Sequence[Example]) -> tuple[float, int]:
        ids, learn = collate(batch, self.device)
        chosen = learn[:, 1:]
        with torch.autocast(self.device.type, torch.bfloat16):
            hidden = self.forward(input_ids=ids).last_hidden_state[:, :-1][chosen]
            logits = self.model.lm_head(hidden)
        loss = nn.functional.cross_entropy(logits.float(), ids[:, 1:][chosen])
        loss.backward()
        return loss.item(), sum(len(tokens) for tokens, _ in batch)

    def _average(self, loss: float, tokens: int, elapsed: float) -> tuple[float, int, float]:
        """Average the gradients, and agree on the clock, over all processes."""
        if self.settings.workers == 1:
            return loss, tokens, elapsed
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        facts = torch.tensor(
            [loss, float(tokens), elapsed, float(self.stopping)], device=self.device
        )
        flat = torch.cat([*(gradient.reshape(-1) for gradient in gradients), facts])
        dist.all_reduce(flat)
        flat /= self.settings.workers
        start = 0
        for gradient in gradients:
            gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()
        mean_loss, mean_tokens, mean_elapsed, stopping = flat[start:].tolist()
        self.stopping = stopping > 0
        return mean_loss, round(mean_tokens * self.settings.workers), mean_elapsed

    def _step(self) -> None:
        nn.utils.clip_grad_norm_(self.model.parameters(), GRADIENT_NORM)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def _report(self) -> None:
        now = self.progress
        recent = now.losses[-REPORT_EVERY_STEPS:]
        width = 24
        bar = "#" * int(self.done * width)
        print(
            f"[{bar:<{width}}] {min(1.0, self.done):4.0%}  step {now.step}  "
            f"{now.tokens / 1e6:.2f}M tokens  {now.tokens / max(1.0, now.seconds):,.0f}/s  "
            f"loss {sum(recent) / max(1, len(recent)):.4f}",
            flush=True,
        )

    def save(self) -> None:
        """Write a model folder, and beside it what a later run needs to go on."""
        out = self.settings.out
        self.model.save_pretrained(out)
        state = {
            "optimizers": [one.state_dict() for one in self.optimizers],
            "progress": vars(self.progress),
            "random": self.rng.getstate(),
            "torch": torch.get_rng_state(),
        }
        torch.save(state, out / "state.new")
        (out / "state.new").replace(out / "state.pt")
        facts = {**vars(self.progress), "parameters": self.model.num_parameters()}
        (out / "training.json").write_text(json.dumps(facts), encoding="utf-8")

    def _begin_with(self, folder: Path) -> None:
        """Take over trained weights, with nothing of the run that made them."""
        self.model.load_state_dict(
            Qwen3ForCausalLM.from_pretrained(folder, dtype=torch.float32).state_dict()
        )

    def _load(self) -> None:
        out = self.settings.out
        state: dict[str, Any] = torch.load(out / "state.pt", weights_only=True)
        self.model.load_state_dict(Qwen3ForCausalLM.from_pretrained(out).state_dict())
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.progress = Progress(**state["progress"])
        torch.set_rng_state(state["torch"])
        if self.rank == 0:
            self.rng.setstate(state["random"])
        else:
            self.rng.seed(f"{self.settings.seed}/{self.rank}/{self.progress.step}")


def work(rank: int, settings: Settings) -> None:
    """Run one process."""
    torch.set_num_threads(settings.threads)
    if settings.workers > 1:
        address = f"file://{settings.out.resolve()}/rendezvous"
        dist.init_process_group("gloo", init_method=address, rank=rank, world_size=settings.workers)
    Trainer(settings, rank).run()
    if settings.workers > 1:
        dist.destroy_process_group()


def prepare(settings: Settings) -> None:
    """Make the out folder and, for a new run, its tokenizer."""
    settings.out.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        (settings.out / "rendezvous").unlink()
    if settings.start and not settings.resume:
        PreTrainedTokenizerFast.from_pretrained(settings.start).save_pretrained(settings.out)
    if not settings.resume and not (settings.out / "tokenizer.json").exists():
        print("training the tokenizer …", flush=True)
        build().save_pretrained(settings.out)


def parse(arguments: Sequence[str] | None = None) -> Settings:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Train the practice model.")
    parser.add_argument("--minutes", type=float, required=True, help="how long to train in all")
    parser.add_argument("--out", type=Path, help="where checkpoints go (default: a cache folder)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--start", type=Path, help="a model folder to begin with, at half the rate")
    parser.add_argument("--tokens", type=int, default=3_072, help="tokens a batch and process")
    parser.add_argument("--compile", action="store_true", help="compile the model first")
    given = parser.parse_args(arguments)
    out = given.out or user_cache_path("continualcode-tui") / "practice"
    workers = 1 if torch.cuda.is_available() else os.cpu_count() or 1
    return Settings(
        given.minutes,
        out,
        given.seed,
        given.resume,
        given.start,
        given.tokens,
        compiled=given.compile,
        workers=workers,
    )


def main() -> None:
    """Train with as many processes as there are cores."""
    settings = parse()
    prepare(settings)
    if settings.workers == 1:
        work(0, settings)
    else:
        for name, value in KEEP_MEMORY.items():
            os.environ.setdefault(name, value)
        torch.multiprocessing.spawn(work, (settings,), nprocs=settings.workers)


if __name__ == "__main__":
    main()
