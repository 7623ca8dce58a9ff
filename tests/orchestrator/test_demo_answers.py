"""Answers from a file, or from a terminal, fit the questions of the API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from executions.engine.clarification import Question
from executions.question_serializers import QuestionResponse
from orchestrator.demo.answers import AnswerSheet, fit, hint
from orchestrator.demo.server import DemoError

CHOICES = [{"value": "a", "label": "Alpha"}, {"value": "b", "label": "Beta"}]


def asked(answer_type: str, **more: Any) -> dict[str, Any]:
    """Return a question as the API shows it."""
    question = Question.model_validate({"id": "one.1.1", "text": "Well?", "answer_type": answer_type, **more})
    return dict(QuestionResponse(question).data)


@pytest.mark.parametrize(
    ("question", "said", "fitted"),
    [
        (asked("free_text", min_length=3), "yes", "yes"),
        (asked("free_text", min_length=3), "no", None),
        (asked("single_choice", choices=CHOICES), "beta", "b"),
        (asked("multi_choice", choices=CHOICES), ["Alpha", "beta"], ["a", "b"]),
        (asked("multi_choice", choices=CHOICES, max_choices=1), ["Alpha", "beta"], None),
        (asked("yes_no"), "no", False),
        (asked("number", minimum=0), "0", 0),
        (asked("number", minimum=0), -1, None),
        (asked("number", integer=True), "1.5", None),
        (asked("number", maximum=2.5), "2.5", 2.5),
        (asked("date", earliest="2027-01-01"), "2027-01-01", "2027-01-01"),
        (asked("date", earliest="2027-01-01"), "2026-12-31", None),
        (asked("date"), None, None),
    ],
)
def test_a_value_is_fitted_to_its_question_or_left(question: dict[str, Any], said: Any, fitted: Any) -> None:
    assert fit(question, said) == fitted


@pytest.mark.parametrize(
    ("question", "words"),
    [
        (asked("free_text"), ""),
        (asked("free_text", max_length=9), "at most 9 characters"),
        (asked("single_choice", choices=CHOICES), ""),
        (asked("number", minimum=0, integer=True), "a number, whole, at least 0"),
        (asked("date", latest="2027-01-01"), "YYYY-MM-DD, at most 2027-01-01"),
        (asked("yes_no"), "yes or no"),
    ],
)
def test_a_terminal_is_told_what_would_fit(question: dict[str, Any], words: str) -> None:
    assert hint(question) == words


def test_words_of_an_answer_sheet_are_texts_and_its_faults_are_sentences(tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.yaml"
    sheet.write_bytes(b"\xef\xbb\xbfanswers:\n  - {about: [bank], answer: NO}\notherwise: 2026-01-01\n")
    question = {
        "text": "Which bank?",
        "answer_type": "free_text",
        "integer": False,
        "min_length": None,
        "max_length": None,
    }
    assert AnswerSheet(sheet).answer(question) == "NO"
    assert AnswerSheet(sheet).answer({**question, "text": "When?"}) == "2026-01-01"
    for data in (b"answers: [&a [*a]]", "answers: []".encode("utf-16"), b"otherwise: a\notherwise: b", b"[" * 3000):
        sheet.write_bytes(data)
        with pytest.raises(DemoError, match="cannot be read"):
            AnswerSheet(sheet)
