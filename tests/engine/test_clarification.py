"""Answers fit their questions, or are refused one by one."""

from __future__ import annotations

from typing import Any

import pytest

from executions.engine.answers import check_answers
from executions.engine.clarification import Question
from executions.engine.errors import InvalidAnswers

CHOICES = ({"value": "a", "label": "Alpha"}, {"value": "b", "label": "Beta"})


def _question(answer_type: str, **more: Any) -> Question:
    return Question(id="one.1.1", text="What is it?", answer_type=answer_type, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer_type", "good", "bad"),
    [
        ("free_text", "some words", 3),
        ("single_choice", "a", "c"),
        ("multi_choice", ["a", "b"], ["a", "c"]),
        ("yes_no", False, "yes"),
        ("number", 3.5, "3"),
        ("number", 0, True),
        ("date", "2027-03-01", "1.3.2027"),
        ("date", "2024-02-29", "2025-02-29"),
    ],
)
def test_an_answer_has_the_type_of_its_question(answer_type: str, good: Any, bad: Any) -> None:
    question = _question(answer_type, choices=CHOICES if "choice" in answer_type else ())
    assert check_answers((question,), {"one.1.1": good}) == {"one.1.1": good}
    with pytest.raises(InvalidAnswers) as refused:
        check_answers((question,), {"one.1.1": bad})
    assert [error.pointer for error in refused.value.errors] == ["/answers/one.1.1"]


def test_the_text_of_a_question_is_a_key_too() -> None:
    assert check_answers((_question("free_text"),), {"What is it?": "that"}) == {"one.1.1": "that"}


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
