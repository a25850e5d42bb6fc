"""The prose and the one call in a turn of the model, whatever it wrote.

The turn is read from left to right, so that marks inside a call's own strings stay what they
are: text that the call writes. What is not clear becomes a problem that tells the model what
was wrong; nothing is guessed that could be meant in two ways.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ...training.protocol import ToolCall
from .lenient_json import JsonProblem, decode_value, skip_space

OPEN, CLOSE = "<tool_call>", "</tool_call>"
ONE_CALL = "there was more than one call; propose one call a turn"
_CUT_OFF = "the call was cut off before its end; write it whole, and shorter if it is long"
_ONLY_THOUGHT = "the turn ended inside <think>; close it, then propose a call or answer"
MAX_DEPTH = 50
_MARK = re.compile(r"<tool_call>|</tool_call>|<think>|</think>")
_SPECIAL = re.compile(r"<\|\w{1,40}\|>|</s>|\[TOOL_CALLS\]")
_BARE = re.compile(r"^[ \t]*(?=\[?\s*\{\s*\"(?:name|function|type|id)\"\s*:)", re.MULTILINE)
_HEADER = re.compile(r"```\w{0,20}\s*\Z")
_FUNCTION = re.compile(r"\s*<function=(?P<name>[^<>\n]*)>")
_PARAMETER = re.compile(r"\s*<parameter=(?P<name>[^<>\n]*)>\n?")
_LEFTOVER = re.compile(r"[\s}\]`]*\Z")
_ALLOWED_KEYS = frozenset({"name", "arguments", "parameters", "id", "type", "index"})


@dataclass(frozen=True, slots=True)
class ParsedTurn:
    """A turn's prose, and its call or what is wrong with it (never both)."""

    text: str
    call: ToolCall | None = None
    problem: str | None = None


class _ProblemError(Exception):
    """What the model is told about a call that cannot be understood."""


def parse_turn(text: str) -> ParsedTurn:
    """Take a turn apart; never raises, whatever the text."""
    turn = _Turn(text)
    turn.read()
    prose = _clean("".join(turn.prose))
    if not turn.calls and turn.problem is None:
        if any(prose.endswith(OPEN[:length]) for length in range(6, len(OPEN))):
            return ParsedTurn(prose.rpartition("<")[0].rstrip(), problem=_CUT_OFF)
        if not prose and turn.unfinished_thought:
            return ParsedTurn("", problem=_ONLY_THOUGHT)
        prose, turn.calls, turn.problem = _untagged(prose)
    if turn.problem is not None:
        return ParsedTurn(prose, problem=turn.problem)
    if len(turn.calls) > 1:
        return ParsedTurn(prose, problem=ONE_CALL)
    return ParsedTurn(prose, turn.calls[0] if turn.calls else None)


