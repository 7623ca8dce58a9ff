"""Schema errors of a document are found in bounded time, also for recursive schemas."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from executions.engine.prompting.replies import ValidDocument, Violations, parse_reply
from tests.factories.engine import reply

LEFT = {"$ref": "#/$defs/e"}
BOUND = 1.5  # seconds of this thread; some of these took minutes


def recursive(keyword: str, *branches: dict[str, Any], **more: Any) -> dict[str, Any]:
    whole = {keyword: [*branches, {"type": "number"}]}
    return {"type": "object", "properties": {"x": LEFT}, "$defs": {"e": whole}, **more}


def branch(kind: str | None = None, **more: Any) -> dict[str, Any]:
    properties: dict[str, Any] = {"left": LEFT, "right": LEFT, "all": {"type": "array", "items": LEFT}}
    if kind:
        properties["kind"] = {"const": kind}
    return {"type": "object", "properties": properties, **more}


RECURSIVE = {
    "kinds": recursive("oneOf", branch("a"), branch("b")),
    "kinds by reference": recursive("anyOf", {"$ref": "#/$defs/a"}, branch("b"))
    | {"$defs": {"e": {"anyOf": [{"$ref": "#/$defs/a"}, branch("b")]}, "a": branch("a")}},
    "no kinds": recursive("anyOf", branch(), branch(required=["left"])),
    "eight kinds": recursive("oneOf", *(branch(each) for each in "abcdefgh")),
    "closed": recursive("anyOf", branch(unevaluatedProperties=False), branch("b", unevaluatedProperties=False)),
    "conditions": recursive("anyOf", branch(), {"if": branch(), "then": branch("b"), "else": branch("c")}),
    "draft-07": recursive("anyOf", branch(), branch("a"), **{"$schema": "http://json-schema.org/draft-07/schema#"}),
}


def judged(schema: dict[str, Any], content: Any) -> Any:
    begun = time.thread_time()
    outcome = parse_reply(reply(text=json.dumps(content)), schema=schema, max_questions=0)
    assert time.thread_time() - begun < BOUND
    return outcome


@pytest.mark.parametrize("depth", [10, 30, 60])
@pytest.mark.parametrize("schema", RECURSIVE.values(), ids=RECURSIVE)
def test_a_deep_document_of_a_schema_that_leads_back_to_itself_is_judged_soon(
    schema: dict[str, Any], depth: int
) -> None:
    content: Any = "wrong"
    for _ in range(depth):
        content = {"left": content, "kind": "a"}
    outcome = judged(schema, {"x": content})
    assert isinstance(outcome, Violations)
    assert all(each.pointer.startswith("/x") for each in outcome.errors)


def test_the_place_of_a_fault_is_told_where_constants_name_the_choice() -> None:
    content: Any = {"kind": "b", "all": [1, "wrong"]}
    for _ in range(28):
        content = {"kind": "a", "all": [1, content]}
    outcome = judged(RECURSIVE["kinds"], {"x": content})
    assert isinstance(outcome, Violations)
    assert all(each.pointer.startswith("/x" + "/all/1" * 20) for each in outcome.errors)


def test_a_deep_document_that_is_valid_is_taken() -> None:
    content: Any = 1
    for _ in range(60):
        content = {"kind": "a", "left": content, "right": 2}
    assert judged(RECURSIVE["kinds"], {"x": content}) == ValidDocument(content={"x": content})


@pytest.mark.parametrize("count", [200, 3_000])
def test_a_wide_document_with_many_choices_is_judged_soon(count: int) -> None:
    choices = [{"type": "object", "required": [f"k{at}"]} for at in range(200)]
    schema = {"type": "object", "properties": {"rows": {"type": "array", "items": {"anyOf": choices}}}}
    outcome = judged(schema, {"rows": [{"k1": 1}, *({"k": at} for at in range(count))]})
    assert isinstance(outcome, Violations)
    assert [each.code for each in outcome.errors] == ["anyOf"] * 20
    assert "/rows/1" in {each.pointer for each in outcome.errors}


def test_a_large_document_that_fits_no_choice_is_judged_soon() -> None:
    schema = {"type": "object", "anyOf": [{"required": [f"k{at}"]} for at in range(1_000)]}
    assert isinstance(judged(schema, {"rows": [{"a": at} for at in range(10_000)]}), Violations)
