from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from continualcode_tui.app.agent.proposal import Approve, Deny, Edit
from continualcode_tui.app.feedback import Feedback, Note, UsageError, read_lines
from continualcode_tui.app.headless import lesson_line, main, parse
from continualcode_tui.training.protocol import LessonResult
from hypothesis import given
from hypothesis import strategies as st

from ..controllers.support import Stage, call

SCRIPT = Path(sys.executable).parent / "continualcode-tui"
WRITE = call("write", path="new.py", content="pass\n")
ECHO = call("bash", command="echo hello")
DENY = {"decision": "deny", "correction": "use bash"}


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


class Exec:
    """Runs `exec` in the stage's folder and keeps what it said."""

    def __init__(self, stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
        self.stage = stage
        self.capsys = capsys
        monkeypatch.chdir(stage.folder)
        self.events: list[dict[str, Any]] = []
        self.progress = ""

    def __call__(self, *arguments: str, feedback: list[dict[str, Any]] | None = None) -> int:
        extra: list[str] = []
        if feedback is not None:
            file = self.stage.folder.parent / "feedback.jsonl"
            file.write_text("".join(json.dumps(line) + "\n" for line in feedback))
            extra = ["--feedback", str(file)]
        status = main(["fix the test", *extra, *arguments, *self.stage.arguments()])
        told = self.capsys.readouterr()
        self.events = [json.loads(line) for line in told.out.splitlines()]
        self.progress = told.err
        return status

    def kinds(self) -> list[str]:
        return [event["event"] for event in self.events]


@pytest.fixture
def run(stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Exec:
    return Exec(stage, monkeypatch, capsys)


def test_a_lesson_from_a_script(stage: Stage, run: Exec) -> None:
    stage.write_script(completions=[WRITE, "Fixed."], lessons=[{"retry": ECHO}])
    note = {"note": "bash is enough"}
    assert run(feedback=[note, DENY, {"decision": "approve"}]) == 0
    assert run.kinds() == [
        "proposal",
        "lesson",
        "proposal",
        "tool_result",
        "message",
        "done",
    ]
    first, lesson, second, result, message, done = run.events
    assert (first["tool"], first["auto"], first["retry"]) == ("write", None, False)
    assert first["arguments"] == {"path": "new.py", "content": "pass\n"}
    assert lesson["outcome"] == "learned"
    assert (lesson["steps"], lesson["loss"], lesson["kl"]) == (1, 0.5, 0.01)
    assert lesson["proof"] == {"tool": "bash", "arguments": {"command": "echo hello"}, "text": ECHO}
    assert lesson["tokens"][0] == {
        "text": "<tool_call>",
        "advantage": -2.0,
        "before": 0.9,
        "after": 0.1,
    }
    assert (second["tool"], second["retry"]) == ("bash", True)
    assert result == {"event": "tool_result", "ok": True, "output": "hello\n[exit 0]"}
    assert message == {"event": "message", "text": "Fixed."}
    assert (done["lessons"], done["steps"]) == (1, 1)
    assert stage.requests("learn")[0]["lesson"]["notes"] == ["bash is enough"]
    assert "step 1: loss 0.5" in run.progress


def test_an_edit_from_a_script(stage: Stage, run: Exec) -> None:
    stage.write_script(completions=[ECHO, "Done."])
    edit = {"decision": "edit", "arguments": {"command": "echo edited"}}
    assert run(feedback=[edit]) == 0
    (result,) = [event for event in run.events if event["event"] == "tool_result"]
    assert result["output"] == "edited\n[exit 0]"


@pytest.mark.parametrize("then", ["stop", "deny"])
def test_when_the_lines_run_out_the_proposal_is_left(stage: Stage, run: Exec, then: str) -> None:
    stage.write_script(completions=[ECHO])
    assert run("--then", then) == 0
    assert run.kinds() == ["proposal", "done"]
    assert not stage.requests("learn")


def test_then_approve_goes_on(stage: Stage, run: Exec) -> None:
    stage.write_script(completions=[WRITE, ECHO, "Done."])
    assert run("--then=approve") == 0
    assert run.kinds() == ["proposal", "tool_result", "proposal", "tool_result", "message", "done"]
    assert (stage.folder / "new.py").exists()


def test_a_rule_consumes_no_line(stage: Stage, run: Exec) -> None:
    stage.write_script(completions=[call("read", path="calc.py"), ECHO, "Done."])
    assert run(feedback=[{"decision": "approve"}]) == 0
    proposals = [event for event in run.events if event["event"] == "proposal"]
    assert [event["auto"] is None for event in proposals] == [False, True]


@pytest.mark.parametrize(
    "script",
    [
        {"load": [{"failure": "bad_model", "message": "There is no such model."}]},
        {"sample": [{"failure": "internal", "message": "There is no such model."}]},
    ],
)
def test_an_engine_that_fails_is_status_three(stage: Stage, run: Exec, script: dict) -> None:
    stage.write_script(**script)
    assert run() == 3
    assert run.kinds() == ["error", "done"]
    assert run.events[0]["message"] == "There is no such model."


def test_a_lesson_survives_its_worker(stage: Stage, run: Exec) -> None:
    stage.write_script(completions=[WRITE, "Done."], lessons=[{"die": "step"}, {}])
    assert run(feedback=[DENY]) == 0
    (lesson,) = [event for event in run.events if event["event"] == "lesson"]
    assert lesson["outcome"] == "learned"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "is not an object"),
        ("{}", "neither"),
        ('{"decision": "maybe"}', "approve, deny and edit"),
        ('{"decision": "deny"}', '"correction"'),
        ('{"decision": "deny", "correction": "  "}', "not empty"),
        ('{"decision": "edit"}', '"arguments"'),
        ('{"decision": "edit", "arguments": []}', '"arguments"'),
        ('{"decision": "approve", "why": "x"}', "'why'"),
        ('{"note": ""}', "not empty"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_a_bad_line_is_named_and_nothing_starts(
    stage: Stage, line: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = stage.folder / "feedback.jsonl"
    file.write_text(f'{{"decision": "approve"}}\n\n{line}\n')
    assert main(["go", "--feedback", str(file), *stage.arguments()]) == 2
    told = capsys.readouterr()
    assert "line 3 of" in told.err
    assert words in told.err
    assert len(told.err.splitlines()) == 1
    assert told.out == ""
    assert not stage.data.exists()


LINES = st.one_of(
    st.just(({"decision": "approve"}, Approve())),
    st.text(min_size=1)
    .filter(str.strip)
    .map(lambda text: ({"decision": "deny", "correction": text}, Deny(text.strip()))),
    st.dictionaries(st.text(), st.one_of(st.integers(), st.text())).map(
        lambda arguments: ({"decision": "edit", "arguments": arguments}, Edit(arguments))
    ),
    st.text(min_size=1).filter(str.strip).map(lambda text: ({"note": text}, Note(text.strip()))),
)


@given(st.lists(LINES), st.sampled_from(["stop", "approve", "deny"]))
def test_every_line_is_used_once_and_in_order(lines: list[tuple[dict, Any]], then: Any) -> None:
    told: list[str] = []
    read = read_lines([json.dumps(line) for line, _ in lines], "FILE")
    assert list(read) == [meaning for _, meaning in lines]
    feedback = Feedback(read, then, told.append)
    decisions = [meaning for _, meaning in lines if not isinstance(meaning, Note)]
    assert feedback.unused == len(decisions)
    assert [feedback.next() for _ in decisions] == decisions
    assert feedback.next() == (Approve() if then == "approve" else None)
    assert told == [meaning.text for _, meaning in lines if isinstance(meaning, Note)]


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        read_lines([text], "FILE")
    except UsageError as error:
        assert str(error).startswith("line 1 of FILE ")  # noqa: PT017


def test_a_line_ends_where_json_says(stage: Stage, run: Exec) -> None:
    stage.write_script(completions=[WRITE, "Done."])
    file = stage.folder / "feedback"
    text = "use\u2028bash\x85"
    file.write_bytes(
        json.dumps({**DENY, "correction": text}, ensure_ascii=False).encode() + b"\r\n"
    )
    assert run("--feedback", str(file)) == 0
    assert stage.requests("learn")[0]["lesson"]["correction"] == text.strip()


def test_the_order_of_arguments() -> None:
    order = parse(["a=b request", "seed=1", "--then", "approve", "--feedback=-", "seed=2"])
    assert order.request == "a=b request"
    assert order.settings == ("seed=1", "seed=2")
    assert (order.then, order.feedback) == ("approve", "-")
    assert parse(["--", "--strange"]).request == "--strange"


def test_the_guards_figures_are_told(stage: Stage, run: Exec) -> None:
    guard = {"kl": 0.01, "agreement": 0.95, "probes": 24, "passed": True}
    stage.write_script(completions=[WRITE, "Done."], lessons=[{"guard": guard}])
    assert run(feedback=[DENY]) == 0
    (lesson,) = [event for event in run.events if event["event"] == "lesson"]
    assert guard.items() <= lesson["guard"].items()


def test_what_the_engine_found_at_its_start_is_told(stage: Stage, run: Exec) -> None:
    notice = "Snapshot 000002 is damaged; going on from 000001."
    stage.write_script(completions=["Done."], loaded={"notice": notice})
    assert run() == 0
    assert notice in run.progress


def test_numbers_that_json_lacks_are_null(stage: Stage, run: Exec) -> None:
    result = LessonResult(lesson="l", outcome="failed", reason="r", loss=float("nan"))
    assert lesson_line(result)["loss"] != lesson_line(result)["loss"]
    stage.write_script(completions=[WRITE, "Done."], lessons=[{"loss": float("inf")}])
    assert run(feedback=[DENY]) == 0
    (lesson,) = [event for event in run.events if event["event"] == "lesson"]
    assert lesson["loss"] is None


def start(stage: Stage, *arguments: str) -> subprocess.Popen[str]:
    # A shell that runs the tests in the background lets them ignore ctrl+c, and so their children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return subprocess.Popen(
        [str(SCRIPT), "exec", "go", *arguments, *stage.arguments()],
        cwd=stage.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_standard_input_and_a_listener_that_goes_away(stage: Stage) -> None:
    """The console script, in a pipe: the reader leaves after the first line."""
    stage.write_script(completions=[ECHO])
    process = start(stage, "--feedback", "-", "--then", "approve")
    assert process.stdin
    assert process.stdout
    assert process.stderr
    process.stdin.write('{"decision": "approve"}\n')
    process.stdin.close()
    assert json.loads(process.stdout.readline())["event"] == "proposal"
    process.stdout.close()
    told = process.stderr.read()
    assert process.wait(20) == 0
    assert "Traceback" not in told
    assert "Broken" not in told


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_the_tool_and_the_worker_too(stage: Stage, number: signal.Signals) -> None:
    sleep = f"sleep 67.{int(number)}"
    stage.write_script(completions=[call("bash", command=sleep)])
    process = start(stage, "--then", "approve")
    assert process.stdout
    process.stdout.readline()
    time.sleep(0.3)
    process.send_signal(number)
    _, told = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert "Traceback" not in told
    for text in (sleep, str(stage.script)):
        left = subprocess.run(["pgrep", "-af", "--", text], capture_output=True, check=False)
        assert left.stdout == b""
