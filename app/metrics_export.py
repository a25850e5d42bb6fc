"""Every step and lesson of `/metrics` as JSON lines and CSV, in a folder of their own."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from ..training.protocol import StageName, StepMetrics
from .lesson_words import finite
from .store.paths import DataPaths, make_private_folder, write_private

if TYPE_CHECKING:
    from .controllers.metrics import LessonMark, Metrics
    from .controllers.session import SessionController
    from .events import Severity

Row = dict[str, Any]
STEP_COLUMNS = (
    "number", "earlier", "time", "lesson_number", "lesson", "lesson_step",
    *(name for name in StepMetrics.model_fields if name != "step"),
)  # fmt: skip
LESSON_COLUMNS = (
    "number", "earlier", "time", "lesson", "correction", "outcome", "proved", "reason", "steps",
    "loss", "kl", "gate", "guard_kl", "guard_agreement", "guard_entropy_ratio", "guard_passed",
    "snapshot", "seconds", "tokens_sampled", "tokens_scored", "tokens_trained", "memory_bytes",
    *(f"seconds_{stage}" for stage in get_args(StageName)),
)  # fmt: skip


def step_rows(metrics: Metrics) -> list[Row]:
    """A row for every step, those of earlier sessions first."""
    steps = [*metrics.earlier_steps, *metrics.steps]
    return [
        {
            "number": number,
            "earlier": number <= len(metrics.earlier_steps),
            "time": _moment(step.at),
            "lesson_number": step.number,
            "lesson": step.lesson,
            "lesson_step": step.place,
            **step.metrics.model_dump(exclude={"step"}),
        }
        for number, step in enumerate(steps, start=1)
    ]


def lesson_rows(metrics: Metrics) -> list[Row]:
    """A row for every lesson, those of earlier sessions first."""
    rows = [(lesson, True) for lesson in metrics.earlier_lessons]
    rows += [(lesson, False) for lesson in metrics.lessons]
    return [_lesson_row(lesson, earlier=earlier) for lesson, earlier in rows]


def export(metrics: Metrics, folder: Path) -> Path:
    """Write four files into a new folder below ``folder`` and return it; OSError if it fails."""
    where = _new_folder(folder)
    for name, columns, rows in (
        ("steps", STEP_COLUMNS, step_rows(metrics)),
        ("lessons", LESSON_COLUMNS, lesson_rows(metrics)),
    ):
        write_private(where / f"{name}.jsonl", _json_lines(rows))
        write_private(where / f"{name}.csv", _csv(columns, rows))
    return where


async def export_in_words(
    session: SessionController, folder: str | None = None
) -> tuple[str, Severity]:
    """Write the figures and say where they lie, or why they were not written."""
    metrics = session.metrics
    if not (metrics.earlier_lessons or metrics.lessons or metrics.steps):
        return "There is no lesson yet, so there are no figures to write.", "warning"
    below = DataPaths(session.settings.data_dir).root / "exports"
    try:
        below = _absolute(folder) if folder is not None else below
        where = await asyncio.to_thread(export, metrics, below)
    except (OSError, RuntimeError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        return (
            f"The figures could not be written below {below}: {why}; give another folder with "
            "/metrics export FOLDER.",
            "warning",
        )
    return f"Steps and lessons were written to {where} as JSONL and CSV.", "information"


def _absolute(folder: str) -> Path:
    return Path(folder).expanduser().absolute()


def _lesson_row(lesson: LessonMark, *, earlier: bool) -> Row:
    result, guard = lesson.result, lesson.result.guard
    return {
        "number": lesson.number,
        "earlier": earlier,
        "time": _moment(lesson.at),
        "lesson": lesson.lesson,
        "correction": lesson.correction,
        "outcome": result.outcome,
        "proved": result.proved,
        "reason": result.reason,
        "steps": len(result.steps),
        "loss": result.loss,
        "kl": result.kl,
        "gate": result.gate,
        "guard_kl": guard.kl if guard else None,
        "guard_agreement": guard.agreement if guard else None,
        "guard_entropy_ratio": guard.entropy_ratio if guard else None,
        "guard_passed": guard.passed if guard else None,
        "snapshot": result.snapshot,
        "seconds": result.seconds,
        "tokens_sampled": result.tokens_sampled,
        "tokens_scored": result.tokens_scored,
        "tokens_trained": result.tokens_trained,
        "memory_bytes": result.memory_bytes,
        **{f"seconds_{stage}": result.stages.get(stage) for stage in get_args(StageName)},
    }


def _new_folder(folder: Path) -> Path:
    """Make a folder that was not there, named by the time."""
    make_private_folder(folder)
    name = datetime.now().astimezone().strftime("metrics-%Y-%m-%d-%H%M%S")
    for number in range(1, 1000):
        where = folder / (name if number == 1 else f"{name}-{number}")
        try:
            where.mkdir(mode=0o700)
        except FileExistsError:
            continue
        return where
    raise FileExistsError(f"{folder / name} exists a thousand times")


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def _json_lines(rows: Iterable[Row]) -> bytes:
    lines = (json.dumps(finite(row), ensure_ascii=False) + "\n" for row in rows)
    return "".join(lines).encode("utf-8", "surrogateescape")


def _csv(columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    """What is no number stays empty."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in finite(row).items()} for row in rows)
    return text.getvalue().encode("utf-8", "surrogateescape")


def _cell(value: Any) -> Any:
    """A spreadsheet runs a text that begins like a formula; a space keeps it a text."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@"):
        return f" {value}"
    return value
