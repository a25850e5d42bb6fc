"""Names that no file tool may use: .git, however a file system spells it."""

from __future__ import annotations

MAX_NAME = 255
"""The most bytes of one name."""
# Characters that some file systems drop from names: ".g\u200cit" is ".git" there.
_DROPPED = dict.fromkeys([*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070)])
_DROPPED[0xFEFF] = None
_SHORT = "git~1"  # what Windows calls .git in eight characters


def is_git_name(name: str) -> bool:
    """Whether some file system takes a name for .git.

    Case does not count, nor do invisible characters, dots and spaces at the end, and what
    follows a colon.
    """
    if not name.isascii():
        name = name.translate(_DROPPED)
    first = name[:1]
    if first not in (".", "g", "G"):
        return False
    plain = name.partition(":")[0].rstrip(". ").casefold()
    return plain in (".git", _SHORT)
