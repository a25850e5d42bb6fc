"""The parser of the model's turns: what it understands, what it refuses, that it never raises."""

import json
import re
import time
from typing import Any

import pytest
from continualcode_tui.app.agent.parser import ONE_CALL, ParsedTurn, parse_turn
from continualcode_tui.training.protocol import ToolCall
from continualcode_tui.training.teacher import render_call
from hypothesis import example, given, settings
from hypothesis import strategies as st

READ = ToolCall(name="read", arguments={"path": "calc.py"})
JSON = '{"name": "read", "arguments": {"path": "calc.py"}}'
CALL = f"<tool_call>\n{JSON}\n</tool_call>"
XML = (
    "<tool_call>\n<function=read>\n<parameter=path>\n"
    "calc.py\n</parameter>\n</function>\n</tool_call>"
)
ARGUMENTS = '{"path": "calc.py"}'

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
CALLS = st.builds(
    ToolCall,
    name=TEXT.filter(bool),
    arguments=st.dictionaries(TEXT, VALUES, max_size=4),
)
PIECES = st.sampled_from(
    [
        *("<tool_call>", "</tool_call>", "<think>", "</think>", JSON, ARGUMENTS, '{"name": "read"'),
        *("```json\n", "```", "\n", "{", "}", "[", "]", '"', "\\", ",", ":", "words", "null", "-"),
        *("<function=read>", "</function>", "<parameter=path>", "</parameter>", "<|im_end|>"),
        *("\ud800", "\0", "1e999", "é"),
    ]
)


@pytest.mark.parametrize(
    ("turn", "prose"),
    [
        (CALL, ""),
        (f"I look first.\n{CALL}", "I look first."),
        (f"{CALL}<|im_end|>", ""),
        (f"{CALL}\nThat is all.", "That is all."),
        (f"<tool_call>\n{JSON}", ""),
        (f"<tool_call>{JSON}</tool_call>", ""),
        (f"<tool_call>{JSON}}}</tool_call>", ""),
        (f"<tool_call>\n```json\n{JSON}\n```\n</tool_call>", ""),
        (f"<tool_call>[{JSON}]</tool_call>", ""),
        (f"{JSON}</tool_call>", ""),
        (JSON, ""),
        (f"Sure.\n{JSON}", "Sure."),
        (f"Sure.\n```json\n{JSON}\n```", "Sure."),
        (f"```\n{JSON}", ""),
        (f"<|python_tag|>{JSON}<|eom_id|>", ""),
        (f"[TOOL_CALLS] [{JSON}]</s>", ""),
        (JSON.replace("arguments", "parameters"), ""),
        (f'{{"type": "function", "function": {JSON}}}', ""),
        (f'<tool_call>{{"name": "read", "arguments": {json.dumps(ARGUMENTS)}}}</tool_call>', ""),
        ('<tool_call>{"name": "read", "arguments": {"path": "calc.py",},}</tool_call>', ""),
        ('<tool_call>{"name": "read", "arguments": {"path": "calc.py"}</tool_call>', ""),
        ('<tool_call>{"name": "read", "arguments": {"path": "calc.py"</tool_call>', ""),
        (f"<think>Should I {CALL}?</think>\n{CALL}", ""),
        (f"I could {CALL} but no.</think>Fine. {CALL}", "Fine."),
        (XML, ""),
        ("<tool_call><function=read><parameter=path>calc.py</parameter></function>", ""),
    ],
)  # fmt: skip
def test_one_call_in_many_forms(turn: str, prose: str) -> None:
    assert parse_turn(turn) == ParsedTurn(prose, READ)


