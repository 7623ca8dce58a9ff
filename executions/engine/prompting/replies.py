"""Classification of replies: a document, questions or violations. The parser never guesses from prose."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import assert_never

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from common.errors import FieldError
from common.json_pointer import pointer
from executions.engine.domain.answer_validation import question_errors
from executions.engine.domain.calls import FinishReason, ModelReply, ToolCall
from executions.engine.domain.clarification import QuestionDraft
from executions.engine.domain.copying import IdentityKey
from executions.engine.domain.execution import Failure
from executions.engine.domain.states import FailureCode
from executions.engine.prompting import lenient_json
from executions.engine.prompting.schema_errors import validator_for
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
from workflows.errors import UNSTORABLE, storable

MAX_VIOLATIONS = 20
MAX_DEPTH = 64  # levels of nesting
_HAND_IN = "Hand in the document as your rules say."  # the rules name the tool, if there is one
_CANONICAL = json.JSONEncoder(sort_keys=True, ensure_ascii=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidDocument:
    """A document that is valid against its schema."""

    content: dict[str, JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """Questions that the model asks before it writes."""

    drafts: tuple[QuestionDraft, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Violations:
    """The errors of the output, at most `MAX_VIOLATIONS`."""

    errors: tuple[FieldError, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """A reply that a correction would not repair."""

    failure: Failure


Outcome = ValidDocument | Questions | Violations | Unusable


class _Clarification(BaseModel):
    model_config = ConfigDict(extra="forbid")

    questions: tuple[QuestionDraft, ...]


@cache
def ask_schema() -> dict[str, JsonValue]:
    """Return the JSON Schema of the `ask_clarification` tool. The prompt limits the number of questions."""
    schema: dict[str, JsonValue] = _Clarification.model_json_schema()
    schema["properties"]["questions"] |= {"minItems": 1}  # type: ignore[index,call-overload,operator]
    return schema


def parse_reply(reply: ModelReply, *, schema: Mapping[str, JsonValue], max_questions: int) -> Outcome:
    """Classify a reply.

    Args:
        reply: The model's reply.
        schema: JSON Schema of the document.
        max_questions: Limit per round; 0: the step may not ask questions.
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
        return _from_text(reply.text, schema, max_questions)
    outcomes = [_from_tool_call(call, schema, max_questions) for call in reply.tool_calls]
    if all(_is_same(outcome, outcomes[0]) for outcome in outcomes[1:]):
        return outcomes[0]
    return _violation("", "one_tool", f"Hand in one document, once: there were {len(outcomes)} different calls.")


def _from_tool_call(call: ToolCall, schema: Mapping[str, JsonValue], max_questions: int) -> Outcome:
    """Classify one tool call."""
    tool = match_tool(call.name)
    try:
        arguments = decode_arguments(call.arguments)
    except lenient_json.InvalidJson as error:
        return _not_json(error)
    if is_unnamed(call.name):
        tool = (
            ASK_CLARIFICATION
            if max_questions and clarification_arguments(arguments, schema) is not None
            else SUBMIT_DOCUMENT
        )
    if tool == SUBMIT_DOCUMENT:
        return _document_outcome(arguments, schema)
    if tool == ASK_CLARIFICATION and max_questions > 0:
        return _questions(arguments, max_questions)
    return _violation("", "unknown_tool", f"There is no tool {call.name[:100]!r} here. {_HAND_IN}")


def _is_same(outcome: Outcome, other: Outcome) -> bool:
    """Return whether both calls hand in exactly the same document."""
    if not isinstance(outcome, ValidDocument) or not isinstance(other, ValidDocument):
        return False
    return _CANONICAL.encode(outcome.content) == _CANONICAL.encode(other.content)


def _from_text(text: str, schema: Mapping[str, JsonValue], max_questions: int) -> Outcome:
    """Classify a reply without tool calls: the whole text, or the single usable object in its prose."""
    try:
        whole = lenient_json.parse(text)
    except lenient_json.InvalidJson:
        return _from_prose(text, schema, max_questions)
    return _from_value(whole, schema, max_questions)


