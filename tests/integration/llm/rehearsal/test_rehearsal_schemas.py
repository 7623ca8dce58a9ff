"""For any schema and brief the rehearsal writes a valid document, or names the place that it cannot write."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from executions.engine.domain.calls import FinishReason, ModelReply
from executions.engine.prompting.prompts import PromptInputs, build_request
from executions.engine.prompting.replies import ValidDocument, parse_reply
from executions.llm.rehearsal.model import RehearsalModel
from tests.factories.workflows import definition, step
from tests.integration.llm.rehearsal.schemas import DOCUMENTS
from tests.integration.llm.text_listeners import ignore
from tests.support.fuzzing import share_of_30
from workflows.definitions.definition import JsonSchema
from workflows.errors import parts_of
from workflows.json_schema.validation import schema_errors

SECONDS = share_of_30(6)
BRIEF = f"# Tools\n\nThe city lends 400 tools. The budget is 20,000 EUR, and Ms Ode decides. {'a' * 27}b {'a' * 27}!"
_PLACE = re.compile(r"^The rehearsal cannot generate a value for the schema at (.*?): .*\.$", re.DOTALL)


def titled(part: object, **beside: Any) -> dict[str, Any]:
    """Return the schema of a document with a field `x`."""
    return {
        "type": "object",
        "required": ["title", "x"],
        "properties": {"title": {"type": "string"}, "x": part},
        **beside,
    }


async def rehearsed(schema: JsonSchema, brief: str = BRIEF) -> tuple[ModelReply, float]:
    """Return the rehearsal's reply, and how long the event loop stood still meanwhile at most.

    That is in seconds of this process: what else the machine does meanwhile does not count.
    """
    plan = definition(steps=[step()])
    one = plan.steps[0].model_copy(update={"output_schema": schema})
    given = PromptInputs(brief=brief)
    role, model = plan.roles["writer"], "rehearsal:rehearsal"
    request = build_request(step_id=one.id, step=one, role=role, model=model, inputs=given, rejected=None)
    longest, ended = 0.0, False

    async def watch() -> None:
        nonlocal longest
        seen = time.process_time()
        while not ended:
            await asyncio.sleep(0.005)
            longest, seen = max(longest, time.process_time() - seen), time.process_time()

    watcher = asyncio.create_task(watch())
    await asyncio.sleep(0)
    reply = await RehearsalModel(latency_seconds=0).complete(request, ignore)
    ended = True
    await watcher
    return reply, longest


def check(reply: ModelReply, schema: JsonSchema) -> dict[str, Any] | str:
    """Return the document, which is valid, or the pointer in a refusal, which leads to a place in the schema."""
    if reply.finish_reason is FinishReason.REFUSED:
        found = _PLACE.match(reply.text)
        assert found, reply.text
        place = "" if found[1] == "its root" else found[1]
        at: Any = schema
        for part in parts_of(place):
            at = at[int(part)] if isinstance(at, list) else at[part]
        return place
    outcome = parse_reply(reply, schema=schema, max_questions=0)
    assert isinstance(outcome, ValidDocument), outcome
    return outcome.content


#: Fields that can be written, whatever they refer to.
WRITABLE: dict[str, tuple[object, dict[str, Any]]] = {
    "the whole": ({"type": "array", "items": {"$ref": "#"}}, {}),
    "the whole or nothing": ({"anyOf": [{"$ref": "#"}, {"type": "null"}]}, {}),
    "a tree": (
        {"$ref": "#/$defs/n"},
        {
            "$defs": {
                "n": {
                    "type": "object",
                    "required": ["l"],
                    "properties": {"l": {"oneOf": [{"$ref": "#/$defs/n"}, {"const": 0}]}},
                }
            }
        },
    ),
    "itself": ({"$ref": "#/properties/x"}, {}),
    "any json": (
        {"$ref": "#/$defs/n"},
        {
            "$defs": {
                "n": {"anyOf": [{"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/n"}}, {"type": "string"}]}
            }
        },
    ),
    "anchor": ({"$ref": "#n"}, {"$defs": {"n": {"$anchor": "n", "type": "integer", "minimum": 3}}}),
    "dynamic anchor": (
        {"$dynamicRef": "#n"},
        {"$defs": {"n": {"$dynamicAnchor": "n", "type": "array", "items": {"$dynamicRef": "#n"}}}},
    ),
    "references 22 deep": (
        {"$ref": "#/$defs/d0"},
        {
            "$defs": {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(22)}
            | {"d22": {"type": "null"}}
        },
    ),
    "negated class": ({"type": "string", "pattern": "^[^/]+$", "minLength": 12}, {}),
    "class of unicode": ({"type": "string", "pattern": r"^\p{L}+$", "maxLength": 2}, {}),
    "class of unicode, negated": ({"type": "string", "pattern": r"^\P{Lu}{3}$"}, {}),
    "lookbehind": ({"type": "string", "pattern": "(?<=a)b"}, {}),
    "negative lookahead": ({"type": "string", "pattern": r"^(?!\s*$).+"}, {}),
    "reference back": ({"type": "string", "pattern": r"^(a|b)-\1$"}, {}),
    "backtracks": ({"type": "string", "pattern": "^(a+)+$"}, {}),
    "backtracks in one of letters": ({"type": "string", "pattern": "^([a-z]+)*$"}, {}),
    "backtracks and looks ahead": ({"type": "string", "pattern": "^(?=a)(a|a)*$"}, {}),
    "large number": ({"type": "integer", "minimum": 10**299}, {}),
    "fine steps": ({"type": "number", "multipleOf": 1e-30, "minimum": 1e-29, "maximum": 2e-29}, {}),
    "tenths": ({"type": "number", "multipleOf": 0.1, "minimum": 0.25, "maximum": 0.35}, {}),
    "between": ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1e-9}, {}),
    "formats": (
        {"type": "array", "items": {"type": "string", "format": "uuid"}, "uniqueItems": True, "minItems": 9},
        {},
    ),
    "format and pattern": ({"type": "string", "format": "date", "pattern": "^20"}, {}),
    "contains": ({"type": "array", "items": {"type": "integer"}, "contains": {"const": 5}, "minContains": 3}, {}),
    "at most one": ({"type": "array", "contains": {"type": "integer"}, "maxContains": 1, "minItems": 3}, {}),
    "each once": ({"type": "array", "uniqueItems": True, "minItems": 3, "items": {"enum": [1, 2, 3]}}, {}),
    "named by a pattern": (
        {"patternProperties": {"^x-[0-9]+$": {"type": "integer"}}, "additionalProperties": False, "minProperties": 5},
        {},
    ),
    "names": ({"type": "object", "propertyNames": {"pattern": "^[A-Z]{2}[0-9]$"}, "minProperties": 4}, {}),
    "dependent": ({"properties": {"a": {"const": 1}}, "dependentRequired": {"a": ["b"]}}, {}),
    "dependent schema": (
        {"properties": {"a": True}, "required": ["a"], "dependentSchemas": {"a": {"required": ["c"]}}},
        {},
    ),
    "if": ({"type": "integer", "if": {"minimum": 9}, "then": {"multipleOf": 7}, "else": {"multipleOf": 2}}, {}),
    "not": ({"type": "object", "properties": {"a": {"type": "string"}}, "not": {"required": ["a"]}}, {}),
    "not a text": ({"not": {"type": "string"}}, {}),
    "one of": ({"type": "integer", "oneOf": [{"multipleOf": 3}, {"multipleOf": 5}]}, {}),
    "first items": (
        {"type": "array", "prefixItems": [{"const": 1}, {"type": "null"}], "items": False, "minItems": 2},
        {},
    ),
    "all of": (
        {"allOf": [{"type": "array", "items": {"minimum": 7}}, {"items": {"type": "integer"}, "minItems": 1}]},
        {},
    ),
    "nothing else": (
        {"type": "string"},
        {"allOf": [{"properties": {"y": {"const": 1}}}], "unevaluatedProperties": False},
    ),
    "draft-04": (
        {"type": "integer", "minimum": 3, "exclusiveMinimum": True, "maximum": 4},
        {"$schema": "http://json-schema.org/draft-04/schema#"},
    ),
    "draft-07": (
        {"type": "array", "items": [{"const": 1}, {"const": 2}], "additionalItems": False, "minItems": 2},
        {"$schema": "http://json-schema.org/draft-07/schema#"},
    ),
}


@pytest.mark.parametrize(("part", "beside"), WRITABLE.values(), ids=WRITABLE)
async def test_it_writes_what_is_valid(part: object, beside: dict[str, Any]) -> None:
    schema = titled(part, **beside)
    reply, longest = await rehearsed(schema)
    assert isinstance(check(reply, schema), dict), reply.text
    assert longest < 1.0
    assert (await rehearsed(schema))[0].tool_calls == reply.tool_calls  # the same again


@pytest.mark.parametrize(
    ("part", "beside", "place"),
    [
        ({"$ref": "#"}, {}, "/properties/x"),
        (
            {"$ref": "#/$defs/n"},
            {"$defs": {"n": {"minItems": 2, "items": {"$ref": "#/$defs/n"}, "type": "array"}}},
            "/$defs/n",
        ),
        ({"type": "string", "pattern": "^(?=.*[A-Z])(?=.*[0-9]).{8,}$"}, {}, "/properties/x/pattern"),
        ({"type": "string", "pattern": "(a{100}){90}"}, {}, "/properties/x/pattern"),
        ({"type": "string", "minLength": 10**9}, {}, "/properties/x/minLength"),
        ({"type": "string", "minLength": 5, "maxLength": 4}, {}, "/properties/x/minLength"),
        ({"type": "array", "minItems": 10**9}, {}, "/properties/x/minItems"),
        ({"type": "object", "minProperties": 10**9}, {}, "/properties/x/minProperties"),
        (
            {"type": "array", "uniqueItems": True, "minItems": 4, "items": {"enum": [1, 2, 3]}},
            {},
            "/properties/x/uniqueItems",
        ),
        ({"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, {}, "/properties/x/exclusiveMinimum"),
        ({"type": "string", "format": "uuid", "maxLength": 5}, {}, "/properties/x/maxLength"),
        ({"type": "string", "not": {"type": "string"}}, {}, "/properties/x/not"),
        ({"enum": ["a"], "type": "integer"}, {}, "/properties/x/type"),
        (False, {}, "/properties/x"),
        (
            {"$ref": "#/$defs/d0"},
            {
                "$defs": {
                    f"d{n}": {"items": {"$ref": f"#/$defs/d{n + 1}"}, "type": "array", "minItems": 2} for n in range(22)
                }
                | {"d22": {}}
            },
            "/$defs/",
        ),
    ],
)
async def test_it_says_which_place_it_cannot_write(part: object, beside: dict[str, Any], place: str) -> None:
    schema = titled(part, **beside)
    reply, longest = await rehearsed(schema)
    said = check(reply, schema)
    assert isinstance(said, str), said
    assert said.startswith(place)
    assert longest < 1.0


@pytest.mark.parametrize(
    "brief",
    [
        "1" * 5_000,
        "[" * 100_000,
        "# a" + " " * 50_000 + "b",
        "1 111" + " 111" * 40_000 + "x",
        "whether " * 20_000,
        "***",
        "\n",
    ],
    ids=["digits", "brackets", "heading", "groups of digits", "whether", "marks", "empty"],
)
async def test_no_brief_stops_the_event_loop(brief: str) -> None:
    schema = titled({"type": "integer"})
    reply, longest = await rehearsed(schema, brief)
    assert isinstance(check(reply, schema), dict)
    assert longest < 1.0


@settings(max_examples=int(20 * SECONDS), deadline=None, suppress_health_check=list(HealthCheck))
@given(schema=DOCUMENTS, brief=st.sampled_from([BRIEF, "[" * 5_000, "1" * 5_000, "# " + "a" * 27]))
def test_it_hands_in_what_is_valid_or_says_which_place_it_cannot_write(schema: dict[str, Any], brief: str) -> None:
    if list(schema_errors(schema)):
        return  # it is refused when the workflow is loaded
    reply, longest = asyncio.run(rehearsed(schema, brief))
    check(reply, schema)
    assert longest < 1.0
