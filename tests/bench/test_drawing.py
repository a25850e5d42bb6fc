"""Cases are the same for the same seed, held out, and what their oracle says they are."""

from __future__ import annotations

import re

import pytest
from continualcode_tui.training.bench.drawing import Draft, unrelated
from continualcode_tui.training.bench.oracle import (
    BenchCase,
    canonical_answer,
    judge,
    parse_call,
    unchanged,
)
from continualcode_tui.training.practice.vocabulary import COMMON_WORDS, held_out_words, words
from continualcode_tui.training.teacher import render_call

from tests.bench.conftest import cases, usual_answer


@pytest.fixture(scope="module")
def drawn() -> list[BenchCase]:
    return cases(5, 8)


def test_a_seed_draws_the_same_cases_again(drawn: list[BenchCase]) -> None:
    assert cases(5, 8) == drawn
    assert cases(6, 1) != drawn[:1]


def test_a_case_survives_its_file(drawn: list[BenchCase]) -> None:
    for case in drawn:
        assert BenchCase.model_validate_json(case.model_dump_json()) == case


def test_what_is_denied_is_what_the_student_says(drawn: list[BenchCase]) -> None:
    for case in drawn:
        draft = Draft(case.seed, case.number)
        assert draft.messages == case.corrected.messages
        assert judge(case.corrected, usual_answer(draft)) == "denied"
        assert case.value != case.denied_value


def test_an_irrelevant_correction_is_another_one(drawn: list[BenchCase]) -> None:
    assert len({case.irrelevant for case in drawn}) > 1
    for case in drawn:
        assert case.irrelevant.strip()
        assert case.irrelevant != case.corrected.correction


def test_the_oracle_takes_the_right_call_and_not_the_denied_one(drawn: list[BenchCase]) -> None:
    for case in drawn:
        for request in (case.corrected, *case.others, *case.further):
            assert request.right is not None
            assert request.correction
            assert judge(request, render_call(request.right)) == "wanted"
            assert not set(request.wanted) & set(request.denied)
            assert judge(request, "I would rather not.") == "other"


def test_held_out_requests_are_others_of_the_same_kind(drawn: list[BenchCase]) -> None:
    for case in drawn:
        assert len(case.others) >= 3
        requests = [case.corrected, *case.others, *case.further]
        texts = [request.messages[-1].content for request in requests]
        alike = [
            text for request, text in zip(requests, texts, strict=True) if request.kind == "other"
        ]
        assert len(set(alike)) == len(alike)
        assert texts[0] not in texts[1:]


def test_a_paraphrase_asks_for_the_same_in_other_words(drawn: list[BenchCase]) -> None:
    found = [case for case in drawn if case.others[0].kind == "paraphrase"]
    assert found
    for case in found:
        paraphrase = case.others[0]
        assert paraphrase.right == case.corrected.right
        assert paraphrase.messages != case.corrected.messages
        assert paraphrase.messages[0] == case.corrected.messages[0]


def test_no_request_uses_a_word_that_training_uses(drawn: list[BenchCase]) -> None:
    """Words of the curriculum's list, in the paths that the requests name."""
    trained = set(words()) - set(held_out_words()) - set(COMMON_WORDS)
    trained -= {"tests", "test", "src", "source", "lib", "core", "app", "server", "tools", "check"}
    for case in drawn:
        if case.family not in ("read", "move", "remove", "run-script", "format", "lint", "types"):
            continue
        assert case.corrected.right is not None
        command = str(next(iter(case.corrected.right.arguments.values())))
        path = command.rsplit(maxsplit=1)[-1]
        found = {w for w in re.findall(r"[a-z]{4,}", path.rsplit("/", 1)[-1]) if w in trained}
        assert not found, path


def test_the_unrelated_prompts_never_change() -> None:
    assert list(unrelated()) == list(unrelated())
    assert len(list(unrelated())) > 20


def test_answers_are_compared_as_calls() -> None:
    spaced = '<tool_call>\n{"arguments": {"path": "a.py"},  "name": "read"}\n</tool_call>'
    plain = '<tool_call>\n{"name": "read", "arguments": {"path": "a.py"}}\n</tool_call>'
    assert canonical_answer(spaced) == canonical_answer(plain)
    assert parse_call(plain + " and more") is None
    assert parse_call("<tool_call>\n{}\n</tool_call>") is None
    assert canonical_answer("in  words") == "in words"


def test_a_near_miss_has_to_keep_its_answer(drawn: list[BenchCase]) -> None:
    request = drawn[0].near[0].model_copy(update={"answer": canonical_answer("as before")})
    assert unchanged(request, "as  before")
    assert not unchanged(request, "otherwise")


def test_a_settled_request_is_a_plain_one_with_a_wish(drawn: list[BenchCase]) -> None:
    settled = [request for case in drawn for request in case.near if request.kind == "settled"]
    assert settled
    for request in settled:
        plain = request.plain[-1].content.rstrip(".!")
        assert request.messages[-1].content.startswith(f"{plain}, ")
        assert request.messages[:-1] == request.plain[:-1]
        assert request.right is not None
        assert judge(request, render_call(request.right)) == "other"
