"""R15: one program writes an adapter and its journal; another one in the same place only reads.

That the screen says so is in tests/controllers/test_session.py.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from continualcode_tui.app.agent.proposal import Deny, Proposal
from continualcode_tui.app.controllers.session import SessionController
from continualcode_tui.app.events import LessonFinished, Notice
from continualcode_tui.app.settings import load_settings
from continualcode_tui.app.store.entries import decode
from continualcode_tui.app.store.journal import Journal, JournalError
from continualcode_tui.training import snapshots
from continualcode_tui.training.engine import EngineFailure

from tests.controllers import conftest as controllers
from tests.controllers.support import Stage

from .program import Program, adapter_folder, journal_path, lesson, lessons_in

stage = controllers.stage
STARTS = 100
LESSONS = 2


def child(work: Callable[[], None]) -> int:
    """Do some work in another process."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return pid


def start_and_learn(data: Path, number: int, seen: int) -> None:
    """Start, learn as whoever may, and say what came of it: a line for each writer and reader."""
    program = Program(data)
    witness = data / "writing"
    if program.journal.read_only is not None:
        assert any("Another session" in text for text in program.told)
        with pytest.raises(JournalError):
            program.journal.add_lesson(lesson(number))
        with pytest.raises(EngineFailure) as failure:
            program.engine.take(lesson(number))
        assert failure.value.code == "read_only"
        os.write(seen, b"reader\n")
        return
    try:
        os.close(os.open(witness, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        os.write(seen, b"two writers\n")
        return
    for each in range(LESSONS):
        program.correct(lesson(number * LESSONS + each))
        time.sleep(0.002)
    witness.unlink()
    program.close()
    os.write(seen, f"writer {number}\n".encode())


def start_together(data: Path, count: int) -> list[str]:
    """Start so many programs at the same moment; what each of them said."""
    reading, writing = os.pipe()
    gate, opened = os.pipe()

    def wait_and_start(number: int) -> None:
        os.close(opened)
        os.read(gate, 1)
        start_and_learn(data, number, writing)

    children = [child(lambda n=number: wait_and_start(n)) for number in range(count)]
    os.close(writing)
    os.close(opened)
    codes = [os.waitpid(pid, 0)[1] for pid in children]
    os.close(gate)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode().splitlines()
    assert codes == [0] * count
    return said


def interleavings(data: Path, said: list[str]) -> int:
    """How often two wrote at once: by what they saw, and by what the journal is like."""
    together = said.count("two writers")
    numbers, owners = [], []
    for line in journal_path(data).read_bytes().splitlines():
        number, entry = decode(line)
        numbers.append(number)
        told = entry.model_dump()
        name = told.get("lesson") or told["result"]["lesson"]
        owner = int((name["id"] if isinstance(name, dict) else name)[1:]) // LESSONS
        if owners[-1:] != [owner]:
            owners.append(owner)
    out_of_order = sum(number != at for at, number in enumerate(numbers, start=1))
    return together + out_of_order + len(owners) - len(set(owners))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "LOCK_PATIENCE", 0.3)


@pytest.mark.parametrize("count", [12, pytest.param(STARTS, marks=pytest.mark.slow)])
def test_0_interleavings_in_100_concurrent_starts(
    tmp_path: Path, impatient: None, count: int
) -> None:
    said = start_together(tmp_path, count)
    writers = [text for text in said if text.startswith("writer")]
    assert len(said) == count
    assert writers
    assert interleavings(tmp_path, said) == 0
    program = Program(tmp_path)
    program.require_exactly_once()
    assert len(program.held()) == LESSONS * len(writers)
    assert not program.told
    program.close()


def test_without_the_lock_they_would_interleave(
    tmp_path: Path, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that what passes above does not pass because they came one after the other."""
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    said = start_together(tmp_path, 6)
    assert "two writers" in said


def test_the_second_reads_says_why_and_takes_over_when_the_first_has_ended(
    tmp_path: Path, impatient: None
) -> None:
    first = Program(tmp_path)
    first.correct(lesson(1))
    second = Program(tmp_path)
    assert second.held() == ["l1"]
    assert [record.lesson.id for record in second.journal.lessons()] == ["l1"]
    (words,) = set(second.told)
    assert words == (
        f"Another session (process {os.getpid()}) is learning in this repository: this one can use "
        "the adapter but not change it. Close the other session to learn here."
    )
    refused = second.correct(lesson(2))
    assert refused.outcome == "in_context_only"
    assert "Another session" in refused.reason
    assert second.undo() is None
    assert not second.forget("l1")
    before = (journal_path(tmp_path).read_bytes(), sorted(adapter_folder(tmp_path).rglob("*")))
    second.close()
    assert before == (
        journal_path(tmp_path).read_bytes(),
        sorted(adapter_folder(tmp_path).rglob("*")),
    )
    first.correct(lesson(3))
    first.close()
    third = Program(tmp_path)
    assert not third.told
    assert third.correct(lesson(4)).outcome == "learned"
    third.require_exactly_once(["l1", "l3", "l4"])
    third.close()


def test_a_journal_that_could_only_be_read_is_taken_up_later(tmp_path: Path) -> None:
    """As when a worker is replaced, after the program that wrote has ended."""
    path = tmp_path / "journal.jsonl"
    first, second = Journal(path), Journal(path)
    first.add_lesson(lesson(1))
    assert second.read_only is not None
    second.open_again()
    assert second.read_only is not None
    assert "Another continualcode-tui is open" in second.read_only
    first.close()
    second.open_again()
    assert second.read_only is None
    second.add_lesson(lesson(2))
    second.close()
    assert lessons_in(path) == ["l1", "l2"]


@pytest.mark.slow
async def test_two_real_programs_in_one_repository(stage: Stage) -> None:
    """The second has its own worker; it leaves the journal to the one that has the adapter."""

    def session() -> SessionController:
        return SessionController(
            settings=load_settings([f"data_dir={stage.data}"], environ={}),
            folder=stage.folder,
            present=stage.events.append,
            decide=decide,
        )

    async def decide(proposal: Proposal) -> Deny:
        stage.proposals.append(proposal)
        if len(stage.proposals) == 1:
            return Deny("use edit_lines; don't overwrite")
        await second.interrupt()
        return await asyncio.get_running_loop().create_future()

    def warnings() -> set[str]:
        return {told.text for told in stage.seen(Notice) if told.severity == "warning"}

    first, second, third = session(), session(), session()
    try:
        assert await first.start()
        assert not warnings()
        assert await second.start()
        (told,) = warnings()
        assert "is learning in this repository: this one can use the adapter" in told
        await second.submit("fix the test")
        reasons = {event.result.reason for event in stage.seen(LessonFinished)}
        assert reasons
        assert all("Another session" in reason for reason in reasons)
        # Whichever ends first, the other or the next may write.
        await first.close()
        assert await third.start()
        assert third.loaded is not None
        assert third.loaded.read_only is None
    finally:
        for each in (first, second, third):
            await each.close()
    assert stage.journal().lessons() == []


@pytest.mark.parametrize("moment", [0.0, 0.05, 0.2])
def test_a_kill_gives_the_lock_back_though_its_children_live_on(
    tmp_path: Path, moment: float
) -> None:
    """A command that was started by the program and outlives it does not hold the lock."""
    reading, writing = os.pipe()

    def live() -> None:
        program = Program(tmp_path)
        sleeper = subprocess.Popen(
            [sys.executable, "-S", "-c", "import time; time.sleep(60)"], close_fds=False
        )
        os.write(writing, f"{sleeper.pid}\n".encode())
        for number in range(100):
            program.correct(lesson(number))

    pid = child(live)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        sleeper = int(pipe.readline())
    try:
        busy = Journal(journal_path(tmp_path))
        assert busy.read_only is not None
        busy.close()
        time.sleep(moment)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.kill(sleeper, 0)
        after = Program(tmp_path)
        assert after.journal.read_only is None
        assert after.correct(lesson(200)).outcome == "learned"
        after.require_exactly_once()
        after.close()
    finally:
        os.kill(sleeper, signal.SIGKILL)


@pytest.mark.parametrize("how", ["deleted", "replaced", "moved"])
def test_a_lock_that_was_taken_away_is_noticed_before_anything_is_written(
    tmp_path: Path, how: str
) -> None:
    """Whoever deletes the lock's file lets a second program in; the first then writes no more."""
    first = Program(tmp_path)
    first.correct(lesson(1))
    lock = adapter_folder(tmp_path) / "lock"
    if how == "moved":
        adapter_folder(tmp_path).rename(tmp_path / "elsewhere")
    else:
        lock.unlink()
        if how == "replaced":
            lock.write_text("")
    refused = first.correct(lesson(2))
    assert refused.outcome == "in_context_only"
    assert "Start the program again" in refused.reason
    first.close()


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_a_lock_that_is_no_plain_file_is_refused_in_words(tmp_path: Path, kind: str) -> None:
    folder = adapter_folder(tmp_path)
    folder.mkdir(parents=True)
    precious = tmp_path / "precious"
    precious.write_text("precious")
    if kind == "link":
        (folder / "lock").symlink_to(precious)
    elif kind == "pipe":
        os.mkfifo(folder / "lock")
    else:
        (folder / "lock").mkdir()
    with pytest.raises(EngineFailure, match="cannot be written"):
        Program(tmp_path)
    assert precious.read_text() == "precious"


def test_a_file_system_without_locks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not taken for another program, whose end one would wait for."""

    def no_locks(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    journal = Journal(tmp_path / "journal.jsonl")
    assert journal.read_only is not None
    assert "cannot be locked: No locks available" in journal.read_only
    journal.close()
    with pytest.raises(EngineFailure, match="No locks available"):
        Program(tmp_path)
