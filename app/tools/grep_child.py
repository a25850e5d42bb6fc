"""Search files for a regular expression, in a process of its own.

A pattern can take for ever, and Python cannot interrupt one: this process can be killed. It is
started by its file name without site-packages, reads one JSON object and prints one JSON line
for each thing that it found.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

SNIFF = 8_192
MAX_TEXT = 300


def main() -> None:
    """Do the job that stands on standard input."""
    job = json.load(sys.stdin)
    beneath = _load(Path(__file__).parent.parent / "workspace" / "beneath.py")
    pattern = _compile(job["pattern"])
    shown = total = large = 0
    for path in job["files"]:
        try:
            data, _, _ = beneath.read_file(job["root"], path, job["max_bytes"])
        except beneath.TooLargeError:
            large += 1
            continue
        except beneath.WorkspaceError:
            continue
        if b"\0" in data[:SNIFF]:
            continue
        for number, line in enumerate(data.decode("utf-8", "replace").split("\n"), start=1):
            if not pattern.search(line):
                continue
            total += 1
            if shown < job["max_matches"]:
                shown += 1
                _say({"path": path, "line": number, "text": _short(line.removesuffix("\r"))})
    _say({"total": total, "large": large})


def _load(path: Path) -> ModuleType:
    """Load the confined file access by its file name; packages cannot be imported here."""
    spec = importlib.util.spec_from_file_location("beneath", path)
    if spec is None or spec.loader is None:
        raise ImportError(str(path))
    module = importlib.util.module_from_spec(spec)
    sys.modules["beneath"] = module
    spec.loader.exec_module(module)
    return module


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        _say({"literal": str(error)})
        return re.compile(re.escape(pattern))


def _short(line: str) -> str:
    if len(line) <= MAX_TEXT:
        return line
    return f"{line[:MAX_TEXT]} [... {len(line) - MAX_TEXT} characters left out ...]"


def _say(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