@pytest.mark.parametrize(
    ("turn", "prose"),
    [
        ("", ""),
        ("All tests pass.", "All tests pass."),
        ("<think>hm</think>\nDone.", "Done."),
        ("hm</think>Done.", "Done."),
        ('The config is {"a": 1}.', 'The config is {"a": 1}.'),
        ('{"a": 1}', '{"a": 1}'),
        ('{"name": "calc", "version": 1}', '{"name": "calc", "version": 1}'),
        (f"```json\n{JSON}\n```\nis a call.", f"```json\n{JSON}\n```\nis a call."),
        (f"Say {JSON} to read.", f"Say {JSON} to read."),
        ("a < b", "a < b"),
        ("see <a|>", "see <a|>"),
        ('{"type": "x", oops}', '{"type": "x", oops}'),
        ('[{"type": "x"}, 3]', '[{"type": "x"}, 3]'),
        ("Done.<|im_end|>", "Done."),
    ],
)
def test_words_are_words(turn: str, prose: str) -> None:
    assert parse_turn(turn) == ParsedTurn(prose)


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        (f"{CALL}\n{CALL}", ONE_CALL),
        (f"<tool_call>{JSON}\n{JSON}</tool_call>", ONE_CALL),
        (f"<tool_call>[{JSON}, {JSON}]</tool_call>", ONE_CALL),
        (f"{JSON}\n{JSON}", ONE_CALL),
        (f"{JSON}; {JSON}", ONE_CALL),
        ("<tool_call>", "cut off"),
        ("<tool_c", "cut off"),
        ('<tool_call>{"name": "write", "arguments": {"content": "abc', "cut off"),
        ('{"name": "read", "arguments": {"path', "cut off"),
        ("<tool_call><function=read><parameter=path>calc", "cut off"),
        ("<tool_call></tool_call>", "the call is empty"),
        ("<tool_call>read calc.py</tool_call>", "expected at character 1, near 'read calc"),
        ("<tool_call>{'name': 'read'}</tool_call>", "a name in double quotes is expected"),
        ('<tool_call>{"name": "grep", "arguments": {"pattern": "\\d"}}</tool_call>',
         "a backslash in a string is written as two at character 44"),
        ('<tool_call>{"name": "read" "arguments": {}}</tool_call>', "a comma or a closing bracket"),
        ('<tool_call>{"name": "read", "arguments": {"path": "a}}</tool_call>', "no closing quote"),
        ('<tool_call>{"name": "read", "path": "a"}</tool_call>', '"path" stands beside'),
        ('<tool_call>{"arguments": {}}</tool_call>', 'the call has no "name"'),
        ('<tool_call>{"name": 3, "arguments": {}}</tool_call>', 'the call has no "name"'),
        ('<tool_call>{"name": "read", "arguments": [1]}</tool_call>', "must be an object"),
        ('<tool_call>{"name": "read", "arguments": "calc.py"}</tool_call>', "is not JSON"),
        ('<tool_call>{"name": "a", "arguments": {}, "parameters": {}}</tool_call>', "both"),
        ('<tool_call>{"name": "a", "arguments": {"x": 1, "x": 2}}</tool_call>', '"x" stands twice'),
        ('<tool_call>{"name": "a", "arguments": {"x": NaN}}</tool_call>', "NaN is no JSON number"),
        ('<tool_call>{"name": "a", "arguments": {"x": "\\ud83d"}}</tool_call>', "(\\ud83d)"),
        (f"<tool_call>{JSON} thanks</tool_call>", "after the call's closing brace stands 'thanks'"),
        ("<tool_call>" + "[" * 100_000, "nested too deeply"),
        ("<tool_call>" + '{"a":' * 100_000, "nested too deeply"),
        ('<tool_call>{"name": "a", "arguments": {"x": ' + "9" * 5_000 + "}}", "too many digits"),
        ('<tool_call>{"name": "a", "arguments": {"x": ' + "[" * 99 + "]" * 99 + "}}", "too deeply"),
        ('<tool_call>{"name": "a", "arguments": {"x": 1e999}}', "1e999 is too large"),
        (XML.replace("</function>", "<parameter=path>b</parameter></function>"), "stands twice"),
        (XML.partition("</function>")[0], "cut off"),
        ("<tool_call>3</tool_call>", "a call is an object"),
        ('<tool_call>{"name": "a", "arguments": "{} {}"}</tool_call>', "after the object in"),
        ('{"name": "a", "arguments": 3}', '"arguments" must be an object'),
        ("<think>I will read", "inside <think>"),
        ("<tool_call><function=read>calc.py</function></tool_call>", "which is no parameter"),
    ],
)  # fmt: skip
def test_problems_say_what_was_wrong(turn: str, words: str) -> None:
    parsed = parse_turn(turn)
    assert parsed.call is None
    assert words in (parsed.problem or "")
    assert "\n" not in (parsed.problem or "")


