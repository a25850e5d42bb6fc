"""The report of a folder of records: tables in Markdown and plots beside them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from . import plots
from .arms import RULES, Arm, arm
from .plan import best_rate, middle, score
from .records import MOST_CORRECTIONS, Record, read_records
from .stats import Figure, after, kept, lost, mean, over_seeds, r_squared, retained, share

REPORT = "report.md"
LIKELY = 0.01
REACHED = 0.9


class NothingRecorded(ValueError):
    """A folder without records."""


class Results:
    """The records of the arms at the rates that the sweep chose."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.all = _without_short_sequences(list(records))
        order = list(RULES)
        names = {r.arm for r in self.all if r.part != "sweep"}
        known = sorted(names, key=lambda name: (order.index(name.split("/")[0]), name))
        self.arms = [arm(name) for name in known]
        self.rates = {one.name: self._rate(one) for one in self.arms}

    def _rate(self, one: Arm) -> float:
        """The chosen rate, or whichever was run."""
        best = best_rate(one, self.all)
        run = {r.rate for r in self.all if r.arm == one.name and r.part == "lesson"}
        return best if best in run or not run else middle(sorted(run))

    def of(self, one: Arm, part: str) -> list[Record]:
        """An arm's records of one part at its rate."""
        rate = self.rates[one.name]
        return [r for r in self.all if (r.part, r.arm, r.rate) == (part, one.name, rate)]


def _without_short_sequences(records: list[Record]) -> list[Record]:
    """Everything but the sequences of a smoke run in the same folder."""
    longest = max((len(r.held) for r in records), default=0)
    return [r for r in records if r.part != "sequence" or len(r.held) == longest]


def write_report(folder: Path) -> Path:
    """Write report.md and the plots; returns where the report is."""
    results = Results(read_records(folder))
    if not results.arms:
        raise NothingRecorded(
            f"{folder} holds no results: run continualcode-tui bench corrections --out {folder}."
        )
    drawn = {
        "front-efficacy.svg": _front(results, "efficacy"),
        "front-generalisation.svg": _front(results, "generalisation"),
        "retention.svg": _retention_plot(results),
        "corrections.svg": _course_plot(results),
    }
    for name, text in drawn.items():
        (folder / name).write_text(text, encoding="utf-8")
    path = folder / REPORT
    path.write_text(_text(results), encoding="utf-8")
    return path


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def _text(results: Results) -> str:
    lessons = [r for r in results.all if r.part == "lesson"]
    cases = {(r.seed, r.case): r.prior for r in lessons}
    likely = sum(prior >= LIKELY for prior in cases.values())
    seeds = sorted({r.seed for r in lessons})
    parts = [
        "# Learning from corrections",
        f"{len(cases)} corrections over {len(seeds)} seeds, drawn from the held-out side of the "
        f"practice curriculum; in {likely} of them the student gave the right call at least one "
        "percent before. Figures are means over seeds ± their standard error. A learning rate was "
        "chosen on the cases of the sweep, which are not among these.",
        "## Arms",
        table(
            ("arm", "what it is", "learning rate"),
            ((a.name, a.about, _rate_of(results, a)) for a in results.arms),
        ),
        "## One correction",
        "Efficacy: the corrected request again, without the correction unless the arm keeps it; "
        "sampled at the program's temperature. Generalisation: held-out requests of the same "
        "kind. Specificity: near misses whose answer stays; of them those in which the user's own "
        "words settle the option otherwise, where the model heeds such words and where they mean "
        "nothing to it. Violations: requests of the kind answered in the denied way. Drift and "
        "agreement: unrelated prompts, nats an answer and unchanged greedy answers. Moved: forward "
        "KL from the base on the corrected prompt.",
        _one_correction(results),
        _costs(results),
        "## By what the student knew",
        _strata(results),
        "![efficacy against drift](front-efficacy.svg)",
        "![generalisation against drift](front-generalisation.svg)",
        "## Lessons in a row",
        "Each about something else, on the same weights or in the same conversation. A sequence "
        "lost nothing when every lesson that was right at once is right at its end, which is no "
        "merit where few were. The other figures are taken at the end, over all of its lessons.",
        _sequences(results),
        "![retention](retention.svg)",
        "## More corrections of the same kind",
        _course(results),
        "![corrections](corrections.svg)",
        "## What predicts forgetting",
        _prediction(results),
        "## The sweep",
        _sweep(results),
    ]
    return "\n\n".join(parts) + "\n"


