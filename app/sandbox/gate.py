"""Which boundary there is, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Mode = Literal["auto", "require", "off"]
Kind = Literal["bwrap", "partial", "none"]


@dataclass(frozen=True, slots=True)
class Gate:
    """What was proved at the start: which attacks failed, and which did not.

    ``reason`` says why the boundary is not the full one.
    """

    kind: Kind
    binary: str | None = None
    stopped: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    reason: str = ""

    @property
    def words(self) -> str:
        """The gate in full."""
        count = len(self.stopped) + len(self.open)
        if self.kind == "bwrap":
            return (
                f"sandbox: bwrap. Each command runs in namespaces of its own ({self.binary}); "
                f"{count} of {count} attacks failed when it was tried at the start."
            )
        if self.kind == "partial":
            return (
                f"sandbox: partial, because {self.reason}. Commands run behind Landlock only: "
                f"{len(self.stopped)} of {count} attacks failed when it was tried at the start. "
                f"They can still {', '.join(self.open)}."
            )
        return (
            f"sandbox: none, because {self.reason}. A command can do whatever you can; "
            "sandbox=require refuses such commands."
        )
