"""A saved session of 10 and of 10,000 messages, resumed by the real program in a terminal.

Time to the newest message on the screen, and the memory of the program's own process (not its
worker's) when it is ready and has been scrolled to the oldest message; beside a minimal Textual
app. Every figure is the median of the runs, the sizes taking turns.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from continualcode_tui.app.agent.conversation import Conversation
from continualcode_tui.app.store.display import CallShown, ResultShown, Shown, UserShown, WordsShown
from continualcode_tui.app.store.paths import DataPaths
from continualcode_tui.app.store.sessions import SessionFile
from continualcode_tui.app.workspace.repository import inspect
from continualcode_tui.training.protocol import ToolCall
from long_session import ANSWER
from responsiveness import MINIMAL, Screen
from scratch import scratch_repository

SIZES = (10, 10_000)
IN_CONTEXT = 60


def records(messages: int) -> list[Shown]:
    """Of each three messages one is the user's, one the model's, one a call with its output."""
    output = "".join(f"{i:>3} a line of output\n" for i in range(40))
    made: list[Shown] = []
    for n in range(messages):
        match n % 3:
            case 0:
                made.append(UserShown(text=f"Please look at case {n} and make its test pass."))
            case 1:
                made.append(WordsShown(text=ANSWER.format(n=n)))
            case _:
                made.append(CallShown(tool="bash", title=f"pytest -k {n}", outcome="approved"))
                made.append(ResultShown(output=f"{n}\n{output}", ok=True, seconds=1.0))
    return made


def save(root: Path, data: Path, messages: int) -> None:
    """Put a session of so many messages on the disk, as the program does."""
    words = ""
    conversation = Conversation("")
    file = SessionFile(DataPaths(data).sessions(inspect(root).key), about=root)
    for record in records(messages):
        file.show(record)
        match record:
            case UserShown():
                conversation.add_request(record.text)
            case WordsShown():
                words = record.text
            case CallShown():
                conversation.add_turn(
                    words, ToolCall(name="bash", arguments={"command": record.title})
                )
            case ResultShown():
                conversation.add_answer(record.output)
            case _:
                pass
    # As in use: what does not fit into the model's context any more has left the conversation.
    while len(conversation.messages()) > IN_CONTEXT and conversation.trim():
        pass
    file.save(conversation.to_json())
    file.close()


def resume(root: Path, messages: int) -> dict[str, float]:
    """Return seconds and MB of one start."""
    with tempfile.TemporaryDirectory() as home:
        data = Path(home) / "data"
        save(root, data, messages)
        last = f"case {3 * ((messages - 1) // 3)} "
        command = [
            sys.executable, "-P", "-m", "continualcode_tui.app", "--continue", "engine=practice",
            f"data_dir={data}",
        ]  # fmt: skip
        start = time.perf_counter()
        screen = Screen(command, root, home)
        try:
            screen.wait(last)
            figures = {"newest message, s": time.perf_counter() - start}
            screen.wait("● ready")
            screen.drain(2)
            figures["RSS when ready, MB"] = screen.resident_mb()
            screen.process.send("\x1b[1;5H")  # ctrl+home
            screen.wait("case 0 ")
            screen.drain(2)
            figures["RSS at the oldest, MB"] = screen.resident_mb()
        finally:
            screen.process.close(force=True)
    return figures


def measure(runs: int) -> dict[str, float]:
    """Return the medians, and the ratios to the smaller session."""
    samples: dict[str, list[float]] = {}
    with scratch_repository("ledger") as root, tempfile.TemporaryDirectory() as home:
        minimal = Screen([sys.executable, "-c", MINIMAL], root, home)
        minimal.wait("ready")
        minimal.drain(1)
        samples["minimal: RSS, MB"] = [minimal.resident_mb()]
        minimal.process.close(force=True)
        for _ in range(runs):
            for messages in SIZES:
                for name, value in resume(root, messages).items():
                    samples.setdefault(f"{messages:,} messages: {name}", []).append(value)
    figures = {name: statistics.median(values) for name, values in samples.items()}
    few, many = (f"{messages:,} messages: newest message, s" for messages in SIZES)
    figures["newest message, times 10 messages"] = figures[many] / figures[few]
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    for name, value in measure(parser.parse_args().runs).items():
        print(f"{name:44} {value:8.2f}")


if __name__ == "__main__":
    main()
