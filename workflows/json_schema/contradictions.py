"""Contradictions in an output schema, which no document can satisfy.

Only certain contradictions are errors: each keyword is a condition that a value must satisfy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from common.errors import FieldError
from common.json_pointer import pointer
from workflows.json_schema.graph import SchemaGraph, SchemaNode
from workflows.json_schema.satisfiability import Satisfiability
from workflows.json_schema.types import numbers_of, types_of, types_of_value

#: Types with their pairs of lower and upper bounds.
_BOUNDS = (
    ("string", "minLength", "maxLength"),
    ("array", "minItems", "maxItems"),
    ("object", "minProperties", "maxProperties"),
    ("integer", "minimum", "maximum"),
)
_QUOTED_LENGTH = 60  # characters of a value in a message


def contradiction_errors(graph: SchemaGraph, *where: str | int) -> Iterator[FieldError]:
    """Yield contradictions within subschemas, or else the reason why no document can satisfy the whole schema."""
    prefix = pointer(*where)
    found = [field_error for node in graph.parts.values() for field_error in _faults_of(node, prefix)]
    yield from found
    if not found and (node := Satisfiability(graph).impossible()) is not None:
        detail = "No document can satisfy this schema: a required part of it is impossible."
        if node.schema is False:
            detail = "No document can satisfy this schema: a required value is forbidden."
        yield FieldError(pointer=prefix + node.pointer, code="unsatisfiable", detail=detail)


def _faults_of(node: SchemaNode, prefix: str) -> Iterator[FieldError]:
    yield from _value_errors(node, prefix)
    for detail in _bound_errors(node.keywords):
        yield FieldError(pointer=prefix + node.pointer, code="contradiction", detail=detail)


def _bound_errors(keywords: Mapping[str, Any]) -> Iterator[str]:
    kinds = types_of(keywords)
    for kind, lower, upper in _BOUNDS:
        low, high = numbers_of(keywords, lower), numbers_of(keywords, upper)
        if kind in kinds and low is not None and high is not None and low > high:
            yield f"{lower} {low} is greater than {upper} {high}: no value satisfies both."
    required, maximum = keywords.get("required"), numbers_of(keywords, "maxProperties")
    if "object" in kinds and isinstance(required, list) and maximum is not None and len(required) > maximum:
        yield f"{len(required)} names are required, but maxProperties allows only {maximum}."
    if "number" in kinds or "integer" in kinds:
        yield from _number_errors(keywords)


def _number_errors(keywords: Mapping[str, Any]) -> Iterator[str]:
    """Yield contradictory exclusive bounds, and bounds without an integer between them."""
    low, high = numbers_of(keywords, "minimum"), numbers_of(keywords, "maximum")
    above, below = numbers_of(keywords, "exclusiveMinimum"), numbers_of(keywords, "exclusiveMaximum")
    for lower, upper in ((above, high), (low, below), (above, below)):
        if lower is not None and upper is not None and lower >= upper:
            yield f"No number is greater than {lower} and less than {upper}."
            return
    lower_bounds = [*([] if low is None else [math.ceil(low)]), *([] if above is None else [math.floor(above) + 1])]
    upper_bounds = [*([] if high is None else [math.floor(high)]), *([] if below is None else [math.ceil(below) - 1])]
    is_reported = low is not None and high is not None and low > high
    is_bounded = keywords.get("type") == "integer" and lower_bounds and upper_bounds
    if is_bounded and not is_reported and max(lower_bounds) > min(upper_bounds):
        yield "There is no integer within these bounds."


def _value_errors(node: SchemaNode, prefix: str) -> Iterator[FieldError]:
    """Yield values of `enum` and `const` that their `type` excludes, and empty sets of values."""
    keywords = node.keywords
    allowed = types_of(keywords)
    values = keywords.get("enum")
    listed = [(("enum", at), value) for at, value in enumerate(values)] if isinstance(values, list) else []
    if values == []:
        detail = "An empty enum permits no value; add values, or remove the enum."
        yield FieldError(pointer=prefix + node.pointer + "/enum", code="contradiction", detail=detail)
    if "const" in keywords:
        listed.append((("const",), keywords["const"]))  # type: ignore[arg-type]
    excluded = [(names, value) for names, value in listed if not types_of_value(value) & allowed]
    for names, value in excluded:
        shown = f"{_quote(value)} is {_type_name(value)}; type allows only {_types(keywords)}."
        advice = f" Use type: {[*_type_list(keywords), 'null']}." if value is None else ""
        where = prefix + node.pointer + pointer(*names)
        yield FieldError(pointer=where, code="excluded_value", detail=(shown + advice).replace("'", '"'))
    if isinstance(values, list) and values and "const" in keywords and not excluded and keywords["const"] not in values:
        detail = "The const is not one of the enum's values, so no value is valid."
        yield FieldError(pointer=f"{prefix}{node.pointer}/const", code="contradiction", detail=detail)


def _type_list(keywords: Mapping[str, Any]) -> list[str]:
    kinds = keywords.get("type")
    return [kinds] if isinstance(kinds, str) else list(kinds or ())


def _types(keywords: Mapping[str, Any]) -> str:
    return " or ".join(_type_list(keywords))


def _quote(value: Any) -> str:
    literals = {None: "null", True: "true", False: "false"}
    return literals[value] if value is None or isinstance(value, bool) else repr(value)[:_QUOTED_LENGTH]


def _type_name(value: Any) -> str:
    kind = next(iter(sorted(types_of_value(value) - {"integer"})), "")
    return {"null": "null", "array": "an array", "object": "an object"}.get(kind, f"a {kind}")
