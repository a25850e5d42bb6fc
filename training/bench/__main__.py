"""The command line of the bench: ``continualcode-tui bench corrections`` and ``bench report``."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from ..engine import EngineFailure
from ..engines.loading import require_packages

USAGE = 2


class Usage(Exception):
    """A wrong command line, in one sentence."""


class Parser(argparse.ArgumentParser):
    """A parser that complains in one sentence."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and where the help is."""
        raise Usage(f"{message} (see continualcode-tui bench --help).")


def parser() -> Parser:
    """What can be said to the bench."""
    made = Parser(
        prog="continualcode-tui bench",
        description="Compare ways of learning from corrections on the practice curriculum's "
        "held-out side.",
    )
    commands = made.add_subparsers(dest="command", required=True, parser_class=Parser)
    run = commands.add_parser("corrections", help="run the arms; what is recorded is skipped")
    run.add_argument("--quick", action="store_true", help="a smoke run of some minutes")
    run.add_argument("--arms", help="names with commas between; all is the default")
    run.add_argument("--seeds", type=_count, help="how many seeds are reported on (3)")
    run.add_argument("--cases", type=_count, help="how many corrections a seed (12)")
    run.add_argument("--out", type=Path, default=Path("bench"), help="the folder of the records")
    run.add_argument("--model", type=Path, help="a model's folder (the practice model)")
    report = commands.add_parser("report", help="write report.md and the plots of a folder")
    report.add_argument("folder", type=Path)
    return made


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number of one or more")
    return int(text)


def corrections(given: argparse.Namespace) -> None:
    """Run the bench and write its report."""
    require_packages()
    # One thread is as fast as two for so small a model, and leaves the other for another run.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    warnings.filterwarnings("ignore", category=FutureWarning)
    from .arms import DEFAULT_ARMS, QUICK_ARMS, arm
    from .plan import QUICK, Size
    from .running import Bench, progress

    size = QUICK if given.quick else Size()
    size = replace(size, seeds=given.seeds or size.seeds, cases=given.cases or size.cases)
    names = given.arms.split(",") if given.arms else QUICK_ARMS if given.quick else DEFAULT_ARMS
    arms = [arm(name.strip()) for name in dict.fromkeys(names)]
    if given.model is not None and not given.model.is_dir():
        raise Usage(f"there is no folder {given.model} that a model could be read from.")
    _require_folder(given.out, make=True)
    Bench(given.model, given.out, progress()).run(arms, size)
    report(given.out)


def report(folder: Path) -> None:
    """Write the report of a folder and say where it is."""
    from .report import write_report

    _require_folder(folder)
    sys.stdout.write(f"{write_report(folder)}\n")


def _require_folder(folder: Path, *, make: bool = False) -> None:
    """Fail in words when a folder cannot be used."""
    try:
        if make:
            folder.mkdir(parents=True, exist_ok=True)
        next(folder.iterdir(), None)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise Usage(f"the folder {folder} cannot be used: {reason}.") from None


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the arguments say; bad input is one sentence and status 2."""
    from .arms import UnknownArm
    from .report import NothingRecorded

    try:
        given = parser().parse_args(argv)
        if given.command == "report":
            report(given.folder)
        else:
            corrections(given)
    except (Usage, UnknownArm, NothingRecorded) as error:
        sys.stderr.write(f"continualcode-tui bench: {error}\n")
        return USAGE
    except EngineFailure as failure:
        sys.stderr.write(f"continualcode-tui bench: {failure.message}\n")
        return USAGE
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped; the same command goes on from here.\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
