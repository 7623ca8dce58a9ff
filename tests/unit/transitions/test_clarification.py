"""Answers match their questions or are rejected one by one; unanswerable questions are returned to the model."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from executions.engine.domain.answer_validation import EMPTY_ANSWERS, check_answers, question_errors, validation_error
from executions.engine.domain.clarification import (
    MAX_NUMBER,
    MAX_TEXT,
    AnswerType,
    ClarificationRound,
    Question,
    QuestionDraft,
    number_questions,
)
from executions.engine.domain.errors import InvalidAnswers
from tests.unit.domain.test_replies import JSON

CHOICES = ({"value": "a", "label": "Alpha"}, {"value": "b", "label": "Beta"}, {"value": "c", "label": "Gamma"})
SEVERAL = {"answer_type": "multi_choice", "choices": CHOICES}
HUGE = 10**400


def _question(answer_type: str, **more: Any) -> Question:
    if "choice" in answer_type:
        more = {"choices": CHOICES, **more}
    return Question(id="one.1.1", text="What is it?", answer_type=answer_type, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer_type", "bounds", "good", "bad"),
    [
        ("free_text", {}, ["some words"], [3, True, " \n", ["x"], {"a": 1}, "a\0b", "\ud800"]),
        ("free_text", {}, ["x" * MAX_TEXT], ["x" * (MAX_TEXT + 1)]),
        ("free_text", {"min_length": 3}, ["abc"], ["ab"]),
        ("free_text", {"max_length": 3}, ["abc"], ["abcd"]),
        ("single_choice", {}, ["a"], ["d", "Alpha", ["a"], 0, {}, True]),
        ("multi_choice", {}, [["a"], ["a", "b", "c"]], ["a", ["d"], ["a", "d"], ["a", "a"], [["a"]], [None], {"a": 1}]),
        ("multi_choice", {"min_choices": 2}, [["a", "b"]], [["a"]]),
        ("multi_choice", {"max_choices": 2}, [["a", "b"]], [["a", "b", "c"]]),
        ("yes_no", {}, [True, False], ["yes", 1, 0, "true", [True]]),
        ("number", {}, [0, -3, 3.5, MAX_NUMBER], ["3", True, [3], float("inf"), float("nan"), HUGE, -HUGE, 1e300]),
        ("number", {"minimum": 1, "maximum": 2.5}, [1, 2.5, 1.0], [0.999, 2.6, 0]),
        ("number", {"integer": True}, [3, 3.0, -1], [3.5]),
        ("date", {}, ["2027-03-01", "2024-02-29"], ["1.3.2027", "2025-02-29", "20270301", "2027-03-01T00:00:00", 2027]),
        ("date", {"earliest": "2027-01-01"}, ["2027-01-01"], ["2026-12-31"]),
        ("date", {"latest": "2027-12-31"}, ["2027-12-31"], ["2028-01-01"]),
    ],
)
def test_an_answer_fits_the_type_and_the_bounds_of_its_question(
    answer_type: str, bounds: dict[str, Any], good: list[Any], bad: list[Any]
) -> None:
    question = _question(answer_type, **bounds)
    for answer in good:
        assert check_answers((question,), {"one.1.1": answer}) == {"one.1.1": answer}
    for answer in bad:
        with pytest.raises(InvalidAnswers) as refused:
            check_answers((question,), {"one.1.1": answer})
        assert [(error.pointer, error.code) for error in refused.value.errors] == [("/answers/one.1.1", "wrong_answer")]


@pytest.mark.parametrize(
    ("answer_type", "bounds", "answer", "words"),
    [
        ("free_text", {"min_length": 5}, "abc", "Expected from 5 to 20000 characters; got 3."),
        ("free_text", {"max_length": 2}, "abc", "Expected at most 2 characters; got 3."),
        ("multi_choice", {"min_choices": 2}, ["a"], "Expected at least 2 of the choices; got 1."),
        ("number", {"minimum": 1, "maximum": 9}, 10, "Expected a number: from 1 to 9."),
        ("number", {"minimum": 1, "integer": True}, 0, "Expected a whole number: at least 1."),
        ("date", {"latest": "2027-12-31"}, "2028-01-01", "Expected a date: at most 2027-12-31."),
    ],
)
def test_an_invalid_answer_says_what_is_valid(
    answer_type: str, bounds: dict[str, Any], answer: JsonValue, words: str
) -> None:
    assert validation_error(_question(answer_type, **bounds), answer) == words


def test_the_text_of_a_question_is_a_key_too() -> None:
    assert check_answers((_question("free_text"),), {"What is it?": "that"}) == {"one.1.1": "that"}


def test_a_question_whose_text_is_the_id_of_another_is_no_key_of_its_answer() -> None:
    first = Question(id="one.1.1", text="one.1.2", required=False)
    second = Question(id="one.1.2", text="Who?")
    assert check_answers((first, second), {"one.1.2": "Ann"}) == {"one.1.2": "Ann"}


def test_every_bad_answer_is_named() -> None:
    with pytest.raises(InvalidAnswers) as refused:
        check_answers((_question("free_text"),), {"a/b": "x"})
    assert {(error.pointer, error.code) for error in refused.value.errors} == {
        ("/answers/a~1b", "unknown_question"),
        ("/answers/one.1.1", "required"),
    }


def test_a_default_stands_in_for_silence() -> None:
    assert check_answers((_question("number", default=7),), {}) == {"one.1.1": 7}
    assert check_answers((_question("number", default=7),), {"one.1.1": 0}) == {"one.1.1": 0}
    assert check_answers((_question("free_text", required=False),), {}) == {}
    for nothing in EMPTY_ANSWERS:
        assert check_answers((_question("multi_choice", default=["b"]),), {"one.1.1": nothing}) == {"one.1.1": ["b"]}
        assert check_answers((_question("free_text", required=False, default=""),), {"one.1.1": nothing}) == {}


def test_choices_come_back_in_the_order_in_which_they_were_offered() -> None:
    assert check_answers((_question("multi_choice"),), {"one.1.1": ["c", "a"]}) == {"one.1.1": ["a", "c"]}


# --- unanswerable questions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("draft", "pointer", "code"),
    [
        ({"text": "   "}, "/text", "blank"),
        ({"choices": CHOICES}, "/choices", "choices"),
        ({"answer_type": "single_choice"}, "/choices", "choices"),
        ({"answer_type": "single_choice", "choices": CHOICES[:1]}, "/choices", "choices"),
        ({"answer_type": "single_choice", "choices": [*CHOICES, CHOICES[0]]}, "/choices/3/value", "repeated"),
        ({"answer_type": "number", "min_length": 3}, "/min_length", "bound"),
        ({"answer_type": "yes_no", "maximum": 3}, "/maximum", "bound"),
        ({"integer": True}, "/integer", "bound"),
        ({"answer_type": "number", "minimum": 3, "maximum": 2}, "/minimum", "bound"),
        ({"answer_type": "number", "maximum": 2**53}, "/maximum", "bound"),
        ({"answer_type": "number", "minimum": -HUGE}, "/minimum", "bound"),
        ({"answer_type": "number", "minimum": 1.2, "maximum": 1.8, "integer": True}, "/minimum", "bound"),
        ({"answer_type": "date", "earliest": "2027-01-02", "latest": "2027-01-01"}, "/earliest", "bound"),
        ({"min_length": 3, "max_length": 2}, "/min_length", "bound"),
        ({**SEVERAL, "min_choices": 4}, "/min_choices", "bound"),
        ({**SEVERAL, "min_choices": 2, "max_choices": 1}, "/min_choices", "bound"),
        ({"answer_type": "number", "minimum": 3, "default": 2}, "/default", "default"),
        ({"answer_type": "number", "default": HUGE}, "/default", "default"),
        ({"answer_type": "date", "latest": "2027-01-01", "default": "2027-01-02"}, "/default", "default"),
        ({"max_length": 3, "default": "four"}, "/default", "default"),
        ({**SEVERAL, "default": ["a", "a"]}, "/default", "default"),
        ({"answer_type": "file", "default": "01a227e9-5618-71ef-a894-4e8e63c766e9"}, "/default", "default"),
    ],
)
def test_unanswerable_questions_are_named(draft: dict[str, Any], pointer: str, code: str) -> None:
    drafts = (QuestionDraft(text="Well?"), QuestionDraft.model_validate({"text": "How many?", **draft}))
    found = [(fault.pointer, fault.code) for fault in question_errors(drafts)]
    assert found == [(f"/questions/1{pointer}", code)]


@pytest.mark.parametrize(
    "draft",
    [
        {"min_length": 2, "max_length": 2, "default": "ab"},
        {"answer_type": "number", "minimum": 2, "maximum": 2, "integer": True, "default": 2},
        {"answer_type": "number", "minimum": -MAX_NUMBER, "maximum": MAX_NUMBER},
        {"answer_type": "date", "earliest": "2027-01-01", "latest": "2027-01-01"},
        {**SEVERAL, "min_choices": 3, "max_choices": 9},
        {"answer_type": "yes_no", "default": False},
    ],
)
def test_bounds_that_leave_one_answer_are_fine(draft: dict[str, Any]) -> None:
    assert not list(question_errors((QuestionDraft.model_validate({"text": "How many?", **draft}),)))


# --- whatever is asked and answered ---------------------------------------------------------------------------------

NUMBERS = st.none() | st.integers(-3, 5) | st.floats(-3, 5)
COUNTS = st.none() | st.integers(1, 4)
DAYS = st.none() | st.dates().map(str)
DRAFTS: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    text=st.just("How many?"),
    answer_type=st.sampled_from(list(AnswerType)),
    required=st.booleans(),
    choices=st.lists(st.sampled_from(CHOICES), max_size=3),
    default=JSON | st.sampled_from(["a", ["a", "b"], 2, "2027-01-01", True]),
    **dict.fromkeys(("minimum", "maximum"), NUMBERS),
    **dict.fromkeys(("min_length", "max_length", "min_choices", "max_choices"), COUNTS),
    **dict.fromkeys(("earliest", "latest"), DAYS),
    integer=st.booleans(),
)
ANSWERS = JSON | st.lists(st.sampled_from("abcd"), max_size=4) | st.sampled_from("abcd") | st.dates().map(str)


def _bare(draft: dict[str, Any]) -> dict[str, Any]:
    """Return the draft with what belongs to its type only, so that many can be answered."""
    mine = {
        AnswerType.FREE_TEXT: {"min_length", "max_length"},
        AnswerType.NUMBER: {"minimum", "maximum", "integer"},
        AnswerType.DATE: {"earliest", "latest"},
        AnswerType.MULTI_CHOICE: {"choices", "min_choices", "max_choices"},
        AnswerType.SINGLE_CHOICE: {"choices"},
    }.get(draft["answer_type"], set())
    return {name: value for name, value in draft.items() if name in {"text", "answer_type", "required", *mine}}


@given(draft=DRAFTS, answer=ANSWERS, bare=st.booleans())
def test_any_answer_is_accepted_and_fits_or_is_refused_with_a_pointer(
    draft: dict[str, Any], answer: JsonValue, bare: bool
) -> None:
    drafts = (QuestionDraft.model_validate(_bare(draft) if bare else draft),)
    if list(question_errors(drafts)):
        return  # it is never put
    questions = number_questions("one", 1, drafts)
    try:
        checked = check_answers(questions, {"one.1.1": answer})
    except InvalidAnswers as refused:
        assert [error.pointer for error in refused.errors] == ["/answers/one.1.1"]
        return
    assert set(checked) <= {"one.1.1"}
    for given_answer in checked.values():
        assert validation_error(questions[0], given_answer) is None
        assert json.loads(json.dumps(given_answer, allow_nan=False)) == given_answer
    assert check_answers(questions, checked) == checked  # the same again is the same


@given(answers=st.dictionaries(st.text() | st.sampled_from(["one.1.1", "What is it?"]), JSON))
def test_whatever_is_sent_for_answers_is_taken_or_refused_by_name(answers: dict[str, JsonValue]) -> None:
    try:
        check_answers((_question("number", minimum=0),), answers)
    except InvalidAnswers as refused:
        assert all(error.pointer.startswith("/answers/") for error in refused.errors)


@given(draft=DRAFTS)
def test_what_was_asked_comes_back_from_storage_as_it_was(draft: dict[str, Any]) -> None:
    questions = number_questions("one", 1, (QuestionDraft.model_validate(draft),))
    asked = ClarificationRound(number=1, questions=questions, asked_at=datetime(2027, 1, 1, tzinfo=UTC))
    assert ClarificationRound.model_validate(json.loads(json.dumps(asked.model_dump(mode="json")))) == asked