def _rate_of(results: Results, one: Arm) -> str:
    return f"{results.rates[one.name]:g}" if len(one.rates) > 1 else "–"


def _one_correction(results: Results) -> str:
    rows: list[Sequence[str]] = []
    for one in results.arms:
        records = results.of(one, "lesson")
        rows.append(
            (
                one.name,
                over_seeds(records, lambda r: float(r.greedy)).shown(),
                over_seeds(records, lambda r: r.sampled).shown(),
                over_seeds(records, lambda r: share(r, "wanted")).shown(),
                over_seeds(records, kept).shown(),
                over_seeds(records, lambda r: kept(r, "settled")).shown(),
                over_seeds(records, lambda r: kept(r, "unheard")).shown(),
                over_seeds(records, lambda r: share(r, "denied")).shown(),
                over_seeds(records, lambda r: r.drift).shown(3),
                over_seeds(records, lambda r: r.agreement).shown(),
            )
        )
    heads = ("arm", "efficacy", "sampled", "generalisation", "specificity", "words heeded")
    return table((*heads, "words unheard", "violations", "drift", "agreement"), rows)


def _costs(results: Results) -> str:
    rows: list[Sequence[str]] = []
    for one in results.arms:
        records = results.of(one, "lesson")
        rows.append(
            (
                one.name,
                over_seeds(records, lambda r: r.steps).shown(1),
                over_seeds(records, lambda r: r.seconds).shown(),
                over_seeds(records, lambda r: r.tokens_sampled).shown(0),
                over_seeds(records, lambda r: r.moved).shown(3),
                _counted([r.outcome for r in records]),
                _counted([r.irrelevant for r in records]),
            )
        )
    heads = ("arm", "steps", "seconds", "tokens sampled", "moved", "its own verdict")
    return table((*heads, "of an irrelevant correction"), rows)


def _counted(outcomes: Sequence[str]) -> str:
    """How often each outcome came about, in words."""
    known = [outcome for outcome in outcomes if outcome]
    counted = ", ".join(f"{known.count(o)} {o}" for o in dict.fromkeys(known))
    return counted.replace("_", " ") or "–"


def _strata(results: Results) -> str:
    """The measures with a bar, where the student knew the right call and where it did not."""
    measures: tuple[Callable[[Record], float | None], ...] = (
        lambda r: float(r.greedy),
        lambda r: share(r, "wanted"),
        kept,
        lambda r: kept(r, "unheard", but=True),
        lambda r: r.agreement,
    )
    tables: list[str] = []
    for said, wanted in (("≥", True), ("<", False)):
        rows: list[Sequence[str]] = []
        for one in results.arms:
            group = [r for r in results.of(one, "lesson") if (r.prior >= LIKELY) == wanted]
            rows.append((one.name, *(over_seeds(group, value).shown() for value in measures)))
        heads = (f"prior {said} 1 %", "efficacy", "generalisation", "specificity")
        tables.append(table((*heads, "but for words unheard", "agreement"), rows))
    return "\n\n".join(tables)


def _sequences(results: Results) -> str:
    rows: list[Sequence[str]] = []
    for one in results.arms:
        records = results.of(one, "sequence")
        if not records:
            continue
        whole = sum(lost(r) == 0 for r in records)
        rows.append(
            (
                one.name,
                over_seeds(
                    records, lambda r: mean(r.held[at][at] for at in range(len(r.held)))
                ).shown(),
                over_seeds(records, lambda r: mean(map(float, r.held[-1]))).shown(),
                f"{whole} of {len(records)}",
                over_seeds(records, lambda r: share(r, "wanted")).shown(),
                over_seeds(records, lambda r: share(r, "denied")).shown(),
                over_seeds(records, kept).shown(),
                over_seeds(records, lambda r: r.drift).shown(3),
                over_seeds(records, lambda r: r.agreement).shown(),
            )
        )
    if not rows:
        return "No sequence was run."
    heads = ("arm", "right at once", "right at the end", "sequences that lost nothing")
    more = ("generalisation", "violations", "specificity", "drift", "agreement")
    return table((*heads, *more), rows)


