"""Reference documentation of workflow definitions, generated from their JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from workflows.definitions.definition import WorkflowDefinition

#: Headings of the models, in the order of the reference.
PARTS = {
    "WorkflowDefinition": "Workflow",
    "RoleDefinition": "Role",
    "StepDefinition": "Step",
    "ForEach": "for_each",
    "ClarificationPolicy": "clarification",
    "ReviewPolicy": "review",
    "AcceptancePolicy": "acceptance",
    "ApproversPolicy": "approvers",
    "RetryPolicy": "retries",
    "Budget": "budget",
}
_BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
}
_NAMES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "null": "null"}

Schema = Mapping[str, Any]


def reference() -> str:
    """Return the reference as Markdown, with a table for each part of a definition."""
    schema = WorkflowDefinition.model_json_schema()
    parts = {**schema["$defs"], WorkflowDefinition.__name__: schema}
    return "\n\n".join(_table(heading, parts[name], parts) for name, heading in PARTS.items()) + "\n"


def _table(heading: str, part: Schema, parts: Mapping[str, Schema]) -> str:
    required = set(part.get("required", ()))
    rows = [
        f"| `{name}` | {_type(field, parts)} | {_default(field, needed=name in required)} | {_description(field)} |"
        for name, field in part["properties"].items()
    ]
    first = str(part["description"]).split("\n", maxsplit=1)[0]
    return "\n".join([f"### {heading}", "", first, "", "| field | | default | |", "|---|---|---|---|", *rows])


def _description(field: Schema) -> str:
    return str(field.get("description", "")).replace("|", "\\|")


def _default(field: Schema, *, needed: bool) -> str:
    if needed:
        return "**required**"
    value = field.get("default")
    if isinstance(value, dict):
        return "see its table"
    return "none" if value in (None, "", []) else f"`{json.dumps(value)}`".replace('"', "")


def _type(field: Schema, parts: Mapping[str, Schema]) -> str:
    kinds = [each for each in field.get("anyOf", [field]) if each.get("type") != "null"]
    names = list(dict.fromkeys(_kind(each, parts) for each in kinds))
    return ", ".join([*names[:1], *_bounds(kinds[0])])


def _kind(field: Schema, parts: Mapping[str, Schema]) -> str:
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        if name in PARTS:
            return f"[{PARTS[name]}](#{PARTS[name].lower()})"
        return _kind(parts[name], parts) if "enum" in parts[name] else "object"
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if field.get("type") == "array":
        return f"list of {_kind(field['items'], parts)}"
    if field.get("type") == "object":
        inner = field.get("additionalProperties", field.get("patternProperties", {}))
        inner = next(iter(inner.values())) if isinstance(inner, dict) and "$ref" not in inner and inner else inner
        named = isinstance(inner, dict) and inner.get("$ref", "").rpartition("/")[2] in PARTS
        return f"by id: {_kind(inner, parts)}" if named else "object"
    return "slug" if str(field.get("pattern", "")).startswith("^[a-z0-9]+(-") else _NAMES[field["type"]]


def _bounds(field: Schema) -> Iterator[str]:
    for name, text in _BOUNDS.items():
        if name in field and not (name in {"minLength", "minimum"} and field[name] in {0, 1}):
            yield text.format(field[name])
