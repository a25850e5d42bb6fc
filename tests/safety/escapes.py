"""The kinds of escape sequences and control characters in what a program wrote to a terminal."""

from __future__ import annotations

import re
import unicodedata

_TOKEN = re.compile(
    r"\x1b\[(?P<private>[<=>?]?)(?P<parameters>[0-9;:]*)(?P<between>[ -/]*)(?P<final>[@-~])"
    r"|\x1b\](?P<osc>[0-9]*)[^\x07\x1b]*(?:\x07|\x1b\\)"
    r"|\x1b(?P<string>[P_^X])[^\x1b]*\x1b\\"
    r"|\x1b(?P<other>[ -/]*[0-~])"
    r"|(?P<lone>[\x00-\x1f\x7f-\x9f])"
)
HIDDEN = frozenset({"Cf", "Cs", "Zl", "Zp"})


def kinds(raw: bytes) -> set[str]:
    """Every kind of sequence: its introducer and what it does, without where and how much."""
    text = raw.decode("utf-8", "surrogateescape")
    found: set[str] = set()
    for match in _TOKEN.finditer(text):
        if match["final"] is not None:
            modes = match["parameters"] if match["final"] in "hl" else ""
            found.add(f"CSI {match['private']}{modes}{match['between']}{match['final']}")
        elif match["osc"] is not None:
            found.add(f"OSC {match['osc']}")
        elif match["string"] is not None:
            found.add(f"string {match['string']}")
        elif match["other"] is not None:
            found.add(f"ESC {match['other']}")
        else:
            found.add(f"control {ord(match['lone']):02X}")
    return found


def hidden(raw: bytes) -> set[str]:
    """Every character that draws nothing, in what is not a sequence."""
    text = _TOKEN.sub("", raw.decode("utf-8", "surrogateescape"))
    return {each for each in text if unicodedata.category(each) in HIDDEN}
