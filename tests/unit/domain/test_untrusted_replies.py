"""Replies that cannot be stored, shown or answered, sent by a model by mistake or on purpose."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from executions.engine.domain.calls import FinishReason, ModelReply, ToolCall
from executions.engine.domain.states import ExecutionStatus, FailureCode
from executions.engine.prompting.replies import (
    MAX_DEPTH,
    MAX_VIOLATIONS,
    Questions,
    Unusable,
    ValidDocument,
    Violations,
    parse_reply,
)
from tests.factories.engine import SCHEMA, World, document, question, reply
from workflows.definitions.definition import DefinitionError
from workflows.definitions.parser import parse_definition
from workflows.errors import storable

OPEN = {"type": "object"}  # a schema that lets everything through
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)) | st.just("\0"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec=None)), inner, max_size=3),
    max_leaves=8,
)


def submitted(content: JsonValue, schema: dict[str, Any] = OPEN) -> object:
    """Return what handing this in is taken for."""
    handed_in = reply(ToolCall.model_construct(name="submit_document", arguments=content))
    return parse_reply(handed_in, schema=schema, max_questions=0)


def pointers(outcome: object) -> list[tuple[str, str]]:
    """Return where and how something is wrong."""
    assert isinstance(outcome, Violations)
    return [(error.pointer, error.code) for error in outcome.errors]


def nested(levels: int) -> JsonValue:
    """Return an object in an object in an object, and so on."""
    value: JsonValue = "inside"
    for _ in range(levels):
        value = {"a": value}
    return value


@given(content=st.dictionaries(st.text(), ANYTHING, max_size=4))
def test_what_passes_can_be_stored_whatever_the_schema_allows(content: dict[str, Any]) -> None:
    outcome = submitted(content)
    if isinstance(outcome, ValidDocument):
        written = json.dumps(outcome.content, allow_nan=False, ensure_ascii=False).encode()
        assert b"\\u0000" not in written


@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 5_000])
def test_what_is_nested_too_deep_is_sent_back(levels: int) -> None:
    assert pointers(submitted(nested(levels))) == [("", "nesting")]
    assert isinstance(submitted(nested(MAX_DEPTH - 1)), ValidDocument)


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
def test_what_is_no_number_of_json_is_sent_back(number: float) -> None:
    assert pointers(submitted({"title": "T", "n": [number]})) == [("", "number")]


@pytest.mark.parametrize("text", ['{"n": 1e999}', '{"n": NaN}', '{"n": -Infinity}'])
def test_a_text_that_is_almost_json_is_no_document(text: str) -> None:
    assert isinstance(submitted(text), Violations)
    assert isinstance(parse_reply(reply(text=text), schema=OPEN, max_questions=0), Violations)


@given(arguments=ANYTHING)
def test_what_a_model_sent_can_be_kept_as_json(arguments: JsonValue) -> None:
    sent = reply(ToolCall(name="submit_document", arguments=arguments)).model_copy(update={"text": ""})
    json.dumps(sent.model_dump(mode="json"), allow_nan=False)


def test_a_name_that_cannot_be_stored_is_sent_back() -> None:
    assert pointers(submitted({"a\0": 1})) == [("", "characters")]


def test_violations_name_the_keyword_and_the_place() -> None:
    schema = {
        "type": "object",
        "additionalProperties": False,
        "required": ["title"],
        "properties": {"a/b": {"type": "array", "items": {"minLength": 2}}, "title": {}, "kind": {"enum": ["x"]}},
    }
    assert pointers(submitted({"a/b": ["no", "n"], "kind": "y", "more": 1}, schema)) == [
        ("", "additionalProperties"),
        ("", "required"),
        ("/a~1b/1", "minLength"),
        ("/kind", "enum"),
    ]


def test_no_more_violations_are_told_than_a_model_can_mend_at_once() -> None:
    schema = {"type": "object", "additionalProperties": {"type": "string"}}
    content: dict[str, JsonValue] = {f"k{number:02}": number for number in range(50)}
    found = pointers(submitted(content, schema))
    assert found == [(f"/k{number:02}", "type") for number in range(MAX_VIOLATIONS)]
    assert found == pointers(submitted(dict(reversed(content.items())), schema))


def asked(*drafts: dict[str, Any]) -> ModelReply:
    """Return a reply that asks."""
    return reply(ToolCall(name="ask_clarification", arguments={"questions": list(drafts)}))


@pytest.mark.parametrize(
    ("drafts", "expected"),
    [
        ([{"text": "How many?", "default": "x", "answer_type": "number"}], ("/questions/0/default", "default")),
        ([{"text": "When?", "default": "soon", "answer_type": "date"}], ("/questions/0/default", "default")),
        ([{"text": "How many?"}, {"text": "How many?"}], ("/questions/1/text", "repeated")),
        ([{"text": "How\0many?"}], ("", "characters")),
        ([{"text": "How many?", "a/b": 1}], ("/questions/0/a~1b", "extra_forbidden")),
        ([{"text": "How many?", "required": "no"}], ("/questions/0/required", "bool_type")),
        ([{"text": "How many?", "answer_type": "number", "minimum": True}], ("/questions/0/minimum", "value_error")),
    ],
)
def test_a_question_that_is_hard_to_answer_is_sent_back(
    drafts: list[dict[str, Any]], expected: tuple[str, str]
) -> None:
    assert pointers(parse_reply(asked(*drafts), schema=SCHEMA, max_questions=3)) == [expected]


def test_a_default_that_fits_is_welcome() -> None:
    choices = [{"value": "a", "label": "Alpha"}, {"value": "b", "label": "Beta"}]
    outcome = parse_reply(
        asked({"text": "Which?", "answer_type": "single_choice", "choices": choices, "default": "a"}),
        schema=SCHEMA,
        max_questions=1,
    )
    assert isinstance(outcome, Questions)
    assert outcome.drafts[0].default == "a"


def test_asking_without_leave_is_a_violation_and_no_question() -> None:
    assert pointers(parse_reply(question(), schema=SCHEMA, max_questions=0)) == [("", "unknown_tool")]


@pytest.mark.parametrize(
    ("finish", "code"),
    [(FinishReason.REFUSED, FailureCode.MODEL_REFUSED), (FinishReason.TRUNCATED, FailureCode.OUTPUT_TRUNCATED)],
)
def test_a_reply_that_was_cut_or_refused_is_unusable_even_with_a_document(
    finish: FinishReason, code: FailureCode
) -> None:
    cut = document().model_copy(update={"finish_reason": finish, "text": "No\0!"})
    outcome = parse_reply(cut, schema=SCHEMA, max_questions=0)
    assert isinstance(outcome, Unusable)
    assert outcome.failure.code is code
    assert "\0" not in outcome.failure.message


@given(text=st.text(st.characters(codec=None)))
def test_a_storable_text_keeps_all_that_can_be_stored(text: str) -> None:
    kept = storable(text)
    assert len(kept) == len(text)
    assert "\0" not in kept
    kept.encode()


def test_a_schema_that_leads_outside_is_refused_without_a_look() -> None:
    source = {
        "id": "report",
        "name": "Report",
        "description": "Makes reports.",
        "roles": {"writer": {"name": "Writer", "instructions": "You write."}},
        "steps": [
            {
                "id": "one",
                "name": "One",
                "role": "writer",
                "task": "Write.",
                "produces": "one",
                "output_schema": {
                    **SCHEMA,
                    "required": ["title"],
                    "properties": {"title": {"$ref": "http://127.0.0.1:9/title.json"}},
                },
            }
        ],
    }
    with pytest.raises(DefinitionError) as refused:
        parse_definition(source)
    [fault] = refused.value.errors
    assert (fault.pointer, fault.code) == ("/steps/0/output_schema/properties/title/$ref", "invalid_schema")
    assert "may not refer" in fault.detail


@pytest.mark.parametrize("said", ["half a pair \ud800 in prose", "a zero \0 in prose"])
async def test_invalid_characters_of_a_reply_are_not_sent_back(said: str) -> None:
    world = World(script={"one": [reply(text=said), document()]})
    await world.start()
    assert (await world.run()).status is ExecutionStatus.COMPLETED
    assert storable(said) in world.asked[1].prompt
    assert world.asked[1].prompt.encode()
