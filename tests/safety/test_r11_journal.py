"""R11: an acknowledged correction is never lost and never applied twice, whatever goes wrong.

The real worker, killed at every stage of a lesson, is in tests/training/test_worker.py and
tests/controllers/test_real_worker.py.
"""

from __future__ import annotations

import errno
import os
import random
import resource
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from continualcode_tui.app.store.journal import Journal, JournalError
from continualcode_tui.training.engine import EngineFailure
from continualcode_tui.training.manifest import FileName, Manifest
from continualcode_tui.training.protocol import Lesson
from continualcode_tui.training.snapshots import SnapshotStore

from .program import Program, TinyEngine, journal_path, lesson, lessons_in
from .system_calls import CHANGING, Fault, Killed, SystemCalls

slow = pytest.mark.slow
KILLS, LIVES = 200, 20


# --- writers that do not take care, to see that the tests see it --------------------------


class Rewriting(Journal):
    """Writes the whole file anew each time, in its place."""

    def _write(self, line: bytes) -> None:
        before = self.path.read_bytes()
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.write(descriptor, before + line)
        os.close(descriptor)


class NotRepairing(Journal):
    """Appends after whatever there is, without a look at the end."""

    def _repair(self, tail: bytes, offset: int) -> bool:
        return False


class WritingOnce(Journal):
    """Takes for granted that a write writes everything."""

    def _write(self, line: bytes) -> None:
        os.write(self._descriptor, line)
        os.fsync(self._descriptor)


class ShortMemory(SnapshotStore):
    """Prunes after a few snapshots, so that few lessons go through everything there is."""

    def __init__(self, folder: Path, save_every: int) -> None:
        super().__init__(folder, save_every, keep_last=2)


class OneAtATime(ShortMemory):
    """Makes room for a snapshot where the one before it lies."""

    def _write(self, manifest: Manifest, files: dict[FileName, bytes]) -> None:
        if manifest.parent is not None:
            shutil.rmtree(self.snapshots / manifest.parent)
        super()._write(manifest, files)


class ShortEngine(TinyEngine):
    store_class = ShortMemory


class OneAtATimeEngine(TinyEngine):
    store_class = OneAtATime


class ShortProgram(Program):
    engine_class = ShortEngine


class RewritingProgram(ShortProgram):
    journal_class = Rewriting


class NotRepairingProgram(ShortProgram):
    journal_class = NotRepairing


class WritingOnceProgram(ShortProgram):
    journal_class = WritingOnce


class OneAtATimeProgram(Program):
    engine_class = OneAtATimeEngine


# --- random kills -------------------------------------------------------------------------


def live(data: Path, life: int, says: int) -> None:
    """Learn what was cut short, and then many lessons a second, with an undo now and then."""
    program = Program(data)
    assert program.journal.read_only is None
    for record in program.journal.lessons():
        if record.standing == "failed":
            program.replay(record.lesson.id)
    add = program.journal.add_lesson

    def acknowledge(wanted: Lesson) -> None:
        add(wanted)
        os.write(says, f"{wanted.id}\n".encode())

    program.journal.add_lesson = acknowledge
    for number in range(20):
        program.correct(lesson(life * 20 + number))
        if number % 5 == 4:
            program.undo()
    signal.pause()


def kill_again_and_again(data: Path, lives: int, luck: random.Random) -> int:
    """Kill so many lives at a random moment; afterwards each acknowledged lesson is there once."""
    acknowledged: list[str] = []
    killed = 0
    for life in range(lives):
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                live(data, life, writing)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(3)
        os.close(writing)
        time.sleep(luck.uniform(0.0, 0.12))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status), "the life ended by itself"
        killed += 1
        with os.fdopen(reading, "rb") as pipe:
            acknowledged += pipe.read().decode().split()
        program = Program(data)
        program.require_exactly_once(acknowledged)
        assert not [words for words in program.told if "cut short" not in words]
        program.close()
    assert acknowledged
    return killed


