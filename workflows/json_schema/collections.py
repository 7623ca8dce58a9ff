"""Static analysis of collections: what a schema guarantees about the items at a pointer.

A schema may have several alternatives, as with `anyOf`. A declaration that fits one alternative is valid; documents are
checked again at run time.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from workflows.errors import parts_of
from workflows.json_schema.subschemas import Subschema, TooManyAlternatives, alternatives, kinds_of, root_of
from workflows.json_schema.validation import JsonSchema, matches

MAX_ALTERNATIVES = 64
Alternative = tuple[Subschema, ...]  # subschemas that apply together


def items_at(schema: JsonSchema, items: str) -> list[Alternative]:
    """Return the alternatives of an item; [] if the schema has no array of objects at the pointer.

    Args:
        schema: JSON Schema of the document.
        items: RFC 6901 pointer to the array.

    Raises:
        TooManyAlternatives: the schema has more than `MAX_ALTERNATIVES`.
    """
    found: list[Alternative] = [(root_of(schema),)]
    for part in parts_of(items):
        found = [property_of(each, part) for each in _alternatives(found, "object")]
        found = [each for each in found if each]  # a name that the schema does not declare is probably a typo
    elements = [element for each in _alternatives(found, "array") for element in _elements(each)]
    return _alternatives(elements, "object")


def has_key(alternative: Alternative, key: str) -> bool:
    """Return whether an object of this alternative has a required field that may be a string.

    Raises:
        TooManyAlternatives: the field has more than `MAX_ALTERNATIVES`.
    """
    return key in required_of(alternative) and bool(_alternatives([property_of(alternative, key)], "string"))


def property_of(alternative: Alternative, name: str) -> Alternative:
    """Return the schemas that apply to a field; () if the schema does not mention it."""
    found: list[Subschema] = []
    for subschema in alternative:
        known = subschema.called("properties", name)
        here = [known] if known is not None else []
        here += [each for pattern, each in subschema.named("patternProperties").items() if matches(pattern, name)]
        others = subschema.one("additionalProperties")
        found += here or ([others] if others is not None and others.schema not in (True, {}) else [])
    unevaluated = [subschema.one("unevaluatedProperties") for subschema in alternative]
    return tuple(found) or tuple(each for each in unevaluated if each is not None and each.schema not in (True, {}))


def _alternatives(found: Sequence[Alternative], kind: str) -> list[Alternative]:
    """Return the alternatives that permit a kind of value."""
    expanded = list(islice((each for schemas in found for each in alternatives(schemas)), MAX_ALTERNATIVES + 1))
    if len(expanded) > MAX_ALTERNATIVES:
        raise TooManyAlternatives
    return [each for each in expanded if kind in kinds_of(each)]


def _elements(alternative: Alternative) -> list[Alternative]:
    """Return the schemas of an array's elements: of each prefix item, and of the other items."""
    first = max((len(subschema.listed("prefixItems")) for subschema in alternative), default=0)
    return [element_of(alternative, index) for index in range(first + 1)]


def element_of(alternative: Alternative, index: int) -> Alternative:
    """Return the schemas that apply to an element; () if the schema does not mention it."""
    schemas = [
        prefix[index] if index < len(prefix := subschema.listed("prefixItems")) else subschema.one("items")
        for subschema in alternative
    ]
    return tuple(each for each in schemas if each is not None)


def required_of(alternative: Alternative) -> set[str]:
    """Return the names of the required fields."""
    required = {name for subschema in alternative for name in subschema.get("required", ())}
    implied = [
        (name, names) for subschema in alternative for name, names in subschema.get("dependentRequired", {}).items()
    ]
    while found := {each for name, names in implied if name in required for each in names} - required:
        required |= found
    return required