def _needed(figures: Sequence[Figure]) -> str:
    """The number of corrections after which nine tenths of the kind are right."""
    for at, figure in enumerate(figures, 1):
        if figure.mean >= REACHED:
            return str(at)
    return f"> {len(figures)}"


def _courses(results: Results, one: Arm, least_prior: float = 0.0) -> list[Figure]:
    records = [r for r in results.of(one, "lesson") if r.prior >= least_prior]
    counts = range(1, MOST_CORRECTIONS + 1)
    return [over_seeds(records, lambda r, n=n: after(r, n)) for n in counts]


def _course(results: Results) -> str:
    rows: list[Sequence[str]] = []
    for one in results.arms:
        figures = _courses(results, one)
        known = _needed(_courses(results, one, LIKELY))
        rows.append((one.name, *(f.shown() for f in figures), _needed(figures), known))
    heads = [f"right after {n}" for n in range(1, MOST_CORRECTIONS + 1)]
    return table(("arm", *heads, "needed for 90 %", "prior ≥ 1 %"), rows)


def _prediction(results: Results) -> str:
    """How well the divergence on the corrected prompt predicts what is forgotten."""
    groups: dict[tuple[str, float], list[Record]] = {}
    for record in results.all:
        if record.part != "sequence" and arm(record.arm).trains:
            groups.setdefault((record.arm, record.rate), []).append(record)
    moved = [mean(r.moved for r in group) for group in groups.values()]
    forgotten = {
        "drift": [mean(r.drift for r in group) for group in groups.values()],
        "changed answers": [mean(1 - r.agreement for r in group) for group in groups.values()],
        "near misses lost": [mean(1 - (kept(r) or 0) for r in group) for group in groups.values()],
    }
    rows = [
        (name, *(Figure(r_squared(moved, values, d), math.nan).shown() for d in (1, 2)))
        for name, values in forgotten.items()
    ]
    said = (
        f"R² over {len(groups)} pairs of an arm and a rate, of a fit in the mean forward KL on the "
        "corrected prompts."
    )
    return said + "\n\n" + table(("forgetting", "line", "parabola"), rows)


def _sweep(results: Results) -> str:
    found: dict[tuple[str, float], list[float]] = {}
    for record in results.all:
        if record.part == "sweep":
            found.setdefault((record.arm, record.rate), []).append(score(record))
    if not found:
        return "There was none; the middle rates were taken."
    rows = [
        (
            name,
            f"{rate:g}",
            f"{mean(values):.3f}",
            "chosen" if results.rates.get(name) == rate else "",
        )
        for (name, rate), values in sorted(found.items())
    ]
    said = "The score is the mean of efficacy, generalisation, specificity and agreement."
    return said + "\n\n" + table(("arm", "rate", "score", ""), rows)


def _front(results: Results, which: str) -> str:
    points: dict[str, tuple[float, float]] = {}
    for one in results.arms:
        records = results.of(one, "lesson")
        up = mean(float(r.greedy) for r in records)
        if which == "generalisation":
            up = mean(share(r, "wanted") or 0.0 for r in records)
        if records:
            points[one.name] = (mean(r.drift for r in records), up)
    return plots.scatter(f"{which.capitalize()} against drift", "drift, nats", which, points)


def _retention_plot(results: Results) -> str:
    series: dict[str, list[tuple[float, float]]] = {}
    for one in results.arms:
        records = results.of(one, "sequence")
        longest = max((len(r.held) for r in records), default=0)
        points = [
            (n, over_seeds(records, lambda r, n=n: retained(r, n)).mean) for n in range(longest)
        ]
        series[one.name] = [(float(n), value) for n, value in points if not math.isnan(value)]
    return plots.lines("Retention", "lessons since", "still right", series)


def _course_plot(results: Results) -> str:
    series = {
        one.name: [
            (float(n), figure.mean)
            for n, figure in enumerate(_courses(results, one), 1)
            if not math.isnan(figure.mean)
        ]
        for one in results.arms
    }
    return plots.lines("More corrections", "corrections", "right of the kind", series)
