"""A lesson practised on other names, and kept off requests that ask for the denied way."""

from __future__ import annotations

import pytest
import torch
from continualcode_tui.training import case as cases
from continualcode_tui.training import rehearsal, variants
from continualcode_tui.training.anchors import Kindred
from continualcode_tui.training.bank import KINDRED, BankEntry
from continualcode_tui.training.engines.generation import Sampling, generate
from continualcode_tui.training.learner import Learner, LearnSettings
from continualcode_tui.training.protocol import ChatMessage
from continualcode_tui.training.reach import Reach
from continualcode_tui.training.rehearsal import Rehearsal, Rehearser, lack
from continualcode_tui.training.stepper import (
    LEAST_CONFIDENCE,
    Stepper,
    StepSettings,
    Target,
    turn_away,
)
from continualcode_tui.training.teachers import REFUSAL, Teacher, TeacherSettings, without
from hypothesis import given
from hypothesis import strategies as st

from .conftest import (
    CAT,
    SHOW,
    call_of,
    denied_completion,
    equal,
    learn_request,
    lesson,
    quiet,
)


@pytest.fixture(autouse=True)
def known_names(monkeypatch) -> None:
    """The tiny model can say no names but those that it was trained on."""
    monkeypatch.setattr(variants, "STEMS", (("bravo",),))


@pytest.fixture
def rehearser(engine) -> Rehearser:
    """What would be rehearsed for the lesson "use cat"."""
    policy = engine.policy
    teacher = Teacher(policy, TeacherSettings(), policy.adapter.state())
    request = learn_request(lesson(denied_completion(engine)))
    case = cases.prepare(policy, teacher, request.lesson)
    prompt = case.teacher_prompt
    said = generate(policy, prompt, Sampling(0, 60))
    case.teacher_answers = [cases.assess(teacher, case.prompt, prompt, said.tokens, said.logprobs)]
    return Rehearser(policy, teacher, case, request, quiet())


def text(rehearser: Rehearser, prompt) -> str:
    return str(rehearser.policy.loaded.tokenizer.decode(list(prompt.tokens)))


def test_rows_alike_have_other_names_and_the_teachers_answer(rehearser):
    rows = [row for row in rehearser.find().rows if row.teacher is not None]
    assert rows
    for row in rows:
        asked = text(rehearser, row.prompt)
        assert "show bravo.py" in asked
        assert "alpha" not in asked
        assert "cat" not in asked
        assert row.positions
        assert len(row.tokens) == row.positions[-1] + 1 == len(row.teacher) == len(row.before)
        for at in row.positions:
            assert int(row.teacher[at].argmax()) == row.tokens[at]
            assert float(row.before[at]) < 0.5


def test_every_position_of_a_row_is_a_decision_of_the_student(rehearser):
    found = rehearser.find()
    assert found.miss(0.9)[0] > 0
    with torch.no_grad():
        for row, scored in zip(found.rows, found.logprobs(), strict=True):
            assert scored.shape[0] == len(row.tokens)
            for at in row.positions:
                said = float(scored[at][row.tokens[at]].exp())
                assert said == pytest.approx(float(row.before[at]), abs=1e-4)


def test_rows_otherwise_are_requests_whose_words_the_student_heeds(rehearser, monkeypatch):
    monkeypatch.setattr(rehearsal, "HEEDED", -100.0)
    rows = [row for row in rehearser.find().rows if row.teacher is None]
    assert 0 < len(rows) <= rehearsal.MOST_OTHERWISE
    for row in rows:
        (at,) = row.positions
        assert "read" in text(rehearser, row.prompt)
        assert float(row.before[at]) >= rehearsal.KEPT
    monkeypatch.setattr(rehearsal, "HEEDED", 100.0)
    assert all(row.teacher is not None for row in rehearser.find().rows)


def test_requests_to_which_the_correction_speaks_as_well_are_learned_from(rehearser):
    bravo = (SHOW[0], ChatMessage(role="user", content="show bravo.py"))
    thanks = (SHOW[0], ChatMessage(role="user", content="hello, who are you?"))
    rehearser.renamings = []
    rehearser.related = [thanks, bravo]
    (row,) = [row for row in rehearser.find().rows if row.teacher is not None]
    assert row.prompt == rehearser.policy.renderer.prompt(bravo, ())
    said = rehearser.policy.renderer.encode('<tool_call>\n{"name": "bash"')
    assert row.tokens[: len(said) - 1] == tuple(said[:-1])
    for at in row.positions:
        assert int(row.teacher[at].argmax()) == row.tokens[at]


