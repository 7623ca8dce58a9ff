"""What is wrong with a document, told in a bounded time.

A validator tells for each of `anyOf` and `oneOf` why it does not hold, and so on for those within. That takes a time
that multiplies with each level of a schema that leads back to itself. Whether a document is valid takes no such time.
So a document is taken apart, along its schema, until what is left of it costs little to tell about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import NamedTuple

import jsonschema_rs
from pydantic import JsonValue

from common.field_error import FieldError
from workflows.definitions.definition import pointer, validator_of
from workflows.json_schema.graph import SchemaGraph, SchemaNode
from workflows.json_schema.validation import PartValidators, matches

_MOST_VISITS = 4_000  # of parts of a schema at values, to count what one value takes
_MOST_VISITS_IN_ALL = 12_000  # in a document
_MOST_SIZE = 5_000  # values that are counted
_MOST_TOLD = 2_000  # of them for which a validator may tell why one choice does not hold
_COPIED = 50  # values that are copied into a reason in the time that the reason itself takes
_CHOICES = ("anyOf", "oneOf")
_TOO_MUCH = (
    "This is not valid against any choice of the schema, or breaks another rule here. There are too many ways to be "
    "valid, within each other, to say more. Check this value and what lies in it against the schema, or nest it less."
)


class _Spot(NamedTuple):
    """A value, where it stands in the document, and a part of the schema that it has to be valid against."""

    part: SchemaNode
    value: JsonValue
    path: tuple[str | int, ...] = ()
    keyword: str = ""  # that led here
    is_choice: bool = False  # or lies within one


class DocumentValidator:
    """Validates documents against one schema."""

    def __init__(self, schema: Mapping[str, JsonValue]) -> None:
        self._schema = dict(schema)
        self._whole = validator_of(self._schema)
        self._graph: SchemaGraph | None = None
        self._parts: PartValidators | None = None

    def faults(self, content: JsonValue, most: int) -> list[FieldError]:
        """Return what is wrong with a document, at most so much; nothing when it is valid."""
        if self._whole.is_valid(content):
            return []
        self._graph = self._graph or SchemaGraph(self._schema)
        self._parts = self._parts or PartValidators(self._schema)
        found = sorted(
            islice(self._found(self._graph, self._parts, content), most),
            key=_order,
        )
        return found or [FieldError(pointer="", code="schema", detail=_TOO_MUCH)]

    def _found(self, graph: SchemaGraph, parts: PartValidators, content: JsonValue) -> Iterator[FieldError]:
        waiting, costs = [_Spot(graph.root, content)], _Costs(graph)
        while waiting:
            spot = waiting.pop()
            validator = parts.validator(spot.part.pointer) if spot.part.pointer else self._whole
            if costs.is_low(spot):
                yield from sorted((_told(spot, each) for each in validator.iter_errors(spot.value)), key=_order)
                continue
            inner = [
                each for each in _below(graph, spot) if not parts.validator(each.part.pointer).is_valid(each.value)
            ]
            inner = inner or _meant(spot)
            if not inner:
                yield FieldError(pointer=pointer(*spot.path), code="schema", detail=_TOO_MUCH)
            waiting += reversed(inner)


def _order(error: FieldError) -> tuple[str, str, str]:
    return error.pointer, error.code, error.detail


def _told(spot: _Spot, error: jsonschema_rs.ValidationError) -> FieldError:
    where = pointer(*spot.path, *error.instance_path)
    return FieldError(pointer=where, code=error.kind.name, detail=error.message[:500])


class _Costs:
    """How many reasons a validator makes to tell what is wrong with a value: each counted on every way to it."""

    def __init__(self, graph: SchemaGraph) -> None:
        self._graph = graph
        self._known: dict[tuple[SchemaNode, int, bool], int] = {}
        self._sizes: dict[int, int] = {}
        self._visits = 0

    def is_low(self, start: _Spot) -> bool:
        """Return whether a validator tells it in a short time. What takes long to count takes long to tell."""
        stack = [] if _key(start) in self._known else [(start, self._followed(start))]
        until = min(self._visits + _MOST_VISITS, _MOST_VISITS_IN_ALL)
        while stack:
            if self._visits >= until:
                for spot, _ in stack:  # it was not counted to its end
                    self._known.pop(_key(spot), None)
                break
            spot, following = stack[-1]
            inner = next((each for each in following if _key(each) not in self._known), None)
            if inner is None:
                own = 1 + _size(spot.value, self._sizes) // _COPIED if spot.is_choice else 0
                told = own + sum(self._known[_key(each)] for each in self._followed(spot))
                self._known[_key(spot)] = min(told, _MOST_TOLD + 1)
                stack.pop()
            else:
                self._visits += 1
                self._known[_key(inner)] = 0  # where a schema leads to itself in place
                stack.append((inner, self._followed(inner)))
        return self._known.get(_key(start), _MOST_TOLD + 1) <= _MOST_TOLD

    def _followed(self, spot: _Spot) -> Iterator[_Spot]:
        choices = _within_choices(spot.part)
        for each in (*spot.part.in_place, *spot.part.referred):
            yield spot._replace(part=each, is_choice=spot.is_choice or each in choices)
        for inner in _children(self._graph, spot):
            yield inner._replace(is_choice=spot.is_choice)


def _key(spot: _Spot) -> tuple[SchemaNode, int, bool]:
    return spot.part, id(spot.value), spot.is_choice


def _size(value: JsonValue, known: dict[int, int]) -> int:
    """Return how many values lie in a value of a document, up to what is too many to copy."""
    if id(value) not in known:
        size, waiting = 0, [value]
        while waiting and size < _MOST_SIZE:
            size += 1
            each = waiting.pop()
            waiting += each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
        known[id(value)] = size
    return known[id(value)]


def _within_choices(part: SchemaNode) -> list[SchemaNode]:
    """Return the schemas among which a part lets choose."""
    begins = tuple(f"{part.pointer}/{keyword}/" for keyword in _CHOICES)
    return [each for each in part.in_place if each.pointer.startswith(begins)]


def _below(graph: SchemaGraph, spot: _Spot) -> Iterator[_Spot]:
    """Yield what has to be valid in any case for a value to be valid: parts in place, and values in it."""
    required = f"{spot.part.pointer}/allOf/"
    for each in (*spot.part.referred, *spot.part.in_place):
        if each in spot.part.referred or each.pointer.startswith(required):
            yield spot._replace(part=each)
    yield from (each for each in _children(graph, spot) if not each.keyword.startswith(("uneval", "contains")))


def _meant(spot: _Spot) -> list[_Spot]:
    """Return the one choice that a value names by its constants, if there is one."""
    found = [each for each in _within_choices(spot.part) if _names_it(each, spot.value)]
    return [spot._replace(part=found[0])] if len(found) == 1 else []


def _names_it(part: SchemaNode, value: JsonValue) -> bool:
    seen: list[SchemaNode] = []
    while len(part.referred) == 1 and part not in seen:
        seen.append(part)
        part = part.referred[0]
    properties = part.keywords.get("properties")
    if not isinstance(value, dict) or not isinstance(properties, dict):
        return False
    constants = {name: said["const"] for name, said in properties.items() if isinstance(said, dict) and "const" in said}
    return bool(constants) and all(name in value and value[name] == said for name, said in constants.items())


def _children(graph: SchemaGraph, spot: _Spot) -> Iterator[_Spot]:
    """Yield the values in a value, with the parts that rule them."""
    if isinstance(spot.value, dict):
        for name, value in spot.value.items():
            rules = _rules_of_member(graph, spot.part, name)
            yield from (_Spot(part, value, (*spot.path, name), keyword) for keyword, part in rules)
    elif isinstance(spot.value, list):
        for index, value in enumerate(spot.value):
            rules = _rules_of_item(graph, spot.part, index)
            yield from (_Spot(part, value, (*spot.path, index), keyword) for keyword, part in rules)


def _rules_of_member(graph: SchemaGraph, part: SchemaNode, name: str) -> list[tuple[str, SchemaNode]]:
    patterns = part.keywords.get("patternProperties")
    names = [("properties", name)]
    names += [("patternProperties", each) for each in patterns or () if matches(each, name)]
    found = [(each[0], inner) for each in names if (inner := graph.at(part, *each)) is not None]
    others = ("additionalProperties", "unevaluatedProperties")
    return found or [(each, inner) for each in others if (inner := graph.at(part, each)) is not None]


def _rules_of_item(graph: SchemaGraph, part: SchemaNode, index: int) -> list[tuple[str, SchemaNode]]:
    names: list[tuple[str | int, ...]] = [("prefixItems", index), ("items", index)]
    found = [(str(each[0]), inner) for each in names if (inner := graph.at(part, *each)) is not None]
    others = ("items", "additionalItems", "unevaluatedItems")
    found = found or [(each, inner) for each in others if (inner := graph.at(part, each)) is not None]
    contains = graph.at(part, "contains")
    return found if contains is None else [*found, ("contains", contains)]
