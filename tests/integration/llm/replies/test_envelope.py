"""Replies without tools that are either a document or questions: prompt and parsing."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest

from executions.engine.prompting.replies import Outcome, Questions, ValidDocument, Violations, parse_reply
from executions.engine.transitions.reviews import VERDICT_SCHEMA
from executions.llm.pydantic_ai import providers
from executions.llm.pydantic_ai.envelope import envelope
from executions.llm.pydantic_ai.options import Options, Output
from tests.factories.engine import reply
from tests.integration.llm import wire_formats
from tests.integration.llm.local_servers import DOCUMENT
from tests.integration.llm.model_server import Answer, model_server
from tests.integration.llm.replies.test_output_modes import SCHEMA, asked_of
from tests.integration.llm.text_listeners import ignore

pytestmark = pytest.mark.usefixtures("keys")

OPENAI, ANTHROPIC = "openai:gpt-5", "anthropic:claude-sonnet-5-5"
QUESTION = {"text": "Who decides?", "why": "", "answer_type": "free_text", "required": True}
TITLE = {"type": "string", "minLength": 1}
#: Each with a document that is valid, and one that is not.
SCHEMAS: dict[str, tuple[dict[str, Any], Any, Any]] = {
    "plain": (SCHEMA, DOCUMENT, {"title": "T"}),
    "definitions of the names that questions have": (
        {
            "type": "object",
            "properties": {"choice": {"$ref": "#/$defs/Choice"}, "questions": {"$ref": "#/definitions/Choice"}},
            "required": ["choice", "questions"],
            "$defs": {"Choice": {"type": "integer"}, "document": {"type": "null"}},
            "definitions": {"Choice": {"type": "boolean"}},
        },
        {"choice": 1, "questions": True},
        {"choice": True, "questions": 1},
    ),
    "itself": (
        {
            "type": "object",
            "properties": {"title": TITLE, "parts": {"type": "array", "items": {"$ref": "#"}}},
            "required": ["title"],
        },
        {"title": "T", "parts": [{"title": "U", "parts": []}]},
        {"title": "T", "parts": [{"title": ""}]},
    ),
    "a field of itself": (
        {"type": "object", "properties": {"a/b": TITLE, "c": {"$ref": "#/properties/a~1b"}}, "required": ["c"]},
        {"c": "C"},
        {"c": ""},
    ),
    "definitions in a circle": (
        {
            "$ref": "#/$defs/a~1b",
            "$defs": {
                "a/b": {"type": "object", "properties": {"next": {"$ref": "#/$defs/a_b"}}, "required": ["next"]},
                "a_b": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/a~1b"}]},
            },
        },
        {"next": {"next": None}},
        {"next": {"next": 1}},
    ),
    "a part of a definition": (
        {
            "type": "object",
            "properties": {"t": {"$ref": "#/$defs/whole/properties/t"}},
            "required": ["t"],
            "$defs": {"whole": {"properties": {"t": TITLE}}, "who": {}},
        },
        {"t": "T"},
        {"t": ""},
    ),
    "names in percent signs": (
        {
            "type": "object",
            "properties": {
                "a": {"$ref": "#/definitions/Partial%3CFoo%3E"},
                "b": {"$ref": "#/%24defs/gr%C3%B6%C3%9Fe/properties/x%20y"},
                "c": {"$ref": "#/properties/100%25"},
                "d": {"$ref": "#/definitions%2Fa~1b"},
                "100%": {"type": "boolean"},
            },
            "required": ["a", "b", "c", "d"],
            "definitions": {"Partial<Foo>": TITLE, "a/b": {"const": 4}},
            "$defs": {"größe": {"properties": {"x y": {"type": "integer"}}}},
        },
        {"a": "T", "b": 1, "c": True, "d": 4},
        {"a": "T", "b": 1, "c": 1, "d": 4},
    ),
    "an address of its own that nothing refers to": (
        {
            "$id": "https://example.org/a.json",
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {"title": {"$ref": "#/$defs/t"}, "$id": {"const": 1}},
            "required": ["title"],
            "$defs": {"t": TITLE},
        },
        {"title": "T", "$id": 1},
        {"title": ""},
    ),
    "references that are data": (
        {
            "type": "object",
            "properties": {"$ref": {"const": {"$ref": "#/x"}}, "enum": {"$ref": "#/$defs/t"}},
            "required": ["$ref", "enum"],
            "$defs": {"t": TITLE},
        },
        {"$ref": {"$ref": "#/x"}, "enum": "T"},
        {"$ref": {"$ref": "#/$defs/x"}, "enum": "T"},
    ),
}


@pytest.mark.parametrize(("schema", "good", "bad"), SCHEMAS.values(), ids=SCHEMAS)
def test_a_document_in_it_is_valid_exactly_when_it_is_valid_alone(schema: dict[str, Any], good: Any, bad: Any) -> None:
    alone, both = jsonschema_rs.validator_for(schema), jsonschema_rs.validator_for(envelope(schema, max_questions=2))
    assert (alone.is_valid(good), alone.is_valid(bad)) == (True, False)
    assert both.is_valid({"answer": {"submit_document": good}})
    assert not both.is_valid({"answer": {"submit_document": bad}})


@pytest.mark.parametrize(("schema", "good", "_bad"), SCHEMAS.values(), ids=SCHEMAS)
def test_questions_in_it_are_valid_whatever_the_document_is_like(schema: dict[str, Any], good: Any, _bad: Any) -> None:
    both = jsonschema_rs.validator_for(envelope(schema, max_questions=2))
    for number, is_valid in ((0, False), (1, True), (2, True), (3, False)):
        assert both.is_valid({"answer": {"ask_clarification": {"questions": [QUESTION] * number}}}) is is_valid
    others: list[Any] = [{}, good, {"answer": good}, {"answer": {}}]
    for neither in [*others, {"answer": {"submit_document": good, "ask_clarification": {}}}]:
        assert not both.is_valid(neither)


@pytest.mark.parametrize(("schema", "_good", "_bad"), SCHEMAS.values(), ids=SCHEMAS)
def test_its_root_is_an_object_and_its_definitions_stand_at_the_top(
    schema: dict[str, Any], _good: Any, _bad: Any
) -> None:
    both = envelope(schema, max_questions=2)
    assert both["type"] == "object"
    text = json.dumps(both)
    assert text.count('"$defs":') == bool(both.get("$defs"))
    assert '"definitions":' not in text
    assert schema == json.loads(json.dumps(schema))


def _of(part: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"title": TITLE, "part": part}, "required": ["title"], **more}


DRAFT = "http://json-schema.org/draft-07/schema#"
FIXED = {
    "a reference by the address of the whole": _of(
        {"$ref": "a.json#/$defs/k"}, **{"$id": "https://example.org/a.json", "$defs": {"k": {"type": "integer"}}}
    ),
    "an absolute reference": _of({"$ref": "https://example.org/a.json"}, **{"$id": "https://example.org/a.json"}),
    "a part with an address": _of({"$id": "b.json", "items": {"$ref": "#/$defs/k"}, "$defs": {"k": {"const": 1}}}),
    "an anchor": _of({"$ref": "#k"}, **{"$defs": {"k": {"$anchor": "k", "type": "integer"}}}),
    "a dynamic reference": _of({"$dynamicRef": "#k"}, **{"$dynamicAnchor": "k"}),
    "a recursive reference": _of(
        {"$recursiveRef": "#"}, **{"$schema": "https://json-schema.org/draft/2019-09/schema", "$recursiveAnchor": True}
    ),
    "dependencies": _of(
        {"dependencies": {"enum": {"$ref": "#/definitions/k"}}}, **{"$schema": DRAFT, "definitions": {"k": {}}}
    ),
    "an anchor of draft-07": _of({"$ref": "#k"}, **{"$schema": DRAFT, "definitions": {"k": {"$id": "#k"}}}),
    "a bound of draft-04": _of(
        {"minimum": 3, "exclusiveMinimum": True}, **{"$schema": "http://json-schema.org/draft-04/schema#"}
    ),
    "a dialect within": _of({"$schema": DRAFT, "$id": "c.json", "items": [{}]}),
}


@pytest.mark.parametrize("schema", FIXED.values(), ids=FIXED)
def test_a_schema_that_means_something_else_at_another_place_is_left_to_the_prompt(schema: dict[str, Any]) -> None:
    jsonschema_rs.validator_for(schema)
    both = envelope(schema, max_questions=2)
    jsonschema_rs.meta.validate(both)
    assert "$ref" not in json.dumps(both)
    held = jsonschema_rs.Draft202012Validator(both)
    assert held.is_valid({"answer": {"submit_document": {"title": "T", "part": 4}}})
    assert held.is_valid({"answer": {"ask_clarification": {"questions": [QUESTION]}}})
    assert not held.is_valid({"answer": {"submit_document": "T"}})


def _said(content: object) -> dict[str, Any]:
    """Return a completion that says this in words."""
    said = wire_formats.completion("", {})
    message = {"role": "assistant", "content": json.dumps(content)}
    return {**said, "choices": [{"index": 0, "finish_reason": "stop", "message": message}]}


async def _complete(monkeypatch: pytest.MonkeyPatch, content: object, output: Output) -> tuple[dict[str, Any], Outcome]:
    """Return what a server is sent for a step that may ask, and what its answer is taken for."""
    with model_server(Answer(streamed=_said(content))) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        model = providers.ProviderModel(Options(output=output))
        given_reply = await model.complete(asked_of(OPENAI, questions=2), ignore)
    [body] = server.asked
    return body, parse_reply(given_reply, schema=SCHEMA, max_questions=2)


@pytest.mark.parametrize("output", [Output.NATIVE, Output.PROMPTED])
async def test_a_step_that_may_ask_hands_in_a_document_without_tools(
    monkeypatch: pytest.MonkeyPatch, output: Output
) -> None:
    body, outcome = await _complete(monkeypatch, {"answer": {"submit_document": DOCUMENT}}, output)
    assert outcome == ValidDocument(content=DOCUMENT)
    assert not body.get("tools")
    said = json.dumps(body, ensure_ascii=False)
    assert "There are no tools here" in said
    assert r"{\"answer\": {\"ask_clarification\": {\"questions\": […]}}}" in said
    assert "calling" not in said
    assert body["max_completion_tokens"] == 500
    if output is Output.NATIVE:
        held = body["response_format"]["json_schema"]["schema"]
        assert jsonschema_rs.validator_for(held).is_valid({"answer": {"submit_document": DOCUMENT}})
        assert jsonschema_rs.validator_for(held).is_valid({"answer": {"ask_clarification": {"questions": [QUESTION]}}})
    else:
        assert "submit_document" in said


@pytest.mark.parametrize("output", [Output.NATIVE, Output.PROMPTED])
async def test_a_step_that_may_ask_asks_without_tools(monkeypatch: pytest.MonkeyPatch, output: Output) -> None:
    _, outcome = await _complete(monkeypatch, {"answer": {"ask_clarification": {"questions": [QUESTION]}}}, output)
    assert isinstance(outcome, Questions)
    assert [draft.text for draft in outcome.drafts] == ["Who decides?"]


ASKED = [
    {"answer": {"ask_clarification": {"questions": [QUESTION]}}},
    {"ask_clarification": {"questions": [QUESTION]}},
    {"answer": {"questions": [QUESTION]}},
    {"questions": [QUESTION]},
    {"name": "ask_clarification", "arguments": {"questions": [QUESTION]}},
]


@pytest.mark.parametrize("content", ASKED)
def test_questions_are_read_in_the_forms_that_models_give_them(content: Any) -> None:
    for text in (json.dumps(content), f"I have to ask.\n```json\n{json.dumps(content)}\n```\n"):
        assert isinstance(parse_reply(reply(text=text), schema=SCHEMA, max_questions=1), Questions)
        refused = parse_reply(reply(text=text), schema=SCHEMA, max_questions=0)
        assert isinstance(refused, Violations)
        assert [error.code for error in refused.errors] == ["questions"]


@pytest.mark.parametrize(
    ("question", "is_valid"),
    [
        (QUESTION, True),
        ({**QUESTION, "answer_type": "number"}, True),
        ({**QUESTION, "answer_type": "single_choice"}, False),
        ({**QUESTION, "choices": []}, False),
        ({**QUESTION, "text": "x" * 401}, False),
    ],
)
def test_a_question_in_it_can_be_answered(question: dict[str, Any], is_valid: bool) -> None:
    content = {"answer": {"ask_clarification": {"questions": [question]}}}
    assert jsonschema_rs.validator_for(envelope(SCHEMA, max_questions=1)).is_valid(content) is is_valid
    if is_valid:
        assert isinstance(parse_reply(reply(text=json.dumps(content)), schema=SCHEMA, max_questions=1), Questions)


def test_a_document_with_questions_of_its_own_is_no_question_to_people() -> None:
    questions = {"type": "array", "items": {"type": "object", "required": ["text"]}}
    schema: dict[str, Any] = {"type": "object", "properties": {"questions": questions}, "required": ["questions"]}
    document: dict[str, Any] = {"questions": [{"text": "Who decides?"}]}
    for content in (document, {"answer": {"submit_document": document}}):
        outcome = parse_reply(reply(text=json.dumps(content)), schema=schema, max_questions=2)
        assert outcome == ValidDocument(content=document)
    asking = {"answer": {"ask_clarification": document}}
    assert isinstance(parse_reply(reply(text=json.dumps(asking)), schema=schema, max_questions=2), Questions)


def test_a_verdict_that_was_wrapped_is_one() -> None:
    verdict: dict[str, Any] = {"verdict": "satisfied", "findings": []}
    for content in (verdict, {"document": verdict}, {"answer": {"submit_document": verdict}}):
        outcome = parse_reply(reply(text=json.dumps(content)), schema=VERDICT_SCHEMA, max_questions=0)
        assert outcome == ValidDocument(content=verdict)
