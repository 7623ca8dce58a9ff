"""A schema is read in its own dialect; errors are named with their place."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from pydantic import BaseModel

from common.errors import FieldError
from executions.engine.domain.calls import ModelReply, ToolCall
from executions.engine.prompting.replies import ValidDocument, Violations, parse_reply
from tests.factories.engine import reply
from tests.factories.workflows import definition, plan, step
from workflows.definitions.definition import DefinitionError
from workflows.definitions.parser import parse_definition
from workflows.json_schema.dialects import DIALECTS

DRAFT_04, DRAFT_06, DRAFT_07, DRAFT_2019, DRAFT_2020 = (dialect.uri for dialect in DIALECTS)


def document(content: dict[str, Any]) -> ModelReply:
    """Return a reply that hands in a document."""
    return reply(ToolCall(name="submit_document", arguments=content))


def titled(properties: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return the schema of a document with a title and further fields."""
    said = {"title": {"type": "string"}, **properties}
    return {"type": "object", "required": ["title"], "properties": said, **changes}


def errors(schema: dict[str, Any]) -> list[FieldError]:
    """Return what is wrong with a schema."""
    with pytest.raises(DefinitionError) as caught:
        parse_definition(plan(steps=[step(output_schema=schema)]))
    return caught.value.errors


def is_valid(schema: dict[str, Any], **fields: Any) -> bool:
    """Return whether a document is valid against the schema of a step."""
    known = definition(steps=[step(output_schema=schema)]).steps[0].output_schema
    outcome = parse_reply(document({"title": "T", **fields}), schema=known, max_questions=0)
    assert isinstance(outcome, ValidDocument | Violations), outcome
    return isinstance(outcome, ValidDocument)


@pytest.mark.parametrize(
    ("dialect", "schema", "good", "bad"),
    [
        (DRAFT_04, {"type": "number", "minimum": 3, "exclusiveMinimum": True}, 4, 3),
        (f"{DRAFT_04}#", {"type": "number", "maximum": 3, "exclusiveMaximum": False}, 3, 4),
        (
            DRAFT_04,
            {"id": "#part", "type": "array", "items": [{"type": "string"}], "additionalItems": False},
            ["a"],
            [1],
        ),
        (DRAFT_06, {"exclusiveMinimum": 3, "type": "integer"}, 4, 3),
        (DRAFT_06, {"$ref": "#/properties/title", "minLength": 5}, "ab", 3),  # what stands beside $ref is not read
        (DRAFT_07, {"type": "array", "items": [{"type": "string"}], "additionalItems": False}, ["a"], ["a", "b"]),
        (DRAFT_07, {"dependencies": {"a": ["b"], "c": {"required": ["d"]}}}, {"a": 1, "b": 1}, {"c": 1}),
        (DRAFT_07, {"if": {"type": "string"}, "then": {"minLength": 3}}, "abc", "ab"),
        (DRAFT_2019, {"type": "array", "items": [{"type": "string"}], "unevaluatedItems": False}, ["a"], ["a", "b"]),
        (DRAFT_2020, {"type": "array", "prefixItems": [{"type": "string"}], "items": False}, ["a"], ["a", "b"]),
    ],
)
def test_a_document_is_valid_as_the_dialect_of_its_schema_says(
    dialect: str, schema: dict[str, Any], good: object, bad: object
) -> None:
    said = titled({"part": schema}, **{"$schema": dialect})
    assert is_valid(said, part=good)
    assert not is_valid(said, part=bad)


@pytest.mark.parametrize("name", ["definitions", "$defs"])
@pytest.mark.parametrize("dialect", [DRAFT_04, DRAFT_07, DRAFT_2020])
def test_what_is_defined_may_stand_anywhere(dialect: str, name: str) -> None:
    said = titled({"part": {"$ref": f"#/{name}/part"}}, **{"$schema": dialect, name: {"part": {"type": "integer"}}})
    assert is_valid(said, part=1)
    assert not is_valid(said, part="1")


@pytest.mark.parametrize("ending", ["", "#"])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("dialect", [dialect.uri for dialect in DIALECTS])
def test_a_dialect_is_known_by_each_spelling_of_its_address(dialect: str, scheme: str, ending: str) -> None:
    said = titled({"part": {"type": "integer"}}, **{"$schema": f"{scheme}:{dialect.partition(':')[2]}{ending}"})
    assert is_valid(said, part=1)
    assert not is_valid(said, part="1")


@pytest.mark.parametrize(
    "named", ["https://json-schema.org/draft-07/schema#", "http://json-schema.org/draft-07/schema"]
)
def test_a_dialect_means_the_same_in_each_spelling(named: str) -> None:
    tuple_of_one = {"type": "array", "items": [{"type": "string"}], "additionalItems": False}
    aside = {"$ref": "#/definitions/k", "minLength": 5}  # what stands beside $ref is not read
    said = titled({"a": tuple_of_one, "b": aside}, **{"$schema": named, "definitions": {"k": {"$id": "#k"}}})
    assert is_valid(said, a=["a"], b="ab")
    assert not is_valid(said, a=["a", "b"])


@pytest.mark.parametrize(
    "named",
    [
        "https://example.org/schema",
        "http://json-schema.org/schema#",
        "https://json-schema.org/draft-08/schema#",
        "http://json-schema.org/draft-07/schema##",
        "ftp://json-schema.org/draft-07/schema",
        "draft-07",
    ],
)
def test_a_dialect_that_is_not_known_is_a_fault_that_names_the_known_ones(named: str) -> None:
    [field_error] = errors(titled({}, **{"$schema": named}))
    assert (field_error.pointer, field_error.code) == ("/steps/0/output_schema/$schema", "invalid_schema")
    assert named in field_error.detail
    assert all(dialect.uri in field_error.detail for dialect in DIALECTS)


