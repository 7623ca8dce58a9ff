"""Answers from a file or a terminal match the questions of the API."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from executions.api.clarification_serializers import QuestionResponse
from executions.engine.domain.clarification import Question
from orchestrator.demo.answer_sheet import AnswerSheet
from orchestrator.demo.answers import ask, convert_answer, hint
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
        (asked("file"), "examples/briefs/tool-library.md", Path("examples/briefs/tool-library.md")),
        (asked("file"), "examples/briefs", None),
        (asked("file"), "no-such-file.pdf", None),
    ],
)
def test_a_value_is_fitted_to_its_question_or_left(question: dict[str, Any], said: Any, fitted: Any) -> None:
    assert convert_answer(question, said) == fitted


@pytest.mark.parametrize(
    ("question", "words"),
    [
        (asked("free_text"), ""),
        (asked("free_text", max_length=9), "at most 9 characters"),
        (asked("single_choice", choices=CHOICES), ""),
        (asked("number", minimum=0, integer=True), "a number, whole, at least 0"),
        (asked("date", latest="2027-01-01"), "YYYY-MM-DD, at most 2027-01-01"),
        (asked("yes_no"), "yes or no"),
        (asked("file"), "path of a file"),
    ],
)
def test_a_terminal_is_told_what_would_fit(question: dict[str, Any], words: str) -> None:
    assert hint(question) == words


BANKS = [{"value": "north", "label": "North bank"}, {"value": "south", "label": "South bank, no ferry"}]
FEES = [{"value": "a", "label": "A"}, {"value": "fee", "label": "Yearly membership fee"}]


@pytest.mark.parametrize(
    "said", ["1,5", "0,75", "1,500", "1.000,5", "1_000", "\uff11\uff12", "0x10", "inf", "nan", "1e999", True]
)
def test_a_number_that_could_be_read_in_two_ways_is_asked_for_again(said: Any) -> None:
    assert convert_answer(asked("number"), said) is None


@pytest.mark.parametrize(("said", "number"), [("1.5", 1.5), ("1500", 1500), (" -2 ", -2), (str(2**53 - 1), 2**53 - 1)])
def test_a_number_as_json_writes_it_is_taken(said: str, number: float) -> None:
    assert convert_answer(asked("number"), said) == number


@pytest.mark.parametrize(
    ("choices", "said", "chosen"),
    [
        (BANKS[:1] + FEES, "no", None),  # letters of "North" are no word
        (BANKS, "bank", None),  # fits two
        (BANKS, "NORTH", "north"),
        (BANKS, "the north bank, please", "north"),
        (FEES, "introduce a yearly membership fee", "fee"),  # and not "A"
        (FEES, "a", "a"),
        (BANKS, "", None),
        (BANKS, "…", None),
    ],
)
def test_a_choice_is_found_by_whole_words_that_fit_it_alone(choices: Any, said: str, chosen: str | None) -> None:
    assert convert_answer(asked("single_choice", choices=choices), said) == chosen


def test_an_answer_with_an_unknown_choice_is_not_taken_for_the_others() -> None:
    assert convert_answer(asked("multi_choice", choices=CHOICES), ["Alpha", "Gamma"]) is None


@pytest.mark.parametrize(
    ("question", "typed", "answer"),
    [
        (asked("number"), "1,5\n1.5\n", 1.5),
        (asked("number"), "0,75\n0.75\n", 0.75),
        (asked("single_choice", choices=BANKS), "nor\n1\n", "north"),
        (asked("multi_choice", choices=CHOICES), "3\n1, beta\n", ["a", "b"]),
    ],
)
def test_the_terminal_asks_again_until_an_answer_fits(
    question: dict[str, Any], typed: str, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    console = Console(file=io.StringIO(), width=200)
    assert ask(console, question) == answer
    assert "not a valid answer" in console.file.getvalue()  # type: ignore[attr-defined]


def sheet(tmp_path: Path, content: str | bytes) -> AnswerSheet:
    """Return the sheet of a file with this content."""
    path = tmp_path / "answers.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return AnswerSheet(path)


@pytest.mark.parametrize("about", ["budget", "[budget]", "[the budget, money]"])
def test_a_sheet_answers_what_has_its_words(tmp_path: Path, about: str) -> None:
    answers = sheet(tmp_path, f"answers:\n  - {{about: {about}, answer: 5}}\n")
    assert answers.answer({**asked("number"), "text": "What is the budget?"}) == 5
    for other in ("How many beds are there?", "Who gets budgeted?", "When?"):
        assert answers.answer({**asked("number"), "text": other}) is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("decisions:\n  - {step: epics}\n", "decisions.0.decision"),
        ("decisions: [{decision: perhaps}]", "'accept', 'reject' or 'request_changes'"),
        ("decisions: [{decision: accept, round: first}]", "decisions.0.round"),
        ("decisions: accept", "decisions"),
        ("answers: [{answer: 5}]", "answers.0.about"),
        ("answers: [budget]", "answers.0"),
        ("answers: [{about: [], answer: 5}]", "answers.0.about"),
        ("anwers: []", "anwers"),
        ("- budget", "the file"),
        ("answers: [", "not valid YAML"),
        ("answers: [&a [*a]]", "cannot be read"),
        ("otherwise: a\notherwise: b", "cannot be read"),
        ("answers: []".encode("utf-16"), "not UTF-8"),
        (b"\xff\xfe\x00", "not UTF-8"),
    ],
)
def test_a_faulty_sheet_is_refused_in_a_sentence(tmp_path: Path, content: str | bytes, words: str) -> None:
    with pytest.raises(DemoError, match=r"answers\.yaml") as refused:
        sheet(tmp_path, content)
    assert words in str(refused.value)


def test_words_that_older_yaml_takes_for_something_else_are_texts(tmp_path: Path) -> None:
    answers = sheet(tmp_path, "answers:\n  - {about: bank, answer: NO}\notherwise: 2026-01-01\n")
    assert answers.answer({**asked("free_text"), "text": "Which bank?"}) == "NO"
    assert answers.answer({**asked("free_text"), "text": "When?"}) == "2026-01-01"


def test_a_byte_order_mark_and_an_empty_sheet_are_taken(tmp_path: Path) -> None:
    answers = sheet(tmp_path, "\ufeffotherwise: As the brief says.\n")
    assert answers.answer(asked("free_text")) == "As the brief says."
    assert sheet(tmp_path, "").answer(asked("free_text")) is None
