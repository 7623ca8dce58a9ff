"""Validation of definitions: every error is named with its place."""

from __future__ import annotations

from typing import Any

import pytest

from tests.factories.workflows import SCHEMA, definition, plan, step
from workflows.definitions.definition import DefinitionError
from workflows.definitions.parser import parse_definition


def errors(source: object) -> set[tuple[str, str]]:
    """Return where a definition is wrong, and how."""
    with pytest.raises(DefinitionError) as caught:
        parse_definition(source)
    return {(field_error.pointer, field_error.code) for field_error in caught.value.errors}


def test_order_follows_from_documents_and_not_from_the_text() -> None:
    found = definition(
        steps=[step(3, inputs=["paper-1", "paper-2"]), step(2, inputs=["paper-1"]), step(1), step(4)],
    )
    assert found.dependencies == {
        "step-3": ("step-1", "step-2"),
        "step-2": ("step-1",),
        "step-1": (),
        "step-4": (),
    }
    assert found.levels == {"step-1": 0, "step-4": 0, "step-2": 1, "step-3": 2}


def test_a_document_of_the_scope_waits_for_no_step() -> None:
    found = definition(scope_documents=["charter"], steps=[step(inputs=["charter"])])
    assert found.dependencies == {"step-1": ()}


@pytest.mark.parametrize("brief", ["required", "none"])
def test_the_brief_is_a_part_of_the_hash_unless_it_is_the_default(brief: str) -> None:
    plain = definition().content_hash()
    assert definition(brief="optional").content_hash() == plain
    assert definition(brief=brief).content_hash() != plain


@pytest.mark.parametrize("brief", [None, True, "Required", "", "never", ["none"]])
def test_an_unknown_brief_policy_is_a_fault(brief: object) -> None:
    with pytest.raises(DefinitionError) as caught:
        definition(brief=brief)
    assert [field_error.pointer for field_error in caught.value.errors] == ["/brief"]


def test_equal_content_has_an_equal_hash_however_it_was_written() -> None:
    source = plan()
    turned = dict(reversed(source.items()))
    assert parse_definition(turned).content_hash() == parse_definition(source).content_hash()
    assert definition(description="Another.").content_hash() != parse_definition(source).content_hash()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"id": "Not A Slug"}, {("/id", "string_pattern_mismatch")}),
        ({"steps": []}, {("/steps", "too_short")}),
        ({"stpes": 1}, {("/stpes", "extra_forbidden")}),
        ({"steps": [step(), step(2, max_attempts=0)]}, {("/steps/1/max_attempts", "greater_than_equal")}),
        (
            {"steps": [step(), step(2, clarification={"deadline_seconds": 0, "on_deadline": "later"})]},
            {
                ("/steps/1/clarification/deadline_seconds", "greater_than"),
                ("/steps/1/clarification/on_deadline", "enum"),
            },
        ),
        ({"steps": [step(model="stnadard")]}, {("/steps/0/model", "unknown_model")}),
        ({"steps": [step(model="openai: gpt-5")]}, {("/steps/0/model", "unknown_model")}),
        ({"steps": [step(model="openai:")]}, {("/steps/0/model", "unknown_model")}),
        ({"steps": [step(fallbacks=["fast", ":x"])]}, {("/steps/0/fallbacks/1", "unknown_model")}),
        ({"steps": [step(review={"rubric": "R", "model": "best"})]}, {("/steps/0/review/model", "unknown_model")}),
        ({"steps": [step(max_output_tokens=10**9)]}, {("/steps/0/max_output_tokens", "less_than_equal")}),
        ({"steps": [step(input_token_budget=10**9)]}, {("/steps/0/input_token_budget", "less_than_equal")}),
        ({"steps": [step(timeout_seconds=10**9)]}, {("/steps/0/timeout_seconds", "less_than_equal")}),
        ({"steps": [step(max_attempts=True)]}, {("/steps/0/max_attempts", "int_type")}),
        ({"steps": [step(task="a\0b")]}, {("/steps/0/task", "characters")}),
        (
            {"steps": [step(output_schema={**SCHEMA, "x\0": "\ud800"})]},
            {("/steps/0/output_schema/x\ufffd", "characters")},
        ),
        ({"steps": [step(role="nobody")]}, {("/steps/0/role", "unknown_role")}),
        ({"steps": [step(inputs=["missing"])]}, {("/steps/0/inputs/0", "unknown_document")}),
        ({"steps": [step(), step(produces="x")]}, {("/steps/1/id", "duplicate_step")}),
        ({"steps": [step(), step(2, produces="paper-1")]}, {("/steps/1/produces", "duplicate_document")}),
        ({"scope_documents": ["paper-1"]}, {("/steps/0/produces", "duplicate_document")}),
        ({"steps": [step(inputs=["paper-1"])]}, {("/steps/0/inputs", "cycle")}),
        (
            {"steps": [step(1, inputs=["paper-2"]), step(2, inputs=["paper-1"]), step(3)]},
            {("/steps/0/inputs", "cycle"), ("/steps/1/inputs", "cycle")},
        ),
        ({"steps": [step(output_schema={"type": "nothing"})]}, {("/steps/0/output_schema/type", "invalid_schema")}),
        ({"steps": [step(output_schema={"$ref": "#/$defs/x"})]}, {("/steps/0/output_schema/$ref", "invalid_schema")}),
        ({"steps": [step(output_schema={"type": "object"})]}, {("/steps/0/output_schema", "untitled_document")}),
        (
            {"steps": [step(output_schema={**SCHEMA, "required": []})]},
            {("/steps/0/output_schema", "untitled_document")},
        ),
    ],
)
def test_a_fault_is_named_with_its_place(changes: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    assert errors(plan(**changes)) == expected


def test_all_faults_are_named_at_once() -> None:
    wrong = plan(steps=[step(role="nobody", inputs=["missing"]), step(2, output_schema={"type": "object"})])
    assert {pointer for pointer, _ in errors(wrong)} == {
        "/steps/0/role",
        "/steps/0/inputs/0",
        "/steps/1/output_schema",
    }


ITEMS: dict[str, Any] = {
    "type": "object",
    "required": ["title", "items"],
    "properties": {
        "title": {"type": "string"},
        "items": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id"],
                "properties": {"id": {"type": "string"}, "size": {"type": "integer"}},
            },
        },
    },
}


