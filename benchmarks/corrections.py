"""How many held-out corrections are learned, in the proved sense, by family.

The requests and corrections of `corrections/held_out.jsonl` are in other words than the practice
model's curriculum; those of `corrections/confirmation.jsonl` are too, and the learner was not
tuned on them. Each case runs in its own scratch repository with a fresh adapter: the first
proposal that needs a decision is denied. A case in which the student already does what would be
asked for is tried again with another seed. Beside the program's own verdict this script checks
the retry against the case's `wanted`, and asks once more in a new process.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from scratch import HERE, run_exec, scratch_repository


def satisfies(call: dict[str, Any] | None, wanted: dict[str, str]) -> bool:
    if call is None:
        return False
    if wanted.get("tool", call["tool"]) != call["tool"]:
        return False
    return re.search(wanted.get("match", ""), json.dumps(call["arguments"])) is not None


def asked(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [e for e in events if e["event"] == "proposal" and not e.get("auto")]


def run_case(case: dict[str, Any], seeds: range, extra: list[str]) -> dict[str, Any]:
    readonly = [f"auto_approve_readonly={'true' if case.get('auto', True) else 'false'}"]
    record: dict[str, Any] = {**case, "verdict": "never wrong"}
    for seed in seeds:
        with scratch_repository(case["repository"]) as root, tempfile.TemporaryDirectory() as data:
            settings = [*readonly, f"seed={seed}", *extra]
            deny = [{"decision": "deny", "correction": case["correction"]}]
            events = run_exec(root, case["request"], deny, data_dir=Path(data), settings=settings)
            proposals = asked(events)
            lessons = [e for e in events if e["event"] == "lesson"]
            first = proposals[0] if proposals else None
            if satisfies(first, case["wanted"]):
                continue
            if not lessons:
                record |= {"verdict": "no proposal", "events": events}
                continue
            lesson = lessons[0]
            follows = satisfies(lesson["proof"], case["wanted"])
            again = False
            if lesson["outcome"] == "learned":
                fresh = run_exec(root, case["request"], [], data_dir=Path(data), settings=settings)
                later = asked(fresh)
                again = bool(later) and satisfies(later[0], case["wanted"])
            return record | {
                "verdict": lesson["outcome"],
                "follows": follows,
                "again": again,
                "denied": first,
                "lesson": lesson,
                "after": proposals[1] if len(proposals) > 1 else None,
                "seed": seed,
            }
    return record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", choices=("held_out", "confirmation"), default="held_out")
    parser.add_argument("--jobs", type=int, default=1, help="cases at a time; 1 for true seconds")
    parser.add_argument("--out", type=Path, help="write one JSON object a case to this file")
    parser.add_argument("--only", help="run only the cases whose request or correction has this")
    parser.add_argument("--seeds", type=int, default=6, help="seeds tried for a wrong proposal")
    parser.add_argument("settings", nargs="*", help="key=value for the program")
    options = parser.parse_args()
    lines = (HERE / "corrections" / f"{options.cases}.jsonl").read_text().splitlines()
    cases = [json.loads(line) for line in lines if not options.only or options.only in line]
    families: dict[str, list[dict[str, Any]]] = defaultdict(list)
    run = partial(run_case, seeds=range(options.seeds), extra=options.settings)
    with ThreadPoolExecutor(options.jobs) as pool:
        for case, record in zip(cases, pool.map(run, cases), strict=True):
            families[case["family"]].append(record)
            tell(case, record, options.out)
    report(families)


def tell(case: dict[str, Any], record: dict[str, Any], file: Path | None) -> None:
    mark = "ok " if record.get("follows") and record["verdict"] == "learned" else "-- "
    lesson = record.get("lesson", {})
    print(
        f"{mark}{case['family']:8} {record['verdict']:16} {lesson.get('seconds', 0):5.1f}s  "
        f"{case['request']} | {case['correction']}",
        flush=True,
    )
    if file:
        with file.open("a") as out:
            out.write(json.dumps(record) + "\n")


def report(families: dict[str, list[dict[str, Any]]]) -> None:
    heads = ("cases", "denied", "learned", "follows", "next process")
    print(f"\n{'family':10}" + "".join(f"{head:>13}" for head in heads))
    total = [0] * 5
    for name, records in families.items():
        learned = [r for r in records if r["verdict"] == "learned"]
        row = [
            len(records),
            sum("lesson" in r for r in records),
            len(learned),
            sum(bool(r["follows"]) for r in learned),
            sum(bool(r["again"]) for r in learned),
        ]
        total = [a + b for a, b in zip(total, row, strict=True)]
        print(f"{name:10}" + "".join(f"{n:13}" for n in row))
    print(f"{'all':10}" + "".join(f"{n:13}" for n in total))
    lessons = [r["lesson"] for rs in families.values() for r in rs if "lesson" in r]
    worse = [
        x for x in lessons if x["outcome"] == "learned" and not (x.get("guard") or {}).get("passed")
    ]
    silent = [x for x in lessons if x["outcome"] != "learned" and not x["reason"]]
    if total[1]:
        print(f"learned of those that were denied: {total[2] / total[1]:.0%}")
    print(f"lessons kept although the guard did not pass: {len(worse)}")
    print(f"lessons not learned that do not say why: {len(silent)}")


if __name__ == "__main__":
    main()
