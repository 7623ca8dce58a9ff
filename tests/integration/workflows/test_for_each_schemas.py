"""Schemas of collections: errors are found as the validator finds them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.factories.workflows import plan, step
from workflows.definitions.definition import DefinitionError
from workflows.definitions.parser import parse_definition
from workflows.json_schema.dialects import DIALECTS

DRAFT_04, _, DRAFT_07, _, _ = (dialect.uri for dialect in DIALECTS)
ITEM: dict[str, Any] = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}


def keyed(key: object, **changes: Any) -> dict[str, Any]:
    """Return the schema of an array whose items have a key."""
    return {"type": "array", "items": {"type": "object", "required": ["id"], "properties": {"id": key}}, **changes}


def errors(items: dict[str, Any], **beside: Any) -> list[tuple[str, str]]:
    """Return what is wrong with a step over the items that a schema describes."""
    schema = {
        "type": "object",
        "required": ["title"],
        "properties": {"title": {"type": "string"}, "items": items},
        **beside,
    }
    each = {"document": "paper-1", "items": "/items", "key": "id", "scope_type": "part"}
    try:
        parse_definition(plan(steps=[step(1, output_schema=schema), step(2, for_each=each)]))
    except DefinitionError as error:
        return [(field_error.pointer, field_error.code) for field_error in error.errors]
    return []


@pytest.mark.parametrize(
    ("items", "beside"),
    [
        pytest.param(keyed({"type": "string"}), {}, id="plain"),
        pytest.param(
            {"type": "array", "items": {"$ref": "#it"}}, {"$defs": {"it": {"$anchor": "it", **ITEM}}}, id="anchor"
        ),
        pytest.param(
            {"type": "array", "items": {"$dynamicRef": "#it"}},
            {"$defs": {"it": {"$dynamicAnchor": "it", **ITEM}}},
            id="dynamic",
        ),
        pytest.param(
            {"type": "array", "items": {"$ref": "other#it"}},
            {
                "$id": "https://example.org/",
                "$defs": {"o": {"$id": "other", "$defs": {"i": {"$anchor": "it", **ITEM}}}},
            },
            id="id",
        ),
        pytest.param({"type": "array", "items": {"$ref": "#/$defs/a%20b"}}, {"$defs": {"a b": ITEM}}, id="escaped"),
        pytest.param(
            {
                "type": "array",
                "items": {"allOf": [{"type": "object"}, {"required": ["id"]}, {"properties": ITEM["properties"]}]},
            },
            {},
            id="allOf",
        ),
        pytest.param({"type": "array", "items": {"anyOf": [{"type": "string"}, ITEM]}}, {}, id="anyOf"),
        pytest.param({"type": "array", "items": {"oneOf": [ITEM, {"type": "null"}]}}, {}, id="oneOf"),
        pytest.param({"type": "array", "items": {"if": {"required": ["x"]}, "else": ITEM}}, {}, id="if"),
        pytest.param(keyed({"enum": ["a", "b"]}), {}, id="enum"),
        pytest.param(keyed({"const": "a"}), {}, id="const"),
        pytest.param(keyed({"pattern": "^[a-z]+$"}), {}, id="pattern"),
        pytest.param(keyed({"type": ["string"]}, type=["array"]), {}, id="list of one type"),
        pytest.param(keyed({"type": ["string", "null"]}, type=["array", "null"]), {}, id="list of types"),
        pytest.param({"type": "array", "prefixItems": [ITEM], "items": False}, {}, id="prefixItems"),
        pytest.param(
            {"$ref": "#/$defs/list", "minItems": 1},
            {
                "$defs": {
                    "list": {"type": "array", "items": {"$ref": "#/$defs/item", "required": ["id"]}},
                    "item": {"properties": {"id": {"type": "string"}}},
                }
            },
            id="beside a reference",
        ),
        pytest.param({"items": ITEM}, {}, id="no type"),
        pytest.param({"type": "array", "items": {"required": ["id"]}}, {}, id="key left open"),
        pytest.param(
            {"type": "array", "items": {"required": ["id"], "patternProperties": {"^i": {"type": "string"}}}},
            {},
            id="named by a pattern",
        ),
        pytest.param(
            {"type": "array", "items": {"required": ["a"], "dependentRequired": {"a": ["id"]}}}, {}, id="dependent"
        ),
        pytest.param({"type": "array", "items": [ITEM]}, {"$schema": DRAFT_07}, id="items of draft-07"),
        pytest.param(
            {"type": "array", "items": {"$ref": "#/definitions/item"}},
            {"$schema": DRAFT_04, "definitions": {"item": ITEM}},
            id="definitions of draft-04",
        ),
        pytest.param({"type": "array", "items": {"allOf": [{"anyOf": [ITEM, {}]}] * 8}}, {}, id="many ways"),
    ],
)
def test_a_collection_may_be_described_in_every_way_that_the_validator_knows(
    items: dict[str, Any], beside: dict[str, Any]
) -> None:
    assert errors(items, **beside) == []


@pytest.mark.parametrize(
    ("items", "beside", "expected"),
    [
        ({"type": "array", "items": {**ITEM, "required": []}}, {}, "key"),
        (keyed({"type": "integer"}), {}, "key"),
        (keyed({"enum": [1, 2]}), {}, "key"),
        (keyed({"allOf": [{"type": "string"}, {"type": "integer"}]}), {}, "key"),
        ({"type": "array", "items": {"required": ["id"], "additionalProperties": False}}, {}, "key"),
        ({"type": "array", "items": {"anyOf": [{"type": "object"}, {"type": "null"}]}}, {}, "key"),
        ({"type": "object"}, {}, "items"),
        ({"type": "array", "items": {"type": "string"}}, {}, "items"),
        ({"type": "array", "items": False}, {}, "items"),
        ({"$ref": "#"}, {}, "items"),
        (
            {"$ref": "#/definitions/list", "items": ITEM},
            {"$schema": DRAFT_07, "definitions": {"list": {"type": "array", "items": {"type": "null"}}}},
            "items",
        ),
    ],
)
def test_what_can_never_be_gone_over_is_a_fault(items: dict[str, Any], beside: dict[str, Any], expected: str) -> None:
    code = {"key": "unusable_key", "items": "not_a_collection"}[expected]
    assert errors(items, **beside) == [(f"/steps/1/for_each/{expected}", code)]


def test_a_schema_with_faults_of_its_own_is_not_searched_for_collections() -> None:
    assert errors({"type": "array", "items": {"required": 3}}) == [
        ("/steps/0/output_schema/properties/items/items/required", "invalid_schema")
    ]
