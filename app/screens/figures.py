"""The figures of `/metrics`, as rows of words and numbers."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content
from textual.geometry import Size
from textual.reactive import reactive
from textual.widget import Widget
from typing_extensions import override

from ...training.protocol import Loaded, StepMetrics
from ...widgets.sanitise import content, one_line
from ..controllers.metrics import LessonMark, Metrics

if TYPE_CHECKING:
    from ..settings import Settings

Row = tuple[str, str]
Section = tuple[str, list[Row]]
TWO_COLUMNS = 76
GAP, LONGEST_NAME = 2, 18


def number(value: float | None, unit: str = "") -> str:
    """Write a figure with four significant digits, or a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.4g}{' ' + unit if unit else ''}"


def sections(
    metrics: Metrics, loaded: Loaded | None, settings: Settings | None = None
) -> list[Section]:
    """Every figure of the engine, the session, the last step and the last lesson."""
    found: list[Section] = []
    if loaded is not None:
        found.append(("engine", _engine(loaded, settings)))
    found.append(("session", _session(metrics)))
    if metrics.last_step is not None:
        found.append(("last step", _step(metrics.last_step)))
    if metrics.lessons:
        found.append(("last lesson", _lesson(metrics.lessons[-1])))
    return found


class FiguresPage(Widget):
    """The sections, laid out anew for whatever width there is."""

    DEFAULT_CSS = """
    FiguresPage { height: auto; }
    """

    found: reactive[tuple[Section, ...]] = reactive((), layout=True)

    @override
    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Give the number of lines at a width."""
        return len(figures_page(self.found, width).split("\n", allow_blank=True))

    def render(self) -> Content:
        """Give the page as wide as there is room."""
        return figures_page(self.found, self.size.width)


def figures_page(found: Sequence[Section], width: int) -> Content:
    """Lay the sections out in one column, or in two where there is room."""
    if width < TWO_COLUMNS:
        return Content("\n").join(_column(found, width))
    half = (width - GAP) // 2
    left, right = _column(found[:2], half), _column(found[2:], width - half - GAP)
    lines = []
    for at in range(max(len(left), len(right))):
        first = left[at] if at < len(left) else Content()
        second = right[at] if at < len(right) else Content()
        lines.append(first.pad_right(half + GAP - first.cell_length) + second)
    return Content("\n").join(lines)


def _column(found: Sequence[Section], width: int) -> list[Content]:
    names = max((len(name) for _, rows in found for name, _ in rows), default=0)
    names = min(names, LONGEST_NAME, width // 2)
    lines: list[Content] = []
    for title, rows in found:
        if lines:
            lines.append(Content())
        lines.append(content(title, "bold $primary"))
        for name, value in rows:
            told = one_line(value, 400)
            # A long name beside a short value is no reason to move all values to the right.
            fits = len(name) + GAP + len(told) <= width
            label = f"{one_line(name, max(names, len(name) if fits else 0)):<{names}}"
            for piece in textwrap.wrap(told, max(8, width - names - GAP)) or [""]:
                lines.append(Content.assemble((label + " " * GAP, "$quiet"), content(piece)))
                label = " " * names
    return lines


def _step(step: StepMetrics) -> list[Row]:
    return [
        ("loss", number(step.loss, "nats")),
        ("KL", number(step.kl, "nats/answer")),
        ("follow", number(step.follow)),
        ("teacher gap", number(step.teacher_gap, "nats")),
        ("gradient norm", number(step.grad_norm)),
        ("step kept", number(step.scale)),
        ("entropy", number(step.entropy, "nats/token")),
        ("advantage, mean", number(step.advantage_mean, "nats")),
        ("largest", number(step.advantage_abs_max, "nats")),
        ("time", number(step.seconds, "s")),
    ]


def _lesson(mark: LessonMark) -> list[Row]:
    result = mark.result
    rows = [
        ("correction", mark.correction),
        ("outcome", result.outcome.replace("_", " ")),
        ("why", result.reason),
        ("steps", str(len(result.steps))),
        ("gate", number(result.gate, "nats over neutral text")),
    ]
    if result.guard is not None:
        guard = result.guard
        rows += [
            ("guard: KL", number(guard.kl, "nats/answer")),
            ("guard: unchanged", f"{guard.agreement:.0%} of {guard.probes} answers"),
            ("guard: entropy", number(guard.entropy_ratio, "times")),
        ]
    stages = [f"{name} {seconds:.2g}" for name, seconds in result.stages.items()]
    rows.append(("time", " · ".join([number(result.seconds, "s"), *stages])))
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
    if metrics.earlier_lessons:
        lessons, steps = len(metrics.earlier_lessons), len(metrics.earlier_steps)
        rows.insert(2, ("earlier", f"lessons: {lessons}, steps: {steps}"))
    if metrics.seconds_sampling:
        rows.append(("time sampling", number(metrics.seconds_sampling, "s")))
    if metrics.memory_bytes:
        rows.append(("memory, most", f"{metrics.memory_bytes / 2**20:,.0f} MiB"))
    return rows


def _engine(loaded: Loaded, settings: Settings | None) -> list[Row]:
    server = dict(loaded.server)
    where = f"{loaded.engine} on {loaded.device}"
    server.pop("server", None)
    teacher = server.pop("teacher", settings.teacher if settings else None) or "before"
    budget = [("KL budget", number(loaded.kl_budget, "nats/answer"))]
    return [
        ("objective", loaded.objective.replace("_", " ")),
        ("teacher", teacher.replace("_", " ")),
        *server.items(),
        ("engine", where),
        ("model", loaded.model_name),
        *(budget if loaded.kl_budget is not None else []),
        *([("parameters", f"{loaded.parameters:,}")] if loaded.parameters else []),
        *(
            [("of the adapter", f"{loaded.trainable_parameters:,}")]
            if loaded.trainable_parameters
            else []
        ),
        ("adapter", _scope(loaded)),
        ("context", f"{loaded.context_tokens:,} tokens"),
        ("training", loaded.read_only or ("on" if loaded.training else "off")),
        ("snapshot", loaded.snapshot or "the model as it came"),
    ]


def _scope(loaded: Loaded) -> str:
    return "active in the answer" if loaded.adapter_scope == "answer" else "active everywhere"
