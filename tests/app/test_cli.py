from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import termios
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

import pytest
from continualcode_tui.app.cli import WEB_DRIVER, main
from continualcode_tui.app.version import VERSION

ROOT = Path(__file__).parents[2]
HEAVY = {"textual", "rich", "pydantic", "asyncio", "pathlib", "argparse", "torch", "numpy"}
MODULE = [sys.executable, "-m", "continualcode_tui.app"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MODULE, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def path_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `main` takes off the import path comes back after the test."""
    monkeypatch.setattr(sys, "path", list(sys.path))


def test_the_version_is_that_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION
    assert run("--version").stdout == f"continualcode-tui {VERSION}\n"


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["exec", "--help"]])
def test_a_question_about_the_program_imports_next_to_nothing(arguments: list[str]) -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        "from continualcode_tui.app.cli import main\n"
        f"assert main({arguments!r}) == 0\n"
        "print(*(set(sys.modules) - before), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout
    ours = {name for name in done.stderr.split() if name.startswith("continualcode_tui.")}
    assert ours <= {
        "continualcode_tui.app",
        "continualcode_tui.app.cli",
        "continualcode_tui.app.version",
        "continualcode_tui.training",
        "continualcode_tui.training.import_paths",
    }
    assert not HEAVY & set(done.stderr.split())


def test_the_screenless_core_has_no_screen_and_no_learning() -> None:
    code = "import sys, continualcode_tui.app.headless; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(done.stdout.split())
    for name in ("textual", "rich", "torch", "transformers", "peft", "tinker", "numpy", "git"):
        assert name not in modules
    ours = {name for name in modules if name.startswith("continualcode_tui.training.")}
    wire = {"client", "protocol", "adapter_messages", "wire"}
    # Of the client, and as light.
    wire |= {"durable", "import_paths", "redaction", "surroundings"}
    assert ours == {f"continualcode_tui.training.{name}" for name in wire}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "exec"),
        (["temperature=0.1"], "exec"),
        (["strat"], "unknown command"),
        (["exec"], "request is missing"),
        (["exec", "go", "--then"], "needs a value"),
        (["exec", "go", "--then", "maybe"], "none of stop, approve and deny"),
        (["exec", "go", "--nothing"], "unknown option"),
        (["exec", "go", "engin=local"], "did you mean engine?"),
        (["exec", "go", "--feedback", "/no/such/file"], "cannot be read"),
    ],
)
def test_wrong_usage_is_one_sentence_and_status_two(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], path_kept: None
) -> None:
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert words in told.err
    assert len(told.err.splitlines()) == 1
    assert told.out == ""


def test_without_a_terminal_it_says_to_use_exec() -> None:
    done = run()
    assert done.returncode == 2
    assert "exec" in done.stderr


def test_the_worker_command_becomes_the_worker(tmp_path: Path) -> None:
    done = subprocess.run(
        [*MODULE, "worker"], cwd=tmp_path, input="", capture_output=True, text=True, check=False
    )
    assert '"event":"ready"' in done.stdout
    assert done.returncode == 0


@contextmanager
def on_a_terminal(*arguments: str, **environment: str) -> Iterator[tuple[Popen[str], int, int]]:
    """The program on a pseudo-terminal, with its standard error on a pipe."""
    ours, theirs = pty.openpty()
    process = Popen(
        [*MODULE, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.PIPE,
        env={**os.environ, "TERM": "xterm-256color", **environment},
        text=True,
    )
    try:
        yield process, ours, theirs
    finally:
        process.kill()
        process.wait()
        for end in (ours, theirs):
            os.close(end)


def read_until(ours: int, wanted: bytes, seconds: float = 10.0) -> bytes:
    """Read the terminal until something stands there."""
    seen, end = b"", time.monotonic() + seconds
    while wanted not in seen and time.monotonic() < end:
        if select.select([ours], [], [], 0.05)[0]:
            seen += os.read(ours, 65536)
    assert wanted in seen, seen
    return seen


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("engine=loca", "did you mean local?"),
        ("theme=hi-contrast", "did you mean high-contrast?"),
    ],
)
def test_a_bad_setting_is_one_sentence_and_the_terminal_is_as_before(
    argument: str, words: str
) -> None:
    with on_a_terminal(argument) as (process, ours, theirs):
        before = termios.tcgetattr(theirs)
        seen = read_until(ours, b"\x1b[?1049l")
        assert process.wait(10) == 2
        assert process.stderr is not None
        (line,) = process.stderr.read().splitlines()
        assert words in line
        assert b"\x1b[?1049h" in seen
        assert termios.tcgetattr(theirs) == before


@pytest.mark.parametrize("moment", [b"\x1b]11;?", b"ctrl+r history"], ids=["at once", "late"])
def test_the_terminals_background_chooses_and_no_key_is_lost(moment: bytes, tmp_path: Path) -> None:
    places = (f"data_dir={tmp_path}", "worker_command=sleep 30")
    with on_a_terminal(*places, COLORTERM="truecolor") as (_, ours, _theirs):
        read_until(ours, moment)
        os.write(ours, b"fi\x1b]11;rgb:ffff/fefe/f0f0\x1b\\x it")
        read_until(ours, b"48;2;251;250;247")
        os.write(ours, b" now")
        seen = read_until(ours, b"now")
        assert b"rgb" not in seen


def test_a_theme_of_the_users_own_is_painted_first_and_nothing_is_asked(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('theme = "continual-light"\n')
    with on_a_terminal(f"config_file={file}", COLORTERM="truecolor") as (_, ours, _theirs):
        seen = read_until(ours, b"starting")
    assert b"]11" not in seen
    assert b"48;2;251;250;247" in seen
    assert b"48;2;17;20;26" not in seen


def test_a_browser_gets_its_frames_over_pipes(tmp_path: Path) -> None:
    """As `textual serve` starts it: packets of a letter, a length and that many bytes."""
    environment = {
        **os.environ, "TEXTUAL_DRIVER": WEB_DRIVER, "TEXTUAL_COLOR_SYSTEM": "truecolor",
        "COLUMNS": "90", "ROWS": "20",
    }  # fmt: skip
    process = Popen(
        [*MODULE, f"data_dir={tmp_path}", "worker_command=sleep 30"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"__GANGLION__\n"
        seen, asked = b"", False
        while b"fix it" not in seen:
            letter, length = process.stdout.read(1), process.stdout.read(4)
            assert letter in (b"D", b"M")
            seen += process.stdout.read(int.from_bytes(length, "big"))
            if b"ctrl+r history" in seen and not asked:
                asked = True
                process.stdin.write(b"D" + (6).to_bytes(4, "big") + b"fix it")
                process.stdin.flush()
        quit = b'{"type": "quit"}'
        process.stdin.write(b"M" + len(quit).to_bytes(4, "big") + quit)
        process.stdin.flush()
        process.stdout.read()
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()


def test_an_error_nobody_caught_is_one_sentence_and_a_log(tmp_path: Path) -> None:
    code = (
        "import sys, continualcode_tui.app.headless as headless\n"
        "from continualcode_tui.app.cli import main\n"
        "def broken(arguments): raise ValueError('first line\\nsecond line')\n"
        "headless.main = broken\n"
        f"sys.exit(main(['exec', 'go', 'data_dir={tmp_path}']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "ValueError: first line" in line
    log = tmp_path / "logs" / "app.log"
    assert str(log) in line
    assert "broken" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


def test_the_folder_it_is_started_in_is_not_imported(tmp_path: Path) -> None:
    for name in ("app", "pydantic", "git", "jsonschema", "platformdirs", "asyncio"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('imported')")
    environment = {**os.environ, "PYTHONPATH": "."}
    script = Path(sys.executable).parent / "continualcode-tui"
    for command in ([str(script)], [sys.executable, "-m", "continualcode_tui.app"]):
        done = subprocess.run(
            [*command, "exec", "go", "engine=loca"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "did you mean local?" in done.stderr, done.stderr


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_a_closed_pipe_is_quiet(argument: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*MODULE, argument], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert done.stderr == ""
