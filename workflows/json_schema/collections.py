"""What a schema says of the collection at a place in its documents, before there is one.

A schema may let values be valid in several ways, as with `anyOf`. What is possible in one of them is no fault: the
documents themselves are looked at later.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from workflows.errors import parts_of
from workflows.json_schema.subschemas import Place, Undecided, alternatives, kinds_of, root_of
from workflows.json_schema.validation import JsonSchema, matches

MOST_WAYS = 64  # of being valid that are looked at
Way = tuple[Place, ...]  # places that apply together


def items_at(schema: JsonSchema, items: str) -> list[Way]:
    """Return the ways in which an item may be valid; [] when the schema has no array there, or one without items.

    Args:
        schema: JSON Schema of the document.
        items: RFC 6901 pointer to the array.

    Raises:
        Undecided: there are too many ways.
    """
    found: list[Way] = [(root_of(schema),)]
    for part in parts_of(items):
        found = [property_of(way, part) for way in _ways(found, "object")]
        found = [said for said in found if said]  # what the schema does not name is taken for a mistyped name
    elements = [element for way in _ways(found, "array") for element in _elements(way)]
    return _ways(elements, "object")


def has_key(way: Way, key: str) -> bool:
    """Return whether an object that is valid in this way has a field, and may have a text in it.

    Raises:
        Undecided: there are too many ways in which the field may be valid.
    """
    return key in required_of(way) and bool(_ways([property_of(way, key)], "string"))


def property_of(way: Way, name: str) -> Way:
    """Return the schemas that a field has to be valid against; () when nothing is said of it."""
    said: list[Place] = []
    for place in way:
        known = place.called("properties", name)
        here = [known] if known is not None else []
        here += [each for pattern, each in place.named("patternProperties").items() if matches(pattern, name)]
        others = place.one("additionalProperties")
        said += here or ([others] if others is not None and others.schema not in (True, {}) else [])
    unevaluated = [place.one("unevaluatedProperties") for place in way]
    return tuple(said) or tuple(each for each in unevaluated if each is not None and each.schema not in (True, {}))


def _ways(found: Sequence[Way], kind: str) -> list[Way]:
    """Return the ways that let a kind of value through."""
    ways = list(islice((way for places in found for way in alternatives(places)), MOST_WAYS + 1))
    if len(ways) > MOST_WAYS:
        raise Undecided
    return [way for way in ways if kind in kinds_of(way)]


def _elements(way: Way) -> list[Way]:
    """Return the schemas of an array's elements: of the first ones, and of the rest."""
    first = max((len(place.listed("prefixItems")) for place in way), default=0)
    return [element_of(way, index) for index in range(first + 1)]


def element_of(way: Way, index: int) -> Way:
    """Return the schemas that an element has to be valid against; () when nothing is said of it."""
    said = [
        prefix[index] if index < len(prefix := place.listed("prefixItems")) else place.one("items") for place in way
    ]
    return tuple(each for each in said if each is not None)


def required_of(way: Way) -> set[str]:
    """Return the names of the fields that an object has in any case."""
    required = {name for place in way for name in place.get("required", ())}
    implied = [(name, names) for place in way for name, names in place.get("dependentRequired", {}).items()]
    while found := {each for name, names in implied if name in required for each in names} - required:
        required |= found
    return required
