"""What a reply is: a document, questions, or violations. Prose is never guessed at."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import assert_never

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from common.field_error import FieldError
from executions.engine.domain.answer_validation import question_errors
from executions.engine.domain.calls import FinishReason, ModelReply, ToolCall
from executions.engine.domain.clarification import QuestionDraft
from executions.engine.domain.copying import IdentityKey
from executions.engine.domain.execution import Failure
from executions.engine.domain.states import FailureCode
from executions.engine.prompting import lenient_json
from executions.engine.prompting.schema_errors import DocumentValidator
from executions.engine.prompting.submissions import ASK_CLARIFICATION as ASK_CLARIFICATION
from executions.engine.prompting.submissions import DOCUMENT as DOCUMENT
from executions.engine.prompting.submissions import SUBMIT_DOCUMENT as SUBMIT_DOCUMENT
from executions.engine.prompting.submissions import (
    clarification_arguments,
    decode_arguments,
    field_names,
    is_unnamed,
    match_tool,
    unwrap_document,
)
from workflows.definitions.definition import pointer
from workflows.errors import UNSTORABLE, storable

MAX_VIOLATIONS = 20
MAX_DEPTH = 64  # levels of nesting
_HAND_IN = "Hand in the document as your rules say."  # these name a tool where there is one
_CANONICAL = json.JSONEncoder(sort_keys=True, ensure_ascii=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidDocument:
    """A document that is valid against its schema."""

    content: dict[str, JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """The model needs to know something first."""

    drafts: tuple[QuestionDraft, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Violations:
    """Everything that is wrong with the output, at most `MAX_VIOLATIONS` of it."""

    errors: tuple[FieldError, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """A reply that trying to repair would not help."""

    failure: Failure


Outcome = ValidDocument | Questions | Violations | Unusable


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    questions: tuple[QuestionDraft, ...]


@cache
def ask_schema() -> dict[str, JsonValue]:
    """Return the JSON Schema of the `ask_clarification` tool; how many questions a step may ask, its prompt says."""
    schema: dict[str, JsonValue] = _Asked.model_json_schema()
    schema["properties"]["questions"] |= {"minItems": 1}  # type: ignore[index,call-overload,operator]
    return schema


def parse_reply(reply: ModelReply, *, schema: Mapping[str, JsonValue], max_questions: int) -> Outcome:
    """Return what the reply is.

    Args:
        reply: As the model gave it.
        schema: JSON Schema of the document.
        max_questions: In one round; 0: the step may not ask.
    """
    match reply.finish_reason:
        case FinishReason.REFUSED:
            message = storable(reply.text[:500]) or "The model refused the task."
            return Unusable(failure=Failure(code=FailureCode.MODEL_REFUSED, message=message))
        case FinishReason.TRUNCATED:
            message = (
                "The output was cut off, at the step's max_output_tokens or where the model's context window ends: "
                "raise the one, lower input_token_budget for the other, or ask for less."
            )
            return Unusable(failure=Failure(code=FailureCode.OUTPUT_TRUNCATED, message=message))
        case FinishReason.STOP:
            return _parse(reply, schema, max_questions)
    assert_never(reply.finish_reason)


def _parse(reply: ModelReply, schema: Mapping[str, JsonValue], max_questions: int) -> Outcome:
    if not reply.tool_calls:
        return _text(reply.text, schema, max_questions)
    outcomes = [_called(call, schema, max_questions) for call in reply.tool_calls]
    if all(_is_same(outcome, outcomes[0]) for outcome in outcomes[1:]):
        return outcomes[0]
    return _violation("", "one_tool", f"Hand in one document, once: these are {len(outcomes)} different calls.")


def _called(call: ToolCall, schema: Mapping[str, JsonValue], max_questions: int) -> Outcome:
    """Return what one call of a tool is."""
    tool = match_tool(call.name)
    try:
        arguments = decode_arguments(call.arguments)
    except lenient_json.InvalidJson as error:
        return _no_json(error)
    if is_unnamed(call.name):
        tool = (
            ASK_CLARIFICATION
            if max_questions and clarification_arguments(arguments, schema) is not None
            else SUBMIT_DOCUMENT
        )
    if tool == SUBMIT_DOCUMENT:
        return _document(arguments, schema)
    if tool == ASK_CLARIFICATION and max_questions > 0:
        return _questions(arguments, max_questions)
    return _violation("", "unknown_tool", f"There is no tool {call.name[:100]!r} here. {_HAND_IN}")


def _is_same(outcome: Outcome, other: Outcome) -> bool:
    """Whether a second call hands in the same document as the first, to the last digit and letter."""
    if not isinstance(outcome, ValidDocument) or not isinstance(other, ValidDocument):
        return False
    return _CANONICAL.encode(outcome.content) == _CANONICAL.encode(other.content)


def _text(text: str, schema: Mapping[str, JsonValue], max_questions: int) -> Outcome:
    """Return what an answer without tools is: the whole of it, or the one object in its prose that is something."""
    try:
        whole = lenient_json.parse(text)
    except lenient_json.InvalidJson:
        return _amid_prose(text, schema, max_questions)
    return _written(whole, schema, max_questions)


def _amid_prose(text: str, schema: Mapping[str, JsonValue], max_questions: int) -> Outcome:
    """Return what the one object in a text is that is something. What stands before an object may be an example."""
    try:
        outcomes = [_written(each, schema, max_questions) for each in lenient_json.find_objects(text)]
    except lenient_json.InvalidJson as error:
        why = f"an object in it is no JSON, and another stands before it: {error}"
        return _violation("", "no_document", f"The answer is no document: {why}. {_HAND_IN}")
    useful = [outcome for outcome in outcomes if isinstance(outcome, ValidDocument | Questions)]
    if len(outcomes) == 1 or (len(useful) == 1 and outcomes[-1] is useful[0]):
        return outcomes[-1]
    return _violation("", "no_document", f"The answer is no document: {lenient_json.explain_invalid(text)}. {_HAND_IN}")


def _written(value: JsonValue, schema: Mapping[str, JsonValue], max_questions: int) -> Outcome:
    """Return what a JSON value in an answer without tools is."""
    arguments = clarification_arguments(value, schema)
    if arguments is None:
        return _document(value, schema)
    if max_questions > 0:
        return _questions(arguments, max_questions)
    return _violation("", "questions", f"No questions can be asked in this step. {_HAND_IN}")


def _document(value: JsonValue, schema: Mapping[str, JsonValue]) -> Outcome:
    """Return what a document is that may stand under a key of its own.

    The key belongs to the document where its schema has a field of that name. In doubt the valid reading counts.
    """
    if (flaw := _flaw(value)) is not None:
        return flaw
    if (found := unwrap_document(value)) is None:
        return _checked(value, schema)
    key, inner = found
    try:
        inside = _document(decode_arguments(inner), schema)
    except lenient_json.InvalidJson as error:
        inside = _no_json(error)
    whole = _checked(value, schema)
    first, second = (whole, inside) if key in field_names(schema) else (inside, whole)
    return second if isinstance(second, ValidDocument) and not isinstance(first, ValidDocument) else first


def _no_json(error: lenient_json.InvalidJson) -> Violations:
    return _violation("", "json", f"The document must be one JSON object, and this is no JSON: {error}")


def _checked(content: JsonValue, schema: Mapping[str, JsonValue]) -> Outcome:
    if not isinstance(content, dict):
        return _violation("", "type", f"The document must be one JSON object. {_HAND_IN}")
    found = _validator(IdentityKey(schema)).errors(content, MAX_VIOLATIONS)
    return Violations(errors=tuple(found)) if found else ValidDocument(content=content)


def _flaw(value: JsonValue) -> Violations | None:
    """Return what keeps a value from being stored as JSON, None when nothing does."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            return _violation("", "nesting", f"The arguments must not be nested deeper than {MAX_DEPTH} levels.")
        if any(isinstance(each, str) and UNSTORABLE.search(each) for each in level):
            return _violation("", "characters", "The arguments must not contain U+0000 or halves of surrogate pairs.")
        if any(isinstance(each, float) and not math.isfinite(each) for each in level):
            return _violation("", "number", "The arguments must not contain infinite numbers or NaN.")
        level = [inner for each in level for inner in _inside(each)]
    return None