@slow
@pytest.mark.parametrize("seed", range(KILLS // LIVES))
def test_200_of_200_random_kills_leave_each_acknowledged_lesson_exactly_once(
    tmp_path: Path, seed: int
) -> None:
    assert kill_again_and_again(tmp_path, LIVES, random.Random(seed)) == LIVES


def test_a_few_random_kills_leave_each_acknowledged_lesson_exactly_once(tmp_path: Path) -> None:
    assert kill_again_and_again(tmp_path, 6, random.Random(99)) == 6


# --- every call of the system -------------------------------------------------------------


LEARNED = 5


def begin(data: Path) -> None:
    """What there is before: so many lessons that old snapshots are pruned, and a torn tail."""
    program = ShortProgram(data, save_every=3)
    for number in range(LEARNED):
        program.correct(lesson(number))
    program.correct(lesson(LEARNED, "gated"))
    assert any(each.pruned for each in program.engine.adapters().snapshots)
    program.close()
    with journal_path(data).open("ab") as file:
        file.write(b'{"seq":99,"crc":"00')


class Work:
    """A start, lessons, an undo and the end, on a disk on which one call goes wrong."""

    def __init__(self, kind: type[Program], data: Path) -> None:
        self.kind = kind
        self.data = data
        self.acknowledged = [f"l{number}" for number in range(LEARNED + 1)]
        self.learned = [f"l{number}" for number in range(LEARNED)]
        self.taken_back: list[str] = []
        self.in_doubt: str | None = None
        self.told: list[str] = []
        self.refused = False

    def do(self) -> None:
        """Whatever goes wrong has to be told by the exceptions that carry words."""
        try:
            program = self.kind(self.data, save_every=3)
        except EngineFailure as failure:
            self.told.append(failure.message)
            return
        try:
            self._correct(program, 20)
            self._correct(program, 21)
            self._undo(program)
            self._correct(program, 22)
        finally:
            self.told += program.told
            program.close()

    def _undo(self, program: Program) -> None:
        """Take the newest lesson back; where that was cut short, it may be back or not."""
        newest = program.held()[-1]
        self.in_doubt = newest
        undone = program.undo()
        if undone is None:
            self.refused = True
            if not any("is not known" in text for text in program.told):
                self.in_doubt = None
        elif undone.undone_lesson is not None:
            assert undone.undone_lesson == newest
            self.taken_back.append(newest)
            self.in_doubt = None
            self.learned.remove(newest)

    def _correct(self, program: Program, number: int) -> None:
        result = program.correct(lesson(number))
        record = program.journal.lesson(f"l{number}")
        assert record is not None
        if record.saved:
            self.acknowledged.append(record.lesson.id)
        if result.outcome == "learned":
            self.learned.append(record.lesson.id)
        else:
            self.refused = True


@contextmanager
def prepared(before: Path) -> Iterator[Path]:
    """A copy of what there was; in memory where that can be, as the faults are made here anyway."""
    memory = Path("/dev/shm")
    where = memory if os.access(memory, os.W_OK) else before.parent
    with tempfile.TemporaryDirectory(dir=where) as folder:
        yield shutil.copytree(before, Path(folder) / "data")


def go_wrong_once(kind: type[Program], before: Path, fault: Fault) -> int:
    """Let one call go wrong, and look afterwards; returns how many calls there were."""
    with prepared(before) as data:
        work = Work(kind, data)
        calls = SystemCalls(data, fault)
        with calls.watching():
            try:
                work.do()
            except Killed:
                assert fault.kills
        words = [text for text in work.told if not text.startswith("It follows")]
        assert words or not work.refused
        assert all(text.endswith(".") and "\n" not in text for text in words)
        after = ShortProgram(data, save_every=3)
        try:
            after.require_exactly_once(work.acknowledged)
            assert after.journal.read_only is None
            held = after.held()
            lost = set(work.learned) - {*held, work.in_doubt}
            assert not lost, f"lost: {lost}"
            assert not set(work.taken_back) & set(held)
            # And the disk is good again: what was cut short is learned.
            for record in after.journal.lessons():
                if record.standing in ("failed", "in_context_only"):
                    result = after.replay(record.lesson.id)
                    assert result is not None
                    assert result.outcome == "learned"
            after.require_exactly_once(work.acknowledged)
        finally:
            after.close()
        assert not list(data.rglob("*.tmp*"))
        assert [torn.read_bytes() for torn in journal_path(data).parent.glob("*.torn-*")]
        return len(calls.names)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("before") / "data"
    begin(data)
    return data


@pytest.fixture(scope="module")
def calls(before: Path) -> list[str]:
    names = clean_run(ShortProgram, before)
    assert {"create", "write", "fsync", "rename", "replace", "ftruncate", "flock"} <= {*names}
    return names


FAULTS = {
    "full": ("refused", errno.ENOSPC, False),
    "full for good": ("refused", errno.ENOSPC, True),
    "short, then full": ("short", errno.ENOSPC, True),
    "short": ("short", errno.ENOSPC, False),
    "error": ("refused", errno.EIO, False),
    "error for good": ("refused", errno.EIO, True),
    "done, but an error": ("unsure", errno.EIO, False),
    "killed before": ("killed", 0, False),
    "killed after": ("killed_after", 0, False),
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("part", [pytest.param("every", marks=slow), "some"])
def test_every_call_may_go_wrong_and_nothing_is_lost_or_doubled(
    before: Path, calls: list[str], name: str, part: str
) -> None:
    """The N-th call of the system goes wrong, for every N: the old state or the new, in words."""
    kind, error, lasting = FAULTS[name]
    # A read that fails is only a failure; every other fault has to meet what changes the disk.
    meant = {*calls} if name == "error" else CHANGING
    numbers = [number for number, call in enumerate(calls, start=1) if call in meant]
    for number in numbers if part == "every" else numbers[:: len(numbers) // 2]:
        fault = Fault(kind, number, error, lasting)
        try:
            go_wrong_once(ShortProgram, before, fault)
        except BaseException as failed:
            failed.add_note(f"call {number} of {len(calls)}, {calls[number - 1]}: {fault}")
            raise


def clean_run(kind: type[Program], before: Path) -> list[str]:
    """The calls that the work makes when nothing goes wrong."""
    with prepared(before) as data:
        work, watched = Work(kind, data), SystemCalls(data)
        with watched.watching():
            work.do()
        assert work.acknowledged[-1] == "l22"
        assert work.learned[-1] == "l22"
        return watched.names


@pytest.mark.parametrize(
    ("kind", "name", "call"),
    [
        (RewritingProgram, "killed after", "create"),
        (WritingOnceProgram, "short", "write"),
        (OneAtATimeProgram, "killed after", "unlink"),
    ],
)
def test_a_writer_without_care_fails_the_same_test(
    before: Path, kind: type[Program], name: str, call: str
) -> None:
    """So that what passes above does not pass because nothing was looked at."""
    fault, error, lasting = FAULTS[name]
    names = clean_run(kind, before)
    numbers = [number for number, each in enumerate(names, start=1) if each == call]

    def let_each_go_wrong() -> None:
        for number in numbers:
            go_wrong_once(kind, before, Fault(fault, number, error, lasting))

    with pytest.raises(AssertionError, match="lost"):
        let_each_go_wrong()


def test_a_reader_without_repair_loses_the_next_lesson(tmp_path: Path) -> None:
    for kind, lost in ((NotRepairingProgram, True), (Program, False)):
        data = tmp_path / kind.__name__
        program = kind(data)
        program.correct(lesson(0))
        program.close()
        with journal_path(data).open("ab") as file:
            file.write(b'{"seq":4,"crc":"00')
        program = kind(data)
        program.correct(lesson(1))
        assert program.journal.lesson("l1").saved
        program.close()
        assert ("l1" not in lessons_in(journal_path(data))) == lost


# --- a disk that really takes a part of a line --------------------------------------------


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """The kernel writes up to this size, and refuses the rest."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("step", [pytest.param(1, marks=slow), 40])
def test_a_line_may_be_cut_at_every_byte(tmp_path: Path, step: int) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.add_lesson(lesson(0))
    length = path.stat().st_size
    number = 0
    for part in range(0, length, step):
        number += 1
        size = path.stat().st_size
        content = path.read_bytes()
        with no_file_beyond(size + part), pytest.raises(JournalError, match="allowed size"):
            journal.add_lesson(lesson(number))
        assert path.read_bytes() == content
        assert not journal.lesson(f"l{number}").saved
        journal.add_attempt(f"l{number}")
        assert journal.lesson(f"l{number}").saved
    journal.close()
    assert lessons_in(path) == [f"l{each}" for each in range(number + 1)]
    again = Journal(path)
    assert not again.notices
    again.close()


@pytest.mark.parametrize("step", [pytest.param(16, marks=slow), 700])
def test_a_snapshot_may_be_cut_anywhere(tmp_path: Path, step: int) -> None:
    program = Program(tmp_path)
    program.correct(lesson(0))
    journal = journal_path(tmp_path)
    with journal.open("ab"):
        limits = range(journal.stat().st_size + 4_000, 0, -step)
    refused = 0
    for number, limit in enumerate(limits, start=1):
        held = program.held()
        with no_file_beyond(limit):
            result = program.correct(lesson(number))
        if result.outcome == "learned":
            held.append(f"l{number}")
        else:
            refused += 1
            assert "disk is full" in result.reason or "allowed size" in result.reason
        assert program.held() == held
        program.require_exactly_once(held)
    assert refused
    program.close()


# --- the end of the program ---------------------------------------------------------------


def test_what_the_disk_refused_is_written_when_the_program_ends(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    with no_file_beyond(10), pytest.raises(JournalError):
        journal.add_lesson(lesson(1))
    journal.close()
    assert lessons_in(path) == ["l1"]


def test_a_journal_that_was_deleted_under_the_program_is_told(tmp_path: Path) -> None:
    """What is added to a file without a name is nowhere."""
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.add_lesson(lesson(1))
    path.unlink()
    with pytest.raises(JournalError, match="moved or deleted"):
        journal.add_lesson(lesson(2))
    assert [record.saved for record in journal.lessons()] == [True, False]
    journal.close()


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_a_journal_that_is_no_plain_file_is_refused_in_words(tmp_path: Path, kind: str) -> None:
    path, other = tmp_path / "journal.jsonl", tmp_path / "other"
    if kind == "link":
        other.write_bytes(b"precious")
        path.symlink_to(other)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    journal = Journal(path)
    assert journal.read_only is not None
    assert "cannot be opened" in journal.read_only
    with pytest.raises(JournalError, match="cannot be opened"):
        journal.add_lesson(lesson(1))
    journal.close()
    assert kind != "link" or other.read_bytes() == b"precious"


def test_temporary_files_of_a_killed_program_are_swept(tmp_path: Path) -> None:
    stale = tmp_path / ".journal.jsonl.torn-1.77.tmp"
    stale.write_bytes(b"half")
    Journal(tmp_path / "journal.jsonl").close()
    assert not stale.exists()
