"""Questions that a step asks people, and the check of what they answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import assert_never

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from executions.engine.errors import FieldError, InvalidAnswers


class AnswerType(StrEnum):
    """The kinds of answer a question may want."""

    FREE_TEXT = "free_text"
    SINGLE_CHOICE = "single_choice"
    MULTI_CHOICE = "multi_choice"
    YES_NO = "yes_no"
    NUMBER = "number"
    #: ISO 8601, YYYY-MM-DD.
    DATE = "date"


#: What counts as no answer: the default stands in for it.
NOTHING: tuple[JsonValue, ...] = (None, "", [])


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Choice(_Value):
    """One of the answers that a choice question offers."""

    value: str = Field(min_length=1, max_length=200)
    label: str = Field(min_length=1, max_length=500)


class QuestionDraft(_Value):
    """A question as the model asks it (the schema of its `ask_clarification` tool)."""

    text: str = Field(min_length=3, max_length=1000, description="One question about one thing, in plain words.")
    answer_type: AnswerType = AnswerType.FREE_TEXT
    required: bool = True
    choices: tuple[Choice, ...] = Field(default=(), max_length=20, description="For choice questions only.")
    default: JsonValue = Field(default=None, description="What you would assume without an answer.")
    why: str = Field(default="", max_length=1000, description="What depends on the answer.")


class Question(QuestionDraft):
    """A question that was put; its id is unique within the execution and names its round."""

    id: str


class ClarificationRound(_Value):
    """One set of questions of one step, open until `answered_at` is set."""

    number: int
    questions: tuple[Question, ...]
    asked_at: datetime
    answers: dict[str, JsonValue] | None = None  # by question id; None while open
    answered_at: datetime | None = None
    answered_by: str | None = None  # user name


def number_questions(step_id: str, round_number: int, drafts: tuple[QuestionDraft, ...]) -> tuple[Question, ...]:
    """Return the drafts with ids `<step>.<round>.<n>`."""
    return tuple(
        Question(id=f"{step_id}.{round_number}.{n}", **draft.model_dump()) for n, draft in enumerate(drafts, start=1)
    )


def check_answers(questions: tuple[Question, ...], answers: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the answers by question id, with defaults filled in where nothing was said.

    A key may be the question's id or its text; of a question answered both ways the id wins.

    Raises:
        InvalidAnswers: with a pointer (`/answers/<key>`) for every answer that does not fit.
    """
    errors: list[FieldError] = []
    checked: dict[str, JsonValue] = {}
    by_key = {question.text: question for question in questions} | {question.id: question for question in questions}
    unknown = [key for key in answers if key not in by_key]
    errors += [_error(key, "unknown_question", "No open question has this id or text.") for key in unknown]
    for question in questions:
        key = question.id if question.id in answers else question.text
        answer = question.default if answers.get(key) in NOTHING else answers[key]
        if answer is None:
            if question.required:
                errors.append(_error(question.id, "required", "This question needs an answer."))
            continue
        if detail := misfit(question, answer):
            errors.append(_error(key, "wrong_answer", detail))
        checked[question.id] = answer
    if errors:
        raise InvalidAnswers("Some answers do not fit their questions; the questions stay open.", errors)
    return checked


def _error(key: str, code: str, detail: str) -> FieldError:
    escaped = key.replace("~", "~0").replace("/", "~1")
    return FieldError(pointer=f"/answers/{escaped}", code=code, detail=detail)


def misfit(question: QuestionDraft, answer: JsonValue) -> str | None:
    """Return why the answer does not fit the question, None when it does."""
    match question.answer_type:
        case AnswerType.FREE_TEXT:
            return None if isinstance(answer, str) and answer.strip() else "Expected some text."
        case AnswerType.SINGLE_CHOICE:
            return None if answer in _values(question) else f"Expected one of: {', '.join(_values(question))}."
        case AnswerType.MULTI_CHOICE:
            fits = isinstance(answer, list) and all(each in _values(question) for each in answer)
            return None if fits else f"Expected a list of some of: {', '.join(_values(question))}."
        case AnswerType.YES_NO:
            return None if isinstance(answer, bool) else "Expected true or false."
        case AnswerType.NUMBER:
            is_number = isinstance(answer, int | float) and not isinstance(answer, bool)
            return None if is_number else "Expected a number."
        case AnswerType.DATE:
            return None if _is_date(answer) else "Expected a date as YYYY-MM-DD."
    assert_never(question.answer_type)


def _values(question: QuestionDraft) -> list[str]:
    return [choice.value for choice in question.choices]


def _is_date(answer: JsonValue) -> bool:
    if not isinstance(answer, str):
        return False
    try:
        return date.fromisoformat(answer).isoformat() == answer
    except ValueError:
        return False