def test_kindred_requests_are_those_that_the_correction_turns_around_too(engine):
    policy = engine.policy
    teacher = Teacher(policy, TeacherSettings(), policy.adapter.state())
    request = learn_request(lesson(denied_completion(engine)))
    case = cases.prepare(policy, teacher, request.lesson)
    bank = engine._bank_for(())
    bank.finish(lambda: None)
    assert len(bank.kindred) == len(KINDRED)
    reach = Reach(policy, case, request, quiet())
    related, elsewhere = reach.kindred(bank.kindred)
    assert related == []
    wanted = (*reach.before, reach.wanted)
    for decision in elsewhere:
        at = len(decision.tokens)
        assert decision.tokens == wanted[:at]
        assert decision.rival == wanted[at] != decision.chosen
    asked = BankEntry("x", "demo", "", "show bravo.py")
    messages = (SHOW[0], ChatMessage(role="user", content=asked.request))
    object.__setattr__(asked, "messages", lambda: messages)
    prompt = policy.renderer.prompt(messages, ())
    bravo = Kindred(asked, prompt, policy.prefix(prompt))
    assert reach.kindred([*bank.kindred, bravo]) == ([messages], elsewhere)
    assert reach.kindred([bravo, bravo])[0] == [messages, messages]


def test_what_an_earlier_lesson_taught_has_to_stay(engine):
    policy = engine.policy
    assert engine.learn(learn_request(lesson(denied_completion(engine))), quiet()).proved
    (manifest,) = engine.store.chain(engine._snapshot)
    replay = manifest.replay
    (row,) = rehearsal.earlier_rows(policy, [replay])
    assert replay.decision in row.positions
    assert row.teacher is None
    assert Rehearsal(policy, [row]).miss(0.9) == (0.0, 0.0)
    with policy.holding(policy.adapter.initial()):
        assert Rehearsal(policy, [row]).miss(0.9)[1] > 0
        assert rehearsal.earlier_rows(policy, [replay]) == []


@pytest.mark.parametrize("limit", ["MOST_TOKENS", "PATIENCE_SECONDS", "MOST_FIGURES"])
def test_without_room_or_time_nothing_is_rehearsed(rehearser, monkeypatch, limit):
    monkeypatch.setattr(rehearsal, limit, 0)
    rehearser.room = rehearsal.MOST_TOKENS
    if limit == "PATIENCE_SECONDS":
        rehearser.deadline = 0.0
    found = rehearser.find()
    assert not found.rows
    assert found.miss(0.9) == (0.0, 0.0)


def test_what_lacks_is_never_negative_and_counts_a_second_choice():
    row = torch.tensor([0.6, 0.4]).log()
    assert lack(row, 0, 0.5) == 0
    assert lack(row, 0, 0.9) == pytest.approx(0.3)
    assert lack(row, 1, 0.2) == rehearsal.SECOND
    assert lack(torch.full((2,), float("nan")), 0, 0.5) == 1


def test_a_step_is_taken_so_far_that_the_rehearsed_requests_follow_too(engine):
    policy = engine.policy
    learned = engine.learn(learn_request(lesson(denied_completion(engine))), quiet())
    assert learned.outcome == "learned"
    prompt = policy.renderer.prompt(
        (SHOW[0], ChatMessage(role="user", content="show bravo.py")), ()
    )
    said = generate(policy, prompt, Sampling(0, 60))
    assert call_of(said).arguments == {"command": "cat bravo.py"}
    at = len(policy.renderer.encode('<tool_call>\n{"name": "'))
    assert float(policy.score(prompt, said.tokens)[at].exp().max()) >= LEAST_CONFIDENCE