def _inside(value: JsonValue) -> Iterator[JsonValue]:
    if isinstance(value, dict):
        yield from value
        yield from value.values()
    elif isinstance(value, list):
        yield from value


@lru_cache(maxsize=1_000)
def _validator(schema: IdentityKey[Mapping[str, JsonValue]]) -> DocumentValidator:
    return DocumentValidator(schema.value)


def _questions(arguments: JsonValue, max_questions: int) -> Outcome:
    if (flaw := _flaw(arguments)) is not None:
        return flaw
    try:
        drafts = _Asked.model_validate_json(json.dumps(arguments), strict=True).questions
    except ValidationError as error:
        errors = [
            FieldError(pointer=pointer(*each["loc"]), code=each["type"], detail=each["msg"]) for each in error.errors()
        ]
        return Violations(errors=tuple(errors[:MAX_VIOLATIONS]))
    if not 1 <= len(drafts) <= max_questions:
        return _violation("/questions", "count", f"Ask 1 to {max_questions} questions at once.")
    faults = tuple(question_errors(drafts))
    return Violations(errors=faults[:MAX_VIOLATIONS]) if faults else Questions(drafts=drafts)


def _violation(pointer: str, code: str, detail: str) -> Violations:
    return Violations(errors=(FieldError(pointer=pointer, code=code, detail=detail),))