def test_a_missing_argument_object_is_left_to_the_tool() -> None:
    for turn in (
        '<tool_call>{"name": "read", "arguments": ""}',
        '<tool_call>{"name": "read"}',
        '<tool_call>{"name": "read", "arguments": null}',
    ):
        assert parse_turn(turn).call == ToolCall(name="read", arguments={})


@given(CALLS, TEXT)
@example(ToolCall(name="write", arguments={"content": f"{CALL}<think></think>```\n"}), "")
@example(ToolCall(name="a", arguments={"x": "\u2028\n\t\x7f"}), "")
@example(ToolCall(name="\\n", arguments={"x": "\\\n\\\\n"}), "")
def test_every_call_survives_its_own_writing(call: ToolCall, prose: str) -> None:
    before = prose.replace("<", "(").replace("{", "(")
    parsed = parse_turn(f"{before}\n{render_call(call)}")
    assert parsed.problem is None
    assert parsed.call == call
    raw = re.sub(r"(?<!\\)((?:\\\\)*)\\n", r"\1\n", render_call(call))
    assert parse_turn(raw).problem is None


@settings(max_examples=40)
@given(CALLS)
@example(ToolCall(name="grep", arguments={"pattern": "x", "path": "}"}))
@example(ToolCall(name="a", arguments={"n": 12.5, "b": True, "s": "\\\u1234"}))
def test_a_prefix_of_a_call_is_never_another_call(call: ToolCall) -> None:
    whole = render_call(call)
    for length in range(len(whole)):
        parsed = parse_turn(whole[:length])
        assert parsed.call in (None, call)
        if 6 < length < len(whole) - len("\n</tool_call>"):
            assert parsed.call is None
            assert parsed.problem is not None


@given(st.text())
@example("<tool_call>{")
def test_no_text_raises(text: str) -> None:
    check(parse_turn(text))


@settings(max_examples=200)
@given(st.lists(PIECES, max_size=14).map("".join))
def test_no_mixture_raises(text: str) -> None:
    check(parse_turn(text))


def check(parsed: ParsedTurn) -> None:
    assert parsed.call is None or parsed.problem is None
    parsed.text.encode("utf-8")
    if parsed.call is not None:
        parsed.call.model_dump_json()
    if parsed.problem is not None:
        parsed.problem.encode("utf-8")


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "<tool_call>",
            "<think>",
            "</think>",
            "```json\n",
            '{"name": "',
            "<|im_end|>",
            "{\n",
            "[ ",
        ),
        *("\n ", f"{JSON} ", "<function=a>", "<parameter=a>", '\\"', ",}"),
        *('{"name": "a", "arguments": {}} x\n', '{"name": "a", "arguments": {}},\n'),
    ],
)
def test_long_nonsense_is_quick(piece: str) -> None:
    began = time.monotonic()
    for text in (piece * (100_000 // len(piece)), f"<tool_call>{piece * (100_000 // len(piece))}"):
        check(parse_turn(text))
    assert time.monotonic() - began < 1.5


def test_the_prose_keeps_its_inside() -> None:
    text = "First:\n\n    indented\n<b>bold</b> <|im_start|> inside"
    assert parse_turn(f"  {text}\n").text == text


@given(st.dictionaries(st.sampled_from("abc"), TEXT.filter(lambda v: "<" not in v), max_size=3))
def test_the_other_writing_of_calls(arguments: dict[str, Any]) -> None:
    inner = "".join(
        f"<parameter={name}>\n{value}\n</parameter>\n" for name, value in arguments.items()
    )
    turn = f"<tool_call>\n<function=write>\n{inner}</function>\n</tool_call>"
    assert parse_turn(turn) == ParsedTurn("", ToolCall(name="write", arguments=arguments))
