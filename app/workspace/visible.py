"""Characters that a reader cannot see, made visible.

Text from a repository goes into the prompt; what the user cannot see there, the model shall
not obey.
"""

from __future__ import annotations

import unicodedata

# Letters, marks and symbols that are drawn as nothing.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufffc\U0001d159")
# Variation selectors: a run of them can carry a whole text that nobody sees.
_SELECTORS = (range(0x180B, 0x1810), range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
_KEPT = frozenset("\n\t")
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def visible(text: str) -> str:
    """Replace invisible, control and direction characters by ``<U+XXXX>``."""
    plain = text.removeprefix("\ufeff").replace("\r\n", "\n")
    if plain.isascii() and plain.replace("\n", "").replace("\t", "").isprintable():
        return plain
    shown: list[str] = []
    before = ""
    for character in plain:
        # One selector behind a symbol says how it is drawn, and is common: a warning sign.
        drawn = character in "\ufe0e\ufe0f" and before > "\u2000" and not _is_hidden(before)
        shown.append(_code(character) if _is_hidden(character) and not drawn else character)
        before = character
    return "".join(shown)


def visible_path(path: str) -> str:
    """Make a path visible on one line; bytes that are no UTF-8 become ``<0xFF>``."""
    if path.isascii() and path.isprintable():
        return path
    return "".join(
        f"<0x{ord(character) - 0xDC00:02X}>"
        if "\udc80" <= character <= "\udcff"
        else _code(character)
        if character in _KEPT or _is_hidden(character)
        else character
        for character in path
    )


def _code(character: str) -> str:
    return f"<U+{ord(character):04X}>"


def _is_hidden(character: str) -> bool:
    if character in _KEPT:
        return False
    if character in _BLANK or any(ord(character) in selectors for selectors in _SELECTORS):
        return True
    return unicodedata.category(character) in _HIDDEN
