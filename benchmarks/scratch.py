"""Scratch repositories and `exec` runs, shared by the benchmarks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
REPOSITORIES: dict[str, dict[str, str]] = json.loads(
    (HERE / "corrections" / "repositories.json").read_text()
)


@contextmanager
def scratch_repository(name: str) -> Iterator[Path]:
    """Make a committed git repository with the named files; it is removed afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / name
        for path, text in REPOSITORIES[name].items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        git = ["git", "-c", "user.name=bench", "-c", "user.email=bench@localhost"]
        subprocess.run([*git, "init", "-q"], cwd=root, check=True)
        subprocess.run([*git, "add", "-A"], cwd=root, check=True)
        subprocess.run([*git, "commit", "-qm", "start"], cwd=root, check=True)
        yield root


def run_exec(
    root: Path,
    request: str,
    feedback: Sequence[dict[str, Any]],
    *,
    data_dir: Path,
    settings: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Run `continualcode-tui exec` in ``root`` and return its events; raises on failure."""
    lines = "".join(json.dumps(line) + "\n" for line in feedback)
    command = [
        sys.executable, "-P", "-m", "continualcode_tui.app", "exec", request,
        "--feedback", "-", f"data_dir={data_dir}", *settings,
    ]  # fmt: skip
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CONTINUALCODE_")}
    run = subprocess.run(
        command, cwd=root, env=environment, input=lines, capture_output=True, text=True, check=False
    )
    if run.returncode != 0:
        raise RuntimeError(f"exec ended with {run.returncode}: {run.stdout}\n{run.stderr}")
    return [json.loads(line) for line in run.stdout.splitlines()]
