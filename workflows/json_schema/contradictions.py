"""What in an output schema contradicts itself, so that a model would be asked for what cannot be had.

Only what is certain is a fault: each rule is a condition that a value has to meet.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from workflows.errors import Fault, pointer
from workflows.json_schema.graph import Part, SchemaGraph
from workflows.json_schema.satisfiability import Satisfiability
from workflows.json_schema.types import numbers_of, types_of, types_of_value

#: Which pairs of bounds belong to which type; a lower one above its upper one leaves nothing.
_BOUNDS = (
    ("string", "minLength", "maxLength"),
    ("array", "minItems", "maxItems"),
    ("object", "minProperties", "maxProperties"),
    ("integer", "minimum", "maximum"),
)
_SHOWN = 60  # characters


def contradiction_faults(graph: SchemaGraph, *where: str | int) -> Iterator[Fault]:
    """Yield what in a schema contradicts itself, then what no document can be because of the parts together."""
    before = pointer(*where)
    found = [fault for part in graph.parts.values() for fault in _faults_of(part, before)]
    yield from found
    if not found and (part := Satisfiability(graph).impossible()) is not None:
        detail = "No document can fulfil this schema: something that is required here can never be."
        if part.schema is False:
            detail = "No document can fulfil this schema: what is required here is refused."
        yield Fault(pointer=before + part.pointer, code="unsatisfiable", detail=detail)


def _faults_of(part: Part, before: str) -> Iterator[Fault]:
    yield from _value_faults(part, before)
    for detail in _bound_faults(part.keywords):
        yield Fault(pointer=before + part.pointer, code="contradiction", detail=detail)


def _bound_faults(said: Mapping[str, Any]) -> Iterator[str]:
    kinds = types_of(said)
    for kind, lower, upper in _BOUNDS:
        low, high = numbers_of(said, lower), numbers_of(said, upper)
        if kind in kinds and low is not None and high is not None and low > high:
            yield f"{lower} {low} is more than {upper} {high}: nothing can be both."
    required, most = said.get("required"), numbers_of(said, "maxProperties")
    if "object" in kinds and isinstance(required, list) and most is not None and len(required) > most:
        yield f"{len(required)} names are required, and maxProperties allows {most}."
    if "number" in kinds or "integer" in kinds:
        yield from _gaps(said)


def _gaps(said: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with exclusive bounds of numbers, and with bounds that no whole number lies between."""
    low, high = numbers_of(said, "minimum"), numbers_of(said, "maximum")
    above, below = numbers_of(said, "exclusiveMinimum"), numbers_of(said, "exclusiveMaximum")
    for lower, upper in ((above, high), (low, below), (above, below)):
        if lower is not None and upper is not None and lower >= upper:
            yield f"No number is above {lower} and below {upper}, as the bounds say."
            return
    least = [*([] if low is None else [math.ceil(low)]), *([] if above is None else [math.floor(above) + 1])]
    most = [*([] if high is None else [math.floor(high)]), *([] if below is None else [math.ceil(below) - 1])]
    turned = low is not None and high is not None and low > high
    if said.get("type") == "integer" and least and most and max(least) > min(most) and not turned:
        yield "No whole number lies within these bounds."


def _value_faults(part: Part, before: str) -> Iterator[Fault]:
    """Yield the values of `enum` and `const` that their own `type` excludes, and that nothing is left."""
    said = part.keywords
    allowed = types_of(said)
    values = said.get("enum")
    listed = [(("enum", at), value) for at, value in enumerate(values)] if isinstance(values, list) else []
    if values == []:
        detail = "An enum without values leaves nothing; name what may stand here, or leave the enum out."
        yield Fault(pointer=before + part.pointer + "/enum", code="contradiction", detail=detail)
    if "const" in said:
        listed.append((("const",), said["const"]))  # type: ignore[arg-type]
    excluded = [(names, value) for names, value in listed if not types_of_value(value) & allowed]
    for names, value in excluded:
        shown = f"{_said(value)} is {_named(value)}; type allows {_types(said)} alone."
        advice = f" Write type: {[*_listed(said), 'null']}." if value is None else ""
        where = before + part.pointer + pointer(*names)
        yield Fault(pointer=where, code="excluded_value", detail=(shown + advice).replace("'", '"'))
    if isinstance(values, list) and values and "const" in said and not excluded and said["const"] not in values:
        detail = "The const is none of the enum's values: nothing is left."
        yield Fault(pointer=f"{before}{part.pointer}/const", code="contradiction", detail=detail)


def _listed(said: Mapping[str, Any]) -> list[str]:
    kinds = said.get("type")
    return [kinds] if isinstance(kinds, str) else list(kinds or ())


def _types(said: Mapping[str, Any]) -> str:
    return " or ".join(_listed(said))


def _said(value: Any) -> str:
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else repr(value)[:_SHOWN]


def _named(value: Any) -> str:
    kind = next(iter(sorted(types_of_value(value) - {"integer"})), "")
    return {"null": "null", "array": "an array", "object": "an object"}.get(kind, f"a {kind}")
