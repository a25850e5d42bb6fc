"""The conversation: exact texts, whole exchanges, nothing lost on disk."""

import json
from itertools import pairwise

import pytest
from continualcode_tui.app.agent.conversation import Conversation
from continualcode_tui.training.protocol import ChatMessage, ToolCall
from hypothesis import given, settings
from hypothesis import strategies as st

READ = ToolCall(name="read", arguments={"path": "calc.py"})
OTHER = ToolCall(name="read", arguments={"path": "tests/test_calc.py"})


def roles(conversation: Conversation) -> str:
    return "".join(message.role[0] for message in conversation.messages())


def shown(conversation: Conversation) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in conversation.messages()]


@pytest.fixture
def conversation() -> Conversation:
    conversation = Conversation("You are a coding agent.")
    conversation.add_request("fix the test")
    return conversation


def test_an_approved_call(conversation: Conversation) -> None:
    conversation.add_turn("I look first.", READ)
    assert conversation.waiting_call == READ
    conversation.add_answer("1\tx = 1")
    assert conversation.waiting_call is None
    conversation.add_turn("Done.")
    assert conversation.messages() == (
        ChatMessage(role="system", content="You are a coding agent."),
        ChatMessage(role="user", content="fix the test"),
        ChatMessage(role="assistant", content="I look first.", tool_calls=(READ,)),
        ChatMessage(role="tool", content="1\tx = 1"),
        ChatMessage(role="assistant", content="Done."),
    )


def test_a_denied_call_stays_with_the_correction(conversation: Conversation) -> None:
    conversation.add_turn("", READ)
    conversation.deny("read the test first")
    assert conversation.messages()[-2].tool_calls == (READ,)
    assert shown(conversation)[-1] == ("tool", "denied by the user: read the test first")


def test_an_edited_call_stands_as_it_ran(conversation: Conversation) -> None:
    conversation.add_turn("I look.", READ)
    conversation.edit(OTHER, "1\tfrom calc import add")
    assert conversation.messages()[-2] == ChatMessage(
        role="assistant", content="I look.", tool_calls=(OTHER,)
    )
    assert shown(conversation)[-1] == (
        "tool",
        "[the user edited this call before it ran]\n1\tfrom calc import add",
    )


def test_a_call_that_could_not_be_understood(conversation: Conversation) -> None:
    conversation.reject("<tool_call>{", "the call was cut off")
    assert shown(conversation)[-2:] == [
        ("assistant", "<tool_call>{"),
        ("tool", "error: the call was cut off"),
    ]


def test_rewinding_gives_the_prompt_of_the_retry(conversation: Conversation) -> None:
    before = conversation.messages()
    conversation.add_turn("", READ)
    assert conversation.rewind() == before
    conversation.add_turn("", READ)
    conversation.deny("no")
    assert conversation.rewind() == before
    with pytest.raises(ValueError, match="has not answered"):
        conversation.rewind()


def test_snapshots_do_not_change(conversation: Conversation) -> None:
    call = ToolCall(name="read", arguments={"path": "a"})
    conversation.add_turn("", call)
    before = conversation.messages()
    call.arguments["path"] = "b"
    conversation.edit(OTHER, "x")
    assert before[-1].tool_calls[0].arguments == {"path": "a"}
    assert conversation.messages()[-2].tool_calls == (OTHER,)


def test_a_request_that_was_stopped_is_not_answered_with_the_next(
    conversation: Conversation,
) -> None:
    assert roles(conversation) == "su"
    conversation.add_request("run the tests")
    assert shown(conversation)[1:] == [
        ("user", "fix the test"),
        ("assistant", "Stopped."),
        ("user", "run the tests"),
    ]
    again = Conversation.from_json(conversation.to_json())
    assert again.messages() == conversation.messages()


def test_an_interrupted_call_gets_its_answer(conversation: Conversation) -> None:
    conversation.add_turn("", READ)
    conversation.add_request("and now?")
    assert roles(conversation) == "suatu"
    assert shown(conversation)[3][1].startswith("error: the call was interrupted")


