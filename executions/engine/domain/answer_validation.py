"""Validation of answers against their questions, and of the questions themselves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import date
from math import ceil, floor
from uuid import UUID

from pydantic import JsonValue

from common.errors import FieldError
from common.json_pointer import pointer
from executions.engine.domain.clarification import MAX_NUMBER, MAX_TEXT, AnswerType, Question, QuestionDraft
from executions.engine.domain.errors import InvalidAnswers
from workflows.errors import UNSTORABLE

#: Values that count as no answer: the question's default replaces them.
EMPTY_ANSWERS: tuple[JsonValue, ...] = (None, "", [])

#: The fields of the lower and the upper bound by answer type.
_BOUNDS: dict[AnswerType, tuple[str, str]] = {
    AnswerType.FREE_TEXT: ("min_length", "max_length"),
    AnswerType.MULTI_CHOICE: ("min_choices", "max_choices"),
    AnswerType.NUMBER: ("minimum", "maximum"),
    AnswerType.DATE: ("earliest", "latest"),
}
_CHOICES = frozenset({AnswerType.SINGLE_CHOICE, AnswerType.MULTI_CHOICE})


def check_answers(
    questions: tuple[Question, ...], answers: Mapping[str, JsonValue], *, files: Collection[UUID] | None = None
) -> dict[str, JsonValue]:
    """Return the answers by question id; the question's default replaces a missing answer.

    A key may be the question's id or its text. If a question is answered under both, the answer under the id counts.
    The choices of a multi_choice answer are returned in the order in which they were offered, a file's id in its
    canonical form.

    Args:
        questions: The questions.
        answers: By question id or text.
        files: Files that may be answers. None: any id is valid.

    Raises:
        InvalidAnswers: with a pointer (`/answers/<key>`) for every answer that does not fit.
    """
    known = keys_of_questions(questions)
    errors = [
        _error(key, "unknown_question", "No open question has this id or text.") for key in answers if key not in known
    ]
    checked: dict[str, JsonValue] = {}
    for question in questions:
        key = _key_of(question, answers, known)
        answer = question.default if answers.get(key) in EMPTY_ANSWERS else answers[key]
        if answer in EMPTY_ANSWERS:
            if question.required:
                errors.append(_error(question.id, "required", "This question needs an answer."))
        elif detail := validation_error(question, answer):
            errors.append(_error(key, "wrong_answer", detail))
        elif question.answer_type is AnswerType.FILE and files is not None and file_id(answer) not in files:
            errors.append(_error(key, "unknown_file", "There is no such file that you can use in this scope."))
        else:
            checked[question.id] = _normalized(question, answer)
    if errors:
        raise InvalidAnswers("Some answers do not fit their questions; the questions stay open.", errors)
    return checked


def named_files(questions: tuple[Question, ...], answers: Mapping[str, JsonValue]) -> dict[str, UUID]:
    """Return the ids in answers to questions that ask for files, by the key of the answer."""
    known = keys_of_questions(questions)
    keys = [_key_of(each, answers, known) for each in questions if each.answer_type is AnswerType.FILE]
    return {key: found for key in keys if (found := file_id(answers.get(key))) is not None}


def file_id(answer: JsonValue) -> UUID | None:
    """Return the id that an answer names; None: it is no id."""
    try:
        return UUID(answer if isinstance(answer, str) else "")
    except ValueError:
        return None


def _key_of(question: Question, answers: Mapping[str, JsonValue], known: Mapping[str, str]) -> str:
    """Return the key under which a question is answered, or would be."""
    by_text = question.text if known[question.text] == question.id else question.id
    return question.id if question.id in answers else by_text


def _normalized(question: Question, answer: JsonValue) -> JsonValue:
    if isinstance(answer, list):
        return [each for each in question.values if each in answer]
    return str(file_id(answer)) if question.answer_type is AnswerType.FILE else answer


def keys_of_questions(questions: tuple[Question, ...]) -> dict[str, str]:
    """Return the question ids by id and by text; an id takes precedence over an equal text."""
    return {question.text: question.id for question in questions} | {question.id: question.id for question in questions}


def _error(key: str, code: str, detail: str) -> FieldError:
    return FieldError(pointer=pointer("answers", key), code=code, detail=detail)


def validation_error(question: QuestionDraft, answer: JsonValue) -> str | None:
    """Return why the answer is not valid for the question, None when it is valid."""
    return _VALIDATORS[question.answer_type](question, answer)


def _text_error(question: QuestionDraft, answer: JsonValue) -> str | None:
    if not isinstance(answer, str) or not answer.strip():
        return "Expected some text."
    if UNSTORABLE.search(answer):
        return "Expected text without U+0000 and without unpaired surrogates."
    minimum, maximum = question.min_length or 1, question.max_length or MAX_TEXT
    if minimum <= len(answer) <= maximum:
        return None
    return f"Expected {_range(minimum if minimum > 1 else None, maximum)} characters; got {len(answer)}."


def _choice_error(question: QuestionDraft, answer: JsonValue) -> str | None:
    return None if answer in question.values else f"Expected one of: {', '.join(question.values)}."


def _choices_error(question: QuestionDraft, answer: JsonValue) -> str | None:
    if not isinstance(answer, list) or not all(value in question.values for value in answer):
        return f"Expected a list of values out of: {', '.join(question.values)}."
    if any(answer.count(each) > 1 for each in answer):
        return "Expected each choice at most once."
    minimum, maximum = question.min_choices or 1, question.max_choices or len(question.values)
    if minimum <= len(answer) <= maximum:
        return None
    return f"Expected {_range(question.min_choices, question.max_choices)} of the choices; got {len(answer)}."


def _yes_no_error(_question: QuestionDraft, answer: JsonValue) -> str | None:
    return None if isinstance(answer, bool) else "Expected true or false."


def _number_error(question: QuestionDraft, answer: JsonValue) -> str | None:
    expected = "a whole number" if question.integer else "a number"
    if isinstance(answer, bool) or not isinstance(answer, int | float):
        return f"Expected {expected}."
    if not abs(answer) <= MAX_NUMBER:  # also rejects NaN
        return f"Expected {expected} from {-MAX_NUMBER} to {MAX_NUMBER}."
    if question.integer and answer != int(answer):
        return "Expected a whole number."
    minimum, maximum = question.minimum, question.maximum
    if (minimum is None or minimum <= answer) and (maximum is None or answer <= maximum):
        return None
    return f"Expected {expected}: {_range(minimum, maximum)}."


def _date_error(question: QuestionDraft, answer: JsonValue) -> str | None:
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


def _file_error(_question: QuestionDraft, answer: JsonValue) -> str | None:
    return None if file_id(answer) is not None else "Expected the id of an uploaded file."


def _range(minimum: object, maximum: object) -> str:
    """Return the bounds in words; at least one is not None."""
    if minimum is None:
        return f"at most {maximum}"
    return f"at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"


_VALIDATORS: dict[AnswerType, Callable[[QuestionDraft, JsonValue], str | None]] = {
    AnswerType.FREE_TEXT: _text_error,
    AnswerType.SINGLE_CHOICE: _choice_error,
    AnswerType.MULTI_CHOICE: _choices_error,
    AnswerType.YES_NO: _yes_no_error,
    AnswerType.NUMBER: _number_error,
    AnswerType.DATE: _date_error,
    AnswerType.FILE: _file_error,
}


def question_errors(drafts: tuple[QuestionDraft, ...]) -> Iterator[FieldError]:
    """Yield the errors of questions that cannot be answered, with pointers (`/questions/<n>/…`)."""
    texts: set[str] = set()
    for index, draft in enumerate(drafts):
        path = pointer("questions", index)
        if draft.text in texts:
            yield FieldError(pointer=f"{path}/text", code="repeated", detail="Each question needs a text of its own.")
        elif not draft.text.strip():
            yield FieldError(pointer=f"{path}/text", code="blank", detail="The text of a question must not be blank.")
        texts.add(draft.text)
        errors = [*_choice_errors(draft), *_bound_errors(draft)]
        if draft.answer_type is AnswerType.FILE and draft.default not in EMPTY_ANSWERS:
            errors.append(FieldError(pointer="/default", code="default", detail="A file question has no default."))
        if not errors and draft.default not in EMPTY_ANSWERS and (detail := validation_error(draft, draft.default)):
            errors = [FieldError(pointer="/default", code="default", detail=detail)]
        yield from (error.model_copy(update={"pointer": f"{path}{error.pointer}"}) for error in errors)


def _choice_errors(draft: QuestionDraft) -> Iterator[FieldError]:
    if draft.answer_type not in _CHOICES:
        if draft.choices:
            detail = f"A {draft.answer_type} question has no choices; ask for a single_choice or a multi_choice."
            yield FieldError(pointer="/choices", code="choices", detail=detail)
        return
    if len(draft.values) < 2:
        yield FieldError(pointer="/choices", code="choices", detail="Give at least two different choices.")
    for number, choice in enumerate(draft.choices):
        if choice.value in (before.value for before in draft.choices[:number]):
            yield FieldError(
                pointer=f"/choices/{number}/value", code="repeated", detail="Each choice needs its own value."
            )


def _bound_errors(draft: QuestionDraft) -> Iterator[FieldError]:
    own_bounds = _BOUNDS.get(draft.answer_type, ())
    for of_type, names in _BOUNDS.items():
        for name in names:
            if name not in own_bounds and getattr(draft, name) is not None:
                yield FieldError(pointer=f"/{name}", code="bound", detail=f"Only {of_type} questions have this bound.")
    if draft.integer and draft.answer_type is not AnswerType.NUMBER:
        yield FieldError(pointer="/integer", code="bound", detail="Only number questions have this bound.")
    for name in own_bounds:
        bound = getattr(draft, name)
        if isinstance(bound, int | float) and not abs(bound) <= MAX_NUMBER:
            detail = f"Expected a number from {-MAX_NUMBER} to {MAX_NUMBER}."
            yield FieldError(pointer=f"/{name}", code="bound", detail=detail)
            return
    if own_bounds and not _is_satisfiable(draft, *(getattr(draft, name) for name in own_bounds)):
        detail = f"No answer satisfies both this bound and {own_bounds[1]}."
        yield FieldError(pointer=f"/{own_bounds[0]}", code="bound", detail=detail)


def _is_satisfiable(draft: QuestionDraft, minimum: float | None, maximum: float | None) -> bool:
    """Return whether an answer within the bounds exists. The bounds may be dates."""
    if draft.answer_type is AnswerType.MULTI_CHOICE:
        maximum = min(maximum or len(draft.values), len(draft.values))
    if minimum is None or maximum is None:
        return True
    whole = draft.integer and draft.answer_type is AnswerType.NUMBER
    return ceil(minimum) <= floor(maximum) if whole else minimum <= maximum