def over(number: int, **changes: Any) -> dict[str, Any]:
    """Return how a step goes over the items that `step-<number>` makes."""
    return {"document": f"paper-{number}", "items": "/items", "key": "id", "scope_type": f"part-{number}", **changes}


def test_a_step_over_a_collection_waits_for_it_and_may_read_what_lies_around_it() -> None:
    found = definition(
        steps=[
            step(1, output_schema=ITEMS),
            step(2, for_each=over(1), output_schema=ITEMS),
            step(3, for_each=over(2), inputs=["paper-2", "paper-1"]),
            step(4, inputs=["paper-1"]),
        ]
    )
    assert found.dependencies["step-2"] == ("step-1",)
    assert set(found.dependencies["step-3"]) == {"step-1", "step-2"}
    assert found.for_each_chain["step-3"] == (("paper-1", "/items"), ("paper-2", "/items"))


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([step(1, output_schema=ITEMS), step(2, for_each=over(1)), step(3, inputs=["paper-2"])], "/steps/2/inputs/0"),
        (
            [
                step(1, output_schema=ITEMS),
                step(2, for_each=over(1)),
                step(3, output_schema=ITEMS),
                step(4, for_each=over(3), inputs=["paper-1", "paper-2"]),
            ],
            "/steps/3/inputs/1",
        ),
    ],
)
def test_an_input_of_a_descendant_or_a_sibling_is_out_of_scope(steps: list[dict[str, Any]], expected: str) -> None:
    assert errors(plan(steps=steps)) == {(expected, "out_of_scope")}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"document": "paper-9"}, ("/steps/1/for_each/document", "unknown_collection")),
        ({"items": "/title"}, ("/steps/1/for_each/items", "not_a_collection")),
        ({"items": "/nothing"}, ("/steps/1/for_each/items", "not_a_collection")),
        ({"items": "items"}, ("/steps/1/for_each/items", "string_pattern_mismatch")),
        ({"key": "size"}, ("/steps/1/for_each/key", "unusable_key")),
        ({"key": "name"}, ("/steps/1/for_each/key", "unusable_key")),
        ({"scope_type": "An Epic"}, ("/steps/1/for_each/scope_type", "string_pattern_mismatch")),
        ({"on_item_failure": "retry"}, ("/steps/1/for_each/on_item_failure", "literal_error")),
        ({"limit": 0}, ("/steps/1/for_each/limit", "greater_than_equal")),
        ({"document": "paper-2"}, ("/steps/1/for_each/document", "cycle")),
    ],
)
def test_a_collection_that_cannot_be_gone_over_is_a_fault(changes: dict[str, Any], expected: tuple[str, str]) -> None:
    second = step(2, for_each=over(1, **changes), output_schema=ITEMS)
    assert expected in errors(plan(steps=[step(1, output_schema=ITEMS), second]))


def test_two_steps_over_the_same_items_share_their_scopes() -> None:
    steps = [
        step(1, output_schema=ITEMS),
        step(2, for_each=over(1)),
        step(3, for_each=over(1, scope_type="other", key="id")),
    ]
    assert errors(plan(steps=steps)) == {("/steps/2/for_each/scope_type", "collection_mismatch")}


@pytest.mark.parametrize("source", [None, [], "text", 3])
def test_what_is_no_object_is_no_definition(source: object) -> None:
    assert {pointer for pointer, _ in errors(source)} == {""}
