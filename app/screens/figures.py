"""The figures of `/metrics`, as rows of words and numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...training.protocol import Loaded, StepMetrics
from ..controllers.metrics import LessonMark, Metrics

Row = tuple[str, str]
Section = tuple[str, list[Row]]


def number(value: float | None, unit: str = "") -> str:
    """Write a figure with four significant digits, or a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.4g}{' ' + unit if unit else ''}"


def sections(metrics: Metrics, loaded: Loaded | None) -> list[Section]:
    """Every figure of the last step, the last lesson, the session and the engine."""
    found: list[Section] = []
    if metrics.last_step is not None:
        found.append(("last step", _step(metrics.last_step)))
    if metrics.lessons:
        found.append(("last lesson", _lesson(metrics.lessons[-1])))
    found.append(("session", _session(metrics)))
    if loaded is not None:
        found.append(("engine", _engine(loaded)))
    return found


def _step(step: StepMetrics) -> list[Row]:
    return [
        ("loss", number(step.loss, "nats")),
        ("KL on unrelated answers", number(step.kl, "nats an answer")),
        ("p(teacher's choice) at the decision", number(step.follow)),
        ("teacher gap", number(step.teacher_gap, "nats")),
        ("gradient norm", number(step.grad_norm)),
        ("part of the step kept", number(step.scale)),
        ("entropy", number(step.entropy, "nats a token")),
        ("advantage, mean", number(step.advantage_mean, "nats")),
        ("advantage, largest", number(step.advantage_abs_max, "nats")),
        ("time", number(step.seconds, "s")),
    ]


def _lesson(mark: LessonMark) -> list[Row]:
    result = mark.result
    rows = [
        ("correction", mark.correction),
        ("outcome", result.outcome.replace("_", " ")),
        ("why", result.reason),
        ("steps", str(len(result.steps))),
        ("gate (teacher against neutral text)", number(result.gate, "nats")),
    ]
    if result.guard is not None:
        guard = result.guard
        rows += [
            ("guard: KL on probes", number(guard.kl, "nats an answer")),
            ("guard: answers unchanged", f"{guard.agreement:.0%} of {guard.probes}"),
            ("guard: entropy ratio", number(guard.entropy_ratio)),
        ]
    rows.append(("time", number(result.seconds, "s")))
    rows += [(f"  {name}", number(seconds, "s")) for name, seconds in result.stages.items()]
    return rows


def _session(metrics: Metrics) -> list[Row]:
    outcomes = ("learned", "in_context_only", "gated", "rolled_back", "failed")
    counts = [f"{metrics.count(name)} {name.replace('_', ' ')}" for name in outcomes]
    rows = [
        ("lessons", ", ".join(text for text in counts if not text.startswith("0 ")) or "none yet"),
        ("steps", str(len(metrics.steps))),
        ("tokens sampled", f"{metrics.tokens_sampled:,}"),
        ("tokens scored", f"{metrics.tokens_scored:,}"),
        ("tokens trained", f"{metrics.tokens_trained:,}"),
        ("tokens read", f"{metrics.tokens_read:,}"),
    ]
    if metrics.seconds_sampling:
        rows.append(("time sampling", number(metrics.seconds_sampling, "s")))
    if metrics.memory_bytes:
        rows.append(("memory of the worker, most", f"{metrics.memory_bytes / 2**20:,.0f} MiB"))
    return rows


def _engine(loaded: Loaded) -> list[Row]:
    size = f"{loaded.trainable_parameters:,} parameters, " if loaded.trainable_parameters else ""
    return [
        ("model", loaded.model_name),
        ("engine", f"{loaded.engine} on {loaded.device}"),
        *([("parameters", f"{loaded.parameters:,}")] if loaded.parameters else []),
        ("adapter", size + _scope(loaded)),
        *((name, value) for name, value in loaded.server.items() if name != "server"),
        ("objective", loaded.objective.replace("_", " ")),
        ("context", f"{loaded.context_tokens:,} tokens"),
        ("training", loaded.read_only or ("on" if loaded.training else "off")),
        ("snapshot", loaded.snapshot or "the model as it came"),
    ]


def _scope(loaded: Loaded) -> str:
    return "active in the answer" if loaded.adapter_scope == "answer" else "active everywhere"


def width_of(found: Sequence[Section]) -> int:
    """The width of the left column."""
    return max(len(name) for _, rows in found for name, _ in rows)
