"""The entry point: `--help` and `--version` import next to nothing."""

from __future__ import annotations

import sys

from .version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import NoReturn

    from .opening import Opening
    from .terminal import Background


USAGE = 2
HEADLESS = ("exec", "lessons", "adapters")
PAINT_RATE = "TEXTUAL_FPS"
WEB_DRIVER = "textual.drivers.web_driver:WebDriver"
# What runs with torch, which the app must not import, runs in its place.
PROCESSES = {
    "worker": "continualcode_tui.training.worker",
    "bench": "continualcode_tui.training.bench",
}

HELP = """\
continualcode-tui: a terminal coding agent that learns from your corrections

Usage:
  continualcode-tui [key=value ...]                 the full screen, in this folder
      --continue           goes on with the newest session of this folder
      --resume [ID]        goes on with a session, or lists them to choose one
  continualcode-tui exec "REQUEST" [key=value ...]  without a screen, JSON lines out
      --feedback FILE      one decision a line for each proposal; - reads standard input
      --then stop|approve|deny
                           what happens when the lines run out (stop)
  continualcode-tui lessons [VERB] [--json] [key=value ...]
      list | check | show ID | undo | forget ID | replay ID | export [FOLDER]
                           what was learned, which of it still holds, and taking it back
  continualcode-tui adapters [VERB] [--json] [key=value ...]
      list | use SNAPSHOT | import PATH | export [FOLDER]
                           the kept adapters of this repository, and those of others
  continualcode-tui worker                          the model's end, for worker_command
  continualcode-tui bench corrections|report        compare ways of learning (bench --help)
  continualcode-tui --help | --version

A line of FILE is one of
  {"decision": "approve"}
  {"decision": "deny", "correction": "use edit_lines; don't overwrite"}
  {"decision": "edit", "arguments": {"path": "calc.py"}}
  {"note": "the tests run under python3"}           answers no proposal

Settings, as arguments, as CONTINUALCODE_... variables, or in config.toml:
  engine=practice|local|tinker    which engine runs the model (tinker if there is a
                                  key for it, else practice)
  model_name=NAME                 a hub name or a folder, for local and tinker
  base_url=URL                    the address of the Tinker service
  enable_training=true|false      whether corrections become lessons (true)
  lora_rank=N                     the rank of the adapter (16)
  lora_targets=all|attention      which layers it changes (all)
  adapter_scope=answer|everywhere where it is active (answer)
  objective=forward_kl|reverse_kl|jsd|importance_sampling
  jsd_alpha=X top_k=N support=union|teacher|student token_clip=X
  teacher=before|live|moving_average|synced|frozen|trust_region
  teacher_rate=X teacher_sync_every=N
  learning_rate=X kl_coef=X kl_budget=X max_steps=N
                                  of a lesson; each engine has its own defaults
  teacher_model=NAME teacher_checkpoint=PATH
                                  another teacher of the Tinker service
  load_checkpoint_path=PATH       the Tinker checkpoint to start from
  save_every=N                    keeps a snapshot for good after so many lessons (10)
  check_every=N                   asks all of them again after so many, when idle (5)
  temperature=X max_tokens=N seed=N
                                  of sampling (0.3, 1024, 0)
  auto_approve_readonly=true|false
                                  read, glob and grep run without asking (true)
  bash_timeout=SECONDS            after which a command is stopped (120)
  sandbox=auto|require|off        commands run behind the best boundary that works,
                                  only behind the full one, or behind none (auto)
  sandbox_read=FOLDER:FOLDER      that commands may read below your home
  sandbox_env=NAME,NAME           further variables that commands get
  worker_command="COMMAND"        e.g. "ssh gpu-box continualcode-tui worker"
  theme=NAME                      the colours: auto, dark, light, high-contrast,
                                  colour-blind-dark|-light, ansi-dark|-light (auto)
  keymap="ID=KEYS;ID=KEYS"        other keys for the ids that F1 shows
  notify=both|bell|title|off      how you are called when the terminal is not in front
  data_dir=FOLDER                 lessons, adapters, conversations and logs
  arm_delay=SECONDS               before the keys of a proposal are taken (0.4)
  config_file=FILE                instead of the usual config.toml

Exit status: 0 done, 1 a check found a lost lesson, 2 usage, 3 the engine failed.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name, and return its exit status."""
    _import_nothing_from_here()
    arguments = list(sys.argv[1:] if argv is None else argv)
    first = arguments[0] if arguments else ""
    if first in ("--version", "-V"):
        return _say(f"continualcode-tui {VERSION}\n")
    if first in ("--help", "-h", "help") or (first in HEADLESS and _asks_for_help(arguments)):
        return _say(HELP)
    if first in PROCESSES:
        _become(PROCESSES[first], arguments[1:])
    return _guarded(arguments)


def _import_nothing_from_here() -> None:
    """Take the present folder, which may be anybody's repository, off the import path.

    It gets there by `python -m` and by PYTHONPATH.
    """
    import os

    from ..training.import_paths import kept_import_paths

    value = os.environ.get("PYTHONPATH", "")
    kept = kept_import_paths(value)
    refused = [path for path in value.split(os.pathsep) if path not in kept]
    unsafe = {"", *map(os.path.abspath, ["", *refused])}
    sys.path[:] = [path for path in sys.path if path not in unsafe]


def _asks_for_help(arguments: Sequence[str]) -> bool:
    return len(arguments) > 1 and arguments[1] in ("--help", "-h")


def _say(text: str) -> int:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_stdout()
    return 0


