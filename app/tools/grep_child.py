"""Search files for a regular expression, in a process of its own.

A pattern can take for ever, and Python cannot interrupt one: this process can be killed. It is
started by its file name without site-packages, reads one JSON object and prints one JSON line
for each thing that it found.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

SNIFF = 8_192
MAX_TEXT = 300


def main() -> None:
    """Do the job that stands on standard input."""
    job = json.load(sys.stdin)
    beneath, text = _load(Path(__file__).parent.parent / "workspace", "beneath", "text")
    pattern = _compile(job["pattern"])
    shown = total = large = linked = 0
    for path in job["files"]:
        try:
            data, _, _ = beneath.read_file(job["root"], path, job["max_bytes"])
        except beneath.TooLargeError:
            large += 1
            continue
        except beneath.HardLinkError:
            linked += 1
            continue
        except beneath.WorkspaceError:
            continue
        try:
            content = text.decode(data, path).content
        except beneath.WorkspaceError:
            if b"\0" in data[:SNIFF]:
                continue
            content = data.decode("utf-8", "replace")
        for number, line in enumerate(content.split("\n"), start=1):
            if not pattern.search(line):
                continue
            total += 1
            if shown < job["max_matches"]:
                shown += 1
                _say({"path": path, "line": number, "text": _short(line.removesuffix("\r"))})
    _say({"total": total, "large": large, "linked": linked})


def _load(folder: Path, *names: str) -> Sequence[ModuleType]:
    """Load the confined file access from its folder; the program is no package here."""
    spec = importlib.util.spec_from_file_location(
        "workspace", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None:
        raise ImportError(str(folder))
    sys.modules["workspace"] = importlib.util.module_from_spec(spec)
    return [importlib.import_module(f"workspace.{name}") for name in names]


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
