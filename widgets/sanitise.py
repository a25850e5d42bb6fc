"""The one way from untrusted text to the screen.

Terminals act on control characters, and bidirectional and invisible characters make a text
look like another one. ``visible`` replaces each of them by a mark that can be read, and
``original`` takes the marks back, so nothing is lost and two texts never look the same:

* a C0 control or DEL becomes its name (``⟨ESC⟩``), any other character its code (``⟨U+202E⟩``);
* a byte that was not UTF-8 (a lone surrogate from ``surrogateescape``) becomes ``⟨0xFF⟩``;
* text that already looks like a mark is marked itself.

Strings that come from here are handed to Textual as ``Content``, never as markup.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NewType

from textual.content import Content

Shown = NewType("Shown", str)
"""A text in its visible form."""

# fmt: off
NAMES = [
    "NUL", "SOH", "STX", "ETX", "EOT", "ENQ", "ACK", "BEL", "BS", "TAB", "LF", "VT", "FF", "CR",
    "SO", "SI", "DLE", "DC1", "DC2", "DC3", "DC4", "NAK", "SYN", "ETB", "CAN", "EM", "SUB", "ESC",
    "FS", "GS", "RS", "US",
]
# fmt: on
NAMED = {chr(code): name for code, name in enumerate(NAMES)} | {"\x7f": "DEL"}
CONTROLS = {name: control for control, name in NAMED.items()}

# Characters that draw nothing although their category says they are letters, marks or symbols.
BLANKS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufffc\U0001d159")
SELECTORS = (range(0x180B, 0x1810), range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"})

_NAMES = "|".join(CONTROLS)
MARK = re.compile(rf"⟨(?:U\+([0-9A-F]{{4,6}})|0x([0-9A-F]{{2}})|({_NAMES}))⟩")
LOOKALIKE = re.compile(rf"⟨(?=U\+|0x|(?:{_NAMES})⟩)")
SUSPECT = re.compile(rf"({LOOKALIKE.pattern})|[^\x20-\x7e]")
HARMLESS = re.compile(r"[\n\x20-\x7e]*")

TAB = 4

# An emoji may be followed by these; they change its look, not its meaning.
JOINERS = frozenset("\ufe0e\ufe0f\u200d")


@lru_cache(maxsize=4096)
def mark_of(character: str) -> str:
    """Give the mark that stands for a character; the character itself where it is visible."""
    if character in NAMED:
        return f"⟨{NAMED[character]}⟩"
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"⟨0x{code - 0xDC00:02X}⟩"
    hidden = (
        (character != " " and unicodedata.category(character) in HIDDEN_CATEGORIES)
        or character in BLANKS
        or any(code in selectors for selectors in SELECTORS)
    )
    return f"⟨U+{code:04X}⟩" if hidden else character


def visible(text: str, keep: str = "\n") -> str:
    """Make every control, bidirectional and invisible character visible, except ``keep``."""
    if HARMLESS.fullmatch(text) and "\n" in keep:
        return text

    def mark(match: re.Match[str]) -> str:
        character = match.group()
        if match.lastindex:
            return "⟨U+27E8⟩"
        return character if character in keep else mark_of(character)

    return SUSPECT.sub(mark, text)


def original(text: str) -> str:
    """Take back what ``visible`` did."""

    def unmark(match: re.Match[str]) -> str:
        code, byte, name = match.groups()
        if code is not None:
            return chr(int(code, 16))
        if byte is not None:
            return chr(0xDC00 + int(byte, 16))
        return CONTROLS[name]

    return MARK.sub(unmark, text)


def shown_exactly(text: str) -> str:
    """Make a text visible so that no two texts look the same, whatever their lines end with.

    Spaces at the end of a line are dots, and dots that the text has there are marks.
    """
    return "\n".join(shown_line(line)[0] for line in text.split("\n"))


def shown_line(line: str) -> tuple[str, int]:
    """Give a line as it is shown, and where the signs for its end begin."""
    body = line.rstrip(" ·")
    shown = visible(body)
    end = "".join("·" if each == " " else "⟨U+00B7⟩" for each in line[len(body) :])
    return shown + end, len(shown)


def prose(text: str, previous: str = "") -> str:
    """Make text for reading safe: as ``visible``, but tabs and the parts of emoji stay.

    ``previous`` is the character that the text follows, when it streams in pieces.
    """
    if HARMLESS.fullmatch(text):
        return text

    def mark(match: re.Match[str]) -> str:
        character = match.group()
        if match.lastindex:
            return "⟨U+27E8⟩"
        before = match.string[match.start() - 1] if match.start() else previous
        if character in "\n\t\u00a0" or (character in JOINERS and _joins(before, character)):
            return character
        return mark_of(character)

    return SUSPECT.sub(mark, text.replace("\r\n", "\n"))


def _joins(before: str, character: str) -> bool:
    """Say whether a part of an emoji stands where it has one to change, and only once."""
    if before == "\ufe0f":
        return character == "\u200d"
    return before > "\u2000" and mark_of(before) == before


def content(text: str, style: str = "", keep: str = "\n") -> Content:
    """Make visible content of a text, in one style; nothing in it is parsed as markup."""
    return Content.styled(visible(text, keep), style) if style else Content(visible(text, keep))


def one_line(text: str, limit: int = 200) -> str:
    """Make one visible line of a text, cut at ``limit`` characters."""
    line = " ".join(text[: limit * 2].split())
    return visible(line if len(line) <= limit else line[: limit - 1] + "…")


def shown_row(text: str, *, changed: bool) -> tuple[str, list[int] | None]:
    """Give a line of a diff as it is shown and, where that moved characters, each one's new offset.

    Tabs are spaces up to the next tab stop. On changed rows tabs are arrows and spaces at the
    end are dots, so that a change of white space can be seen. What the text itself has of these
    signs is marked there, so that two changes never look the same.
    """
    if HARMLESS.fullmatch(text):
        if changed and text.endswith(" "):
            text = text.rstrip(" ").ljust(len(text), "·")
        return text, None
    shown: list[str] = []
    offsets = [0]
    end = len(text.rstrip(" ·")) if changed else len(text)
    for at, character in enumerate(text):
        if character == "\t":
            size = TAB - offsets[-1] % TAB
            mark = "→" + " " * (size - 1) if changed else " " * size
        elif at >= end and character == " ":
            mark = "·"
        elif (
            (changed and character == "→" and _like_a_tab(text, at, offsets[-1]))
            or character == "⟵"
            or (at >= end and character == "·")
            or (character == "⟨" and LOOKALIKE.match(text, at))
        ):
            mark = f"⟨U+{ord(character):04X}⟩"
        else:
            mark = mark_of(character)
        shown.append(mark)
        offsets.append(offsets[-1] + len(mark))
    return "".join(shown), offsets


def _like_a_tab(text: str, at: int, column: int) -> bool:
    """Say whether an arrow and what follows would look like a tab."""
    spaces = TAB - column % TAB - 1
    return at + 1 == len(text) or text.startswith(" " * spaces, at + 1)