def test_notes_stay_aside(conversation: Conversation) -> None:
    conversation.add_note("we use pytest")
    conversation.add_note("tests live in tests/")
    assert conversation.notes == ("we use pytest", "tests live in tests/")
    assert "pytest" not in str(conversation.messages())
    assert conversation.take_notes() == ("we use pytest", "tests live in tests/")
    assert conversation.notes == ()


def test_siblings_are_earlier_requests_by_themselves() -> None:
    conversation = Conversation("S")
    assert conversation.siblings() == ()
    for text in ("one", "two", "two", "three", "four", "five"):
        conversation.add_request(text)
        conversation.add_turn("ok")
    siblings = conversation.siblings()
    assert [messages[-1].content for messages in siblings] == ["four", "three", "two"]
    assert all(
        [message.role for message in messages] == ["system", "user"] for messages in siblings
    )
    conversation.clear()
    conversation.add_request("five")
    assert [messages[-1].content for messages in conversation.siblings()] == [
        "four",
        "three",
        "two",
    ]


def test_trimming_drops_whole_exchanges() -> None:
    conversation = Conversation("S")
    for text in ("one", "two"):
        conversation.add_request(text)
        for _ in range(2):
            conversation.add_turn("", READ)
            conversation.add_answer("x")
    assert roles(conversation) == "suatatuatat"
    assert conversation.trim()
    assert shown(conversation)[1] == ("user", "two")
    assert roles(conversation) == "suatat"
    assert conversation.trim()
    assert roles(conversation) == "suat"
    assert not conversation.trim()
    assert shown(conversation)[:2] == [("system", "S"), ("user", "two")]


def test_clearing_keeps_the_system_message(conversation: Conversation) -> None:
    conversation.add_note("note")
    conversation.clear()
    assert shown(conversation) == [("system", "You are a coding agent.")]
    assert conversation.notes == ()


def test_misuse_is_an_error() -> None:
    conversation = Conversation("S")
    with pytest.raises(ValueError, match="no request yet"):
        conversation.add_turn("hello")
    conversation.add_request("x")
    with pytest.raises(ValueError, match="has not answered"):
        conversation.add_answer("x")
    conversation.add_turn("", READ)
    conversation.add_answer("x")
    with pytest.raises(ValueError, match="has its answer already"):
        conversation.deny("no")


@pytest.mark.parametrize("data", [None, [], {}, {"system": 3}, {"system": "s", "more": 1}])
def test_what_is_no_conversation_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match="validation error"):
        Conversation.from_json(data)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "call", "deny", "edit", "reject", "say", "note", "trim"]), TEXT
    )
)


@settings(max_examples=50)
@given(STEPS)
def test_it_survives_json_and_keeps_its_shape(steps: list[tuple[str, str]]) -> None:
    conversation = Conversation("S")
    conversation.add_request("first")
    for step, text in steps:
        match step:
            case "ask":
                conversation.add_request(text)
            case "call":
                conversation.add_turn(text, READ)
                conversation.add_answer(text)
            case "deny":
                conversation.add_turn(text, READ)
                conversation.deny(text)
            case "edit":
                conversation.add_turn(text, READ)
                conversation.edit(OTHER, text)
            case "reject":
                conversation.reject(text, text)
            case "say":
                conversation.add_turn(text)
            case "note":
                conversation.add_note(text)
            case _:
                conversation.trim()
    data = json.loads(json.dumps(conversation.to_json()))
    again = Conversation.from_json(data)
    assert again.messages() == conversation.messages()
    assert again.notes == conversation.notes
    assert again.siblings() == conversation.siblings()
    assert again.to_json() == conversation.to_json()
    messages = conversation.messages()
    assert messages[0].role == "system"
    assert messages[1].role == "user"
    for before, message in pairwise(messages):
        assert message.role != "tool" or before.role == "assistant"
