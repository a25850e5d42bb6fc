"""JSON as models write it: exact, but for slips that can mean one thing only."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

MAX_REPAIRS = 20
MAX_BRACES = 2
_SPACE = re.compile(r"\s*")
# What may follow the place of an error when the text merely ends too early.
_UNFINISHED = re.compile(
    r"\s*(?:-|t|tr|tru|f|fa|fal|fals|n|nu|nul|[.eE+\-]*|\\u?[0-9a-fA-F]{0,3})\Z"
)
_WORDS = {
    "Invalid \\escape": "a backslash in a string is written as two",
    "Expecting property name enclosed in double quotes": "a name in double quotes is expected",
    "Expecting value": "a value is expected",
    "Expecting ',' delimiter": "a comma or a closing bracket is expected",
    "Expecting ':' delimiter": "a colon is expected",
    "Unterminated string starting at": "a string begins that has no closing quote",
    "Invalid \\uXXXX escape": "four hexadecimal digits are expected after \\u",
}


class JsonProblem(Exception):
    """What is wrong with a JSON text, for the model; ``cut_off`` where it merely ends."""

    def __init__(self, message: str, *, cut_off: bool = False) -> None:
        super().__init__(message)
        self.cut_off = cut_off


def skip_space(text: str, position: int) -> int:
    """Return the position of the next character that is no white space."""
    match = _SPACE.match(text, position)
    return match.end() if match else position


def decode_value(text: str, start: int, closing: str | None = None) -> tuple[Any, int]:
    """Decode the JSON value at ``start``; return it and where it ends in ``text``.

    Raw line breaks in strings and trailing commas are accepted, and last braces that are
    missing before ``closing``: nothing but the braces can have been meant there.
    """
    repaired, braces = text, 0
    for _ in range(MAX_REPAIRS):
        try:
            value, end = _DECODER.raw_decode(repaired, start)
        except json.JSONDecodeError as error:
            comma = _trailing_comma(repaired, error.pos)
            place = skip_space(repaired, error.pos)
            if comma is not None:
                repaired = f"{repaired[:comma]} {repaired[comma + 1 :]}"
            elif closing and braces < MAX_BRACES and repaired.startswith(closing, place):
                repaired = f"{repaired[:place]}}}{repaired[place:]}"
                braces += 1
            else:
                raise _problem(repaired, start, error, closing) from None
        except RecursionError:
            raise JsonProblem("it is nested too deeply") from None
        except ValueError:
            raise JsonProblem("a number has too many digits") from None
        else:
            return value, end - braces
    raise JsonProblem("it has too many stray commas")


def _trailing_comma(text: str, position: int) -> int | None:
    """Return where the comma stands that the error at ``position`` is about, if it is one."""
    comma = position
    if text[position : position + 1] != ",":
        comma = len(text[:position].rstrip()) - 1
    if comma < 1 or text[comma] != ",":
        return None
    after = text[skip_space(text, comma + 1) :][:1]
    before = text[:comma].rstrip()[-1:]
    return comma if after in ("}", "]") and before and before not in "{[,:" else None


def _problem(
    text: str, start: int, error: json.JSONDecodeError, closing: str | None
) -> JsonProblem:
    closed = closing is not None and closing in text[error.pos :]
    unterminated = error.msg.startswith("Unterminated string")
    if not closed and (unterminated or _UNFINISHED.match(text, error.pos)):
        return JsonProblem("it ends too early", cut_off=True)
    words = next((w for m, w in _WORDS.items() if error.msg.startswith(m)), error.msg.lower())
    near = text[max(start, error.pos - 12) : error.pos + 12]
    return JsonProblem(f"{words} at character {error.pos - start + 1}, near {near!r}")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise JsonProblem(f'the name "{twice}" stands twice in one object')
    return value


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise JsonProblem(f"the number {digits[:20]} is too large")
    return value


def _constant(name: str) -> NoReturn:
    raise JsonProblem(f"{name} is no JSON number")


_DECODER = json.JSONDecoder(
    strict=False, object_pairs_hook=_pairs, parse_constant=_constant, parse_float=_float
)
