"""What a reply is: a document, questions, or violations. Tools tell; prose is never guessed at."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import assert_never

import jsonschema_rs
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from executions.engine import loose_json
from executions.engine.answers import question_faults
from executions.engine.calls import FinishReason, ModelReply
from executions.engine.clarification import QuestionDraft
from executions.engine.errors import FieldError
from executions.engine.execution import Failure
from executions.engine.states import FailureCode
from executions.engine.values import Same
from workflows.definition import pointer, validator_of
from workflows.faults import UNSTORABLE, storable

SUBMIT_DOCUMENT = "submit_document"
ASK_CLARIFICATION = "ask_clarification"
DOCUMENT = "document"  # argument of submit_document, where its schema does not say what a document is like
MAX_VIOLATIONS = 20
MAX_DEPTH = 64  # levels of nesting


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
    if len(reply.tool_calls) > 1:
        return _violation("", "one_tool", "Call one tool, once.")
    if reply.tool_calls:
        call = reply.tool_calls[0]
        if call.name == SUBMIT_DOCUMENT:
            return _document(_unwrapped(_decoded(call.arguments), schema), schema)
        if call.name == ASK_CLARIFICATION and max_questions > 0:
            return _questions(_decoded(call.arguments), max_questions)
        return _violation("", "unknown_tool", f"There is no tool {call.name!r} here; call {SUBMIT_DOCUMENT}.")
    return _prose(reply.text, schema)


def _prose(text: str, schema: Mapping[str, JsonValue]) -> Outcome:
    """Return what a model has handed in without a tool: the document itself, or the one in its prose that is valid."""
    try:
        whole = loose_json.parse(text)
    except loose_json.NotJson:
        outcomes = (_document(each, schema) for each in loose_json.objects_in(text))
        valid = [outcome for outcome in outcomes if isinstance(outcome, ValidDocument)]
        if len(valid) == 1:
            return valid[0]
    else:
        if isinstance(whole, dict):
            return _document(whole, schema)
    return _violation("", "no_tool", f"Answer by calling {SUBMIT_DOCUMENT}; text alone is not a document.")


def _decoded(value: JsonValue) -> JsonValue:
    """Return a tool's arguments as the value that they are; text that is none, and more than one, stays text."""
    if not isinstance(value, str):
        return value
    try:
        return loose_json.parse(value)
    except loose_json.NotJson:
        found = list(loose_json.objects_in(value))
        return found[0] if len(found) == 1 else value


def _unwrapped(value: JsonValue, schema: Mapping[str, JsonValue]) -> JsonValue:
    """Return the document that stands alone under `document`, as the tool that is the same for all steps has it."""
    known = schema.get("properties")
    if isinstance(value, dict) and list(value) == [DOCUMENT] and not (isinstance(known, dict) and DOCUMENT in known):
        return _decoded(value[DOCUMENT])
    return value


def _document(content: JsonValue, schema: Mapping[str, JsonValue]) -> Outcome:
    if not isinstance(content, dict):
        return _violation("", "type", "The document must be one JSON object.")
    if (flaw := _flaw(content)) is not None:
        return flaw
    found = [
        FieldError(pointer=pointer(*error.instance_path), code=error.kind.name, detail=error.message[:500])
        for error in _validator(Same(schema)).iter_errors(content)
    ]
    if found:
        found.sort(key=lambda error: (error.pointer, error.code, error.detail))
        return Violations(errors=tuple(found[:MAX_VIOLATIONS]))
    return ValidDocument(content=content)


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
def _validator(schema: Same[Mapping[str, JsonValue]]) -> jsonschema_rs.Validator:
    return validator_of(dict(schema.value))


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
    faults = tuple(question_faults(drafts))
    return Violations(errors=faults[:MAX_VIOLATIONS]) if faults else Questions(drafts=drafts)


def _violation(pointer: str, code: str, detail: str) -> Violations:
    return Violations(errors=(FieldError(pointer=pointer, code=code, detail=detail),))
