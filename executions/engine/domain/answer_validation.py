"""Whether answers fit their questions, and whether questions can be answered at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from math import ceil, floor

from pydantic import JsonValue

from common.field_error import FieldError
from executions.engine.domain.clarification import MAX_NUMBER, MAX_TEXT, AnswerType, Question, QuestionDraft
from executions.engine.domain.errors import InvalidAnswers
from workflows.definitions.definition import pointer
from workflows.errors import UNSTORABLE

#: What counts as no answer: the default stands in for it.
EMPTY_ANSWERS: tuple[JsonValue, ...] = (None, "", [])

#: The bounds that a type of answer may have, the lower one and the upper one.
_BOUNDS: dict[AnswerType, tuple[str, str]] = {
    AnswerType.FREE_TEXT: ("min_length", "max_length"),
    AnswerType.MULTI_CHOICE: ("min_choices", "max_choices"),
    AnswerType.NUMBER: ("minimum", "maximum"),
    AnswerType.DATE: ("earliest", "latest"),
}
_CHOICES = frozenset({AnswerType.SINGLE_CHOICE, AnswerType.MULTI_CHOICE})


def check_answers(questions: tuple[Question, ...], answers: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the answers by question id, with defaults filled in where nothing was said.

    A key may be the question's id or its text; of a question answered both ways the id wins. Several choices come back
    in the order in which they were offered.

    Raises:
        InvalidAnswers: with a pointer (`/answers/<key>`) for every answer that does not fit.
    """
    known = keys_of_questions(questions)
    errors = [
        _error(key, "unknown_question", "No open question has this id or text.") for key in answers if key not in known
    ]
    checked: dict[str, JsonValue] = {}
    for question in questions:
        by_text = question.text if known[question.text] == question.id else question.id
        key = question.id if question.id in answers else by_text
        answer = question.default if answers.get(key) in EMPTY_ANSWERS else answers[key]
        if answer in EMPTY_ANSWERS:
            if question.required:
                errors.append(_error(question.id, "required", "This question needs an answer."))
        elif detail := validation_error(question, answer):
            errors.append(_error(key, "wrong_answer", detail))
        else:
            is_list = isinstance(answer, list)
            checked[question.id] = [each for each in question.values if each in answer] if is_list else answer  # type: ignore[operator]
    if errors:
        raise InvalidAnswers("Some answers do not fit their questions; the questions stay open.", errors)
    return checked


def keys_of_questions(questions: tuple[Question, ...]) -> dict[str, str]:
    """Return the id of each question by what names it: its text, and its id, which comes first."""
    return {question.text: question.id for question in questions} | {question.id: question.id for question in questions}


def _error(key: str, code: str, detail: str) -> FieldError:
    return FieldError(pointer=pointer("answers", key), code=code, detail=detail)


def validation_error(question: QuestionDraft, answer: JsonValue) -> str | None:
    """Return why the answer does not fit the question, None when it does."""
    return _MISFITS[question.answer_type](question, answer)


def _text_misfit(question: QuestionDraft, answer: JsonValue) -> str | None:
    if not isinstance(answer, str) or not answer.strip():
        return "Expected some text."
    if UNSTORABLE.search(answer):
        return "Expected text without U+0000 and halves of surrogate pairs."
    least, most = question.min_length or 1, question.max_length or MAX_TEXT
    if least <= len(answer) <= most:
        return None
    return f"Expected {_range(least if least > 1 else None, most)} characters; these are {len(answer)}."


def _choice_misfit(question: QuestionDraft, answer: JsonValue) -> str | None:
    return None if answer in question.values else f"Expected one of: {', '.join(question.values)}."


def _choices_misfit(question: QuestionDraft, answer: JsonValue) -> str | None:
    if not isinstance(answer, list) or not all(each in question.values for each in answer):
        return f"Expected a list of some of: {', '.join(question.values)}."
    if any(answer.count(each) > 1 for each in answer):
        return "Expected each choice once."
    least, most = question.min_choices or 1, question.max_choices or len(question.values)
    if least <= len(answer) <= most:
        return None
    return f"Expected {_range(question.min_choices, question.max_choices)} of the choices; these are {len(answer)}."


def _truth_misfit(_question: QuestionDraft, answer: JsonValue) -> str | None:
    return None if isinstance(answer, bool) else "Expected true or false."


def _number_misfit(question: QuestionDraft, answer: JsonValue) -> str | None:
    what = "a whole number" if question.integer else "a number"
    if isinstance(answer, bool) or not isinstance(answer, int | float):
        return f"Expected {what}."
    if not abs(answer) <= MAX_NUMBER:  # nor is NaN
        return f"Expected {what} from {-MAX_NUMBER} to {MAX_NUMBER}."
    if question.integer and answer != int(answer):
        return "Expected a whole number."
    least, most = question.minimum, question.maximum
    if (least is None or least <= answer) and (most is None or answer <= most):
        return None
    return f"Expected {what}: {_range(least, most)}."


