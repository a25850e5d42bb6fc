"""What stands on the screen, read back into what it stands for."""

from __future__ import annotations

import functools
import unicodedata

from continualcode_tui.widgets.command_view import CommandView
from continualcode_tui.widgets.diff import DiffView
from continualcode_tui.widgets.sanitise import BLANKS, SELECTORS, original

WIDE = 6_000
"""Columns in which nothing that these tests show has to be wrapped."""

NO_END = " ⟵ no newline at the end"
TAB = 4


@functools.cache
def hidden_characters() -> dict[str, list[str]]:
    """Every character that draws nothing or moves what is drawn, by the kind it is of."""
    kinds: dict[str, list[str]] = {}
    for code in range(0x110000):
        character = chr(code)
        category = unicodedata.category(character)
        if character in "\n ":
            continue
        if category in ("Cc", "Cf", "Cs", "Zs", "Zl", "Zp"):
            kinds.setdefault(category, []).append(character)
        elif any(code in selectors for selectors in SELECTORS):
            kinds.setdefault("selectors", []).append(character)
        elif character in BLANKS:
            kinds.setdefault("blanks", []).append(character)
        elif 0xE0000 <= code <= 0xE0FFF:
            kinds.setdefault("tags", []).append(character)
    return kinds


def lines_of(view: CommandView | DiffView) -> list[str]:
    """The lines of a widget as they go to the terminal."""
    return [view.render_line(y).text for y in range(view.size.height)]


def spaces_back(line: str) -> str:
    """A line whose spaces at the end are dots, as it was."""
    line = line.rstrip(" ")
    body = line
    while body.endswith(("·", "⟨U+00B7⟩")):
        body = body.removesuffix("·").removesuffix("⟨U+00B7⟩")
    end = line[len(body) :].replace("·", " ").replace("⟨U+00B7⟩", "·")
    return original(body) + end


def command_back(view: CommandView) -> str:
    """The command that a view shows."""
    lines = [line for line in lines_of(view) if line[:2] in ("$ ", "> ")]
    assert lines[0].startswith("$ ")
    assert all(line.startswith("> ") for line in lines[1:])
    return "\n".join(spaces_back(line[2:]) for line in lines)


def added_back(view: DiffView) -> str:
    """The text that the added and the unchanged lines of a diff make up."""
    gutter = 2 * view._digits + 2
    text = ""
    _, told, kinds = view.summary.partition("line endings ")
    kinds = kinds.rpartition("→ ")[2] if told else "LF"
    usual = {"CRLF": "\r\n", "CR": "\r"}.get(kinds, "\n")
    for line in lines_of(view)[1:]:
        sign, body = line[gutter : gutter + 2], line[gutter + 2 :]
        if sign == "- ":
            continue
        assert sign in ("+ ", "  "), line
        body = body.rstrip(" ")
        if body.endswith(NO_END.rstrip()):
            text += _row_back(body[: -len(NO_END)], changed=sign == "+ ")
            continue
        end = usual
        for mark, meant in (("⟨CR⟩⟨LF⟩", "\r\n"), ("⟨LF⟩", "\n"), ("⟨CR⟩", "\r")):
            if body.endswith(mark):
                body, end = body[: -len(mark)], meant
                break
        text += _row_back(body, changed=sign == "+ ") + end
    return text


def _row_back(shown: str, *, changed: bool) -> str:
    """A row of a diff as the file would have it: tabs, dots and marks undone."""
    if not changed:
        return original(shown)
    plain = ""
    at = 0
    shown += " " * TAB  # what follows a tab at the end was taken for empty
    while at < len(shown):
        size = TAB - at % TAB
        if shown[at] == "→" and shown.startswith(" " * (size - 1), at + 1):
            plain += "\t"
            at += size
        else:
            plain += shown[at]
            at += 1
    return spaces_back(plain.rstrip(" "))
