"""What the sandbox costs: a command behind each boundary, and the proof at the start.

The boundaries are timed in turn, so that load on the machine falls on all alike.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from continualcode_tui.app.sandbox import sandbox as module
from continualcode_tui.app.sandbox.gate import Gate
from continualcode_tui.app.sandbox.kept import landlock_version
from continualcode_tui.app.sandbox.launch import Launch
from continualcode_tui.app.sandbox.sandbox import Sandbox
from continualcode_tui.app.tools.process import run_process
from scratch import scratch_repository


async def time_command(sandbox: Sandbox | None, root: Path) -> float:
    """Milliseconds from asking for `true` to its answer, everything put away."""
    began = time.perf_counter()
    if sandbox is None:
        launch = Launch(["/bin/sh", "-c", "true"], {"PATH": "/usr/bin:/bin"})
    else:
        launch = sandbox.prepare("true", root, network=False)
    await run_process(launch, folder=root, timeout=10, on_output=lambda _: None)
    return (time.perf_counter() - began) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=40)
    runs: int = parser.parse_args().runs
    with scratch_repository("calc") as root, tempfile.TemporaryDirectory() as folder:
        boundaries: dict[str, Sandbox | None] = {"a bare shell": None}
        kinds = ["none", *(["partial"] if landlock_version() else [])]
        for kind in kinds + (["bwrap"] if shutil.which("bwrap") else []):
            boundaries[kind] = sandbox = Sandbox(data_dir=Path(folder))
            sandbox.gate = Gate(kind, binary=shutil.which("bwrap"))
        times: dict[str, list[float]] = {name: [] for name in boundaries}
        for _ in range(runs):
            for name, sandbox in boundaries.items():
                times[name].append(asyncio.run(time_command(sandbox, root)))
        for name, values in times.items():
            print(f"{name:<30} {statistics.median(values):6.1f} ms")
        proofs: list[float] = []
        for _ in range(5):
            module._proved.clear()
            began = time.perf_counter()
            gate = Sandbox(data_dir=Path(folder)).prove(root)
            proofs.append((time.perf_counter() - began) * 1000)
        print(f"{'the proof (' + gate.kind + ')':<30} {statistics.median(proofs):6.1f} ms")


if __name__ == "__main__":
    main()
