"""The commands of one session and the boundary that they run behind."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

from ..store.paths import make_private_folder
from ..workspace.programs import find_program, find_shell
from . import bubblewrap, kept
from .environment import allowed_environment
from .gate import Gate, Mode
from .git_dirs import CannotConfine
from .launch import Launch
from .placeholders import Placeholders
from .policy import Surroundings, make_policy
from .prove import ESSENTIAL, Proof, prove

UNPROVED = Gate("none", reason="no boundary has been tried yet")
OFF = Gate("none", reason="sandbox=off switches the boundary off")
WAY_OUT = "install bubblewrap, or set sandbox=auto to run commands without it"

_proved: dict[tuple[object, ...], Gate] = {}


class Sandbox:
    """Finds the best boundary that holds, and makes commands ready to run behind it."""

    def __init__(
        self,
        mode: Mode = "auto",
        *,
        data_dir: Path,
        readable: Iterable[Path] = (),
        variables: Iterable[str] = (),
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.mode = mode
        self.gate = UNPROVED
        self._variables = tuple(variables)
        self._environ = os.environ if environ is None else environ
        self._place = data_dir / "sandbox"
        self._around = Surroundings(
            home=Path(self._environ.get("HOME") or "/nonexistent"),
            private=(data_dir.resolve(),),
            readable=tuple(readable),
            environ=self._environ,
        )

    # --- the proof ----------------------------------------------------------------------

    def prove(self, root: Path) -> Gate:
        """Try which boundary holds; it takes a moment, and each is tried once a process."""
        self._placeholders(root).sweep()
        try:
            self.gate = OFF if self.mode == "off" else self._find(root)
        except OSError as error:
            self.gate = Gate("none", reason=f"what a boundary needs cannot be had ({error})")
        return self.gate

    def _find(self, root: Path) -> Gate:
        try:
            make_policy(root, self._around)
        except CannotConfine as error:
            return Gate("none", reason=str(error))
        binary = find_program(bubblewrap.NAME, root)
        reason = "bubblewrap is not installed"
        if binary is not None:
            full = self._once("bwrap", binary)
            if full.kind == "bwrap":
                return full
            reason = full.reason
        if not kept.landlock_version():
            return Gate("none", reason=f"{reason}, and this system has no Landlock")
        partial = self._once("partial", reason)
        return partial if partial.kind == "partial" else Gate("none", reason=partial.reason)

    def _once(self, kind: str, about: str) -> Gate:
        key = (kind, about, *_stamp(about))
        if key not in _proved:
            _proved[key] = self._try_full(about) if kind == "bwrap" else self._try_partial(about)
        return _proved[key]

    def _try_full(self, binary: str) -> Gate:
        gate = Gate("bwrap", binary=binary)
        proof = self._prove(gate)
        if proof.problem:
            return Gate("none", reason=f"{binary} does not work here: {proof.problem}")
        if proof.open:
            done = ", ".join(proof.open)
            return Gate("none", reason=f"{binary} does not hold: behind it one could {done}")
        return Gate("bwrap", binary=binary, stopped=proof.stopped)

    def _try_partial(self, reason: str) -> Gate:
        proof = self._prove(Gate("partial"))
        if proof.problem:
            return Gate("none", reason=f"{reason}, and Landlock does not work: {proof.problem}")
        if ESSENTIAL & {*proof.open}:
            return Gate("none", reason=f"{reason}, and Landlock alone does not hold")
        return Gate("partial", stopped=proof.stopped, open=proof.open, reason=reason)

    def _prove(self, gate: Gate) -> Proof:
        make_private_folder(self._place)

        def confine(command: str, root: Path) -> Launch:
            return self._prepare(gate, command, root, network=False)

        return prove(confine, self._place)

    # --- the commands -------------------------------------------------------------------

    @property
    def refusal(self) -> str | None:
        """Why no command may run, in one sentence with the way out; None where they may."""
        if self.gate is UNPROVED:
            return "the sandbox is still being tried; propose the command again"
        if self.mode != "require" or self.gate.kind == "bwrap":
            return None
        return f"sandbox=require, but {self.gate.reason}; {WAY_OUT}"

    def describe(self) -> str:
        """Say which boundary holds, and what was tried."""
        if self.gate is UNPROVED:
            return "sandbox: still being tried; no command runs before it is known."
        return self.gate.words

    def terms(self, *, network: bool) -> str:
        """Say how a command would run."""
        reach = "network allowed" if network else "no network"
        if self.gate.kind == "bwrap":
            return f"sandbox: bwrap · {reach}"
        if self.gate.kind == "partial":
            return f"sandbox: partial, .git is not protected · {reach}"
        return "sandbox: none · it can do whatever you can, with network"

    def prepare(self, command: str, root: Path, *, network: bool) -> Launch:
        """Make a shell command ready to run; raises CannotConfine or OSError."""
        return self._prepare(self.gate, command, root, network=network)

    def _prepare(self, gate: Gate, command: str, root: Path, *, network: bool) -> Launch:
        environment = allowed_environment(self._environ, more=self._variables, network=network)
        shell = find_shell(root)
        if gate.kind == "none":
            return kept.keep([shell, "-c", command], environment, limits=kept.LIMITS)
        policy = make_policy(root, self._around)
        environment["HOME"] = str(policy.home)
        held = ExitStack()
        try:
            if gate.kind == "bwrap" and gate.binary:
                held.enter_context(self._placeholders(policy.root).standing(policy.placeholders))
                return bubblewrap.confine(
                    gate.binary, shell, command, policy, environment, network=network, held=held
                )
            return kept.confine_partly(
                [shell, "-c", command], policy, environment, network=network, held=held
            )
        except BaseException:
            held.close()
            raise

    def _placeholders(self, root: Path) -> Placeholders:
        name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
        return Placeholders(self._place / f"{name}.placeholders")


def _stamp(path: str) -> tuple[int, ...]:
    """What changes when a program is replaced."""
    try:
        status = Path(path).stat()
    except OSError:
        return ()
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size
