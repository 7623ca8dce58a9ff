"""Output schemas that are unsafe for the validator, contradictory, or ambiguous between dialects."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from executions.llm.rehearsal.document_generator import DocumentGenerator
from executions.llm.rehearsal.extraction import Facts
from executions.llm.rehearsal.unwritable import Unwritable
from tests.factories.workflows import definition, plan, step
from tests.integration.workflows.test_definition import ITEMS, errors, over
from workflows.definitions.definition import DefinitionError
from workflows.definitions.parser import parse_definition
from workflows.json_schema.collections import items_at
from workflows.json_schema.subschemas import TooManyAlternatives
from workflows.json_schema.validation import has_title

ROOT = "/steps/0/output_schema"


def schema(**changes: Any) -> dict[str, Any]:
    """Return a schema of a document with a title."""
    properties = {"title": {"type": "string"}, **changes.pop("properties", {})}
    return {"type": "object", "required": ["title"], "properties": properties, **changes}


def field(**said: Any) -> dict[str, Any]:
    """Return a schema with a field of which this is said."""
    return schema(properties={"x": said})


def found(source: dict[str, Any]) -> set[tuple[str, str]]:
    """Return the places below the schema, and the codes, of what is wrong with it; that takes no time worth naming."""
    before = time.thread_time()
    places = {(where.removeprefix(ROOT), code) for where, code in errors(plan(steps=[step(output_schema=source)]))}
    assert time.thread_time() - before < 2
    return places


def nested(levels: int) -> dict[str, Any]:
    inner: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        inner = {"properties": {"x": inner}}
    return schema(properties={"x": inner})


def doubled(levels: int, keyword: str = "anyOf", **more: Any) -> dict[str, Any]:
    """Return a schema whose references double with each level."""
    both = [{"$ref": f"#/$defs/d{at + 1}"} for at in range(levels) for _ in range(2)]
    named: dict[str, Any] = {f"d{at}": {keyword: both[2 * at : 2 * at + 2], **more} for at in range(levels)}
    return schema(properties={"x": {"$ref": "#/$defs/d0"}}, **{"$defs": {**named, f"d{levels}": {"type": "string"}}})


def doubled_below(levels: int) -> dict[str, Any]:
    """Return a schema whose references double with each level of a document."""
    named: dict[str, Any] = {
        f"d{at}": {"properties": {name: {"$ref": f"#/$defs/d{at + 1}"} for name in ("x", "y")}} for at in range(levels)
    }
    return schema(properties={"x": {"$ref": "#/$defs/d0"}}, **{"$defs": {**named, f"d{levels}": {"type": "string"}}})


def chained(length: int, **more: Any) -> dict[str, Any]:
    named: dict[str, Any] = {f"d{at}": {"allOf": [{"$ref": f"#/$defs/d{at + 1}"}], **more} for at in range(length)}
    return schema(properties={"x": {"$ref": "#/$defs/d0"}}, **{"$defs": {**named, f"d{length}": {"type": "object"}}})


@pytest.mark.parametrize(
    ("source", "codes"),
    [
        (nested(100), {"too_deep"}),
        (nested(3000), {"too_deep"}),
        (nested(33), {"schema_too_deep"}),
        (field(default={"a": [[[[]]]] * 3, "b": "x" * 300_000}), {"schema_too_large"}),
        (field(enum=[f"value {at}" for at in range(30_000)]), {"schema_too_large"}),
        (doubled(22), {"schema_too_large"}),
        (doubled(22, "allOf"), {"schema_too_large"}),
        (doubled(22, "oneOf", unevaluatedProperties=False), {"schema_too_large"}),
        (doubled(30), {"schema_too_large"}),
        (doubled_below(22), {"schema_too_large"}),
        (chained(1000, unevaluatedProperties=False), {"schema_too_deep"}),
        (chained(5000), {"schema_too_deep"}),
        (field(**{"$ref": "#/properties/x"}), {"circular_schema"}),
        (field(anyOf=[{"$ref": "#/properties/x"}, {"type": "string"}]), {"circular_schema"}),
        (field(allOf=[{"$ref": "#y"}], **{"$anchor": "y"}), {"circular_schema"}),
        (field(**{"$dynamicRef": "#y", "$dynamicAnchor": "y"}), {"circular_schema"}),
        (schema(**{"$id": "https://a.example/b", "allOf": [{"$ref": "https://a.example/b#"}]}), {"circular_schema"}),
        (
            schema(properties={f"p{at}": {"pattern": rf"^[\p{{L}}\p{{N}}]{{{100 + at}}}$"} for at in range(900)}),
            {"costly_pattern"},
        ),
        (
            schema(patternProperties={rf"^\p{{L}}{{{100 + at}}}$": {"type": "string"} for at in range(900)}),
            {"costly_pattern"},
        ),
    ],
)  # fmt: skip
def test_what_a_validator_may_not_be_given_is_a_fault(source: dict[str, Any], codes: set[str]) -> None:
    assert {code for _, code in found(source)} == codes


def test_a_number_that_json_does_not_have_is_a_fault_with_its_place() -> None:
    assert found(field(default=float("nan"))) == {("/properties/x/default", "number_out_of_range")}
    assert found(field(examples=[1, float("-inf")])) == {("/properties/x/examples/1", "number_out_of_range")}


def test_a_name_that_each_fault_below_it_would_repeat_is_a_fault_and_cut() -> None:
    many = {f"x{number}": number for number in range(2_000)}
    source = plan(roles={"r" * 100_000: many})
    [(where, code)] = errors(source)
    assert code == "name_too_long"
    assert len(where) < 600


def test_plain_data_that_holds_itself_is_too_deep() -> None:
    circle: dict[str, Any] = field(enum=[1])
    circle["properties"]["x"]["default"] = circle
    assert {code for _, code in found(circle)} == {"too_deep"}


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ({"minLength": 5, "maxLength": 2}, ""),
        ({"type": "array", "minItems": 2, "maxItems": 1}, ""),
        ({"type": "object", "minProperties": 2, "maxProperties": 1}, ""),
        ({"type": "object", "required": ["a", "b"], "maxProperties": 1}, ""),
        ({"type": "number", "minimum": 2, "maximum": 1.5}, ""),
        ({"type": "number", "exclusiveMinimum": 2, "maximum": 2}, ""),
        ({"type": "number", "minimum": 2, "exclusiveMaximum": 2}, ""),
        ({"type": "number", "exclusiveMinimum": 3, "exclusiveMaximum": 2}, ""),
        ({"type": "integer", "minimum": 1.2, "maximum": 1.8}, ""),
        ({"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 2}, ""),
        ({"enum": []}, "/enum"),
        ({"enum": ["a", "b"], "const": "c"}, "/const"),
        ({"items": {"properties": {"y": {"enum": []}}}}, "/items/properties/y/enum"),
    ],
)
def test_bounds_that_leave_nothing_are_a_fault_with_their_place(said: dict[str, Any], place: str) -> None:
    assert found(field(**said)) == {(f"/properties/x{place}", "contradiction")}


@pytest.mark.parametrize(
    ("said", "places"),
    [
        ({"type": "string", "enum": [True, False, "exempt"]}, {"/enum/0", "/enum/1"}),
        ({"type": "string", "enum": ["a", None]}, {"/enum/1"}),
        ({"type": "integer", "enum": [1, 1.5, 2.0]}, {"/enum/1"}),
        ({"type": ["string", "null"], "enum": ["a", None, 1]}, {"/enum/2"}),
        ({"type": "number", "const": "1"}, {"/const"}),
        ({"type": "boolean", "const": 1}, {"/const"}),
        ({"type": "array", "enum": [[1], {}]}, {"/enum/1"}),
        ({"type": "array", "items": {"type": "string", "const": 3}}, {"/items/const"}),
    ],
)
def test_a_value_that_its_own_type_excludes_is_a_fault_with_its_place(said: dict[str, Any], places: set[str]) -> None:
    assert found(field(**said)) == {(f"/properties/x{place}", "excluded_value") for place in places}


@pytest.mark.parametrize(
    ("source", "place"),
    [
        (schema(required=["title", "x"], properties={"x": False}), "/properties/x"),
        (schema(required=["title", "y"], additionalProperties=False), "/additionalProperties"),
        (
            schema(required=["title", "x"], properties={"x": {"$ref": "#/$defs/no"}}, **{"$defs": {"no": False}}),
            "/$defs/no",
        ),
        (
            schema(required=["title", "x"], properties={"x": {"type": "array", "minItems": 1, "items": False}}),
            "/properties/x/items",
        ),
        (
            schema(required=["title", "x"], properties={"x": {"type": "array", "contains": {"allOf": [True, False]}}}),
            "/properties/x/contains/allOf/1",
        ),
        (schema(required=["title", "x"], properties={"x": {"anyOf": [False, {"allOf": [False]}]}}), "/properties/x"),
        (schema(required=["title", "x"], properties={"x": {"$ref": "#"}}), ""),
        (
            schema(required=["title", "x"], properties={"x": {"$ref": "#/$defs/a"}}, **{"$defs": {
                "a": {"type": "object", "required": ["b"], "properties": {"b": {"$ref": "#/$defs/b"}}},
                "b": {"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#/$defs/a"}}},
            }}),
            "/$defs/a",
        ),
        (schema(allOf=[{"type": "object", "required": ["y"], "properties": {"y": False}}]), "/allOf/0/properties/y"),
    ],
)  # fmt: skip
def test_what_no_document_can_fulfil_is_a_fault_with_its_place(source: dict[str, Any], place: str) -> None:
    assert found(source) == {(place, "unsatisfiable")}


def node(**properties: Any) -> dict[str, Any]:
    """Return the schema of an object that has all of these."""
    return {"type": "object", "required": list(properties), "properties": properties}


LINE = node(next={"anyOf": [{"$ref": "#/$defs/line"}]})
TREE: dict[str, Any] = {
    "oneOf": [node(kind={"const": kind}, left={"$ref": "#/$defs/tree"}) for kind in ("plus", "minus")]
    + [{"type": "number"}]
}


class Circle(BaseModel):
    """One kind of shape."""

    kind: Literal["circle"]
    radius: float


class Line(BaseModel):
    """Another kind of shape."""

    kind: Literal["line"]


class Drawing(BaseModel):
    """A document whose schema pydantic writes, with a discriminator beside `oneOf`."""

    title: str
    shape: Circle | Line = Field(discriminator="kind")


EACH_OTHER = {f"d{at}": {"properties": {f"p{to}": {"$ref": f"#/$defs/d{to}"} for to in range(30)}} for at in range(30)}


@pytest.mark.parametrize(
    "source",
    [
        nested(20),
        doubled(8),
        doubled_below(8),
        chained(30),
        schema(properties={"x": {"$ref": "#"}}),
        schema(properties={"x": {"type": "array", "items": {"$ref": "#"}}}, required=["title", "x"]),
        schema(properties={"x": {"$ref": "#/$defs/tree"}}, required=["title", "x"], **{"$defs": {"tree": TREE}}),
        schema(**{"$defs": {"line": LINE}}),
        schema(properties={"x": False}, additionalProperties=False),
        schema(required=["title", "abc"], patternProperties={"^a": {}}, additionalProperties=False),
        field(type=["string", "null"], enum=["a", None]),
        field(type="integer", minLength=5, maxLength=2),
        field(type="array", items=False),
        field(type="array", contains=False, minContains=0),
        field(type="integer", minimum=2, maximum=2),
        field(type="number", minimum=1.2, maximum=1.8),
        field(const=None, enum=[None]),
        field(type="integer", const=2.0),
        field(**{"not": {}}),
        field(properties={"nullable": {"type": "boolean"}, "discriminator": True, "dependencies": {}}),
        field(type="string", nullable=False),
        field(type=["string", "null"], nullable=True),
        field(type="null", nullable=True),
        field(enum=["a", None], nullable=True),
        Drawing.model_json_schema(),
        field(anyOf=[node(k={"const": "a"}), node(k={"const": "b"})], discriminator={"propertyName": "k"}),
        field(enum=["value"], default=1),
        schema(properties={"x": {"$ref": "#/$defs/d0"}}, **{"$defs": EACH_OTHER}),
    ],
)  # fmt: skip
def test_what_documents_can_fulfil_is_no_fault(source: dict[str, Any]) -> None:
    assert definition(steps=[step(output_schema=source)]).steps[0].output_schema == source


@pytest.mark.parametrize(
    ("said", "keyword", "advice"),
    [
        ({"type": "integer", "nullable": True}, "nullable", 'type: ["integer", "null"]'),
        ({"enum": ["a"], "nullable": True}, "nullable", 'type: ["string", "null"]'),
        ({"type": "object", "discriminator": {"propertyName": "kind"}}, "discriminator", "const"),
        ({"allOf": [{"type": "object"}], "discriminator": {"propertyName": "kind"}}, "discriminator", "const"),
        ({"type": ["integer", "string"], "nullable": True}, "nullable", "null"),
        ({"type": "object", "dependencies": {"a": ["b"]}}, "dependencies", "dependentRequired"),
        ({"type": "array", "additionalItems": False}, "additionalItems", "items"),
        ({"type": "number", "divisibleBy": 2}, "divisibleBy", "multipleOf"),
        ({"type": "array", "items": {"type": "string", "nullable": True}}, "items/nullable", "null"),
    ],
)
def test_a_keyword_of_another_dialect_is_a_fault_that_says_what_to_write(
    said: dict[str, Any], keyword: str, advice: str
) -> None:
    with pytest.raises(DefinitionError) as caught:
        definition(steps=[step(output_schema=field(**said))])
    [field_error] = caught.value.errors
    assert (field_error.pointer, field_error.code) == (f"{ROOT}/properties/x/{keyword}", "foreign_keyword")
    assert advice in field_error.detail


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ({"type": "number", "minimum": 5, "exclusiveMinimum": True}, "exclusiveMinimum: 5"),
        ({"type": "number", "maximum": 7, "exclusiveMaximum": True}, "exclusiveMaximum: 7"),
        ({"type": "string", "required": True}, "`required` of its object"),
    ],
)
def test_a_keyword_that_once_took_true_is_a_fault_that_says_what_to_write(said: dict[str, Any], advice: str) -> None:
    with pytest.raises(DefinitionError, match=advice):
        definition(steps=[step(output_schema=field(**said))])


def test_every_fault_of_every_schema_is_named_at_once() -> None:
    steps = [
        step(1, output_schema=field(type="string", enum=[1, "a"], minLength=3, maxLength=2)),
        step(2, output_schema=field(type="string", nullable=True), role="nobody"),
    ]
    assert errors(plan(steps=steps)) == {
        ("/steps/0/output_schema/properties/x/enum/0", "excluded_value"),
        ("/steps/0/output_schema/properties/x", "contradiction"),
        ("/steps/1/output_schema/properties/x/nullable", "foreign_keyword"),
        ("/steps/1/role", "unknown_role"),
    }


def test_the_limits_of_schemas_are_settings(restrict: Callable[..., None]) -> None:
    restrict(schema_depth=8)
    assert {code for _, code in found(nested(4))} == {"schema_too_deep"}
    restrict(schema_depth=64, schema_bytes=1024)
    assert {code for _, code in found(field(description="x" * 1024))} == {"schema_too_large"}
    restrict(schema_bytes=100_000, schema_parts=100)
    assert {code for _, code in found(doubled(6))} == {"schema_too_large"}


def test_a_limit_of_items_above_the_servers_is_a_fault(restrict: Callable[..., None]) -> None:
    def steps(**changes: Any) -> list[dict[str, Any]]:
        return [step(1, output_schema=ITEMS), step(2, for_each=over(1, **changes))]

    assert errors(plan(steps=steps(limit=10_000))) == {("/steps/1/for_each/limit", "less_than_equal")}
    assert definition(steps=steps(limit=9_999)).steps[1].for_each is not None
    restrict(collection_items=20)
    assert errors(plan(steps=steps(limit=21))) == {("/steps/1/for_each/limit", "less_than_equal")}
    for_each = definition(steps=steps()).steps[1].for_each  # its default is greater, and the author did not write it
    assert for_each is not None and (for_each.limit, for_each.max_items) == (1000, 20)
    restrict(collection_items=20_000)
    assert parse_definition(plan(steps=steps(limit=15_000))).steps[1].for_each is not None


EXCLUSIVE = {f"k{at}": False for at in range(24)}
PAIRS = [{"anyOf": [{"minProperties": 1}, {"maxProperties": at}]} for at in range(24)]
TITLED = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
MANY_WAYS: dict[str, tuple[dict[str, Any], bool]] = {
    "mutual exclusion": ({**TITLED, "dependentSchemas": EXCLUSIVE}, True),
    "mutual exclusion by reference": (
        {**TITLED, "dependentSchemas": {name: {"$ref": "#/$defs/no"} for name in EXCLUSIVE}, "$defs": {"no": False}},
        False,
    ),
    "a dead end": ({**TITLED, "anyOf": [{"allOf": [*PAIRS, {"allOf": [False]}]}, {}]}, False),
    "a dead end at the end": ({**TITLED, "anyOf": [{}, {"allOf": [*PAIRS, {"allOf": [False]}]}]}, False),
    "many ways": ({**TITLED, "allOf": PAIRS}, False),
    "draft-07": (
        {**TITLED, "dependencies": EXCLUSIVE, "$schema": "http://json-schema.org/draft-07/schema#"},
        True,
    ),
}


@pytest.mark.parametrize(("schema", "titled"), MANY_WAYS.values(), ids=MANY_WAYS)
def test_the_ways_of_being_valid_are_looked_at_in_a_bounded_time(schema: dict[str, Any], titled: bool) -> None:
    begun = time.thread_time()
    assert has_title(schema) is titled
    with suppress(TooManyAlternatives):
        items_at(schema, "title")
    with suppress(Unwritable):
        DocumentGenerator(Facts(()), root=schema, document_type="report").write()
    assert time.thread_time() - begun < 10  # seconds of CPU; without the bound they double with each pair