def _date_misfit(question: QuestionDraft, answer: JsonValue) -> str | None:
    day = _date(answer)
    if day is None:
        return "Expected a date as YYYY-MM-DD."
    first, last = question.earliest, question.latest
    if (first is None or first <= day) and (last is None or day <= last):
        return None
    return f"Expected a date: {_range(first, last)}."


def _date(answer: JsonValue) -> date | None:
    if not isinstance(answer, str):
        return None
    try:
        day = date.fromisoformat(answer)
    except ValueError:
        return None
    return day if day.isoformat() == answer else None


def _range(least: object, most: object) -> str:
    """Return bounds in words; one of them is there."""
    if least is None:
        return f"at most {most}"
    return f"at least {least}" if most is None else f"from {least} to {most}"


_MISFITS: dict[AnswerType, Callable[[QuestionDraft, JsonValue], str | None]] = {
    AnswerType.FREE_TEXT: _text_misfit,
    AnswerType.SINGLE_CHOICE: _choice_misfit,
    AnswerType.MULTI_CHOICE: _choices_misfit,
    AnswerType.YES_NO: _truth_misfit,
    AnswerType.NUMBER: _number_misfit,
    AnswerType.DATE: _date_misfit,
}


def question_errors(drafts: tuple[QuestionDraft, ...]) -> Iterator[FieldError]:
    """Tell why nobody could answer some of the questions, with pointers (`/questions/<n>/…`)."""
    texts: set[str] = set()
    for index, draft in enumerate(drafts):
        where = pointer("questions", index)
        if draft.text in texts:
            yield FieldError(pointer=f"{where}/text", code="repeated", detail="Ask each thing once.")
        elif not draft.text.strip():
            yield FieldError(pointer=f"{where}/text", code="blank", detail="Ask in words.")
        texts.add(draft.text)
        faults = [*_choice_faults(draft), *_bound_faults(draft)]
        if not faults and draft.default not in EMPTY_ANSWERS and (detail := validation_error(draft, draft.default)):
            faults = [FieldError(pointer="/default", code="default", detail=detail)]
        yield from (each.model_copy(update={"pointer": f"{where}{each.pointer}"}) for each in faults)


def _choice_faults(draft: QuestionDraft) -> Iterator[FieldError]:
    if draft.answer_type not in _CHOICES:
        if draft.choices:
            detail = f"A {draft.answer_type} question has no choices; ask for a single_choice or a multi_choice."
            yield FieldError(pointer="/choices", code="choices", detail=detail)
        return
    if len(draft.values) < 2:
        yield FieldError(pointer="/choices", code="choices", detail="Give at least two different choices.")
    for number, choice in enumerate(draft.choices):
        if choice.value in (before.value for before in draft.choices[:number]):
            yield FieldError(pointer=f"/choices/{number}/value", code="repeated", detail="Offer each value once.")


def _bound_faults(draft: QuestionDraft) -> Iterator[FieldError]:
    mine = _BOUNDS.get(draft.answer_type, ())
    for of_type, names in _BOUNDS.items():
        for name in names:
            if name not in mine and getattr(draft, name) is not None:
                yield FieldError(pointer=f"/{name}", code="bound", detail=f"This is for {of_type} questions only.")
    if draft.integer and draft.answer_type is not AnswerType.NUMBER:
        yield FieldError(pointer="/integer", code="bound", detail="This is for number questions only.")
    for name in mine:
        bound = getattr(draft, name)
        if isinstance(bound, int | float) and not abs(bound) <= MAX_NUMBER:
            detail = f"Expected a number from {-MAX_NUMBER} to {MAX_NUMBER}."
            yield FieldError(pointer=f"/{name}", code="bound", detail=detail)
            return
    if mine and not _leaves_room(draft, *(getattr(draft, name) for name in mine)):
        yield FieldError(pointer=f"/{mine[0]}", code="bound", detail=f"With this and {mine[1]} no answer is possible.")


def _leaves_room(draft: QuestionDraft, least: float | None, most: float | None) -> bool:
    """Whether there is an answer within the bounds (which may be dates, too)."""
    if draft.answer_type is AnswerType.MULTI_CHOICE:
        most = min(most or len(draft.values), len(draft.values))
    if least is None or most is None:
        return True
    whole = draft.integer and draft.answer_type is AnswerType.NUMBER
    return ceil(least) <= floor(most) if whole else least <= most