def _from_prose(text: str, schema: Mapping[str, JsonValue], max_questions: int) -> Outcome:
    """Classify the single usable object in a text. An object before the last one may be an example."""
    try:
        outcomes = [_from_value(value, schema, max_questions) for value in lenient_json.find_objects(text)]
    except lenient_json.InvalidJson as error:
        reason = f"an object in it is no JSON, and another stands before it: {error}"
        return _violation("", "no_document", f"The answer is no document: {reason}. {_HAND_IN}")
    useful = [outcome for outcome in outcomes if isinstance(outcome, ValidDocument | Questions)]
    if len(outcomes) == 1 or (len(useful) == 1 and outcomes[-1] is useful[0]):
        return outcomes[-1]
    return _violation("", "no_document", f"The answer is no document: {lenient_json.explain_invalid(text)}. {_HAND_IN}")


def _from_value(value: JsonValue, schema: Mapping[str, JsonValue], max_questions: int) -> Outcome:
    """Classify a JSON value from a reply without tool calls."""
    arguments = clarification_arguments(value, schema)
    if arguments is None:
        return _document_outcome(value, schema)
    if max_questions > 0:
        return _questions(arguments, max_questions)
    return _violation("", "questions", f"No questions can be asked in this step. {_HAND_IN}")


def _document_outcome(value: JsonValue, schema: Mapping[str, JsonValue]) -> Outcome:
    """Classify a document that may be wrapped in an object with a single key.

    The key is a field of the document if the schema has a field of that name. If only one reading is valid, it counts.
    """
    if (violations := _unstorable(value)) is not None:
        return violations
    if (wrapper := unwrap_document(value)) is None:
        return _validated(value, schema)
    key, inner = wrapper
    try:
        inner_outcome = _document_outcome(decode_arguments(inner), schema)
    except lenient_json.InvalidJson as error:
        inner_outcome = _not_json(error)
    outer_outcome = _validated(value, schema)
    first, second = (outer_outcome, inner_outcome) if key in field_names(schema) else (inner_outcome, outer_outcome)
    return second if isinstance(second, ValidDocument) and not isinstance(first, ValidDocument) else first


def _not_json(error: lenient_json.InvalidJson) -> Violations:
    return _violation("", "json", f"The document must be one JSON object, and this is no JSON: {error}")


def _validated(content: JsonValue, schema: Mapping[str, JsonValue]) -> Outcome:
    if not isinstance(content, dict):
        return _violation("", "type", f"The document must be one JSON object. {_HAND_IN}")
    found = validator_for(IdentityKey(schema)).faults(content, MAX_VIOLATIONS)
    return Violations(errors=tuple(found)) if found else ValidDocument(content=content)


def _unstorable(value: JsonValue) -> Violations | None:
    """Return why a value cannot be stored as JSON, None if it can."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            return _violation("", "nesting", f"The arguments must not be nested deeper than {MAX_DEPTH} levels.")
        if any(isinstance(item, str) and UNSTORABLE.search(item) for item in level):
            return _violation("", "characters", "The arguments must not contain U+0000 or unpaired surrogates.")
        if any(isinstance(item, float) and not math.isfinite(item) for item in level):
            return _violation("", "number", "The arguments must not contain infinite numbers or NaN.")
        level = [inner for item in level for inner in _children(item)]
    return None


def _children(value: JsonValue) -> Iterator[JsonValue]:
    if isinstance(value, dict):
        yield from value
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _questions(arguments: JsonValue, max_questions: int) -> Outcome:
    if (violations := _unstorable(arguments)) is not None:
        return violations
    try:
        drafts = _Clarification.model_validate_json(json.dumps(arguments), strict=True).questions
    except ValidationError as error:
        errors = [
            FieldError(pointer=pointer(*item["loc"]), code=item["type"], detail=item["msg"]) for item in error.errors()
        ]
        return Violations(errors=tuple(errors[:MAX_VIOLATIONS]))
    if not 1 <= len(drafts) <= max_questions:
        return _violation("/questions", "count", f"Ask 1 to {max_questions} questions at once.")
    found = tuple(question_errors(drafts))
    return Violations(errors=found[:MAX_VIOLATIONS]) if found else Questions(drafts=drafts)


def _violation(pointer: str, code: str, detail: str) -> Violations:
    return Violations(errors=(FieldError(pointer=pointer, code=code, detail=detail),))
