"""Descriptions of fields in the OpenAPI document.

A `help_text` or a docstring at the field comes first. `fields.json` has the others: for a field of one schema
(`Schema.field`), or for all fields of a name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

Json = dict[str, Any]

#: Keywords of JSON Schema whose values are schemas, or lists or maps with schemas.
_ONE = ("items", "additionalProperties")
_MANY = ("allOf", "anyOf", "oneOf")
_RETURN = re.compile(r"Return (\w)")


@cache
def field_texts() -> dict[str, str]:
    """Return the descriptions of `fields.json`."""
    texts: dict[str, str] = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    return texts


def fields_of(schema: Json, owner: str) -> Iterator[tuple[str, str, Json]]:
    """Yield the fields of a schema and of the schemas within it.

    Yields:
        The name of the component, the name of the field, and the object that holds the field.
    """
    for name, inner in schema.get("properties", {}).items():
        yield owner, name, schema["properties"]
        yield from fields_of(inner, owner)
    for key in _ONE:
        if isinstance(schema.get(key), dict):
            yield from fields_of(schema[key], owner)
    for key in _MANY:
        for inner in schema.get(key, []):
            yield from fields_of(inner, owner)


def describe_fields(result: Json, **_: object) -> Json:
    """Add descriptions to the fields of all schemas that have none."""
    components = result["components"]
    # Some schemas are also those of tools of models, which must stay as they are.
    components["schemas"] = deepcopy(components["schemas"])
    for owner, schema in components["schemas"].items():
        for _owner, name, fields in [*fields_of(schema, owner)]:
            fields[name] = _described(fields[name], name, owner)
    return result


def _described(field: Json, name: str, owner: str) -> Json:
    texts = field_texts()
    given = field.get("description", "")
    text = texts.get(f"{owner}.{name}") or _RETURN.sub(_capital, given) or texts.get(name)
    if not text:
        return field
    if "$ref" in field:  # generators of clients do not read what stands beside a reference
        return {"allOf": [field], "description": text}
    return {**field, "description": text}


def _capital(match: re.Match[str]) -> str:
    return match[1].upper()