def test_a_lesson_can_be_taken_on_its_request_alone(engine):
    seen: list[int] = []
    kept = Rehearsal.__init__

    def count(self, policy, rows) -> None:
        seen.append(len(rows))
        kept(self, policy, rows)

    request = learn_request(lesson(denied_completion(engine), CAT))
    bank = engine._bank_for(request.lesson.tools)
    learner = Learner(engine.policy, LearnSettings(rehearse=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rehearsal, "__init__", count)
        result = learner.learn(request, bank, quiet(), lambda commit: "x")
    assert result.outcome == "learned"
    assert seen == [0]


def test_what_keeps_a_lesson_to_itself_does_not_cost_the_lesson(engine, monkeypatch):
    """A restraining step from which the lesson suffers is put back."""
    policy = engine.policy
    denied = denied_completion(engine)
    teacher = Teacher(policy, TeacherSettings(), policy.adapter.state())
    case = cases.prepare(policy, teacher, lesson(denied))
    bank = engine._bank_for(())
    bank.finish(lambda: None)
    at = case.denied.decision
    kept = denied.tokens[: at + 1]
    prefix = policy.prefix(case.prompt)
    held = case.student.exp()[range(at + 1), list(kept)]
    # The very answer that was denied has to stay: nothing does both.
    row = rehearsal.Row(case.prompt, prefix, kept, (at,), held, None)
    steps = Stepper(policy, StepSettings(), bank.anchors, set(), Rehearsal(policy, []), [])
    targets = [Target(case.denied, at, case.denied.wanted(at), 0.6)]
    first = steps.step([case.denied], targets)
    assert first.choice.follows
    targets = [Target(case.denied, at, case.denied.wanted(at), first.follow)]
    learned = policy.adapter.state()
    steps.rehearsal = Rehearsal(policy, [row])
    result = steps.step([case.denied], targets)
    assert steps.restraining
    assert result.choice.scale == 0
    assert not result.unsettled
    assert equal(learned, policy.adapter.state())


numbers = st.lists(st.floats(-10, 10), min_size=3, max_size=3)


@given(numbers, numbers)
def test_a_gradient_turned_away_no_longer_makes_the_other_loss_grow(one, other):
    gradient = {"a": torch.tensor(one[:1]), "b": torch.tensor(one[1:])}
    against = {"a": torch.tensor(other[:1]), "b": torch.tensor(other[1:])}
    along = sum(float((gradient[name] * against[name]).sum()) for name in gradient)
    came = {name: part.clone() for name, part in gradient.items()}
    turn_away(gradient, against, 1.0)
    now = sum(float((gradient[name] * against[name]).sum()) for name in gradient)
    assert now >= min(0.0, along) * 1e-3 - 1e-3
    if along >= 0:
        assert all(torch.equal(gradient[name], came[name]) for name in gradient)


# --- what the user has refused --------------------------------------------------------


def test_a_refused_token_is_next_to_impossible_and_the_rest_adds_up():
    came = torch.tensor([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2]]).log()
    changed = without(came, 0, 0)
    assert torch.allclose(changed.exp().sum(-1), torch.ones(2))
    assert float(changed[0, 0].exp()) < 1e-4
    assert float(changed[0, 1] - changed[0, 2]) == pytest.approx(0.6931, abs=1e-3)
    assert torch.equal(changed[1], came[1])
    assert float(came[0, 0] - came[0, 1] - changed[0, 0] + changed[0, 1]) == pytest.approx(REFUSAL)


def test_a_teacher_does_not_begin_as_the_refused_answer_does(engine):
    policy = engine.policy
    teacher = Teacher(policy, TeacherSettings(), policy.adapter.state())
    prompt = policy.renderer.prompt(SHOW, ())
    said = generate(policy, prompt, Sampling(0, 60)).tokens
    plain = teacher.score(prompt, said)
    at = 4
    teacher.refused = said[: at + 1]
    refusing = teacher.score(prompt, said)
    assert float(refusing[at][said[at]]) < float(plain[at][said[at]]) - 1
    assert torch.equal(refusing[at + 1 :], plain[at + 1 :])
    elsewhere = (said[0] + 1, *said[1:])
    assert torch.isfinite(teacher.score(prompt, elsewhere)).all()
    other = generate(policy, prompt, Sampling(0, 60, refused=said[: at + 1])).tokens
    assert other[:at] == said[:at]
    assert other[at] != said[at]


def test_a_second_choice_has_to_stand_out_against_student_and_neutral_text(engine):
    policy = engine.policy
    teacher = Teacher(policy, TeacherSettings(), policy.adapter.state())
    denied = denied_completion(engine)
    case = cases.prepare(policy, teacher, lesson(denied, CAT))
    at = case.denied.decision
    assert at is not None
    assert cases.second_choice(policy, teacher, case) == at
    idle = cases.prepare(policy, teacher, lesson(denied, cases.NEUTRAL))
    assert cases.second_choice(policy, teacher, idle) is None
