"""Characters that a reader cannot see, made visible.

Text from a repository goes into the prompt; what the user cannot see there, the model shall
not obey.
"""

from __future__ import annotations

import unicodedata

# Letters and marks that are drawn as nothing.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_KEPT = frozenset("\n\t")
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def visible(text: str) -> str:
    """Replace invisible, control and direction characters by ``<U+XXXX>``."""
    plain = text.removeprefix("\ufeff").replace("\r\n", "\n")
    if plain.isascii() and plain.replace("\n", "").replace("\t", "").isprintable():
        return plain
    return "".join(
        f"<U+{ord(character):04X}>" if _is_hidden(character) else character for character in plain
    )


def visible_path(path: str) -> str:
    """Make a path visible on one line; bytes that are no UTF-8 become ``<0xFF>``."""
    if path.isascii() and path.isprintable():
        return path
    return "".join(
        f"<0x{ord(character) - 0xDC00:02X}>"
        if "\udc80" <= character <= "\udcff"
        else f"<U+{ord(character):04X}>"
        if character in _KEPT or _is_hidden(character)
        else character
        for character in path
    )


def _is_hidden(character: str) -> bool:
    if character in _KEPT:
        return False
    if character in _BLANK or "\U000e0100" <= character <= "\U000e01ef":
        return True
    return unicodedata.category(character) in _HIDDEN