def _drop_stdout() -> None:
    """Keep the interpreter from complaining about a closed pipe when it ends."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def complain(sentence: str) -> None:
    """Say on standard error what went wrong."""
    # By hand in a place that imports little: what is complained about may come from anybody.
    from .workspace.visible import visible

    sys.stderr.write(f"continualcode-tui: {visible(sentence)}\n")


def _become(module: str, arguments: Sequence[str]) -> NoReturn:
    """Turn this process into another of the program's, without the present folder on its path."""
    import os

    from ..training.import_paths import kept_import_paths

    if "PYTHONPATH" in os.environ:
        os.environ["PYTHONPATH"] = os.pathsep.join(kept_import_paths(os.environ["PYTHONPATH"]))
    os.execv(sys.executable, [sys.executable, "-P", "-m", module, *arguments])  # noqa: S606 - no shell


def _guarded(arguments: list[str]) -> int:
    """Run the program; what nobody caught becomes one sentence and a log."""
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _drop_stdout()
        return 0
    except Exception as error:
        log = _write_log(error, arguments)
        where = f"; the details are in {log}" if log else ""
        complain(f"the program failed: {type(error).__name__}: {_first_line(error)}{where}")
        return 1


def _first_line(error: BaseException) -> str:
    return (_redacted(str(error)).splitlines() or [""])[0]


def _redacted(text: str) -> str:
    """A text that may be shown to others: without its secrets."""
    import os

    from ..training.redaction import known_secrets, redact

    return redact(text, known_secrets(os.environ))


def _run(arguments: list[str]) -> int:
    first = arguments[0] if arguments else ""
    if first in HEADLESS:
        return _run_headless(first, arguments[1:])
    order = _take_opening(arguments)
    first = arguments[0] if arguments else ""
    if first and "=" not in first:
        known = ", ".join((*HEADLESS, *PROCESSES))
        complain(f"unknown command {first!r}; the commands are {known} (see --help).")
        return USAGE
    if not (_serves_a_browser() or (sys.stdin.isatty() and sys.stdout.isatty())):
        complain(
            'the full screen needs a terminal; without one use: continualcode-tui exec "REQUEST".'
        )
        return USAGE
    opening = _opening_of(order, arguments)
    if isinstance(opening, str):
        complain(opening)
        return USAGE
    return _open_screen(arguments, opening)


def _serves_a_browser() -> bool:
    """Whether `textual serve` started this process, and speaks to it over pipes."""
    import os

    return os.environ.get("TEXTUAL_DRIVER") == WEB_DRIVER


def _open_screen(arguments: list[str], opening: Opening) -> int:
    import gc
    import os

    # Nothing that is imported here is garbage; the screen switches the collector on again.
    gc.disable()
    from .early import peek_theme
    from .guardian import guarded_terminal
    from .terminal import asked_background

    theme = peek_theme(arguments, os.environ)
    with guarded_terminal(), asked_background(wanted=theme == "auto") as background:
        run = _import_screen()
        return run(arguments, theme, background, opening)


def _import_screen() -> Callable[[Sequence[str], str, Background, Opening], int]:
    """Import the program so that Textual paints a key soon after another paint.

    Its timer waits for up to two periods after each, which is 33 ms if nothing is said. What the
    user starts from the program does not get the variable.
    """
    import os

    given = PAINT_RATE in os.environ
    os.environ.setdefault(PAINT_RATE, "120")
    try:
        from .tui import run
    finally:
        if not given:
            del os.environ[PAINT_RATE]
    return run


def _take_opening(arguments: list[str]) -> tuple[str, str] | None:
    """Take --continue, or --resume and its id, out of the arguments."""
    for number, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        if name not in ("--continue", "--resume"):
            continue
        del arguments[number]
        follows = arguments[number] if number < len(arguments) else ""
        if name == "--resume" and not value and follows and "=" not in follows:
            value = arguments.pop(number)
        return name, value
    return None


def _opening_of(order: tuple[str, str] | None, arguments: list[str]) -> Opening | str:
    """Which conversation the screen opens with; a sentence where there is no such one."""
    from .opening import NEW, Opening

    if order is None:
        return NEW
    if order == ("--resume", ""):
        return Opening(choose=True)
    from pathlib import Path

    from .controllers.sessions import choose
    from .settings import SettingsError, load_settings

    name, wanted = order
    try:
        data_dir = load_settings(arguments).data_dir
    except SettingsError as error:
        return str(error)
    found = choose(data_dir, Path.cwd(), wanted if name == "--resume" else None)
    return found if isinstance(found, str) else Opening(resume=found.id)


def _run_headless(command: str, arguments: list[str]) -> int:
    if command == "exec":
        from .headless import main as run
    elif command == "lessons":
        from .lessons_cli import main as run
    else:
        from .adapters_cli import main as run
    return run(arguments)


def _write_log(error: BaseException, arguments: Sequence[str]) -> Path | None:
    """Append the traceback to the program's log, if there is a place for it."""
    import time
    import traceback

    from .workspace.visible import visible

    told = visible(_redacted("".join(traceback.format_exception(error))))
    try:
        from .settings import load_settings
        from .store.paths import DataPaths, open_private_append

        placed = [argument for argument in arguments if argument.startswith("data_dir=")]
        log = DataPaths(load_settings(placed).data_dir).app_log
        with open_private_append(log) as file:
            file.write(time.strftime("%Y-%m-%d %H:%M:%S\n"))
            file.write(told)
    except Exception:
        sys.stderr.write(told)
        return None
    return log