class _Turn:
    """A reader that stands at ``position`` in the turn."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.prose: list[str] = []
        self.calls: list[ToolCall] = []
        self.problem: str | None = None
        self.unfinished_thought = False

    def read(self) -> None:
        """Read to the end, or to the first call that cannot be understood."""
        while self.problem is None:
            mark = _MARK.search(self.text, self.position)
            if mark is None:
                self.prose.append(self.text[self.position :])
                return
            self.prose.append(self.text[self.position : mark.start()])
            self.position = mark.end()
            if mark[0] == "<think>":
                self._skip_thought()
            elif mark[0] == "</think>":
                # The template opened the thought: what came so far was not said.
                self.prose.clear()
                self.calls.clear()
            elif mark[0] == OPEN:
                self._read_call()

    def _skip_thought(self) -> None:
        end = self.text.find("</think>", self.position)
        self.unfinished_thought = end < 0
        self.position = len(self.text) if end < 0 else end + len("</think>")

    def _read_call(self) -> None:
        try:
            function = _FUNCTION.match(self.text, self.position)
            if function is not None:
                call, self.position = _read_xml(self.text, function)
            else:
                call, self.position = _read_json(self.text, self.position)
        except _ProblemError as error:
            self.problem = str(error)
        else:
            self.calls.append(call)


def _read_json(text: str, start: int) -> tuple[ToolCall, int]:
    """Read the JSON object after an opening tag and the closing tag, if it is there."""
    begin = skip_space(text, start)
    fence = re.compile(r"```[a-z]*\s*").match(text, begin)
    begin = fence.end() if fence else begin
    if text.startswith(CLOSE, begin):
        raise _ProblemError("the call is empty; write its name and arguments between the tags")
    if begin == len(text) or OPEN.startswith(text[begin:]) or CLOSE.startswith(text[begin:]):
        raise _ProblemError(_CUT_OFF)
    try:
        value, end = decode_value(text, begin, CLOSE)
    except JsonProblem as error:
        if error.cut_off:
            raise _ProblemError(_CUT_OFF) from None
        raise _ProblemError(f"the call is not valid JSON: {error}") from None
    return _as_call(value), _after_call(text, end)


def _after_call(text: str, end: int) -> int:
    """Step over the closing tag; between the object and it there may be only stray brackets."""
    mark = _MARK.search(text, end)
    if mark is None or mark[0] != CLOSE:
        return end
    between = text[end : mark.start()]
    if _LEFTOVER.match(between):
        return mark.end()
    if re.match(r"[\s,]*\{", between):
        raise _ProblemError(ONE_CALL)
    raise _ProblemError(
        f"after the call's closing brace stands {_excerpt(between)}; end the call there"
    )


def _read_xml(text: str, function: re.Match[str]) -> tuple[ToolCall, int]:
    """Read a call in the form ``<function=NAME><parameter=KEY>VALUE</parameter></function>``."""
    arguments: dict[str, Any] = {}
    position = function.end()
    while (parameter := _PARAMETER.match(text, position)) is not None:
        end = text.find("</parameter>", parameter.end())
        if end < 0:
            raise _ProblemError(_CUT_OFF)
        if parameter["name"] in arguments:
            raise _ProblemError(f'the argument "{parameter["name"]}" stands twice')
        arguments[parameter["name"]] = text[parameter.end() : end].removesuffix("\n")
        position = end + len("</parameter>")
    closing = re.compile(r"\s*</function>\s*(?:</tool_call>)?").match(text, position)
    if closing is None:
        rest = text[position:].strip()
        if not rest or "</function>".startswith(rest) or "<parameter=".startswith(rest[:11]):
            raise _ProblemError(_CUT_OFF)
        raise _ProblemError(f"inside the call stands {_excerpt(rest)}, which is no parameter")
    return _tool_call(function["name"].strip(), arguments), closing.end()


def _untagged(prose: str) -> tuple[str, list[ToolCall], str | None]:
    """Find a call without tags that ends the prose: bare JSON, or a fenced block of it."""
    position = 0
    while (match := _BARE.search(prose, position)) is not None:
        text = _HEADER.sub("", prose[: match.start()]).rstrip()
        try:
            value, end = decode_value(prose, match.end())
        except JsonProblem as error:
            if '"name"' not in prose[match.end() : match.end() + 40]:
                return prose, [], None
            problem = _CUT_OFF if error.cut_off else f"the call is not valid JSON: {error}"
            return text, [], problem
        position = end
        if not _is_call(value):
            continue
        if _LEFTOVER.match(prose, end):
            try:
                return text, [_as_call(value)], None
            except _ProblemError as error:
                return text, [], str(error)
        if re.compile(r"[\s;,]*\{\s*\"name\"").match(prose, end):
            return text, [], ONE_CALL
    return prose, [], None


def _is_call(value: Any) -> bool:
    """Tell a call from JSON that merely stands in an answer."""
    if isinstance(value, list):
        return bool(value) and all(_is_call(item) for item in value)
    if not isinstance(value, dict):
        return False
    if isinstance(value.get("function"), dict):
        return _is_call(value["function"])
    return isinstance(value.get("name"), str) and ("arguments" in value or "parameters" in value)


def _as_call(value: Any) -> ToolCall:
    """Turn a decoded value into a call, or say what it lacks."""
    if isinstance(value, list) and value:
        if len(value) > 1:
            raise _ProblemError(ONE_CALL)
        value = value[0]
    if not isinstance(value, dict):
        raise _ProblemError('a call is an object with "name" and "arguments"')
    if isinstance(value.get("function"), dict):
        value = value["function"]
    name = value.get("name")
    if not isinstance(name, str) or not name:
        raise _ProblemError('the call has no "name"; name one of the tools there')
    if "arguments" in value and "parameters" in value:
        raise _ProblemError('the call has both "arguments" and "parameters"; use "arguments"')
    extra = [key for key in value if key not in _ALLOWED_KEYS]
    if extra:
        raise _ProblemError(f'"{extra[0]}" stands beside "arguments"; put it inside "arguments"')
    arguments = value.get("arguments", value.get("parameters"))
    return _tool_call(name, _as_arguments(arguments))


def _as_arguments(arguments: Any) -> dict[str, Any]:
    if arguments is None:
        return {}
    if isinstance(arguments, str):
        if not arguments.strip():
            return {}
        text = arguments
        try:
            arguments, end = decode_value(text, skip_space(text, 0))
        except JsonProblem as error:
            raise _ProblemError(f'the string in "arguments" is not JSON: {error}') from None
        if text[end:].strip():
            raise _ProblemError(f'after the object in "arguments" stands {_excerpt(text[end:])}')
    if not isinstance(arguments, dict):
        raise _ProblemError('"arguments" must be an object, for example {"path": "calc.py"}')
    return arguments


def _tool_call(name: str, arguments: dict[str, Any]) -> ToolCall:
    _refuse_unsendable([name, arguments], MAX_DEPTH)
    return ToolCall(name=name, arguments=arguments)


def _refuse_unsendable(value: object, depth: int) -> None:
    """Refuse half characters and deep nests: no file, shell or wire could carry them."""
    if depth == 0:
        raise _ProblemError("the arguments are nested too deeply; write them flat")
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            half = ord(value[error.start])
            raise _ProblemError(
                f"the call has half a character (\\u{half:04x}); write the character itself"
            ) from None
    elif isinstance(value, dict):
        for key, item in value.items():
            _refuse_unsendable(key, depth - 1)
            _refuse_unsendable(item, depth - 1)
    elif isinstance(value, list):
        for item in value:
            _refuse_unsendable(item, depth - 1)


def _clean(prose: str) -> str:
    """Drop the model's own control tokens at both ends, and half characters."""
    plain = prose.encode("utf-8", "replace").decode("utf-8").strip()
    while (match := _SPECIAL.match(plain)) is not None:
        plain = plain[match.end() :].lstrip()
    while plain.endswith(("|>", "</s>")):
        start = plain.rfind("<", 0, len(plain) - 1)
        if start < 0 or not _SPECIAL.fullmatch(plain, start):
            break
        plain = plain[:start].rstrip()
    return plain


def _excerpt(text: str) -> str:
    plain = " ".join(text.split())
    return repr(plain if len(plain) <= 40 else f"{plain[:37]}...")
