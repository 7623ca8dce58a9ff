"""JSON Schemas of documents."""

from __future__ import annotations

import jsonschema_rs
from pydantic import JsonValue

JsonSchema = dict[str, JsonValue]


def validator_of(schema: JsonSchema) -> jsonschema_rs.Validator:
    """Return the validator of a document's schema, formats included. References lead nowhere outside the schema.

    Raises:
        jsonschema_rs.ValidationError: it is no schema, or names another one.
    """
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True, retriever=_refuse_to_fetch)


def _refuse_to_fetch(uri: str) -> JsonValue:
    raise LookupError(f"a schema may not refer to {uri}")
