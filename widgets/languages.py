"""Which language a file is in, by its name, as a name that Pygments knows.

Textual's own guess asks every lexer that Pygments has, and importing them all takes longer than
a frame may.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from pygments.lexers import find_lexer_class_by_name, find_lexer_class_for_filename
from pygments.util import ClassNotFound

PLAIN = "text"
# Textual's stylesheets, which Pygments does not know.
SUFFIXES = {".tcss": "scss"}


def language_of_path(path: str, code: str = "") -> str:
    """Give the language by the file's name, else by its first line, else plain text.

    Args:
        path: The file's path or name; it need not exist.
        code: What is in the file; it decides between the languages that share a suffix.
    """
    suffix = PurePosixPath(path).suffix.lower()
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    lexer = find_lexer_class_for_filename(path, code) if path else None
    if lexer is None:
        return _interpreter(code)
    return str(lexer.aliases[0] if lexer.aliases else PLAIN)


def _interpreter(code: str) -> str:
    first, _, _ = code.partition("\n")
    words = first[2:].split() if first.startswith("#!") else []
    if words and PurePosixPath(words[0]).name == "env":
        words = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
    if not words:
        return PLAIN
    name = PurePosixPath(words[0]).name
    for known in (name, name.rstrip("0123456789.")):
        try:
            return str(find_lexer_class_by_name(known).aliases[0])
        except ClassNotFound:
            continue
    return PLAIN