@pytest.mark.parametrize(
    ("schema", "place", "word"),
    [
        (titled({"a": {"type": "strin"}}), "properties/a/type", "`type`"),
        (titled({"a": {"type": "string", "pattern": "(("}}), "properties/a/pattern", "regex"),
        (titled({"a": {"$ref": "#/$defs/b"}}), "properties/a/$ref", "#/$defs/b"),
        (titled({"a": {"$ref": "b.json"}}), "properties/a/$ref", "b.json"),
        (titled({"a": {"items": [{"type": "string"}]}}), "properties/a/items", "2019-09"),
        (
            titled({"a": {"minimum": 1, "exclusiveMinimum": True}}),
            "properties/a/exclusiveMinimum",
            "in place of minimum",
        ),
        (titled({"a/b": {"multipleOf": 0}}, **{"$schema": DRAFT_07}), "properties/a~1b/multipleOf", "draft-07"),
        (titled({"a": {"required": True}}, **{"$schema": DRAFT_04}), "properties/a/required", "draft-04"),
        (titled({"a": {"minimum": 10**5000}}), "properties/a/minimum", "300 digits"),
        (titled({"a": {"enum": [1, float("inf")]}}), "properties/a/enum/1", "300 digits"),
        (titled({"d": {"const": datetime.date(2026, 1, 1)}}), "properties/d/const", "date"),
        (titled({"d": {"enum": [{1: 2}]}}), "properties/d/enum/0/1", "quote"),
        (
            titled({"a": {"patternProperties": {"(?<=a)b": {}}}}),
            "properties/a/patternProperties/(?<=a)b",
            "lookarounds",
        ),
        (titled({"a": {"pattern": "(a{100}){100}{100}"}}), "properties/a/pattern", ""),
    ],
)
def test_a_fault_in_a_schema_is_named_with_its_place_and_in_few_words(
    schema: dict[str, Any], place: str, word: str
) -> None:
    [field_error] = errors(schema)
    assert field_error.pointer == f"/steps/0/output_schema/{place}"
    assert field_error.code in {"invalid_schema", "foreign_keyword", "number_out_of_range"}
    assert word in field_error.detail
    assert len(field_error.detail) < 250


def test_all_faults_of_a_schema_are_named() -> None:
    wrong = titled({"a": {"type": "strin"}, "b": {"minLength": -1}})
    assert {field_error.pointer.rpartition("properties")[2] for field_error in errors(wrong)} == {
        "/a/type",
        "/b/minLength",
    }


@pytest.mark.parametrize(
    "schema",
    [
        {
            "type": "object",
            "required": ["title"],
            "properties": {"title": {"$ref": "#/$defs/t"}},
            "$defs": {"t": {"type": "string"}},
        },
        {"type": "object", "$ref": "#/$defs/d", "$defs": {"d": titled({})}},
        {"type": "object", "allOf": [titled({})]},
        {"type": "object", "anyOf": [titled({}), titled({"b": {}})]},
        {"type": "object", "required": ["title"], "properties": {"title": {"enum": ["A", "B"]}}},
    ],
)
def test_a_title_is_found_wherever_the_schema_says_it(schema: dict[str, Any]) -> None:
    assert definition(steps=[step(output_schema=schema)]).steps[0].output_schema == schema


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "anyOf": [titled({}), {}]},
        {"type": "object", "required": ["title"], "properties": {"title": {"type": ["string", "null"]}}},
        {"type": "object", "$ref": "#/definitions/d", "definitions": {"d": {"type": "object"}}, "required": ["title"]},
    ],
)
def test_a_title_that_may_be_missing_is_a_fault(schema: dict[str, Any]) -> None:
    assert [field_error.code for field_error in errors(schema)] == ["untitled_document"]


class Tree(BaseModel):
    """A document that has others of its kind: pydantic writes a root that is a reference alone."""

    title: str
    parts: list[Tree] = []


@pytest.mark.parametrize(
    "schema",
    [
        Tree.model_json_schema(),
        {"$ref": "#/$defs/d", "$defs": {"d": titled({})}},
        {"allOf": [{"$ref": "#/$defs/d"}], "$defs": {"d": titled({})}},
    ],
)
def test_a_root_that_leads_to_an_object_is_told_to_say_so_itself(schema: dict[str, Any]) -> None:
    [field_error] = errors(schema)
    assert (field_error.pointer, field_error.code) == ("/steps/0/output_schema", "untitled_document")
    assert "add `type: object` at the root" in field_error.detail.lower()
    mended = {**schema, "type": "object"}
    assert definition(steps=[step(output_schema=mended)]).steps[0].output_schema == mended


@pytest.mark.parametrize("pattern", ["(?<=a)(a+)+$", "^(?=a)(a|a)*$", r"^(a|a)*\1$", "(a{100}){100}"])
def test_a_long_text_is_not_looked_at_by_a_pattern_that_may_take_long(pattern: str) -> None:
    schema = titled({"part": {"type": "string", "pattern": pattern}, "other": {"type": "string", "pattern": r"^\S+$"}})
    known = definition(steps=[step(output_schema=schema)]).steps[0].output_schema
    reply = document({"title": "T", "part": "a" * 200_000 + "!", "other": "b" * 200_000})
    outcome = parse_reply(reply, schema=known, max_questions=0)
    assert isinstance(outcome, Violations)
    [error] = outcome.errors
    assert (error.pointer, error.code) == ("/part", "pattern")
    assert "at most 10000 characters" in error.detail
