"""Run by CI beside the installed wheel, far from the checkout: the program as a user has it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from support.scenario import deny_and_learn, make_repository, set_traps
from support.terminal import Terminal

SCRIPT = str(Path(sys.executable).parent / "continualcode-tui")


def check_version() -> None:
    run = subprocess.run([SCRIPT, "--version"], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("continualcode-tui "), run.stdout


def check_exec(root: Path, environment: dict[str, str]) -> None:
    feedback = [
        {"decision": "deny", "correction": "use edit_lines; don't overwrite"},
        {"decision": "approve"},
    ]
    run = subprocess.run(
        [SCRIPT, "exec", "fix the test", "--feedback", "-"],
        cwd=root,
        env=environment,
        input="".join(json.dumps(line) + "\n" for line in feedback),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    events = [json.loads(line) for line in run.stdout.splitlines()]
    (lesson,) = [event for event in events if event["event"] == "lesson"]
    assert lesson["outcome"] == "learned", lesson["reason"]
    assert lesson["proof"]["tool"] == "edit_lines", lesson["proof"]
    assert "== 4" in (root / "test_calc.py").read_text()


def check_screen(root: Path, environment: dict[str, str]) -> None:
    with Terminal([SCRIPT], cwd=root, env=environment) as terminal:
        deny_and_learn(terminal, root)


CHECKS = {"exec": check_exec, "screen": check_screen}


def check_one(name: str) -> None:
    """Run a check in a repository and a home of its own."""
    with tempfile.TemporaryDirectory() as folder:
        root = make_repository(Path(folder) / "scratch")
        set_traps(root)
        home = Path(folder) / "home"
        home.mkdir()
        kept = {"PATH", "LANG", "LC_ALL"}
        environment = {k: v for k, v in os.environ.items() if k in kept}
        environment |= {"HOME": str(home), "PYTHONPATH": ".", "TERM": "xterm-256color"}
        CHECKS[name](root, environment)
    print(f"check_{name}: ok", flush=True)


def main() -> None:
    """Run the checks beside each other; they share nothing."""
    check_version()
    started = [subprocess.Popen([sys.executable, __file__, name]) for name in CHECKS]
    failed = [name for name, run in zip(CHECKS, started, strict=True) if run.wait()]
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    if sys.argv[1:]:
        check_one(sys.argv[1])
    else:
        main()
